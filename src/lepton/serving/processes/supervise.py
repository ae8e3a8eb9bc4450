"""`serve` from several processes, and what the operator is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from lepton.serving.front import strangers_reach
from lepton.serving.guard import new_token
from lepton.serving.model_store import ModelState
from lepton.serving.processes.supervisor import Supervisor
from lepton.serving.verified import Required

__all__ = ["supervise"]


def supervise(
    models: Any,
    *,
    announce: Callable[[str], None] | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    insecure_no_token: bool = False,
    require_token: bool = False,
    **options: Any,
) -> None:
    """Serve `models` from several processes until SIGTERM or SIGINT; as `serve`, which serves from one.

    Args:
        models: files; as of `Supervisor`.
        announce: called with each line that the operator should read; None says nothing, and makes no token.
        host: address to bind.
        token: what callers must show.
        insecure_no_token: serve other machines without a token.
        require_token: want a token on a loopback address too.
        options: as of `Supervisor`.

    Raises:
        LeptonError: as `Supervisor`.
    """
    Required.of(
        options.get("require"), options.get("trusted"), insecure_unsigned=options.get("insecure_unsigned", False)
    )  # before a worker is started for nothing
    made = None
    strangers = strangers_reach(host, options.get("grpc_port"), options.get("unix"), options.get("tls"))
    if (
        token is None
        and announce is not None
        and (require_token or (strangers and not insecure_no_token and not options.get("token_limits")))
    ):
        made = token = new_token()
    supervisor = Supervisor(models, host=host, token=token, insecure_no_token=insecure_no_token, **options)

    def started(supervisor: Supervisor) -> None:
        if announce is None:
            return
        for name, state, said in supervisor.states:
            ready = state == ModelState.READY
            announce(f"{supervisor.url}/v2/models/{quote(name)}" if ready else f"{name} is not ready: {said}")
        for name, state, said in supervisor.services:
            announce(
                f"{supervisor.url}/v2/services/{quote(name)}" if state == "ready" else f"{name} is not ready: {said}"
            )
        announce(f"{len(supervisor.children)} processes")
        if supervisor.grpc_address is not None:
            announce(f"gRPC at {supervisor.grpc_address}")
        if supervisor.watch is not None:
            announce(f"Looking for new models every {supervisor.watch:g} s")
        if made is not None:
            announce(f"Token, shown this once: {made}")

    supervisor.serve_forever(started)
