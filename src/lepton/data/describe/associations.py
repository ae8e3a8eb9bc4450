"""How closely each pair of columns goes together, measured on a sample of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from lepton.core import ColumnRecord, Kind, Role
from lepton.data.describe.relations import codes_of, correlation_ratio

__all__ = ["Associations", "associations"]

_MAX_MEASURED = 60
_MAX_SHOWN = 20
_ROWS = 5_000
_LEAST_ROWS = 20
_NUMERIC = frozenset({Kind.NUMBER, Kind.DATETIME})
_CODED = frozenset({Kind.BOOLEAN, Kind.CATEGORY})

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Associations:
    """How closely columns go together.

    Attributes:
        names: the columns.
        values: of two numbers Spearman's rank correlation, −1 to 1; of a category and a number the correlation ratio,
            of two categories Cramér's V without its bias, 0 to 1 [columns, columns].
        signed: the columns whose values have an order, so that a sign means something.
        num_rows: rows of the sample that were used.
        left_out: columns that could have been measured and are not here.
    """

    names: tuple[str, ...]
    values: Matrix
    signed: frozenset[str]
    num_rows: int
    left_out: int

    def strongest(self, most: int = 5, least: float = 0.3) -> list[tuple[str, str, float]]:
        """The pairs that go together most, the closest first."""
        upper = np.triu(np.abs(self.values), 1)
        order = np.argsort(-upper, axis=None, kind="stable")[:most]
        places = [divmod(int(place), len(self.names)) for place in order]
        return [(self.names[a], self.names[b], float(self.values[a, b])) for a, b in places if upper[a, b] >= least]


def associations(sample: pl.DataFrame, columns: Sequence[ColumnRecord]) -> Associations | None:
    """Measure pairs of numbers, moments, truth values and categories; of many columns the 20 that go together most.

    Sources: Spearman 1904; Fisher's correlation ratio with Kelley's correction (1935); Cramér's V with the correction
    of Bergsma, "A bias-correction for Cramér's V and Tschuprow's T" (2013).

    Args:
        sample: rows drawn at random.
        columns: of the table; the first 60 that can be measured are.

    Returns:
        None where fewer than two columns, or too few rows, can be measured.
    """
    rows = sample.head(_ROWS)
    usable = [
        record
        for record in columns
        if record.kind in _NUMERIC | _CODED
        and record.role is not Role.IGNORED
        and rows.height - rows[record.name].null_count() >= _LEAST_ROWS
        and rows[record.name].drop_nulls().n_unique() > 1
    ]
    measured = usable[:_MAX_MEASURED]
    if len(measured) < 2:
        return None
    values = _matrix(rows, measured)
    kept = np.arange(len(measured))
    if len(measured) > _MAX_SHOWN:
        closest = (np.abs(values) - np.eye(len(measured))).max(axis=1)
        kept = np.sort(np.argsort(-closest, kind="stable")[:_MAX_SHOWN])
    chosen = [measured[place] for place in kept.tolist()]
    return Associations(
        tuple(record.name for record in chosen),
        values[np.ix_(kept, kept)],
        frozenset(record.name for record in chosen if record.kind in _NUMERIC),
        rows.height,
        len(usable) - len(chosen),
    )


def _matrix(rows: pl.DataFrame, columns: Sequence[ColumnRecord]) -> Matrix:
    numeric = [place for place, record in enumerate(columns) if record.kind in _NUMERIC]
    coded = [place for place, record in enumerate(columns) if record.kind in _CODED]
    values = np.eye(len(columns))
    ranks = np.array([_ranks(rows[columns[place].name]) for place in numeric])
    codes = {place: codes_of(rows[columns[place].name], columns[place].kind) for place in coded}
    if numeric:
        values[np.ix_(numeric, numeric)] = _correlations(ranks)
    for position, place in enumerate(coded):
        for number, row in zip(numeric, ranks, strict=True):
            both = (codes[place] > 0) & np.isfinite(row)
            enough = int(both.sum()) >= _LEAST_ROWS and np.ptp(row[both]) > 0
            values[place, number] = values[number, place] = (
                correlation_ratio(codes[place][both], row[both]) if enough else 0.0
            )
        for other in coded[:position]:
            values[place, other] = values[other, place] = _cramers_v(codes[place], codes[other])
    return values


def _ranks(series: pl.Series) -> Matrix:
    """Ranks of the values around 0; NaN where there is none."""
    ranks = series.to_physical().rank("average").cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.asarray(ranks - np.nanmean(ranks))


def _correlations(ranks: Matrix) -> Matrix:
    """Of each pair of rows over the places that both have."""
    known = np.isfinite(ranks).astype(np.float64)
    centred = np.nan_to_num(ranks)
    squares = (centred * centred) @ known.T
    scale = np.sqrt(squares * squares.T)
    out = np.divide(centred @ centred.T, scale, out=np.zeros_like(scale), where=scale > 0)
    np.fill_diagonal(out, 1.0)
    return np.clip(out, -1.0, 1.0)


def _cramers_v(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float:
    """Of rows that have both, less what chance alone gives."""
    both = (one > 0) & (other > 0)
    if int(both.sum()) < _LEAST_ROWS:
        return 0.0
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(table, (one[both], other[both]), 1)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    total, (height, width) = table.sum(), table.shape
    if min(height, width) < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / total
    squared = float(((table - expected) ** 2 / expected).sum() / total)
    beyond = max(0.0, squared - (height - 1) * (width - 1) / (total - 1))
    sides = min(height - (height - 1) ** 2 / (total - 1), width - (width - 1) ** 2 / (total - 1)) - 1
    return float(np.sqrt(min(beyond / sides, 1.0))) if sides > 0 else 0.0
