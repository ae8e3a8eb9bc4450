"""The leaderboard: every candidate that was tried, what it scored, what it cost, and which was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lepton.core import show_duration, show_size
from lepton.report import Page, Table, Text, bars

__all__ = ["Leaderboard", "LeaderboardRow", "with_front"]

_COLUMNS = ("learner", "configuration", "score", "fit", "a row", "size", "")


@dataclass(frozen=True)
class LeaderboardRow:
    """One candidate.

    Attributes:
        learner: registered name.
        configuration: what was particular about it.
        metric: its score out of fold, None where it was not finished.
        lower: lower end of the 95 % interval of the score.
        upper: upper end.
        num_folds: folds that it was scored on.
        fit_seconds: time of all its fits.
        predict_us: median time of one row through its graph in µs, None where not measured.
        size: bytes of its graph, None where not measured.
        chosen: whether it became the model.
        note: why it has no score, or "".
        pareto: whether no other candidate is better in one of score, size and time of a row and not worse in the
            others.
    """

    learner: str
    configuration: str
    metric: float | None
    lower: float | None
    upper: float | None
    num_folds: int
    fit_seconds: float
    predict_us: float | None
    size: int | None
    chosen: bool
    note: str = ""
    pareto: bool = False

    def _cells(self) -> tuple[str, ...]:
        score = self.note if self.metric is None else f"{self.metric:.6g}"
        if self.metric is not None and self.lower is not None and self.upper is not None:
            score += f" ({self.lower:.5g} to {self.upper:.5g})"
        return (
            self.learner,
            self.configuration,
            score,
            show_duration(self.fit_seconds) if self.fit_seconds else "–",
            "" if self.predict_us is None else show_duration(self.predict_us * 1e-6),
            "" if self.size is None else show_size(self.size),
            ", ".join(word for word, holds in (("chosen", self.chosen), ("Pareto", self.pareto)) if holds),
        )


@dataclass(frozen=True)
class Leaderboard:
    """Candidates, best first, with the metric that ranked them and what was decided on the way.

    Attributes:
        metric: name of the metric.
        greater_is_better: which way is good.
        rows: best first; those without a score last.
        notes: decisions, for people.
    """

    metric: str
    greater_is_better: bool
    rows: tuple[LeaderboardRow, ...]
    notes: tuple[str, ...] = ()

    def pareto(self) -> Leaderboard:
        """The candidates worth choosing from: none is better in one respect and not worse in the others."""
        return replace(self, rows=tuple(row for row in self.rows if row.pareto), notes=())

    def to_dict(self) -> dict[str, Any]:
        """JSON form, as `reports/training.json` holds it."""
        return {
            "metric": self.metric,
            "greater_is_better": self.greater_is_better,
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
        }

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> Leaderboard:
        """Read `reports/training.json`; a model without that report has an empty board."""
        rows = tuple(LeaderboardRow(**row) for row in report.get("rows", ()))
        return cls(
            report.get("metric", ""), report.get("greater_is_better", False), rows, tuple(report.get("notes", ()))
        )

    def text(self) -> str:
        """A table for terminals."""
        direction = "greater" if self.greater_is_better else "less"
        header = [*_COLUMNS]
        header[2] = f"{self.metric} ({direction} is better; 95 % interval)"
        lines = [tuple(header), *(row._cells() for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def blocks(self) -> tuple[Any, ...]:
        """Blocks of a report page: the table, the scores with their intervals as a picture, then the notes."""
        header = [*_COLUMNS]
        header[2] = self.metric
        caption = "Candidates, best first, out of fold"
        table = Table(header, [row._cells() for row in self.rows], caption=caption, align="lllrrrl")
        scored = [row for row in self.rows if row.metric is not None]
        picture = bars(
            [f"{row.learner}: {row.configuration}" for row in scored],
            [_number(row.metric) for row in scored],
            title=f"{self.metric} by candidate",
            lower=[_number(row.lower) for row in scored],
            upper=[_number(row.upper) for row in scored],
            x_label=f"{self.metric}, {'greater' if self.greater_is_better else 'less'} is better",
        )
        return (table, picture, *(Text(note) for note in self.notes))

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        page = Page("Leaderboard")
        page.section("Candidates", *self.blocks())
        return page.html()


def with_front(rows: Sequence[LeaderboardRow], greater_is_better: bool) -> tuple[LeaderboardRow, ...]:
    """The rows with `pareto` set where it holds: of those that are scored and measured."""
    costs = [_costs(row, -1.0 if greater_is_better else 1.0) for row in rows]
    known = [cost for cost in costs if cost is not None]
    return tuple(
        replace(row, pareto=cost is not None and not any(_dominates(other, cost) for other in known))
        for row, cost in zip(rows, costs, strict=True)
    )


def _costs(row: LeaderboardRow, sign: float) -> tuple[float, float, float] | None:
    """Loss, bytes and µs of a row; None where one is not known."""
    if row.metric is None or row.size is None or row.predict_us is None:
        return None
    return sign * row.metric, row.size, row.predict_us


def _dominates(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
