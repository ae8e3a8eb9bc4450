"""What rows are compared with, and rows of which some columns are another's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, TableInputs
from lepton.core import BundleError, ColumnRecord, DataError, ErrorCode, Kind, UsageError
from lepton.data import Dataset
from lepton.data.statistics import Baseline, ColumnStatistics

__all__ = ["Background", "Rows", "background_of"]

Tensors = Mapping[str, NDArray[Any]]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]
_MEMBERS = ("inputs.json", "outputs.json")


@dataclass(frozen=True, slots=True)
class Background:
    """Rows that stand for what is usual.

    Attributes:
        tensors: as the graph takes them, B rows.
        words: where they come from, for people.
        frame: the rows as they were read; None where they were made from the model file's statistics.
    """

    tensors: Tensors
    words: str
    frame: pl.DataFrame | None = None

    @property
    def num_rows(self) -> int:
        """B."""
        return len(next(iter(self.tensors.values())))

    def first(self, count: int) -> Background:
        """The first rows of it; they were drawn in no order."""
        if count >= self.num_rows:
            return self
        words = self.words.replace(f"{self.num_rows:,}", f"{count:,}", 1)
        return Background({name: tensor[:count] for name, tensor in self.tensors.items()}, words, self.frame)


class Rows:
    """Packed rows, those of a background, and mixtures of both by columns.

    Args:
        inputs: the model's, which say in which tensor a column stands.
        tensors: the rows.
        others: the background.
    """

    def __init__(self, inputs: TableInputs, tensors: Tensors, others: Tensors) -> None:
        self.tensors, self.others = tensors, others
        self.names = inputs.names
        place = {name: position for position, name in enumerate(inputs.names)}
        groups = {"numbers": inputs.numbers, "strings": inputs.strings}
        self.columns: dict[str, Integers] = {
            name: np.array([place[column.name] for column in groups[name]], dtype=np.int64) for name in tensors
        }
        """Tensor → position in the table of each of its columns."""

    @property
    def num_rows(self) -> int:
        """N."""
        return len(next(iter(self.tensors.values())))

    @property
    def num_others(self) -> int:
        """B."""
        return len(next(iter(self.others.values())))

    def mixed(self, rows: Integers, others: Integers, own: Flags) -> dict[str, NDArray[Any]]:
        """Rows [S] that have the columns `own` [S, P] of `rows` [S] and the rest of `others` [S]."""
        out = {}
        for name, columns in self.columns.items():
            out[name] = self.others[name].take(others, axis=0)
            chosen = own if len(columns) == own.shape[1] else own[:, columns]
            np.copyto(out[name], self.tensors[name].take(rows, axis=0), where=chosen)
        return out

    def both(self) -> dict[str, NDArray[Any]]:
        """The rows with the background behind them [N + B]."""
        return {name: np.concatenate([tensor, self.others[name]]) for name, tensor in self.tensors.items()}

    def differ(self, rows: Integers, others: Integers) -> Flags:
        """Which columns of `rows` [S] are not as those of `others` [S]: [S, P]."""
        out = np.zeros((len(rows), len(self.names)), dtype=bool)
        for name, columns in self.columns.items():
            mine, theirs = self.tensors[name][rows], self.others[name][others]
            unlike = mine != theirs
            if mine.dtype.kind == "f":
                unlike &= ~(np.isnan(mine) & np.isnan(theirs))
            out[:, columns] = unlike
        return out


def background_of(predictor: Predictor, data: Dataset | None, *, count: int, seed: int) -> Background:
    """Rows to compare with: drawn from `data`, or made from the statistics that the model file carries.

    Args:
        predictor: of a table model.
        data: rows of which some are drawn; None for those of the file.
        count: rows at most.
        seed: of the draw.

    Raises:
        DataError: `data` has no rows.
        SchemaError: columns of the model are not in `data`.
        UsageError: neither data nor statistics.
    """
    if data is not None:
        num_rows = data.num_rows
        if not num_rows:
            raise DataError(ErrorCode.EMPTY_DATA, "the data to compare with has no rows", wanted="at least one row")
        words = f"all {num_rows:,} rows of the data"
        if num_rows > count:
            _, data = data.split(count / num_rows, method="random", seed=seed)
            words = f"{data.num_rows:,} rows drawn from the {num_rows:,} of the data"
        known_names = set(data.schema.names)
        frame = data.frame([column.name for column in predictor.manifest.inputs if column.name in known_names])
        frame = frame[np.random.default_rng([seed, 1]).permutation(frame.height)]
        return Background(predictor.tensors(frame), words, frame)
    known = _baseline(predictor)
    if known is None:
        raise UsageError(
            ErrorCode.USAGE,
            "the model file holds no statistics of the rows that it was trained on",
            wanted="rows to compare with: contributions say what sets a row apart from others",
            fix="give data=, for example the training table",
        )
    random = np.random.default_rng([seed, 2])
    statistics = {column.name: column for column in known.inputs}
    columns = {c.name: _drawn(c, statistics.get(c.name), count, random) for c in predictor.manifest.inputs}
    words = f"{count:,} rows made from the statistics in the model file, each column drawn by itself"
    if texts := [c.name for c in predictor.manifest.inputs if c.kind is Kind.TEXT]:
        words += "; texts are empty in them (" + ", ".join(texts[:3]) + ")"
    return Background(predictor.tensors(pl.DataFrame(columns)), words)


def _baseline(predictor: Predictor) -> Baseline | None:
    bundle = predictor.bundle
    members = {name: bundle.member(f"baseline/{name}") for name in _MEMBERS if f"baseline/{name}" in bundle.names}
    if len(members) < len(_MEMBERS):
        return None
    found = Baseline.from_members(members)
    known = {column.name for column in found.inputs}
    if missing := [c.name for c in predictor.manifest.inputs if c.name not in known]:
        raise BundleError(
            ErrorCode.BUNDLE_DAMAGED,
            f"the statistics in the model file lack the column {missing[0]!r}",
            fix="give data=, rows to compare with",
        )
    return found


def _drawn(column: ColumnRecord, known: ColumnStatistics | None, count: int, random: np.random.Generator) -> pl.Series:
    """Values of one column as often as in training; numbers stand evenly over their distribution, in random order."""
    values = _present(column, known, count, random)
    share = known.missing / known.rows if known is not None and known.rows else 0.0
    if values is None or share >= 1:
        return pl.Series(column.name, [None] * count, dtype=_DTYPES.get(column.kind, pl.String))
    gone = random.permutation(count) < round(share * count)
    return pl.Series(column.name, [None if missing else value for value, missing in zip(values, gone, strict=True)])


_DTYPES: dict[Kind, Any] = {Kind.NUMBER: pl.Float64, Kind.BOOLEAN: pl.Boolean, Kind.DATETIME: pl.Datetime("us")}


def _present(
    column: ColumnRecord, known: ColumnStatistics | None, count: int, random: np.random.Generator
) -> list[Any] | None:
    evenly = (random.permutation(count) + random.random(count)) / count
    frequent = known.frequent.top() if known is not None and known.frequent is not None else []
    if column.kind in (Kind.BOOLEAN, Kind.CATEGORY):
        if not frequent:
            return None
        ends = np.cumsum([rows for _, rows in frequent], dtype=np.float64)
        places = np.searchsorted(ends, evenly * ends[-1], side="right")
        texts = [str(frequent[min(place, len(frequent) - 1)][0]) for place in places.tolist()]
        return [text == "true" for text in texts] if column.kind is Kind.BOOLEAN else texts
    sketch = known.numbers.sketch if known is not None and known.numbers is not None else None
    if column.kind is Kind.TEXT or sketch is None or not sketch.count:
        return None
    numbers = np.asarray(sketch.quantile(evenly), dtype=np.float64)
    if column.kind is Kind.DATETIME:
        return pl.Series(numbers.round().astype(np.int64)).cast(pl.Datetime("us")).to_list()
    whole = column.dtype.startswith(("int", "uint"))
    return [round(value) if whole else value for value in numbers.tolist()]
