"""How far rows lie outside of what a model was trained on, told from the statistics that its bundle carries.

Every column is asked how rare such a value, or a rarer one, was in training: the share of rows in the tail that a
number or a moment lies in (both tails count, as in ECOD, Li et al., TKDE 2022), the share of rows whose category is as
rare, the share of missing cells. A row is as strange as its strangest column, times the number of columns: by
Bonferroni's bound a row like the training's passes the limit with a chance of at most 1 in 100, however the columns
depend on each other. Beyond all that was seen, chances fall with the square of the distance from the middle, as in very
heavy tails; a value that was never seen counts as one row of training and one more.

Each column is looked at by itself. A usual height with a usual weight that do not go together is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import Predictor
from lepton.core import DataError, ErrorCode, Kind, UsageError
from lepton.data.statistics import Baseline, ColumnStatistics, QuantileSketch
from lepton.evaluation.classification import Floats
from lepton.evaluation.weak.confident import plain

__all__ = ["LIMIT", "OutlierColumn", "OutlierRow", "Outliers", "outlier_scores", "outliers"]

LIMIT = 2.0
"""Scores above it have, in a row like the training's, a chance of at most 10 to the minus 2, which is 1 in 100."""
_MEMBERS = ("inputs.json", "outputs.json")
_KEY_CHARACTERS = 128
_SHOWN_WHY = 3


@dataclass(frozen=True, slots=True)
class OutlierColumn:
    """How one column lies outside.

    Attributes:
        column: its name.
        num_rows: rows in which it alone passes the limit.
        num_beyond: rows whose number lies below the least or above the greatest of training.
        num_unseen: rows whose category was not among those that training counted.
    """

    column: str
    num_rows: int
    num_beyond: int
    num_unseen: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "column": self.column,
            "num_rows": self.num_rows,
            "num_beyond": self.num_beyond,
            "num_unseen": self.num_unseen,
        }


@dataclass(frozen=True, slots=True)
class OutlierRow:
    """One row beyond the limit.

    Attributes:
        row: its position, from 0.
        score: its score.
        values: the columns that make it so, the strangest first, with their values.
    """

    row: int
    score: float
    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"row": self.row, "score": self.score, "values": self.values}


@dataclass(frozen=True)
class Outliers:
    """Rows that are unlike those that a model was trained on.

    Attributes:
        num_rows: rows that were looked at.
        limit: the score from which a row counts as unlike.
        expected: greatest share of rows like the training's that pass it by chance.
        num_outside: rows that pass it.
        rows: the strangest of them.
        columns: columns that lie outside in some rows, the most rows first.
        watched: columns that could be compared.
        left_out: column → why it could not be.
        reason: why nothing could be compared, or "".
    """

    num_rows: int
    limit: float = LIMIT
    expected: float = 10.0**-LIMIT
    num_outside: int = 0
    rows: tuple[OutlierRow, ...] = ()
    columns: tuple[OutlierColumn, ...] = ()
    watched: tuple[str, ...] = ()
    left_out: dict[str, str] | None = None
    reason: str = ""

    @property
    def share(self) -> float:
        """Share of the rows beyond the limit."""
        return self.num_outside / self.num_rows if self.num_rows else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        raw: dict[str, Any] = {
            "num_rows": self.num_rows,
            "limit": self.limit,
            "expected": self.expected,
            "num_outside": self.num_outside,
            "share": self.share,
            "rows": [each.to_dict() for each in self.rows],
            "columns": [each.to_dict() for each in self.columns],
            "watched": list(self.watched),
            "left_out": dict(self.left_out or {}),
        }
        return {**raw, "reason": self.reason} if self.reason else raw


def outlier_scores(predictor: Predictor, frame: pl.DataFrame) -> Floats:
    """How strange each of N rows is to a model, float64 [N]; `LIMIT` is where a row counts as unlike the training's.

    A score s says that at most 1 row like the training's in 10 to the power s is as strange. Below 0 there is nothing
    to see: some column is always the rarest one.

    Args:
        predictor: an opened model.
        frame: rows, with the columns that the model takes; those that are absent are not compared.

    Raises:
        UsageError: the bundle carries no statistics of columns that could be compared.
        DataError: none of these columns is in the frame.
    """
    watched, _ = _watched(predictor, frame.columns)
    if not watched:
        if _statistics(predictor):
            raise DataError(
                ErrorCode.UNKNOWN_COLUMN,
                f"the rows have none of the columns that can be compared, but {frame.columns[:5]}",
                wanted="rows as the model takes them",
            )
        raise UsageError(
            ErrorCode.USAGE,
            "the model carries no statistics of the columns of its training",
            wanted="a model of a table that lepton has trained",
        )
    return _scores([_rarity(frame[each.name], each) for each in watched])


def outliers(predictor: Predictor, frame: pl.DataFrame, *, most: int = 10) -> Outliers:
    """The rows that are unlike those a model was trained on, and the columns that make them so.

    Args:
        predictor: an opened model.
        frame: N rows as the model takes them.
        most: rows told at most.
    """
    watched, left_out = _watched(predictor, frame.columns)
    if not watched or not frame.height:
        reason = "there are no rows" if watched else "the model carries no statistics of columns that can be compared"
        return Outliers(frame.height, left_out=left_out, reason=reason)
    logs = [_rarity(frame[each.name], each) for each in watched]
    scores = _scores(logs)
    outside = np.flatnonzero(scores > LIMIT)
    told = outside[np.argsort(-scores[outside], kind="stable")][:most]
    bound = LIMIT + np.log10(len(watched))
    columns = [
        OutlierColumn(each.name, int((own > bound).sum()), *_never_seen(frame[each.name], each))
        for each, own in zip(watched, logs, strict=True)
    ]
    columns = [each for each in columns if each.num_rows or each.num_beyond or each.num_unseen]
    columns.sort(key=lambda each: (-each.num_rows, -each.num_unseen, -each.num_beyond))
    return Outliers(
        frame.height,
        num_outside=len(outside),
        rows=tuple(_row(frame, watched, logs, row, float(scores[row])) for row in told.tolist()),
        columns=tuple(columns),
        watched=tuple(each.name for each in watched),
        left_out=left_out,
    )


def _row(
    frame: pl.DataFrame, watched: Sequence[ColumnStatistics], logs: Sequence[Floats], row: int, score: float
) -> OutlierRow:
    own = np.array([each[row] for each in logs])
    order = np.argsort(-own, kind="stable")[:_SHOWN_WHY]
    strange = [int(each) for each in order if own[each] > LIMIT] or [int(order[0])]
    return OutlierRow(row, score, {watched[each].name: plain(frame[watched[each].name][row]) for each in strange})


def _scores(logs: Sequence[Floats]) -> Floats:
    scores: Floats = np.max(logs, axis=0) - np.log10(len(logs))
    return scores


def _statistics(predictor: Predictor) -> tuple[ColumnStatistics, ...]:
    bundle = predictor.bundle
    if any(f"baseline/{name}" not in bundle.names for name in _MEMBERS):
        return ()
    return Baseline.from_members({name: bundle.member(f"baseline/{name}") for name in _MEMBERS}).inputs


def _watched(predictor: Predictor, names: Sequence[str]) -> tuple[list[ColumnStatistics], dict[str, str]]:
    """Columns whose training values are known, and why others are not compared."""
    known = {each.name: each for each in _statistics(predictor)}
    watched, left_out = [], {}
    for record in predictor.manifest.inputs:
        found = known.get(record.name)
        if record.name not in names:
            left_out[record.name] = "the rows do not have it"
        elif found is None or not found.rows:
            left_out[record.name] = "the bundle holds no statistics of it"
        elif found.numbers is None and found.frequent is None:
            left_out[record.name] = f"a column of kind {found.kind} has no distribution to compare with"
        else:
            watched.append(found)
    return watched, left_out


def _rarity(column: pl.Series, known: ColumnStatistics) -> Floats:
    """-log10 of the share of training rows that are as rare as each value or rarer, float64 [N]."""
    values = _as_known(column, known)
    missing = values.is_null().to_numpy()
    rows = known.rows + 1.0
    rare: Floats = np.empty(len(values))
    rare[missing] = np.log10(rows / (known.missing + 1.0))
    there = values.drop_nulls()
    if not len(there):
        return rare
    rare[~missing] = _rare_number(there.to_numpy(), known) if _in_numbers(known) else _rare_value(there, known)
    return np.maximum(rare, 0.0)


def _in_numbers(known: ColumnStatistics) -> bool:
    return known.numbers is not None


def _as_known(column: pl.Series, known: ColumnStatistics) -> pl.Series:
    """Values in the form that the statistics have: numbers, microseconds, lengths of texts, or keys of categories."""
    if known.kind in (Kind.TEXT, Kind.IDENTIFIER):
        return column.cast(pl.String).str.len_chars().cast(pl.Float64)
    if known.kind is Kind.DATETIME:
        if column.dtype == pl.String:
            column = column.str.to_datetime(strict=False)
        return (column.dt.epoch("us") if column.dtype.is_temporal() else column).cast(pl.Float64, strict=False)
    if known.kind is Kind.BOOLEAN:
        text = column.cast(pl.String).str.to_lowercase()
        return text.replace({"1": "true", "0": "false", "1.0": "true", "0.0": "false", "yes": "true", "no": "false"})
    if _in_numbers(known):
        return column.cast(pl.Float64, strict=False).fill_nan(None)
    if column.dtype.is_float():  # a missing cell turns whole numbers into floats
        whole = column.cast(pl.Int64, strict=False)
        column = whole if bool((whole.cast(column.dtype) == column).all()) else column
    texts = column.cast(pl.String).str.slice(0, _KEY_CHARACTERS)
    return texts.set(texts == "", None)


def _rare_number(values: Floats, known: ColumnStatistics) -> Floats:
    numbers = known.numbers
    if numbers is None or not numbers.sketch.count:
        return np.full(len(values), np.log10(known.rows + 1.0))
    sketch, count = numbers.sketch, float(numbers.sketch.count)
    with np.errstate(invalid="ignore", over="ignore"):
        tails = [
            _tail(values, sketch, count, sketch.rank, above=False),
            _tail(values, sketch, count, sketch.rank, above=True),
        ]
    both = np.minimum(1.0, 2.0 * np.minimum(*tails))
    present = (count + 1.0) / (known.rows + 1.0)
    return -np.log10(np.maximum(both * present, 1e-300))


def _tail(
    values: Floats, sketch: QuantileSketch, count: float, rank: Callable[[Floats], Floats], *, above: bool
) -> Floats:
    """Share of rows at least as far out on one side, by rank inside and by distance beyond all that was seen."""
    steps = sketch.values()
    places = np.concatenate([[sketch.minimum], steps, [sketch.maximum]])
    half = 0.5 * count / len(steps)
    if above:
        at_least = count - rank(np.nextafter(values, -np.inf))
        centres = count - np.concatenate([[0.5], (np.arange(len(steps)) + 0.5) * 2 * half, [count - 0.5]])
        end, beyond = sketch.maximum, values > sketch.maximum
    else:
        at_least = rank(values)
        centres = np.concatenate([[0.5], (np.arange(len(steps)) + 0.5) * 2 * half, [count - 0.5]])
        end, beyond = sketch.minimum, values < sketch.minimum
    between = np.interp(values, places, np.clip(centres, 0.5, count))
    # How many rows lie at the very end is not kept: as many as the last point of the summary may stand for.
    share = np.maximum(np.maximum(at_least, between), np.where(values == end, half, 0.0)) + 1.0
    middle = float(sketch.quantile(0.5)[0])
    reach = abs(end - middle) or abs(end) or 1.0
    distance = np.where(np.isfinite(values), np.abs(values - middle), np.inf)
    fallen = np.divide(reach, distance, out=np.ones_like(distance), where=distance > reach)
    return np.where(beyond, fallen**2, share) / (count + 1.0)


def _rare_value(values: pl.Series, known: ColumnStatistics) -> Floats:
    """Categories: rows of training whose value is as rare or rarer; what was never seen shares the rows not counted."""
    frequent = known.frequent
    if frequent is None:
        return np.zeros(len(values))
    top = frequent.top()
    counts = np.array([count for _, count in top], dtype=np.float64)
    unseen = float(frequent.other)
    as_rare = np.array([counts[counts <= own].sum() for own in counts]) + unseen
    shares = pl.Series(as_rare, dtype=pl.Float64)
    keys = pl.Series([str(key) for key, _ in top], dtype=pl.String)
    if len(keys):
        found = values.replace_strict(keys, shares, default=unseen, return_dtype=pl.Float64).to_numpy()
    else:
        found = np.full(len(values), unseen)
    return -np.log10(np.minimum((found + 1.0) / (known.rows + 1.0), 1.0))


def _never_seen(column: pl.Series, known: ColumnStatistics) -> tuple[int, int]:
    """Rows beyond the least and greatest number, and rows whose category was not counted."""
    values = _as_known(column, known).drop_nulls()
    if not len(values):
        return 0, 0
    numbers = known.numbers
    if numbers is not None:
        if not numbers.sketch.count:
            return len(values), 0
        own = values.to_numpy()
        return int(((own < numbers.sketch.minimum) | (own > numbers.sketch.maximum)).sum()), 0
    if known.frequent is None:
        return 0, 0
    keys = [str(key) for key, _ in known.frequent.top()]
    return 0, int((~values.is_in(keys)).sum())
