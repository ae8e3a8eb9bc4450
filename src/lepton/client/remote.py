"""Models, services and tasks of a server, as objects of its client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lepton.client.forms import error_of
from lepton.core import ErrorCode, Interrupted, ServingError

if TYPE_CHECKING:
    from lepton.client.client import Client

__all__ = ["RemoteModel", "RemoteService", "RemoteTask"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds between two looks at a task


class RemoteModel:
    """One model of a server; `Client` gives it.

    `predict` and `predict_proba` are those of the client for this model; `help` of them tells its columns.

    Attributes:
        metadata: what the server says of the model.
        columns: its columns, in the table's order.
    """

    def __init__(self, client: Client, metadata: Mapping[str, Any]) -> None:
        self._client, self._name = client, str(metadata["name"])
        self.metadata = dict(metadata)
        self.columns = tuple(column["name"] for column in metadata.get("columns", ()))
        told = _told(metadata)

        def predict(rows: Any) -> Any:
            return client.predict(self._name, rows)

        def predict_proba(rows: Any) -> Any:
            return client.predict_proba(self._name, rows)

        predict.__doc__ = f"Predictions of the model {self._name!r} for rows, as `Client.predict`.\n\n{told}"
        predict_proba.__doc__ = f"Probability of each label, as `Client.predict_proba`.\n\n{told}"
        self.__doc__ = told
        self.predict, self.predict_proba = predict, predict_proba

    def infer(self, inputs: Mapping[str, Any], outputs: Iterable[str] = ()) -> dict[str, Any]:
        """Answers to tensors; see `Client.infer`."""
        return self._client.infer(self._name, inputs, outputs)

    def ready(self) -> bool:
        """Whether the model answers."""
        return self._client.ready(self._name)

    def __repr__(self) -> str:
        return f"<model {self._name}: {', '.join(self.columns)}>"


class RemoteService:
    """The methods of one service of a server; `Client` gives it.

    A method that gives items one by one is iterated over; one that gives a task gives a `RemoteTask`.

    Attributes:
        doc: what the service says of itself.
        methods: what each method takes and gives, as JSON schema, by name.
    """

    def __init__(self, client: Client, description: Mapping[str, Any]) -> None:
        self._client = client
        self._name = str(description["name"])
        self.doc = str(description["doc"])
        self.methods = {method["name"]: method for method in description["methods"]}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        method = self.methods.get(name)
        if method is None:
            raise AttributeError(
                f"the service {self._name!r} has no method {name!r}; it has " + ", ".join(self.methods)
            )

        def call(**parameters: Any) -> Any:
            if method.get("stream"):
                return self._client.stream(method["address"], parameters)
            answer = self._client.ask("POST", method["address"], parameters)
            return RemoteTask(self._client, answer) if method["task"] else answer["result"]

        call.__name__ = call.__qualname__ = name
        schema = method["parameters"]
        takes = ", ".join(each if each in schema["required"] else f"{each}=…" for each in schema["properties"])
        call.__doc__ = f"{self._name}.{name}({takes})\n\n{method['doc']}".rstrip()
        return call

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.methods})

    def __repr__(self) -> str:
        return f"<service {self._name}: {', '.join(self.methods)}>"


class RemoteTask:
    """A task that a server runs; a method of a service, or `Client.task`, gives it.

    Attributes:
        id: by which `Client.task` finds it again.
    """

    def __init__(self, client: Client, record: Mapping[str, Any]) -> None:
        self._client = client
        self._record = dict(record)
        self.id = str(record["id"])

    @property
    def state(self) -> str:
        """`queued`, `running`, `done`, `failed`, `cancelled` or `interrupted`, when it was last asked for."""
        return str(self._record["state"])

    def refresh(self) -> dict[str, Any]:
        """Ask the server: state, times and progress.

        Raises:
            ServingError: UNKNOWN_TASK, or nothing answers.
        """
        self._record = self._client.ask("GET", "/v2/tasks/" + self.id)
        return dict(self._record)

    def cancel(self) -> None:
        """Have it stop, where it looks."""
        self._record = self._client.ask("DELETE", "/v2/tasks/" + self.id)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result.

        Args:
            timeout: seconds to wait; None waits until it is there.

        Raises:
            LeptonError: the error of the task, that it was cancelled or interrupted, or REQUEST_TIMEOUT.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while self.state in {"queued", "running"}:
            if ends is not None and time.monotonic() >= ends:
                raise ServingError(ErrorCode.REQUEST_TIMEOUT, f"the task is {self.state} after {timeout:g} s")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.refresh()
        if self.state == "done":
            return self._record["result"]
        if "error" in self._record:
            raise error_of(self._record["error"], 500)
        raise Interrupted(ErrorCode.INTERRUPTED, f"the task was {self.state}")

    def __repr__(self) -> str:
        return f"<task {self.id}: {self.state}>"


def _told(metadata: Mapping[str, Any]) -> str:
    """What a model takes and gives, for people."""
    if "columns" not in metadata:
        return f"Not ready: {metadata.get('reason', '')}"
    lines = ["Columns:"]
    for column in metadata["columns"]:
        form = column.get("datetime_format") or ("ISO 8601" if column["kind"] == "datetime" else "")
        facts = [column["kind"], column.get("unit") or "", form, column.get("time_zone") or ""]
        lines.append(f"    {column['name']}: " + ", ".join(fact for fact in facts if fact))
    lines += ["", f"Task: {metadata['task']}"]
    if metadata.get("labels"):
        lines.append("Labels: " + ", ".join(map(str, metadata["labels"][:50])))
    return "\n".join(lines)
