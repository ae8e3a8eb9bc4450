"""A client of an inference server; needs the standard library alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from lepton.client.cells import CELLS, cell_bytes, cell_headers
from lepton.client.connections import BINARY_HEADER, Connections
from lepton.client.forms import (
    arrays_of,
    as_came,
    binary_tensor_of,
    error_of,
    is_array,
    nested,
    plain_rows,
    tensor_of,
    to_json,
)
from lepton.client.remote import RemoteModel, RemoteService, RemoteTask
from lepton.core import ErrorCode, LeptonError, ServingError, UsageError

__all__ = ["Client"]

_ALIGNMENT = 16
_UNKNOWN = frozenset({ErrorCode.UNKNOWN_MODEL, ErrorCode.UNKNOWN_SERVICE, ErrorCode.UNKNOWN_ROUTE})


class Client:
    """Asks the models of one server; may be used from several threads.

        with Client("http://127.0.0.1:8080") as client:
            client.predict("houses", [{"rooms": 3, "town": "Basel"}])

    Args:
        url: address of the server, `http://…` or `https://…`, or the `http+unix://…` that a server at a path prints.
        token: what the server was started with, if it was.
        timeout: seconds to wait for an answer.
        authority: file with the certificates of authorities that may have signed the server's; those of the system
            otherwise.
        certificate: file with a certificate to show, where the server wants one.
        key: file with its private key.

    Raises:
        UsageError: an address of another form.
        DataError, SecurityError: a file that is not there, or holds no certificate.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        authority: str | Path | None = None,
        certificate: str | Path | None = None,
        key: str | Path | None = None,
    ) -> None:
        self._connections = Connections(url, timeout, authority=authority, certificate=certificate, key=key)
        self.url = url.rstrip("/")
        self._headers: dict[str, str] = {}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        self._models: dict[str, RemoteModel] = {}
        self._services: dict[str, RemoteService] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens others."""
        self._connections.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if (known := self._models.get(name) or self._services.get(name)) is not None:
            return known
        for find in (self.model, self.service):
            try:
                return find(name)
            except ServingError as error:
                if error.code not in _UNKNOWN:
                    raise
        raise AttributeError(
            f"the server has no model and no service {name!r}; it has " + (", ".join(self._offered()) or "none")
        )

    def __dir__(self) -> list[str]:
        try:
            offered = [name for name in self._offered() if name.isidentifier()]
        except LeptonError:
            offered = []  # nothing answers: what the client itself has is still shown
        return sorted({*super().__dir__(), *offered})

    def _offered(self) -> list[str]:
        """Names of the models and services of the server."""
        names = list(self.models())
        try:
            return [*names, *(service["name"] for service in self.ask("GET", "/v2/services")["services"])]
        except ServingError as error:
            if error.code not in _UNKNOWN:
                raise
            return names

    def model(self, name: str) -> RemoteModel:
        """A model of the server, with what it takes: `client.model("houses").predict(rows)`.

        `client.houses` is the same, where the client has no method of that name.

        Raises:
            ServingError: UNKNOWN_MODEL.
        """
        found = self._models[name] = RemoteModel(self, self.metadata(name))
        return found

    def service(self, name: str) -> RemoteService:
        """A service of the server; its methods are called by name: `client.service("shop").rank(user="me")`.

        `client.shop` is the same, where the client has no method of that name.

        Raises:
            ServingError: UNKNOWN_SERVICE.
        """
        found = self._services.get(name)
        if found is None:
            found = self._services[name] = RemoteService(self, self.ask("GET", "/v2/services/" + quote(name, safe="")))
        return found

    def task(self, task: str) -> RemoteTask:
        """A task by its id.

        Raises:
            ServingError: UNKNOWN_TASK.
        """
        return RemoteTask(self, self.ask("GET", "/v2/tasks/" + quote(task, safe="")))

    def models(self) -> dict[str, str]:
        """State of each model (`ready`, `loading`, `failed`) by name."""
        return {model["name"]: model["state"] for model in self.ask("GET", "/")["models"]}

    def metadata(self, model: str) -> dict[str, Any]:
        """What a model takes and gives."""
        return dict(self.ask("GET", _address(model)))

    def ready(self, model: str | None = None) -> bool:
        """Whether the server, or one of its models, answers; False also when nothing listens there."""
        try:
            self.ask("GET", "/v2/health/ready" if model is None else _address(model) + "/ready")
        except ServingError as error:
            if error.code is ErrorCode.NOT_READY:
                return False
            raise
        return True

    def predict(self, model: str, rows: Any) -> Any:
        """Predictions for rows.

        Args:
            model: its name on the server.
            rows: a dict of values by column (one row) or of lists by column, a list of dicts, a Polars or pandas
                DataFrame or an Arrow table; None and NaN are missing, datetimes are sent in ISO 8601. Of a model of
                pictures, sounds or texts: the bytes of a file, its `Path`, a text, or a list of such.

        Returns:
            A Polars or pandas Series where such a table came, else a list.

        Raises:
            SchemaError: rows that do not fit the model; the message says which column and what came.
            ServingError: whatever else the server refuses, or nothing answers.
        """
        return as_came(rows, self._rows(model, rows)["predictions"], "Series")

    def predict_proba(self, model: str, rows: Any) -> Any:
        """Probability of each label, for each row.

        Returns:
            A Polars or pandas DataFrame where such a table came, else a list of dicts label → probability.

        Raises:
            UsageError: the model does not classify.
            LeptonError: as `predict`.
        """
        answer = self._rows(model, rows)
        if "probabilities" not in answer:
            raise UsageError(ErrorCode.USAGE, f"the model {model!r} gives no probabilities", fix="use predict")
        return as_came(rows, answer["probabilities"], "DataFrame")

    def infer(self, model: str, inputs: Mapping[str, Any], outputs: Iterable[str] = ()) -> dict[str, Any]:
        """Answers to tensors, by the Open Inference Protocol; arrays of numpy travel as their bytes, both ways.

        Args:
            model: its name on the server.
            inputs: name to array (of numpy, or lists); the graph's tensors, or one for each column.
            outputs: names of those wanted; all, if none is named.

        Returns:
            Name to array of numpy if one came, else to nested lists.

        Raises:
            LeptonError: as `predict`.
        """
        body: dict[str, Any] = {"inputs": []}
        if wanted := [{"name": name} for name in outputs]:
            body["outputs"] = wanted
        if not any(is_array(values) for values in inputs.values()):
            body["inputs"] = [tensor_of(name, values) for name, values in inputs.items()]
            answer = self.ask("POST", _address(model) + "/infer", body)
            return {tensor["name"]: nested(tensor["data"], tensor["shape"]) for tensor in answer["outputs"]}
        parts: list[bytes] = []
        for name, values in inputs.items():
            tensor, part = binary_tensor_of(name, values) if is_array(values) else (tensor_of(name, values), b"")
            body["inputs"].append(tensor)
            parts.append(part)
        body["parameters"] = {"binary_data_output": True}
        text = to_json(body)
        text += b" " * (-len(text) % _ALIGNMENT)  # so that the server can use the numbers where they stand
        headers = {"content-type": "application/octet-stream", BINARY_HEADER: str(len(text))}
        return arrays_of(*self._send("POST", _address(model) + "/infer", b"".join([text, *parts]), headers))

    def _rows(self, model: str, rows: Any) -> dict[str, Any]:
        if isinstance(rows, CELLS):
            body = cell_bytes(rows)
            return dict(self._send("POST", _address(model) + "/rows", body, cell_headers(body, rows))[0])
        if isinstance(rows, list) and rows and isinstance(rows[0], CELLS):
            column = self.metadata(model)["columns"][0]["name"]
            rows = [
                {column: row if isinstance(row, str) else base64.b64encode(cell_bytes(row)).decode()} for row in rows
            ]
        return dict(self.ask("POST", _address(model) + "/rows", {"rows": plain_rows(rows)}))

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        """The JSON that the server answers at a path, for addresses that no method is for.

        Args:
            method: of HTTP.
            path: from the first `/` on, percent-encoded.
            value: of the body; None sends none.

        Raises:
            LeptonError: the server's refusal, or nothing answers.
        """
        body = None if value is None else to_json(value)
        return self._send(method, path, body, {"content-type": "application/json"})[0]

    def stream(self, path: str, value: Any) -> Iterator[Any]:
        """The items of a method of a service that gives one after the other, as they come.

        Args:
            path: of the method.
            value: its parameters.

        Raises:
            LeptonError: the server's refusal, the error that the items end with, or that they break off.
        """
        headers = {**self._headers, "content-type": "application/json", "accept": "application/x-ndjson"}
        for status, line in self._connections.lines("POST", path, to_json(value), headers):
            record = self._read(line, status)
            if status != 200 or not isinstance(record, dict) or "result" not in record:
                raise error_of(record, status)
            yield record["result"]

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[Any, bytes]:
        """The JSON of the answer, and the bytes of the tensors behind it."""
        status, length, data = self._connections.exchange(method, path, body, {**self._headers, **headers})
        split = len(data) if length is None or not length.isdecimal() else int(length)
        answer = self._read(data[:split], status)
        if status not in {200, 202}:
            raise error_of(answer, status)
        return answer, data[split:]

    def _read(self, text: bytes, status: int) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise ServingError(
                ErrorCode.BAD_REQUEST, f"{self.url} answers {status} without JSON", fix="is it a Lepton server?"
            ) from None


def _address(model: str) -> str:
    return "/v2/models/" + quote(model, safe="")
