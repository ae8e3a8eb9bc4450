"""A client of an inference server; needs the standard library alone."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import importlib
import json
import math
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

from lepton.core import (
    CATALOGUE,
    DataError,
    ErrorCode,
    Interrupted,
    LeptonError,
    MissingExtraError,
    ServingError,
    UsageError,
    printable,
)

__all__ = ["Client"]

_DATATYPES = {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"} | {
    f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_NAMES = {name: dtype for dtype, name in _DATATYPES.items()}
_BINARY_HEADER = "inference-header-content-length"
_ALIGNMENT = 16
_CELLS = (bytes, str, os.PathLike)
_FILES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "audio/wav", b"fLaC": "audio/flac"}
_PREFIX = 4
_UNKNOWN = frozenset({ErrorCode.UNKNOWN_MODEL, ErrorCode.UNKNOWN_SERVICE, ErrorCode.UNKNOWN_ROUTE})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds between two looks at a task


class Client:
    """Asks the models of one server; may be used from several threads.

        with Client("http://127.0.0.1:8080") as client:
            client.predict("houses", [{"rooms": 3, "town": "Basel"}])

    Args:
        url: address of the server, `http://…` or `https://…`.
        token: what the server was started with, if it was.
        timeout: seconds to wait for an answer.

    Raises:
        UsageError: an address of another form.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                ErrorCode.USAGE, f"got the address {printable(url)!r}", wanted="one such as http://127.0.0.1:8080"
            )
        self.url = url.rstrip("/")
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._timeout = timeout
        self._headers: dict[str, str] = {}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        self._models: dict[str, RemoteModel] = {}
        self._services: dict[str, RemoteService] = {}
        self._idle: list[http.client.HTTPConnection] = []  # a thread takes one out, and puts it back after its call

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens others."""
        while self._idle:
            self._idle.pop().close()

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
            return [*names, *(service["name"] for service in self._ask("GET", "/v2/services")["services"])]
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
            found = self._services[name] = RemoteService(self, self._ask("GET", "/v2/services/" + quote(name, safe="")))
        return found

    def task(self, task: str) -> RemoteTask:
        """A task by its id.

        Raises:
            ServingError: UNKNOWN_TASK.
        """
        return RemoteTask(self, self._ask("GET", "/v2/tasks/" + quote(task, safe="")))

    def models(self) -> dict[str, str]:
        """State of each model (`ready`, `loading`, `failed`) by name."""
        return {model["name"]: model["state"] for model in self._ask("GET", "/")["models"]}

    def metadata(self, model: str) -> dict[str, Any]:
        """What a model takes and gives."""
        return dict(self._ask("GET", _address(model)))

    def ready(self, model: str | None = None) -> bool:
        """Whether the server, or one of its models, answers; False also when nothing listens there."""
        try:
            self._ask("GET", "/v2/health/ready" if model is None else _address(model) + "/ready")
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
        return _as_came(rows, self._rows(model, rows)["predictions"], "Series")

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
        return _as_came(rows, answer["probabilities"], "DataFrame")

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
        if not any(_is_array(values) for values in inputs.values()):
            body["inputs"] = [_tensor(name, values) for name, values in inputs.items()]
            answer = self._ask("POST", _address(model) + "/infer", body)
            return {tensor["name"]: _nested(tensor["data"], tensor["shape"]) for tensor in answer["outputs"]}
        parts: list[bytes] = []
        for name, values in inputs.items():
            tensor, part = _binary_tensor(name, values) if _is_array(values) else (_tensor(name, values), b"")
            body["inputs"].append(tensor)
            parts.append(part)
        body["parameters"] = {"binary_data_output": True}
        text = _json(body)
        text += b" " * (-len(text) % _ALIGNMENT)  # so that the server can use the numbers where they stand
        headers = {"content-type": "application/octet-stream", _BINARY_HEADER: str(len(text))}
        return _arrays(*self._send("POST", _address(model) + "/infer", b"".join([text, *parts]), headers))

    def _rows(self, model: str, rows: Any) -> dict[str, Any]:
        if isinstance(rows, _CELLS):
            body = _cell(rows)
            return dict(self._send("POST", _address(model) + "/rows", body, _headers_of(body, rows))[0])
        if isinstance(rows, list) and rows and isinstance(rows[0], _CELLS):
            column = self.metadata(model)["columns"][0]["name"]
            rows = [{column: row if isinstance(row, str) else base64.b64encode(_cell(row)).decode()} for row in rows]
        return dict(self._ask("POST", _address(model) + "/rows", {"rows": _plain_rows(rows)}))

    def _ask(self, method: str, path: str, value: Any = None) -> Any:
        return self._send(method, path, None if value is None else _json(value), {"content-type": "application/json"})[
            0
        ]

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[Any, bytes]:
        """The JSON of the answer, and the bytes of the tensors behind it."""
        try:
            status, length, data = self._exchange(method, path, body, {**self._headers, **headers})
        except TimeoutError:
            raise ServingError(ErrorCode.REQUEST_TIMEOUT, f"{self.url} gave no answer in {self._timeout:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise ServingError(
                ErrorCode.NOT_READY,
                f"nothing answers at {self.url}: {error}",
                fix="start a server there: lepton serve FILE",
            ) from None
        try:
            split = len(data) if length is None else int(length)
            answer = json.loads(data[:split])
        except ValueError:
            raise ServingError(
                ErrorCode.BAD_REQUEST, f"{self.url} answers {status} without JSON", fix="is it a Lepton server?"
            ) from None
        if status not in {200, 202}:
            raise _error(answer, status)
        return answer, data[split:]

    def _exchange(self, *request: Any) -> tuple[int, str | None, bytes]:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._over(self._kind(self._host, self._port, timeout=self._timeout), *request)
        try:
            return self._over(connection, *request)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()  # the server closed it, and so others, while they were idle
            return self._over(self._kind(self._host, self._port, timeout=self._timeout), *request)

    def _over(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> tuple[int, str | None, bytes]:
        try:
            connection.request(method, self._prefix + path, body, headers)
            response = connection.getresponse()
            data = response.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return response.status, response.getheader(_BINARY_HEADER), data


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
            answer = self._client._ask("POST", method["address"], parameters)
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
        self._record = self._client._ask("GET", "/v2/tasks/" + self.id)
        return dict(self._record)

    def cancel(self) -> None:
        """Have it stop, where it looks."""
        self._record = self._client._ask("DELETE", "/v2/tasks/" + self.id)

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
            raise _error(self._record["error"], 500)
        raise Interrupted(ErrorCode.INTERRUPTED, f"the task was {self.state}")

    def __repr__(self) -> str:
        return f"<task {self.id}: {self.state}>"


def _address(model: str) -> str:
    return "/v2/models/" + quote(model, safe="")


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


def _cell(cell: bytes | str | os.PathLike[str]) -> bytes:
    """The bytes of one row that is no dict: a file, the file at a path, or a text."""
    if isinstance(cell, str):
        return cell.encode("utf-8", "replace")
    if isinstance(cell, bytes):
        return cell
    try:
        return Path(cell).read_bytes()
    except OSError as error:
        raise DataError(ErrorCode.NOT_FOUND, f"the file '{printable(str(cell))}' cannot be read: {error}") from None


def _headers_of(body: bytes, cell: Any) -> dict[str, str]:
    """The content type of one row, and a header that no page of another site can send."""
    known = (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"), (b"RIFF", "audio/wav"), (b"fLaC", "audio/flac")
    found = next(
        (media for start, media in known if body.startswith(start) and not isinstance(cell, str)), "text/plain"
    )
    return {"content-type": found, "x-request-id": uuid.uuid4().hex}


def _library(rows: Any) -> str:
    return type(rows).__module__.partition(".")[0]


def _plain_rows(rows: Any) -> list[dict[str, Any]]:
    """Rows of any container as dicts."""
    library = _library(rows)
    if library == "pandas":
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    elif library in {"polars", "pyarrow"}:
        rows = rows.to_dicts() if library == "polars" else rows.to_pylist()
    elif isinstance(rows, Mapping):
        columns = {name: list(values) for name, values in rows.items() if _is_column(values)}
        if len(columns) == len(rows):
            lengths = {name: len(values) for name, values in columns.items()}
            if len(set(lengths.values())) > 1:
                raise UsageError(ErrorCode.USAGE, f"got columns of the lengths {lengths}", wanted="one length")
            rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        else:
            rows = [rows]
    return [dict(row) for row in rows]


def _is_column(values: Any) -> bool:
    return isinstance(values, list | tuple) or bool(getattr(values, "shape", ()))  # of scalars it is ()


def _as_came(rows: Any, answers: list[Any], kind: str) -> Any:
    """Answers as a Series or DataFrame of the library that the rows are of, else as they are."""
    library = _library(rows)
    if library not in {"pandas", "polars"}:
        return list(answers)
    made = getattr(importlib.import_module(library), kind)
    return made(answers, index=rows.index) if library == "pandas" else made(answers)


def _error(value: Any, status: int) -> LeptonError:
    """The error that the server had, as the same class with the same code."""
    found = value if isinstance(value, dict) else {}
    message = str(found.get("error", f"the server answers {status}"))
    try:
        code = ErrorCode(found.get("code", ""))
    except ValueError:
        code = ErrorCode.BAD_REQUEST if status < 500 else ErrorCode.INTERNAL
    family = CATALOGUE[code].family
    if family in {LeptonError, MissingExtraError}:
        family = ServingError
    return family(code, message, details=found.get("details"))


def _json(value: Any) -> bytes:
    try:
        text = json.dumps(value, allow_nan=False, default=_plain)
    except ValueError:
        text = json.dumps(_without_nan(value), default=_plain)
    return text.encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return None
        raise UsageError(ErrorCode.USAGE, f"got {value}", wanted="finite numbers: JSON has no infinity")
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if hasattr(value, "item"):  # a scalar of numpy
        return value.item()
    raise UsageError(ErrorCode.USAGE, f"got a value of type {type(value).__name__}", wanted="what JSON can hold")


def _tensor(name: str, values: Any) -> dict[str, Any]:
    datatype = _DATATYPES.get(str(getattr(values, "dtype", "")))
    if hasattr(values, "tolist"):
        values = values.tolist()
    shape, flat = _flattened(values)
    if datatype is None:
        first = next((value for value in flat if value is not None), "")
        datatype = "BYTES" if isinstance(first, str) else "BOOL" if isinstance(first, bool) else "FP64"
    return {"name": name, "datatype": datatype, "shape": shape, "data": flat}


def _flattened(values: Any) -> tuple[list[int], list[Any]]:
    flat = list(values)
    shape = [len(flat)]
    while flat and isinstance(flat[0], list | tuple):
        shape.append(len(flat[0]))
        flat = [item for part in flat for item in part]
    return shape, flat


def _nested(flat: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    rows = list(flat)
    for size in reversed(shape[1:]):
        values = iter(rows)
        rows = [list(islice(values, size)) for _ in range(len(rows) // size)]
    return rows


def _is_array(values: Any) -> bool:
    return hasattr(values, "dtype") and hasattr(values, "tobytes") and hasattr(values, "shape")


def _binary_tensor(name: str, array: Any) -> tuple[dict[str, Any], bytes]:
    """One input whose data is bytes behind the JSON, and those bytes."""
    datatype = _DATATYPES.get(str(array.dtype))
    if datatype is None and array.dtype.kind in "OUS":
        datatype, data = "BYTES", b"".join(map(_prefixed, array.ravel().tolist()))
    elif datatype is None:
        raise UsageError(
            ErrorCode.USAGE,
            f"got an array of {array.dtype} for '{printable(name)}'",
            wanted="booleans, numbers or texts in the byte order of this machine",
        )
    else:
        data = array.tobytes()
    tensor = {"name": name, "datatype": datatype, "shape": list(array.shape)}
    return {**tensor, "parameters": {"binary_data_size": len(data)}}, data


def _prefixed(value: Any) -> bytes:
    """A text as BYTES holds it: its length in four bytes, then itself in UTF-8; a missing one is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        value = ""
    if not isinstance(value, str | bytes):
        raise UsageError(ErrorCode.USAGE, f"got a {type(value).__name__} in an array of texts", wanted="texts alone")
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(_PREFIX, "little") + data


def _arrays(answer: Any, data: bytes) -> dict[str, Any]:
    """The outputs of an answer as arrays; whoever sent one has numpy."""
    numpy = importlib.import_module("numpy")
    found = {}
    start = 0
    for tensor in answer["outputs"]:
        size, shape = tensor.get("parameters", {}).get("binary_data_size", 0), tensor["shape"]
        if "data" in tensor:  # of a server that does not know the extension
            array = numpy.array(tensor["data"], dtype=_NAMES.get(tensor["datatype"], object))
        elif tensor["datatype"] == "BYTES":
            array = numpy.array(_texts(data[start : start + size]), dtype=object)
        else:
            array = numpy.frombuffer(data[start : start + size], numpy.dtype(_NAMES[tensor["datatype"]])).copy()
        found[tensor["name"]] = array.reshape(shape)
        start += size
    return found


def _texts(data: bytes) -> list[str]:
    texts, start = [], 0
    while start < len(data):
        end = start + _PREFIX + int.from_bytes(data[start : start + _PREFIX], "little")
        texts.append(data[start + _PREFIX : end].decode("utf-8"))
        start = end
    return texts
