"""What somebody should look at before learning from a table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lepton.core import ColumnRecord, Kind, Role
from lepton.data.describe.relations import Relation
from lepton.data.statistics import ColumnStatistics
from lepton.report import show_number, show_share

__all__ = ["Finding", "column_findings", "relation_findings", "target_findings"]

_ALMOST_PERFECT = 0.98
_MOSTLY = 0.5
_NEARLY_ALL = 0.995
_PILED = 0.01
_MARKED = 0.002
_MARKER = re.compile(r"-?9{2,9}|-1")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes:
        column: the column, or None for the whole table.
        what: stable word: `leakage`, `copy`, `identifier`, `constant`, `empty`, `missing`, `marker`, `limit`, `zeros`,
            `infinities`, `skew`, `spelling`, `many-categories`, `imbalance`, `repeated-rows` or `incomplete`.
        level: `warning` where a model would likely be wrong, else `note`.
        text: a sentence with the evidence.
    """

    column: str | None
    what: str
    level: Literal["warning", "note"]
    text: str

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def column_findings(record: ColumnRecord, statistics: ColumnStatistics) -> Iterator[Finding]:
    """What stands out in one column alone."""
    if not statistics.rows:
        return
    name, missing = record.name, statistics.missing / statistics.rows
    if not statistics.present:
        yield Finding(name, "empty", "warning", "every row is missing")
        return
    if statistics.distinct.is_exact and statistics.num_distinct == 1 and not missing:
        yield Finding(name, "constant", "warning", "every row has the same value: nothing can be learned from it")
        return
    if missing >= _MOSTLY:
        yield Finding(name, "missing", "note", f"{show_share(missing)} of the rows are missing")
    yield from _identifier(record, statistics)
    if record.kind is Kind.NUMBER:
        yield from _number(name, statistics)
    if record.kind is Kind.CATEGORY:
        yield from _category(name, statistics)


def _identifier(record: ColumnRecord, statistics: ColumnStatistics) -> Iterator[Finding]:
    """Values that hardly repeat say which row it is, not what it is like."""
    if record.role is not Role.FEATURE or statistics.present < 50:
        return
    unique = statistics.num_distinct / statistics.present
    limit = 1 - 3 * statistics.distinct.relative_error
    whole = record.kind is Kind.NUMBER and record.dtype == "int64" and _is_dense(statistics)
    if record.kind is Kind.IDENTIFIER:
        yield Finding(record.name, "identifier", "note", "names the row; models do not learn from it")
    elif unique >= min(limit, _NEARLY_ALL) and (record.kind is Kind.CATEGORY or whole):
        yield Finding(
            record.name,
            "identifier",
            "warning",
            f"{show_number(statistics.num_distinct)} different values in "
            f"{show_number(statistics.present)} rows: "
            "likely an identifier, which a model would only memorise",
        )


def _is_dense(statistics: ColumnStatistics) -> bool:
    """Whether whole numbers fill their range, as row numbers do."""
    if statistics.numbers is None:
        return False
    span = statistics.numbers.sketch.maximum - statistics.numbers.sketch.minimum + 1
    return span <= 1.2 * statistics.present


def _number(name: str, statistics: ColumnStatistics) -> Iterator[Finding]:
    numbers, frequent = statistics.numbers, statistics.frequent
    if numbers is None or frequent is None or not numbers.sketch.count:
        yield Finding(name, "infinities", "warning", "no row has a finite number")
        return
    if numbers.infinities:
        yield Finding(name, "infinities", "warning", f"{show_number(numbers.infinities)} rows are infinite")
    zeros = numbers.zeros / numbers.sketch.count
    if zeros >= _MOSTLY and statistics.num_distinct > 10:
        yield Finding(name, "zeros", "note", f"{show_share(zeros)} of the rows are 0")
    yield from _piles(name, statistics)
    skew = numbers.moments.skew
    if skew is not None and abs(skew) > 3 and statistics.num_distinct > 10:
        side = "large" if skew > 0 else "small"
        yield Finding(name, "skew", "note", f"a few values are very {side} (skew {show_number(skew, 3)})")


def _piles(name: str, statistics: ColumnStatistics) -> Iterator[Finding]:
    """Values at either end that are far too frequent: markers of missing values, or limits of the measurement."""
    if statistics.numbers is None or statistics.frequent is None or statistics.num_distinct <= 20:
        return
    sketch = statistics.numbers.sketch
    low, high = sketch.quantile([0.25, 0.75]).tolist()
    top = statistics.frequent.top(20)
    for value, count in top:
        share = count / sketch.count
        if not isinstance(value, float) or value not in (sketch.minimum, sketch.maximum) or count < 5:
            continue
        lone = value < low - 1.5 * (high - low) or value > high + 1.5 * (high - low)
        others = [c for v, c in top if v != value]
        if share >= _MARKED and lone and _MARKER.fullmatch(f"{value:g}"):
            text = f"{show_share(share)} of the rows are {value:g}, far from the rest: likely a marker for missing"
            yield Finding(name, "marker", "warning", f"{text} (read with missing=[...])")
        elif share >= _PILED and value and (not others or count >= 3 * max(others)):
            end = "largest" if value == sketch.maximum else "smallest"
            yield Finding(
                name, "limit", "note",
                f"{show_share(share)} of the rows have the {end} value {show_number(value, 7)}: likely cut off there",
            )  # fmt: skip


def _category(name: str, statistics: ColumnStatistics) -> Iterator[Finding]:
    if statistics.frequent is None:
        return
    top = statistics.frequent.top()
    spellings: dict[str, list[str]] = defaultdict(list)
    for value, _ in top:
        spellings["".join(str(value).casefold().split())].append(str(value))
    twice = [values for values in spellings.values() if len(values) > 1]
    if twice:
        shown = " and ".join(repr(value[:30]) for value in twice[0][:3])
        more = f", and {len(twice) - 1} more such groups" if len(twice) > 1 else ""
        yield Finding(name, "spelling", "note", f"{shown} differ in case or spaces only{more}")
    share = top[0][1] / statistics.present if top else 0.0
    if share >= _NEARLY_ALL:
        yield Finding(name, "constant", "note", f"{show_share(share)} of the rows have the same value")
    if statistics.num_distinct > 1_000:
        text = f"{show_number(statistics.num_distinct)} different values: most are too rare to learn from"
        yield Finding(name, "many-categories", "note", text)


def target_findings(record: ColumnRecord, statistics: ColumnStatistics) -> Iterator[Finding]:
    """What stands out in the target."""
    if statistics.missing:
        text = f"{show_number(statistics.missing)} rows have no target and cannot be learned from"
        yield Finding(record.name, "missing", "note", text)
    if statistics.frequent is not None and record.kind is not Kind.NUMBER:
        top = statistics.frequent.top()
        if len(top) > 1 and top[-1][1] < 0.05 * statistics.present:
            value, count = top[-1]
            share = show_share(count / statistics.present)
            text = f"the rarest class {str(value)[:40]!r} has {show_number(count)} rows ({share})"
            yield Finding(record.name, "imbalance", "note", text)


def relation_findings(name: str, found: Relation) -> Iterator[Finding]:
    """Columns that tell too much of the target."""
    if found.equal >= _NEARLY_ALL:
        text = f"{show_share(found.equal)} of its values are those of the target: leave it out"
        yield Finding(name, "copy", "warning", text)
    elif found.alone >= _ALMOST_PERFECT or (found.measure == "spearman" and abs(found.value) >= _NEARLY_ALL):
        score = max(found.alone, abs(found.value))
        text = f"predicts the target almost perfectly alone ({show_number(score, 3)} of 1)"
        yield Finding(name, "leakage", "warning", f"{text}: leave it out unless it is known when the model answers")
