"""How far two columns lie apart: effect sizes between statistics, none of which needs the rows."""

from __future__ import annotations

import math

import numpy as np

from lepton.core import DataError, ErrorCode
from lepton.data.statistics.columns import ColumnStatistics
from lepton.data.statistics.encoding import Floats

__all__ = ["chi_square", "jensen_shannon", "kolmogorov_smirnov", "psi", "shares"]

_MAX_CATEGORIES = 50


def shares(reference: ColumnStatistics, current: ColumnStatistics, bins: int = 10) -> tuple[Floats, Floats]:
    """Rows of both columns in the same bins.

    Numbers, datetimes and lengths: bins between quantiles of the reference, so that each holds about as many of its
    rows; then one bin each for minus infinity and infinity. Categories and truth values: one bin for each of the 50
    most frequent of the reference, and one for all others. Last, in either case, missing.

    Args:
        reference: whose quantiles or categories make the bins.
        current: what is compared with it.
        bins: how many bins for numbers.

    Returns:
        rows in each bin of the reference and of the current column, float64 [k] each.

    Raises:
        DataError: the columns are of different kinds, or of a kind that has no distribution.
    """
    _check(reference, current)
    if reference.numbers is not None and current.numbers is not None:
        places = np.unique(reference.numbers.sketch.quantile(np.arange(1, bins) / bins))
        places = places[np.isfinite(places)]
        pair = [
            np.concatenate(
                [np.diff(c.sketch.rank(places), prepend=0.0, append=float(c.sketch.count)), [c.below, c.above]]
            )
            for c in (reference.numbers, current.numbers)
        ]
    else:
        pair = _category_rows(reference, current)
    first, second = (np.append(rows, c.missing) for rows, c in zip(pair, (reference, current), strict=True))
    return first, second


def psi(reference: ColumnStatistics, current: ColumnStatistics, *, bins: int = 10) -> float:
    """Population stability index: Σ (q − p) · ln(q / p) over the bins of `shares`.

    p and q are shares of the reference and of the current rows, with half a row added to each bin so that empty ones do
    not make it infinite. Below 0.1 is read as stable, above 0.25 as a shift. 0 or more; NaN where either has no rows.
    (Siddiqi, "Credit Risk Scorecards", 2006; it is Jeffreys' divergence, 1946.)
    """
    p, q = (_smoothed(rows) for rows in shares(reference, current, bins))
    return float(np.sum((q - p) * np.log(q / p)))


def kolmogorov_smirnov(reference: ColumnStatistics, current: ColumnStatistics) -> float:
    """Largest distance between the two distribution functions, sup |F(x) − G(x)|, of the finite numbers.

    In 0..1; off by at most the sum of both sketches' rank errors; NaN where either has no numbers.
    (Kolmogorov 1933, Smirnov 1948.)
    """
    _check(reference, current)
    if reference.numbers is None or current.numbers is None:
        raise DataError(
            ErrorCode.WRONG_KIND,
            f"got the column {reference.name!r} of kind {reference.kind}",
            wanted="numbers, datetimes or texts",
            fix="use chi_square or jensen_shannon",
        )
    a, b = reference.numbers.sketch, current.numbers.sketch
    if not a.count or not b.count:
        return math.nan
    # The functions change at these places alone, so the largest gap is at one of them.
    ends = [a.minimum, a.maximum, b.minimum, b.maximum]
    places = np.concatenate([a.values(), b.values(), ends])
    return float(np.abs(a.share(places) - b.share(places)).max())


def chi_square(reference: ColumnStatistics, current: ColumnStatistics, *, bins: int = 10) -> float:
    """Cramér's V of the table (reference, current) × bins of `shares`: √(χ² / n), the effect size of the χ² test.

    χ² is Pearson's statistic of homogeneity (1900), n the rows of both; with two samples V = √(χ² / n) lies in 0..1
    whatever the number of rows. NaN where either has no rows. (Cramér, "Mathematical Methods of Statistics", 1946.)
    """
    table = np.stack(shares(reference, current, bins))
    if not table.sum(axis=1).all():
        return math.nan
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return math.sqrt(float(((table - expected) ** 2 / expected).sum() / table.sum()))


def jensen_shannon(reference: ColumnStatistics, current: ColumnStatistics, *, bins: int = 10) -> float:
    """Jensen–Shannon distance: √(½ Σ p log₂(p/m) + ½ Σ q log₂(q/m)) with m = (p + q) / 2, over the bins of `shares`.

    In 0..1 and a metric; empty bins are no harm. NaN where either has no rows. (Lin 1991; Endres and Schindelin 2003.)
    """
    first, second = shares(reference, current, bins)
    if not first.sum() or not second.sum():
        return math.nan
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    total = sum(float(np.sum(r[r > 0] * np.log2(r[r > 0] / middle[r > 0]))) for r in (p, q)) / 2
    return math.sqrt(min(max(total, 0.0), 1.0))


def _check(reference: ColumnStatistics, current: ColumnStatistics) -> None:
    if reference.kind is not current.kind:
        raise DataError(
            ErrorCode.WRONG_KIND,
            f"got the {reference.kind} {reference.name!r} and the {current.kind} {current.name!r}",
            wanted="two columns of the same kind",
        )
    if reference.numbers is None and reference.frequent is None:
        raise DataError(
            ErrorCode.WRONG_KIND, f"got the column {reference.name!r} of kind {reference.kind}", wanted="a table's kind"
        )


def _category_rows(reference: ColumnStatistics, current: ColumnStatistics) -> list[Floats]:
    if reference.frequent is None or current.frequent is None:
        return []
    names = [value for value, _ in reference.frequent.top(_MAX_CATEGORIES)]
    out = []
    for frequent in (reference.frequent, current.frequent):
        counts = dict(frequent.top())
        rows = [float(counts.get(name, 0)) for name in names]
        out.append(np.array([*rows, frequent.rows - sum(rows)]))
    return out


def _smoothed(rows: Floats) -> Floats:
    total = float(rows.sum())
    return np.asarray((rows + 0.5) / (total + 0.5 * len(rows)) if total else np.full(len(rows), np.nan))
