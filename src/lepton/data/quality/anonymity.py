"""How well rows hide among each other: k-anonymity, l-diversity and t-closeness, counted.

Sources: Sweeney 2002 (k-anonymity); Machanavajjhala et al. 2007 (l-diversity, distinct and entropy); Li, Li and
Venkatasubramanian 2007 (t-closeness: the earth mover's distance, with equal distances between categories and ordered
ones between numbers).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from lepton.core import ErrorCode, Kind, Schema, UsageError
from lepton.data.dataset import Dataset

__all__ = ["Anonymity", "Generalisation", "SensitiveColumn", "measure_anonymity"]

_COUNT, _GROUP = "rows of the group", "number of the group"
_MAX_ORDERED = 1_000  # distinct numbers up to which distances are exact; beyond they are binned by rank


@dataclass(frozen=True)
class SensitiveColumn:
    """What a group of alike rows gives away about one column.

    Attributes:
        column: its name.
        l_distinct: the fewest distinct values in a group; 1 means that some group gives its value away.
        l_entropy: the least exp(entropy) of a group: as many equally likely values as that.
        t: the largest distance of a group's distribution from that of the whole table, 0 to 1.
        rows_given_away: rows in groups that have one value only.
    """

    column: str
    l_distinct: int
    l_entropy: float
    t: float
    rows_given_away: int


@dataclass(frozen=True)
class Generalisation:
    """What making one column coarser, or dropping it, would give.

    Attributes:
        column: its name.
        how: such as `band of 10`, `year`, `prefix of 3`, `drop`.
        k: of the table then.
        rows_in_small_groups: then.
    """

    column: str
    how: str
    k: int
    rows_in_small_groups: int


@dataclass(frozen=True)
class Anonymity:
    """How well rows hide.

    Attributes:
        quasi_identifiers: columns that others may know.
        k: rows of the smallest group of rows that agree in them; 0 for a table without rows.
        num_groups: such groups.
        num_rows: rows.
        least: the k that was wanted.
        rows_in_small_groups: rows in groups of fewer than `least`.
        sensitive: diversity and closeness, for each sensitive column.
        suggestions: single generalisations that help, the best first.
    """

    quasi_identifiers: tuple[str, ...]
    k: int
    num_groups: int
    num_rows: int
    least: int
    rows_in_small_groups: int
    sensitive: tuple[SensitiveColumn, ...]
    suggestions: tuple[Generalisation, ...]

    def text(self) -> str:
        """Lines for a terminal."""
        small = f"{self.rows_in_small_groups:,} rows in groups of fewer than {self.least}"
        over = ", ".join(self.quasi_identifiers)
        lines = [f"k = {self.k} over {over}: {self.num_rows:,} rows in {self.num_groups:,} groups, {small}"]
        lines += [
            f"  {each.column}: l = {each.l_distinct} distinct, {each.l_entropy:.2f} by entropy; t = {each.t:.3f}; "
            f"{each.rows_given_away:,} rows are given away"
            for each in self.sensitive
        ]
        lines += [
            f"  {each.column} as {each.how}: k = {each.k}, {each.rows_in_small_groups:,} rows in small groups"
            for each in self.suggestions
        ]
        return "\n".join(lines)


def measure_anonymity(
    dataset: Dataset, quasi_identifiers: Sequence[str], *, sensitive: Sequence[str] = (), least: int = 5
) -> Anonymity:
    """Count how well the rows of a table hide among each other. A missing value is a value of its own.

    Args:
        dataset: the table; the named columns are held in memory.
        quasi_identifiers: columns that others may know, such as age, sex and postal code.
        sensitive: columns that should not be given away.
        least: the k that is wanted; smaller groups are counted.

    Raises:
        UsageError: no column is named, one is named twice, or `least` is below 2.
        DataError: there is no such column.
    """
    names = [*quasi_identifiers, *sensitive]
    if not quasi_identifiers:
        raise UsageError(ErrorCode.USAGE, "no quasi-identifiers are named", wanted="columns that others may know")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(ErrorCode.USAGE, f"column {twice!r} is named twice")
    if least < 2:
        raise UsageError(ErrorCode.USAGE, f"got least={least}", wanted="at least 2")
    schema = dataset.schema.select(names)
    frame = dataset.frame(names)
    keys = tuple(quasi_identifiers)
    sizes = _sizes(frame.select(keys))
    k, small = _k_of(sizes, least)
    number = frame.select(pl.struct(keys).rank("dense").alias(_GROUP)).to_series()
    return Anonymity(
        quasi_identifiers=keys,
        k=k,
        num_groups=len(sizes),
        num_rows=frame.height,
        least=least,
        rows_in_small_groups=small,
        sensitive=tuple(_sensitive(frame[name], number, schema[name].kind is Kind.NUMBER) for name in sensitive),
        suggestions=_suggestions(frame.select(keys), schema, least, k, small),
    )


def _sizes(frame: pl.DataFrame) -> pl.Series:
    """Rows of each group."""
    return frame.group_by(pl.all()).agg(pl.len().alias(_COUNT))[_COUNT]


def _k_of(sizes: pl.Series, least: int) -> tuple[int, int]:
    """The smallest group, and the rows in groups of fewer than `least`."""
    return min(sizes, default=0), int(sizes.filter(sizes < least).sum())


def _sensitive(values: pl.Series, groups: pl.Series, ordered: bool) -> SensitiveColumn:
    if not len(values):
        return SensitiveColumn(values.name, 0, 0.0, 0.0, 0)
    if ordered and values.n_unique() > _MAX_ORDERED:
        values = (values.rank("average") * _MAX_ORDERED / len(values)).ceil()
    table = pl.DataFrame({"value": values, "group": groups})
    counts = table.group_by("group", "value").len("count")
    counts = counts.with_columns((pl.col("count") / pl.col("count").sum().over("group")).alias("share"))
    per_group = counts.group_by("group").agg(
        pl.len().alias("distinct"),
        (-(pl.col("share") * pl.col("share").log()).sum()).alias("entropy"),
        pl.col("count").sum().alias("rows"),
    )
    whole = table.group_by("value").len("count").select("value", (pl.col("count") / len(values)).alias("overall"))
    distance = _ordered_distance if ordered else _equal_distance
    entropies = per_group["entropy"].to_list()
    return SensitiveColumn(
        values.name,
        min(per_group["distinct"]),
        math.exp(min(entropies)),
        distance(counts, whole),
        int(per_group.filter(pl.col("distinct") == 1)["rows"].sum()),
    )


def _equal_distance(counts: pl.DataFrame, whole: pl.DataFrame) -> float:
    """The largest total variation between a group and the table: the sum over values where the group has more."""
    more = counts.join(whole, on="value", nulls_equal=True).with_columns(
        (pl.col("share") - pl.col("overall")).clip(lower_bound=0.0).alias("more")
    )
    return max(more.group_by("group").agg(pl.col("more").sum())["more"], default=0.0)


def _ordered_distance(counts: pl.DataFrame, whole: pl.DataFrame) -> float:
    """The largest earth mover's distance over ranks of values: the mean absolute difference of the cumulated shares.

    Between two values of a group its own cumulated share is constant, so that each group costs only what it holds:
    sums of the table's cumulated shares, and of those above that constant, come from running sums.
    """
    ranked = whole.sort("value", nulls_last=False).with_row_index("rank")
    overall = ranked["overall"].cum_sum().to_numpy()
    if len(overall) < 2:
        return 0.0
    placed = counts.join(ranked.select("value", "rank"), on="value", nulls_equal=True).sort("group", "rank")
    running = overall.cumsum()
    largest = 0.0
    for group in placed.select("group", "rank", "share").partition_by("group", maintain_order=True):
        ranks = group["rank"].to_list()
        cumulated = [0.0, *group["share"].cum_sum().to_list()]
        edges = [0, *ranks, len(overall) - 1]
        cost = 0.0
        for level, first, after in zip(cumulated, edges, edges[1:], strict=False):
            # The part first..after where the group's cumulated share is `level`, cut where the table's passes it.
            cut = min(max(int(overall.searchsorted(level)), first), after)
            cost += level * (cut - first) - _between(running, first, cut)
            cost += _between(running, cut, after) - level * (after - cut)
        largest = max(largest, cost / (len(overall) - 1))
    return min(largest, 1.0)


def _between(running: Any, first: int, after: int) -> float:
    """The sum of what `running` cumulates, over the places first..after-1."""
    if after <= first:
        return 0.0
    return float(running[after - 1] - (running[first - 1] if first else 0.0))


def _suggestions(frame: pl.DataFrame, schema: Schema, least: int, k: int, small: int) -> tuple[Generalisation, ...]:
    """Single generalisations that leave fewer rows in small groups, the best first."""
    if not small:
        return ()
    found = []
    for name in frame.columns:
        for how, coarse in _coarser(frame[name], schema[name].kind):
            then, rows = _k_of(_sizes(frame.with_columns(coarse(pl.col(name)))), least)
            found.append(Generalisation(name, how, then, rows))
        if len(frame.columns) > 1:
            found.append(Generalisation(name, "drop", *_k_of(_sizes(frame.drop(name)), least)))
    helping = [each for each in found if each.rows_in_small_groups < small or each.k > k]
    return tuple(sorted(helping, key=lambda each: (each.rows_in_small_groups, -each.k, each.how == "drop"))[:10])


def _coarser(values: pl.Series, kind: Kind) -> list[tuple[str, Callable[[pl.Expr], pl.Expr]]]:
    """Ways to make a column coarser that the recipe step `generalise` knows."""
    if kind is Kind.NUMBER:
        low, high = values.drop_nulls().min(), values.drop_nulls().max()
        spread = float(high) - float(low) if low is not None else 0.0  # type: ignore[arg-type]
        if not 0 < spread < math.inf:
            return []
        unit = 10.0 ** math.floor(math.log10(spread))
        return [(f"band of {w:g}", _band(w)) for w in (unit / 20, unit / 10, unit / 4, unit / 2, unit)]
    if kind is Kind.DATETIME:
        return [("month", lambda e: e.dt.truncate("1mo")), ("year", lambda e: e.dt.truncate("1y"))]
    if values.dtype != pl.String:
        return []
    longest = max(values.drop_nulls().str.len_chars(), default=0)
    if longest < 3 or kind is Kind.TEXT:
        return []
    return [(f"prefix of {length}", _prefix(length)) for length in range(1, min(longest, 6))]


def _band(width: float) -> Callable[[pl.Expr], pl.Expr]:
    return lambda expression: (expression / width).floor()


def _prefix(length: int) -> Callable[[pl.Expr], pl.Expr]:
    return lambda expression: expression.str.head(length)
