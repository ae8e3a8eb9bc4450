"""`lepton serve`: models behind HTTP."""

from __future__ import annotations

import functools
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from lepton import serving
from lepton.cli.options import Injected, Workers
from lepton.cli.output import Console, Result
from lepton.core import parse_size
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton.serving import deploying
else:
    deploying = LazyModule("lepton.serving.deploying")  # for --print

__all__ = ["serve"]

_WATCH_SECONDS = 1.0
_Printed = Literal["systemd", "containerfile", "kubernetes", "kserve"]


def serve(
    model: str,
    /,
    *models: str,
    host: str | None = None,
    port: int | None = None,
    watch: bool = False,
    require_token: bool = False,
    token_file: Path | None = None,
    insecure_no_token: bool = False,
    require: Literal["verified"] | None = None,
    trusted: Path | None = None,
    insecure_unsigned: bool = False,
    max_body: str = "64MiB",
    token_limits: Path | None = None,
    processes: int = 1,
    workers: Workers = None,
    state: Path | None = None,
    service_python: str | None = None,
    state_rows: float = 0.0,
    alarm_webhook: str | None = None,
    alarm_command: str | None = None,
    alarm_truths: int = 0,
    traces: str | None = None,
    log_format: Literal["text", "json"] = "text",
    grpc_port: int | None = None,
    unix: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    tls_client_ca: Path | None = None,
    traffic: Path | None = None,
    max_memory: str | None = None,
    print_: Annotated[_Printed | None, Parameter(name="--print")] = None,
    image: str = "lepton",
    context: Injected,
) -> Result:
    """Serve models by the Open Inference Protocol until Ctrl-C.

    A model in houses.lepton answers at /v2/models/houses/infer and, for plain JSON rows, /v2/models/houses/rows;
    name=houses.lepton gives it another name. service.py:Shop runs your own class in a process of its own, its
    methods at /v2/services/shop; nothing else makes the server run code.

    Args:
        model: a service, a .lepton file, or a folder of them: NAME.lepton, or NAME/NUMBER.lepton for several versions.
        models: more of them.
        host: address to bind; anything but loopback needs the token that is printed at the start.
        port: port to bind; 0 takes a free one.
        watch: take up new and changed files while serving; requests are answered by the old version until then.
        require_token: want a token on this machine too; loading and unloading models by requests needs one.
        token_file: file with the token that callers must show, in place of one that is made at the start.
        insecure_no_token: serve other machines without a token.
        require: verified serves no model but those that passed their rules, by a report of lepton verify in the file.
        trusted: list of the public keys of those whose verifications count; needed with --require verified.
        insecure_unsigned: take verifications that nobody signed: where nobody else can write the files.
        max_body: largest request body that is taken.
        token_limits: file of further tokens, each with how often, how much at once and how urgently it may be used.
        processes: serve from so many; one that dies or hangs is started again, and the others answer on.
        workers: threads for large batches.
        service_python: interpreter of an environment that has lepton and what your services need, if not this one.
        state: folder that outlives the server; tasks of services, windows of drift and feedback are kept there.
        state_rows: share of the answers kept for feedback whose rows are kept too, for later training; 0 keeps no row.
        alarm_webhook: address that is called, with JSON, when a model drifts or is worse than it promised; once a day
            and model.
        alarm_command: command that is run then and gets the JSON on its standard input; no shell reads it.
        alarm_truths: have both told, too, when so many new truths came by feedback; 0 tells nothing.
        traces: address of a collector of OpenTelemetry (OTLP over HTTP), such as http://127.0.0.1:4318; requests are
            told to it as spans, with the trace of their callers.
        log_format: lines of text, or a JSON object on each line.
        grpc_port: serve gRPC too, at this port; 0 takes a free one.
        unix: serve HTTP at this path of the file system in place of a port, for callers of this user alone.
        tls_cert: file with the server's certificate in PEM; HTTP and gRPC speak TLS then.
        tls_key: file with its private key.
        tls_client_ca: file with the authorities of callers' certificates, which all callers must then show.
        traffic: file of rules of which model answers to which name: aliases, shares, shadows, pipelines, caches.
        max_memory: let go of the models asked least recently beyond this much memory, such as 2GB; they are opened
            again when they are asked.
        print_: write files that run this server elsewhere to standard output, and start none.
        image: name of the container's image in what is printed for Kubernetes and KServe.
        context: given by the command line.
    """
    typed = dict(locals())
    settings = context.settings
    if print_ is not None:
        return _printed(print_, [model, *models], typed, host or settings.host, settings.port if port is None else port)
    if log_format == "json":
        serving.log_as_json()
    given = [model, *models]
    serve_models = serving.serve if processes == 1 else functools.partial(serving.supervise, processes=processes)
    serve_models(
        serving.Sources(each for each in given if not serving.is_service(each)),
        services=[each for each in given if serving.is_service(each)],
        state=state,
        service_python=service_python,
        state_rows=state_rows,
        alarm_webhook=alarm_webhook,
        alarm_command=alarm_command,
        alarm_truths=alarm_truths,
        traces=traces,
        host=host or settings.host,
        port=settings.port if port is None else port,
        insecure_no_token=insecure_no_token,
        require_token=require_token,
        token=None if token_file is None else serving.read_token(token_file),
        token_limits=token_limits,
        require=require,
        trusted=trusted,
        insecure_unsigned=insecure_unsigned,
        watch=_WATCH_SECONDS if watch else None,
        limits=serving.Limits(max_body=parse_size(max_body, "max_body")),
        resources=context.resources(workers),
        announce=functools.partial(_announce, context.console),
        grpc_port=grpc_port,
        unix=unix,
        traffic=traffic,
        max_memory=None if max_memory is None else parse_size(max_memory, "max_memory"),
        tls=serving.Tls.of(tls_cert, tls_key, tls_client_ca),
    )
    return Result(data={"stopped": True})


def _printed(kind: _Printed, models: list[str], typed: dict[str, Any], host: str, port: int) -> Result:
    """The files of a place, for the options that were typed."""
    usual = {name: option.default for name, option in inspect.signature(serve).parameters.items()}
    others = {"model", "models", "print_", "image", "context"}
    options = {name: value for name, value in typed.items() if name not in others and value != usual[name]}
    asked = deploying.Asked(tuple(models), options, port)
    text = {
        "systemd": lambda: deploying.systemd_unit(asked, host),
        "containerfile": lambda: deploying.container_file(asked),
        "kubernetes": lambda: deploying.kubernetes_manifests(asked, typed["image"]),
        "kserve": lambda: deploying.kserve_runtime(asked, typed["image"]),
    }[kind]()
    return Result(data={"kind": kind, "text": text}, text=text.rstrip("\n"))


def _announce(console: Console, line: str) -> None:
    """Say where the models are once they answer; a quiet operator is told the token only."""
    if not console.quiet or line.startswith("Token"):
        print(line, file=sys.stdout if console.format == "text" else sys.stderr, flush=True)
