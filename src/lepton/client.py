"""A client of an inference server; needs the standard library alone."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

from lepton.core import CATALOGUE, ErrorCode, LeptonError, MissingExtraError, ServingError, UsageError, printable

__all__ = ["Client"]

_DATATYPES = {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"} | {
    f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)
}


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
        self._headers = {"content-type": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
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

    def predict(self, model: str, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Any]:
        """Predictions for rows.

        Args:
            model: its name on the server.
            rows: one row, or several: values by column; None and NaN are missing, datetimes are sent in ISO 8601.

        Raises:
            SchemaError: rows that do not fit the model; the message says which column and what came.
            ServingError: whatever else the server refuses, or nothing answers.
        """
        return list(self._rows(model, rows)["predictions"])

    def predict_proba(
        self, model: str, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> list[dict[str, float]]:
        """Probability of each label, for each row.

        Raises:
            UsageError: the model does not classify.
            LeptonError: as `predict`.
        """
        answer = self._rows(model, rows)
        if "probabilities" not in answer:
            raise UsageError(ErrorCode.USAGE, f"the model {model!r} gives no probabilities", fix="use predict")
        return list(answer["probabilities"])

    def infer(self, model: str, inputs: Mapping[str, Any], outputs: Iterable[str] = ()) -> dict[str, Any]:
        """Answers to tensors, by the Open Inference Protocol.

        Args:
            model: its name on the server.
            inputs: name to array (of numpy, or lists); the graph's tensors, or one for each column.
            outputs: names of those wanted; all, if none is named.

        Returns:
            Name to nested lists.

        Raises:
            LeptonError: as `predict`.
        """
        body: dict[str, Any] = {"inputs": [_tensor(name, values) for name, values in inputs.items()]}
        if wanted := [{"name": name} for name in outputs]:
            body["outputs"] = wanted
        answer = self._ask("POST", _address(model) + "/infer", body)
        return {tensor["name"]: _nested(tensor["data"], tensor["shape"]) for tensor in answer["outputs"]}

    def _rows(self, model: str, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        plain = [dict(row) for row in ([rows] if isinstance(rows, Mapping) else rows)]
        return dict(self._ask("POST", _address(model) + "/rows", {"rows": plain}))

    def _ask(self, method: str, path: str, value: Any = None) -> Any:
        body = None if value is None else _json(value)
        try:
            status, text = self._exchange(method, path, body)
        except TimeoutError:
            raise ServingError(ErrorCode.REQUEST_TIMEOUT, f"{self.url} gave no answer in {self._timeout:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise ServingError(
                ErrorCode.NOT_READY,
                f"nothing answers at {self.url}: {error}",
                fix="start a server there: lepton serve FILE",
            ) from None
        try:
            answer = json.loads(text)
        except ValueError:
            raise ServingError(
                ErrorCode.BAD_REQUEST, f"{self.url} answers {status} without JSON", fix="is it a Lepton server?"
            ) from None
        if status != 200:
            raise _error(answer, status)
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._over(self._kind(self._host, self._port, timeout=self._timeout), method, path, body)
        try:
            return self._over(connection, method, path, body)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()  # the server closed it, and so others, while they were idle
            return self._over(self._kind(self._host, self._port, timeout=self._timeout), method, path, body)

    def _over(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> tuple[int, bytes]:
        try:
            connection.request(method, self._prefix + path, body, self._headers)
            response = connection.getresponse()
            text = response.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return response.status, text


def _address(model: str) -> str:
    return "/v2/models/" + quote(model, safe="")


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
