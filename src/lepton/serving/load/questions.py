"""What a load asks: rows like those that a model was trained on, or of a table, as whole HTTP requests."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import polars as pl

from lepton.bundle import Bundle
from lepton.core import BundleError, ColumnRecord, ErrorCode, Kind, SchemaError
from lepton.data.statistics import Baseline, ColumnStatistics

__all__ = ["Form", "Question", "questions", "rows_like", "rows_of"]

Form = Literal["rows", "tensors", "binary"]
Row = Mapping[str, Any]
_EPOCH = dt.datetime.fromisoformat("1970-01-01")  # without a zone, as rows have them
_WORDS = ("small", "house", "near", "the", "river", "with", "garden", "and", "light", "rooms")
_MOST_LETTERS = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is asked again and again.

    Attributes:
        path: what follows the address of the server.
        headers: of the request, without `host` and `content-length`.
        body: its body.
        rows: the rows in it.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes
    rows: tuple[Row, ...]

    def http(self, host: str) -> bytes:
        """The whole request, to `host`."""
        headers = {"host": host, **self.headers, "content-length": str(len(self.body))}
        top = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{top}\r\n".encode() + self.body


def rows_like(bundle: Bundle, count: int, seed: int) -> list[Row]:
    """Rows drawn from the statistics of the training rows that `bundle` carries, each column for itself.

    A model without them gets rows of its columns' kinds.
    """
    random = np.random.default_rng(seed)
    names = ("inputs.json", "outputs.json")
    try:
        members = {name: bundle.member(f"baseline/{name}") for name in names if f"baseline/{name}" in bundle.names}
        baseline = Baseline.from_members(members) if len(members) == len(names) else Baseline(())
    except BundleError:  # it only tells what is likely; the server says what is wrong with the file
        baseline = Baseline(())
    known = {column.name: column for column in baseline.inputs}
    columns = {c.name: _values(c, known.get(c.name), count, random) for c in bundle.manifest.inputs}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def rows_of(frame: pl.DataFrame, columns: Sequence[ColumnRecord], count: int) -> list[Row]:
    """The first rows of a table, the model's columns of them.

    Raises:
        SchemaError: a column is not there, or the table has no rows.
    """
    names = [column.name for column in columns]
    if missing := [name for name in names if name not in frame.columns]:
        raise SchemaError(
            ErrorCode.MISSING_COLUMNS,
            f"the table has no column {missing[0]!r}",
            wanted="the columns of the model: " + ", ".join(names),
            details={"missing": missing},
        )
    if not frame.height:
        raise SchemaError(ErrorCode.WRONG_SHAPE, "the table has no rows", wanted="at least one row to ask with")
    return [{name: _plain(value) for name, value in row.items()} for row in frame.select(names).head(count).to_dicts()]


def questions(
    rows: Sequence[Row],
    columns: Sequence[ColumnRecord],
    model: str,
    *,
    form: Form = "rows",
    rows_each: int = 1,
    token: str | None = None,
) -> tuple[Question, ...]:
    """Requests that ask for `rows`, `rows_each` at a time.

    Args:
        rows: values by column, ready for JSON.
        columns: of the model.
        model: its name on the server.
        form: `rows` (plain JSON rows), `tensors` (the Open Inference Protocol in JSON, a tensor for each column) or
            `binary` (the same, numbers as their bytes).
        rows_each: rows in a request; the last request begins again with the first rows.
        token: what the server wants to be shown.
    """
    headers = {"content-type": "application/json"} | ({} if token is None else {"authorization": f"Bearer {token}"})
    address = f"/v2/models/{quote(model, safe='')}"
    made = []
    for start in range(0, len(rows), rows_each):
        several = tuple(rows[(start + step) % len(rows)] for step in range(rows_each))
        if form == "rows":
            made.append(Question(f"{address}/rows", headers, _json(several), several))
            continue
        body, more = _tensors(several, columns, binary=form == "binary")
        made.append(Question(f"{address}/infer", headers | more, body, several))
    return tuple(made)


def _tensors(rows: Sequence[Row], columns: Sequence[ColumnRecord], *, binary: bool) -> tuple[bytes, dict[str, str]]:
    inputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for column in columns:
        values = [row[column.name] for row in rows]
        datatype = {Kind.NUMBER: "FP64", Kind.BOOLEAN: "BOOL"}.get(column.kind, "BYTES")
        tensor: dict[str, Any] = {"name": column.name, "datatype": datatype, "shape": [len(rows)]}
        if binary and column.kind is Kind.NUMBER:
            part = np.array([np.nan if value is None else value for value in values], "<f8").tobytes()
            tensor["parameters"] = {"binary_data_size": len(part)}
            parts.append(part)
        else:
            tensor["data"] = values
        inputs.append(tensor)
    top = _json({"inputs": inputs})
    if not parts:
        return top, {}
    top += b" " * (-len(top) % 16)  # numbers that begin there are not copied by the server
    kind = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(top))}
    return b"".join([top, *parts]), kind


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def _values(column: ColumnRecord, known: ColumnStatistics | None, count: int, random: np.random.Generator) -> list[Any]:
    drawn = _likely(column, known, count, random)
    share = known.missing / known.rows if known is not None and known.rows else 0.0
    return [None if gone else value for value, gone in zip(drawn, random.random(count) < share, strict=True)]


def _likely(column: ColumnRecord, known: ColumnStatistics | None, count: int, random: np.random.Generator) -> list[Any]:
    frequent = known.frequent.top() if known is not None and known.frequent is not None else []
    if frequent and column.kind in (Kind.BOOLEAN, Kind.CATEGORY):
        weights = np.array([rows for _, rows in frequent], dtype=np.float64)
        picked = random.choice(len(frequent), count, p=weights / weights.sum())
        texts = [str(frequent[index][0]) for index in picked.tolist()]
        return [text == "true" for text in texts] if column.kind is Kind.BOOLEAN else texts
    if column.kind is Kind.BOOLEAN:
        return [bool(value) for value in random.random(count) < 0.5]
    if column.kind is Kind.CATEGORY:
        return [f"{letter}" for letter in random.choice(["a", "b", "c"], count)]
    sketch = known.numbers.sketch if known is not None and known.numbers is not None else None
    shares = random.random(count)
    numbers = sketch.quantile(shares) if sketch is not None and sketch.count else None
    if column.kind is Kind.NUMBER:
        numbers = np.round(random.normal(size=count), 4) if numbers is None else numbers
        whole = column.dtype.startswith(("int", "uint"))
        return [int(value) if whole else float(value) for value in numbers]
    if column.kind is Kind.DATETIME:
        moments = np.round(shares * 1.6e15) if numbers is None else numbers
        return [(_EPOCH + dt.timedelta(microseconds=int(moment))).isoformat() for moment in moments]
    lengths = np.full(count, 40.0) if numbers is None else np.minimum(numbers, _MOST_LETTERS)
    return [_text(int(length), random) for length in lengths]


def _text(length: int, random: np.random.Generator) -> str:
    return " ".join(random.choice(_WORDS, max(1, length // 4)))[: max(1, length)]
