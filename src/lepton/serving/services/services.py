"""The services of a server: their processes, and the handlers of their addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lepton.core import ErrorCode, LeptonError, Resources, ServingError, UsageError, printable
from lepton.serving.protocols.base import Request, Response, json_response
from lepton.serving.services.host import Host, HostLimits, Pending, ServiceState
from lepton.serving.services.process import ServiceSource, source_of
from lepton.serving.services.tasks import Tasks

__all__ = ["HostLimits", "Services"]

Done = Callable[[Response], None]


class Services:
    """What runs beside the models of a server.

    Handlers take a request and `done`, and give the response where they have it at once; all else happens on the loop
    that `start` was called on.

    Args:
        given: what the operator names, as `service.py:Shop`.
        taken: names of models, which no service may have.
        resources: what each process may use.
        limits: what each service may take.
        state: folder in which tasks are kept; None keeps them in memory.
        python: interpreter of an environment that has Lepton and what the services need; None takes this one.

    Raises:
        UsageError: a service that cannot be meant, or a name that is taken.
    """

    def __init__(
        self,
        given: Iterable[str],
        *,
        taken: Iterable[str] = (),
        resources: Resources | None = None,
        limits: HostLimits | None = None,
        state: Path | None = None,
        python: str | None = None,
    ) -> None:
        self._sources: dict[str, ServiceSource] = {}
        used = set(taken)
        for each in given:
            source = source_of(each, python)
            if source.name in used:
                raise UsageError(
                    ErrorCode.BAD_NAME,
                    f"two models or services have the name '{printable(source.name)}'",
                    fix="name the service otherwise: other=service.py:Shop",
                )
            used.add(source.name)
            self._sources[source.name] = source
        self._resources = resources or Resources()
        self.limits = limits or HostLimits()
        self._state = state
        self._hosts: dict[str, Host] = {}
        self._tasks: Tasks | None = None
        self.handlers: Mapping[str, Callable[..., Response | Pending | EndsSoon]] = {
            "/v2/services": self._index,
            "/v2/services/{service}": self._show,
            "/v2/services/{service}/ready": self._ready,
            "/v2/services/{service}/{method}": self._call,
            "/v2/tasks/{task}": self._task,
        }

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the services."""
        return tuple(self._sources)

    async def start(self) -> None:
        """Start every process; returns when each is ready, or why not is known."""
        if not self._sources:
            return
        self._tasks = Tasks(self._state)
        for name, source in self._sources.items():
            await self._tasks.recover(name)
            self._hosts[name] = Host(source, self._resources, self.limits)
            self._tasks.adopt(self._hosts[name])
        await asyncio.gather(*(host.settled.wait() for host in self._hosts.values()))

    async def stop(self) -> None:
        """End every process; tasks that run are left to the next start."""
        if self._tasks is not None:
            await self._tasks.close()
        await asyncio.gather(*(host.stop() for host in self._hosts.values()))

    def states(self) -> dict[str, str]:
        """State of each service by name: `loading`, `ready`, `failed` or `stopped`."""
        return {name: self._state_of(name) for name in self._sources}

    def reasons(self) -> dict[str, str]:
        """Why a service is not well, of those that are not."""
        return {name: host.health for name, host in self._hosts.items() if host.health}

    def told(self) -> list[list[str]]:
        """Name, state and why it is not well of each, for who starts the server."""
        reasons = self.reasons()
        return [[name, state, reasons.get(name, "")] for name, state in self.states().items()]

    def schemas(self) -> dict[str, dict[str, Any]]:
        """Of every service its docstring and its methods, parameters and results as JSON schema."""
        return {
            name: {"doc": host.description["doc"], "methods": list(host.methods.values())}
            for name, host in self._hosts.items()
        }

    def offers(self, service: str, method: str) -> bool:
        """Whether a service has a method, as far as is known."""
        return service in self._hosts and method in self._hosts[service].methods

    def counted(self) -> list[Any]:
        """Of each service its name, state, calls that wait and run, restarts, and tasks that ended, for its metrics."""
        ended = {} if self._tasks is None else self._tasks.ended
        return [
            [
                name,
                str(host.state),
                host.waiting,
                host.running,
                host.restarts,
                [[method, state, count] for (service, method, state), count in ended.items() if service == name],
            ]
            for name, host in self._hosts.items()
        ]

    def first_error(self) -> LeptonError | None:
        """Why the first service cannot start; None if one can."""
        if any(host.state is ServiceState.READY for host in self._hosts.values()):
            return None
        return next((host.not_ready() for host in self._hosts.values()), None)

    def _state_of(self, name: str) -> str:
        return str(self._hosts[name].state if name in self._hosts else ServiceState.LOADING)

    def _host(self, service: str) -> Host:
        if service not in self._sources:
            raise ServingError(
                ErrorCode.UNKNOWN_SERVICE,
                f"there is no service '{printable(service, 80)}'",
                wanted="one of " + ", ".join(self._sources),
            )
        if service not in self._hosts:
            raise ServingError(ErrorCode.NOT_READY, f"the service '{printable(service)}' is being started")
        return self._hosts[service]

    def _index(self, _: Request, __: Done) -> Response:
        return json_response(
            {
                "services": [
                    {"name": n, "state": state, "address": f"/v2/services/{n}"} for n, state in self.states().items()
                ]
            }
        )

    def _show(self, _: Request, __: Done, *, service: str) -> Response:
        host = self._host(service)
        prefix = f"/v2/services/{quote(service, safe='')}/"
        methods = [{**method, "address": prefix + name} for name, method in host.methods.items()]
        return json_response(
            {
                "name": service,
                "state": str(host.state),
                "reason": host.health,
                "restarts": host.restarts,
                "doc": host.description["doc"],
                "methods": methods,
            }
        )

    def _ready(self, _: Request, __: Done, *, service: str) -> Response:
        host = self._host(service)
        if host.health:
            raise ServingError(ErrorCode.NOT_READY, f"the service '{printable(service)}' is not well: {host.health}")
        return json_response({"name": service, "ready": True})

    def _call(self, request: Request, done: Done, *, service: str, method: str) -> Response | Pending | EndsSoon:
        host = self._host(service)
        found = host.method(method)
        if not found["task"]:
            return host.call(Pending(request, found, done))
        if not host.ready:
            raise host.not_ready()
        if self._tasks is not None:
            self._tasks.submit(host, found, request, done)
        return _ENDS_SOON

    def _task(self, request: Request, done: Done, *, task: str) -> EndsSoon:
        if self._tasks is None:
            raise ServingError(ErrorCode.NOT_READY, "the services are being started")
        (self._tasks.cancel if request.method == "DELETE" else self._tasks.show)(task, done)
        return _ENDS_SOON


class EndsSoon:
    """A request under way that is not worth to be cancelled."""

    def cancel(self) -> None:
        """Let it end."""


_ENDS_SOON = EndsSoon()
