"""Whether what a model sees and says has moved away from its training, and the page that shows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lepton.core import Kind
from lepton.core.lazy import LazyModule
from lepton.serving.watching.columns import INPUT

if TYPE_CHECKING:
    from lepton import report as pages
    from lepton.data.quality import drift
    from lepton.data.statistics import ColumnStatistics, distances
else:  # for servers that keep a state
    pages, drift = LazyModule("lepton.report"), LazyModule("lepton.data.quality.drift")
    distances = LazyModule("lepton.data.statistics.distances")

__all__ = ["MINIMAL_ROWS", "DriftReport", "Window", "drift_page", "judge"]

MINIMAL_ROWS = 500
"""Below so many rows in the window nothing is said."""
ALARM_P = 0.01
"""Chance at most, over all columns of a window together, that rows like those of training are taken for others."""
_DRAWN = 6
_BARS = 24
_BINS = 10

State = Literal["stable", "moved", "alarm", "not-enough-data"]


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of late that are compared with training.

    Attributes:
        rows: how many, of those that were drawn.
        since: when the first came, in seconds since 1970; None where there is none.
        until: when the last came.
        statistics: column → statistics, with `input/` or `output/` before the name.
    """

    rows: int
    since: float | None
    until: float | None
    statistics: Mapping[str, ColumnStatistics]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What is said of a window.

    Attributes:
        state: `alarm` if a column has shifted, `moved` if one has moved, `not-enough-data` where nothing is said yet.
        window: what was compared.
        columns: each with how far it has moved, furthest first.
        alarms: names of those that have shifted.
    """

    state: State
    window: Window
    columns: tuple[drift.DriftRecord, ...]
    alarms: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "state": self.state,
            "window": {
                "rows": self.window.rows,
                "minimal_rows": MINIMAL_ROWS,
                "since": _moment(self.window.since),
                "until": _moment(self.window.until),
            },
            "rule": {"psi": drift.SHIFTED, "p_value": ALARM_P},
            "alarms": list(self.alarms),
            "columns": [_named(record) for record in self.columns],
        }


def judge(baseline: Mapping[str, ColumnStatistics], window: Window) -> DriftReport:
    """Compare a window with training.

    A column is an alarm when its population stability index is at least 0.25 beyond what so few rows do by chance, and
    the χ² test over its bins, corrected for the number of columns (Holm), has p < 0.01. The first says that it matters,
    the second that it is no accident; the second alone, with many rows, would find any difference.
    """
    if window.rows < MINIMAL_ROWS:
        return DriftReport("not-enough-data", window, (), ())
    common = [name for name in baseline if name in window.statistics]
    records = drift.compare_statistics({n: baseline[n] for n in common}, {n: window.statistics[n] for n in common})
    records = tuple(sorted(records, key=lambda record: -(record.psi or 0.0)))
    alarms = tuple(record.column for record in records if _is_alarm(record))
    state: State = "stable"
    if alarms:
        state = "alarm"
    elif any(record.verdict != "stable" for record in records):
        state = "moved"
    return DriftReport(state, window, records, alarms)


def _is_alarm(record: drift.DriftRecord) -> bool:
    return record.verdict == "shifted" and record.p_value is not None and record.p_value < ALARM_P


def _named(record: drift.DriftRecord) -> dict[str, Any]:
    side, _, name = record.column.partition("/")
    return record.to_dict() | {"column": name, "side": side, "alarm": _is_alarm(record)}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


_SAID = {
    "stable": "No column has moved.",
    "moved": "Some columns have moved a little.",
    "alarm": "What the model sees or says is not what it was trained on.",
    "not-enough-data": f"Too few rows came to say anything; {MINIMAL_ROWS} are needed.",
}


def drift_page(name: str, version: str, baseline: Mapping[str, ColumnStatistics], report: DriftReport) -> pages.Page:
    """A report as a page, with the columns that have moved furthest drawn."""
    window = report.window
    page = pages.Page(f"Drift of {name}, version {version}", _SAID[report.state])
    facts = {"rows": window.rows, "since": _moment(window.since) or "–", "until": _moment(window.until) or "–"}
    page.section("Window", pages.Facts(facts))
    if not report.columns:
        return page
    labels = [_label(record.column) for record in report.columns]
    figure = pages.bars(
        labels[:_BARS], [record.psi or 0.0 for record in report.columns[:_BARS]], title="Population stability index"
    )
    said = (
        f"From {drift.SHIFTED:g} beyond chance a column counts as shifted; the test says how likely chance would do"
        " this."
    )
    rows = [
        [
            label,
            record.verdict,
            record.psi,
            record.p_value,
            record.jensen_shannon,
            record.missing_before,
            record.missing_after,
        ]
        for label, record in zip(labels, report.columns, strict=True)
    ]
    heads = ["column", "verdict", "PSI", "p", "Jensen-Shannon", "missing in training", "missing now"]
    page.section("Columns", pages.Text(said), figure, pages.Table(heads, rows))
    drawn: list[pages.Block] = [_drawing(baseline, window, record) for record in report.columns[:_DRAWN]]
    return page.section("Then and now", *drawn)


def _drawing(baseline: Mapping[str, ColumnStatistics], window: Window, record: drift.DriftRecord) -> pages.Block:
    before, after = baseline[record.column], window.statistics[record.column]
    first, second = distances.shares(before, after, _BINS)
    names = _bin_names(before, len(first))
    kept = list(range(len(first))) if len(first) <= _BARS else [*range(_BARS - 1), len(first) - 1]
    return pages.paired_bars(
        [names[position] for position in kept],
        [first[position] / max(first.sum(), 1) for position in kept],
        [second[position] / max(second.sum(), 1) for position in kept],
        title=_label(record.column),
        names=("training", "now"),
    )


def _bin_names(column: ColumnStatistics, count: int) -> list[str]:
    """Names of the bins that `shares` makes of a column in training."""
    if column.numbers is None:
        top = [str(value) for value, _ in (column.frequent.top(count - 2) if column.frequent is not None else [])]
        return [*top, "others", "missing"]
    places = np.unique(column.numbers.sketch.quantile(np.arange(1, _BINS) / _BINS))
    shown = [
        pages.show_time(value) if column.kind is Kind.DATETIME else pages.show_number(value)
        for value in places[np.isfinite(places)].tolist()
    ]
    inner = [f"{first} to {second}" for first, second in pairwise(shown)]
    return (
        [f"up to {shown[0]}", *inner, f"above {shown[-1]}", "-∞", "+∞", "missing"]
        if shown
        else ["all", "-∞", "+∞", "missing"]
    )


def _label(column: str) -> str:
    return column.removeprefix(INPUT).replace("output/", "answer: ", 1)
