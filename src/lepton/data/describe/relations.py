"""How single columns go with the target, measured on a sample of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lepton.core import Kind

__all__ = ["Relation", "codes_of", "correlation_ratio", "relation"]

_MIN_ROWS = 20
_MAX_CODES = 200
_NUMERIC = frozenset({Kind.NUMBER, Kind.DATETIME})
_CODED = frozenset({Kind.BOOLEAN, Kind.CATEGORY})

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Relation:
    """How one column goes with the target.

    Attributes:
        measure: `spearman` (two numbers, −1..1), `correlation ratio` (a category and a number, 0..1) or `uncertainty`
            (the share of the target's entropy that the column explains, 0..1).
        value: what it is.
        strength: the same without a sign, 0..1; of two numbers the correlation ratio where that is larger, because it
            sees curves too.
        alone: how well the column alone predicts the target on the half of the sample that it was not fitted to: R² of
            the target's ranks, or the share of the majority's errors that go away; 1 is perfect, 0 or less is useless.
        equal: share of rows in which the column has the target's own value.
        num_rows: rows of the sample that have a target.
    """

    measure: str
    value: float
    strength: float
    alone: float
    equal: float
    num_rows: int


def relation(column: pl.Series, kind: Kind, target: pl.Series, target_kind: Kind) -> Relation | None:
    """Measure one relation.

    Args:
        column: a feature on the sample.
        kind: its kind; only numbers, datetimes, booleans and categories are measured.
        target: the target on the same rows; rows without it are left out.
        target_kind: its kind.

    Returns:
        None where there is nothing to measure: other kinds, fewer than 20 rows, a constant on either side.
    """
    known = target.is_not_null()
    column, target = column.filter(known), target.filter(known)
    if len(target) < _MIN_ROWS or not {kind, target_kind} <= _NUMERIC | _CODED:
        return None
    if target.n_unique() < 2 or column.n_unique() < 2:
        return None
    codes = codes_of(column, kind)
    equal = _equal_share(column, target)
    if target_kind in _NUMERIC:
        ranks = target.rank("average").to_numpy()
        alone = _explained(codes, ranks)
        ratio = correlation_ratio(codes, ranks)
        if kind in _NUMERIC:
            rho = _spearman(column, target)
            return Relation("spearman", rho, max(abs(rho), ratio), alone, equal, len(target))
        return Relation("correlation ratio", ratio, ratio, alone, equal, len(target))
    labels = codes_of(target, Kind.CATEGORY)
    shared = _uncertainty(codes, labels)
    return Relation("uncertainty", shared, shared, _fewer_errors(codes, labels), equal, len(target))


def codes_of(series: pl.Series, kind: Kind) -> Codes:
    """Small whole numbers: the rank of a category by frequency, or the quantile bin of a number; missing is 0."""
    if kind in _NUMERIC:
        ranks = series.to_physical().rank("dense").fill_null(0).to_numpy().astype(np.int64)
        highest = int(ranks.max())
        bins = min(_MAX_CODES, max(8, len(ranks) // 50))
        if highest > bins:
            places = series.to_physical().rank("average").fill_null(0).to_numpy()
            return np.where(places > 0, 1 + np.floor(places / (places.max() + 1) * bins), 0).astype(np.int64)
        return ranks
    names = series.cast(pl.String).alias("value")  # a column may be called as its counts are
    frequent = names.drop_nulls().value_counts(name="rows").sort("rows", names.name, descending=[True, False])
    order = {name: place for place, name in enumerate(frequent[names.name].head(_MAX_CODES).to_list(), 1)}
    # Categories beyond the most frequent share one code.
    return (
        names.replace_strict(order, default=_MAX_CODES + 1, return_dtype=pl.Int64)
        .zip_with(names.is_not_null(), pl.Series([0], dtype=pl.Int64).new_from_index(0, len(names)))
        .to_numpy()
        .astype(np.int64)
    )


def _spearman(column: pl.Series, target: pl.Series) -> float:
    """Spearman's rank correlation on the rows that have both (Spearman 1904)."""
    both = column.is_not_null()
    if not both.any():
        return 0.0
    a, b = (s.filter(both).to_physical().rank("average").to_numpy() for s in (column, target))
    a, b = (ranks - ranks.mean() for ranks in (a, b))
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float(np.clip((a * b).sum() / scale, -1, 1)) if scale else 0.0


def correlation_ratio(codes: Codes, values: npt.NDArray[np.float64]) -> float:
    """Fisher's η of `values` between `codes`, with Kelley's correction for the number of codes (1935)."""
    counts = np.bincount(codes)
    used = counts > 0
    means = np.bincount(codes, values)[used] / counts[used]
    total = float(((values - values.mean()) ** 2).sum())
    between = float((counts[used] * (means - values.mean()) ** 2).sum())
    num_codes, num_rows = int(used.sum()), len(values)
    if num_rows <= num_codes:
        return 0.0
    return float(np.sqrt(max(0.0, 1 - (1 - between / total) * (num_rows - 1) / (num_rows - num_codes))))


def _uncertainty(codes: Codes, labels: Codes) -> float:
    """Mutual information over the entropy of the labels, with Miller and Madow's correction (1955), in 0..1."""
    pairs = codes * (int(labels.max()) + 1) + labels
    of_labels = _entropy(labels)
    shared = _entropy(codes) + of_labels - _entropy(pairs)
    return float(np.clip(shared / of_labels, 0, 1))


def _entropy(codes: Codes) -> float:
    _, counts = np.unique(codes, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum()) + (len(counts) - 1) / (2 * len(codes))


def _halves(num_rows: int) -> tuple[Codes, Codes]:
    """Row numbers to fit and to hold out; drawn at random, because tables are often ordered or periodic."""
    order = np.random.default_rng(0).permutation(num_rows)
    return order[: num_rows // 2], order[num_rows // 2 :]


def _explained(codes: Codes, values: npt.NDArray[np.float64]) -> float:
    """R² on one half of the rows of the means that the other half gives to each code."""
    fitted, held = _halves(len(codes))
    size = int(codes.max()) + 1
    counts = np.bincount(codes[fitted], minlength=size)
    sums = np.bincount(codes[fitted], values[fitted], minlength=size)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), values[fitted].mean())
    rest = values[held] - means[codes[held]]
    spread = values[held] - values[held].mean()
    total = float((spread * spread).sum())
    return 1 - float((rest * rest).sum()) / total if total else 0.0


def _fewer_errors(codes: Codes, labels: Codes) -> float:
    """Goodman and Kruskal's λ (1954) on one half of the rows: the majority's errors that knowing the code avoids."""
    fitted, held = _halves(len(codes))
    table = np.zeros((int(codes.max()) + 1, int(labels.max()) + 1))
    np.add.at(table, (codes[fitted], labels[fitted]), 1)
    majority = int(table.sum(axis=0).argmax())
    guesses = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), majority)
    errors = int((guesses[codes[held]] != labels[held]).sum())
    before = int((labels[held] != majority).sum())
    return 1 - errors / before if before else 0.0


def _equal_share(column: pl.Series, target: pl.Series) -> float:
    """Share of rows in which both are the same value."""
    pair: tuple[Any, Any] = (column, target)
    if column.dtype != target.dtype:
        numeric = column.dtype.is_numeric() and target.dtype.is_numeric()
        pair = tuple(s.cast(pl.Float64 if numeric else pl.String) for s in pair)
    return float((pair[0] == pair[1]).fill_null(value=False).mean() or 0.0)
