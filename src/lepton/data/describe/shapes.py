"""Shapes of distributions: edges for a picture, two columns in one picture, and how they differ in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lepton.core import Kind
from lepton.data.statistics import ColumnStatistics
from lepton.data.statistics.quantiles import QuantileSketch
from lepton.report import Figure, overlaid, paired_bars, show_number, show_share, show_time

__all__ = ["beside", "counts_between", "edges_of", "moved_text"]

_TOP = 10
_LENGTHS = frozenset({Kind.TEXT, Kind.IDENTIFIER})


def edges_of(sketches: Sequence[QuantileSketch], bins: int, *, whole: bool = False) -> npt.NDArray[np.float64] | None:
    """Edges of bins of one width for the numbers of all sketches; None where there are none, or they overflow.

    Whole numbers get bins of whole width. Where a few values lie far out, the edges leave at most 2 % of the rows out.
    """
    sketches = [sketch for sketch in sketches if sketch.count]
    if not sketches:
        return None
    low, high = min(sketch.minimum for sketch in sketches), max(sketch.maximum for sketch in sketches)
    if not math.isfinite(high - low):
        return None
    ends = [sketch.quantile([0.01, 0.99]).tolist() for sketch in sketches]
    first, last = min(pair[0] for pair in ends), max(pair[1] for pair in ends)
    if last > first and high - low > 8 * (last - first):
        margin = 0.25 * (last - first)
        low, high = max(low, first - margin), min(high, last + margin)
    if whole and high - low < 2**50:
        step = max(1, math.ceil((math.floor(high) - math.ceil(low) + 1) / bins))
        return np.arange(math.ceil(low) - 0.5, math.floor(high) + 0.5 + step, step)
    return np.linspace(low, high, (bins if high > low else 1) + 1)


def counts_between(sketch: QuantileSketch, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows between the edges; the first takes those on its lower one."""
    if not sketch.count:
        return np.zeros(len(edges) - 1)
    ranks = sketch.rank(edges)
    if edges[0] <= sketch.minimum:
        ranks[0] = 0.0
    return np.diff(ranks)


def beside(
    first: ColumnStatistics,
    second: ColumnStatistics,
    *,
    title: str,
    names: tuple[str, str],
    whole: bool = False,
    caption: str = "",
) -> Figure | None:
    """Two columns of one kind in one picture; None where there is nothing to draw.

    Args:
        first: drawn with dashes.
        second: drawn full.
        title: what is shown.
        names: of the two.
        whole: whether numbers are whole ones.
        caption: more to know.
    """
    if first.frequent is not None and second.frequent is not None and first.kind is not Kind.NUMBER:
        labels, shares = _top_shares(first, second)
        return paired_bars(labels, *shares, title=title, names=names, caption=caption) if labels else None
    if first.numbers is None or second.numbers is None:
        return None
    sketches = [first.numbers.sketch, second.numbers.sketch]
    edges = edges_of(sketches, 40, whole=whole or first.kind in _LENGTHS)
    if edges is None:
        return None
    counts = [counts_between(sketch, edges) for sketch in sketches]
    outside = [
        f"{show_share(1 - each.sum() / sketch.count)} {name}"
        for each, sketch, name in zip(counts, sketches, names, strict=True)
        if sketch.count and each.sum() < sketch.count * 0.9999
    ]
    note = f"Beyond what is drawn lie {' and '.join(outside)}." if outside else ""
    return overlaid(
        edges,
        *counts,
        title=title,
        names=names,
        x_label="characters" if first.kind in _LENGTHS else "",
        dates=first.kind is Kind.DATETIME,
        caption=" ".join(part for part in (caption, note) if part),
    )


def _top_shares(first: ColumnStatistics, second: ColumnStatistics) -> tuple[list[str], tuple[list[float], list[float]]]:
    """The most frequent categories of either, and all others together, as shares of the rows that have one."""
    counts = [{} if c.frequent is None else dict(c.frequent.top()) for c in (first, second)]
    rows = [max(c.present, 1) for c in (first, second)]
    names = sorted(
        set(counts[0]) | set(counts[1]),
        key=lambda name: (-max(c.get(name, 0) / n for c, n in zip(counts, rows, strict=True)), str(name)),
    )[:_TOP]
    shares = tuple([c.get(name, 0) / n for name in names] for c, n in zip(counts, rows, strict=True))
    labels = [str(name) for name in names]
    rest = [max(0.0, c.present / n - sum(s)) for c, n, s in zip((first, second), rows, shares, strict=True)]
    if max(rest) > 1e-9:
        labels.append("all others")
        for share, others in zip(shares, rest, strict=True):
            share.append(others)
    return labels, (shares[0], shares[1])


def moved_text(first: ColumnStatistics, second: ColumnStatistics) -> str:
    """What differs most, in words: `half of the rows lie below 61, before below 52`, or the share of a category."""
    if first.frequent is not None and second.frequent is not None and first.kind is not Kind.NUMBER:
        labels, shares = _top_shares(first, second)
        if not labels:
            return ""
        place = max(range(len(labels)), key=lambda i: round(abs(shares[0][i] - shares[1][i]), 6))
        name = labels[place] if labels[place] == "all others" else repr(labels[place][:40])
        return f"{name} is {show_share(shares[1][place])} of the rows, before {show_share(shares[0][place])}"
    pair = [None if c.numbers is None or not c.numbers.sketch.count else c.numbers.sketch for c in (first, second)]
    before, after = pair
    if before is None or after is None:
        return ""
    show = show_time if first.kind is Kind.DATETIME else show_number
    old, new = (show(float(sketch.quantile(0.5)[0])) for sketch in (before, after))
    what = " characters" if first.kind in _LENGTHS else ""
    if old == new:
        ends = [[show(v) for v in sketch.quantile([0.05, 0.95]).tolist()] for sketch in (before, after)]
        if ends[0] == ends[1]:
            return ""
        return f"9 of 10 rows lie from {ends[1][0]} to {ends[1][1]}{what}, before from {ends[0][0]} to {ends[0][1]}"
    return f"half of the rows lie below {new}{what}, before below {old}"
