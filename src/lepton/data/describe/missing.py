"""Where values are missing: by place in the table from all rows, and which columns together from a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from lepton.report import show_number

__all__ = ["MissingMap", "Pattern", "block_of", "missing_groups", "missing_patterns"]

_RUNS = 128
_MAX_COLUMNS = 40
_NEARLY_ALL = 0.95
_HARDLY_ANY = 0.02
_ALIKE = 0.9
_LEAST = 20
"""Rows of the sample in which something is missing, below which nothing is said of them."""

Counts = npt.NDArray[np.int64]


class MissingMap:
    """Missing cells of each column along the rows, in at most 128 runs of equally many rows.

    The runs double their length as rows come, so the memory is bounded whatever the table's.

    >>> found = MissingMap()
    >>> found.update(pl.DataFrame({"a": [1, None, None, None], "b": [1, 2, 3, 4]}))
    >>> found.shares("a").tolist(), found.edges().tolist()
    ([0.0, 1.0, 1.0, 1.0], [0, 1, 2, 3, 4])

    Attributes:
        rows: rows seen.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._length = 1
        self._counts: dict[str, Counts] = {}

    def update(self, frame: pl.DataFrame) -> None:
        """Add rows."""
        while self.rows + frame.height > self._length * _RUNS:
            self._length *= 2
            for name, counts in self._counts.items():
                self._counts[name] = np.concatenate([counts.reshape(-1, 2).sum(axis=1), np.zeros(_RUNS // 2, np.int64)])
        for series in frame:
            if series.null_count():
                self._add(series)
        self.rows += frame.height

    def _add(self, series: pl.Series) -> None:
        counts = self._counts.setdefault(series.name, np.zeros(_RUNS, np.int64))
        start = 0
        while start < len(series):
            run, within = divmod(self.rows + start, self._length)
            rows = self._length - within
            counts[run] += series.slice(start, rows).null_count()
            start += rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of which something is missing, in the order in which it was found."""
        return tuple(self._counts)

    def edges(self) -> Counts:
        """Numbers of the rows between which the runs lie, from 0 [runs + 1]."""
        runs = -(-self.rows // self._length)
        return np.minimum(np.arange(runs + 1, dtype=np.int64) * self._length, self.rows)

    def shares(self, name: str) -> npt.NDArray[np.float64]:
        """Share of each run that is missing in a column [runs]."""
        sizes = np.diff(self.edges())
        return self._counts.get(name, np.zeros(_RUNS, np.int64))[: len(sizes)] / sizes


def block_of(found: MissingMap, name: str) -> tuple[int, int] | None:
    """First and last row, from 1, of the one stretch in which a column is missing; None where it is not like that."""
    shares, edges = found.shares(name), found.edges()
    full = np.flatnonzero(shares >= _NEARLY_ALL)
    if len(full) < 2 or len(full) == len(shares) or full[-1] - full[0] + 1 != len(full):
        return None
    first, last = int(full[0]), int(full[-1])
    # The stretch may begin and end within a run.
    outside = np.delete(shares, np.arange(max(first - 1, 0), min(last + 2, len(shares))))
    if (outside > _HARDLY_ANY).any():
        return None
    start, end = int(edges[first]), int(edges[last + 1])
    if first:
        start -= round(float(shares[first - 1]) * int(edges[first] - edges[first - 1]))
    if last + 1 < len(shares):
        end += round(float(shares[last + 1]) * int(edges[last + 2] - edges[last + 1]))
    return start + 1, end


@dataclass(frozen=True, slots=True)
class Pattern:
    """Rows in which the same columns are missing.

    Attributes:
        columns: those that are; all others are there.
        share: of the rows of the sample.
    """

    columns: tuple[str, ...]
    share: float

    def text(self, most: int = 3) -> str:
        """The columns in a line."""
        more = len(self.columns) - most
        return ", ".join(self.columns[:most]) + (f" and {show_number(more)} more" if more > 0 else "")


def missing_patterns(sample: pl.DataFrame, most: int = 8) -> list[Pattern]:
    """The most frequent sets of columns that are missing in the same rows, whole rows left out."""
    names = _gappy(sample)
    if not names:
        return []
    flags = sample.select(pl.col(name).is_null().alias(str(place)) for place, name in enumerate(names))
    places = list(flags.columns)
    counted = (
        flags.filter(pl.any_horizontal(places))
        .group_by(places)
        .agg(pl.len().alias("rows"))
        .sort("rows", *places, descending=[True, *(False for _ in places)])
        .head(most)
    )
    return [
        Pattern(tuple(name for name, gone in zip(names, row, strict=False) if gone), row[-1] / sample.height)
        for row in counted.iter_rows()
    ]


def missing_groups(sample: pl.DataFrame) -> list[tuple[str, ...]]:
    """Columns that are missing in the same rows, or nearly: 9 of 10 rows that lack one lack the other."""
    names = _gappy(sample)
    flags = np.array([sample[name].is_null().to_numpy() for name in names], dtype=np.float64)
    names = [name for name, many in zip(names, flags.sum(axis=1) >= _LEAST, strict=True) if many] if names else []
    if len(names) < 2:
        return []
    flags = flags[flags.sum(axis=1) >= _LEAST]
    both = flags @ flags.T
    single = np.diag(both)
    alike = both / (single[:, None] + single - both) >= _ALIKE
    groups, left = [], set(range(len(names)))
    for place in range(len(names)):
        if place in left:
            members = [other for other in np.flatnonzero(alike[place]).tolist() if other in left]
            left -= set(members)
            if len(members) > 1 and single[place] < sample.height:
                groups.append(tuple(names[member] for member in members))
    return groups


def _gappy(sample: pl.DataFrame) -> Sequence[str]:
    """The columns with most missing cells in the sample, in the order of the table."""
    counts = [(series.name, series.null_count()) for series in sample]
    chosen = sorted((each for each in counts if each[1]), key=lambda each: -each[1])[:_MAX_COLUMNS]
    kept = {name for name, _ in chosen}
    return [name for name, _ in counts if name in kept]
