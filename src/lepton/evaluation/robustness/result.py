"""What became of a model's worth when its rows were spoilt: curves, the worst columns, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lepton.core import printable
from lepton.evaluation.bootstrap import Estimate
from lepton.report import Block, Page, Points, Table, Text, bars, lines, plain_table, show_number

__all__ = ["ColumnLoss", "Curve", "Robustness"]

_HEAD = ("test", "strength", "value", "loss", "95 % interval", "rows changed", "refused", "what was done")
_COLUMN_HEAD = ("column", "what was done", "loss", "95 % interval", "refused")
_A_FIGURE = 6


@dataclass(frozen=True)
class Curve:
    """The metric against the strength of one perturbation.

    Attributes:
        name: of the perturbation.
        title: as it is shown.
        strengths: those that were measured, rising.
        values: the metric at each, on the rows that the model answered.
        losses: how much worse that is than on the same rows unspoilt; the interval is that of the paired difference.
        says: what each strength means.
        changed: rows that were changed at all.
        refused: rows that the model refused to answer.
        reason: why it refused, or "".
    """

    name: str
    title: str
    strengths: tuple[int, ...]
    values: tuple[Estimate, ...]
    losses: tuple[Estimate, ...]
    says: tuple[str, ...]
    changed: tuple[int, ...]
    refused: tuple[int, ...]
    reason: str = ""

    @property
    def worst(self) -> Estimate:
        """The greatest loss of the curve."""
        told = [each for each in self.losses if each.value is not None]
        return max(told, key=lambda each: each.value or 0.0) if told else self.losses[-1]

    @property
    def hurts_from(self) -> int | None:
        """The mildest strength whose loss has an interval above 0; None where no strength has."""
        pairs = zip(self.strengths, self.losses, strict=True)
        return next((strength for strength, loss in pairs if loss.lower is not None and loss.lower > 0), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "name": self.name,
            "title": self.title,
            "strengths": list(self.strengths),
            "values": [each.to_dict() for each in self.values],
            "losses": [each.to_dict() for each in self.losses],
            "says": list(self.says),
            "changed": list(self.changed),
            "refused": list(self.refused),
            "reason": self.reason,
            "hurts_from": self.hurts_from,
        }


@dataclass(frozen=True)
class ColumnLoss:
    """What errors in a single column cost.

    Attributes:
        column: its name.
        test: the perturbation.
        says: what was done to the column.
        loss: how much worse the metric gets, paired.
        refused: rows that the model refused.
    """

    column: str
    test: str
    says: str
    loss: Estimate
    refused: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        loss = self.loss.to_dict()
        return {"column": self.column, "test": self.test, "says": self.says, "refused": self.refused, **loss}


@dataclass(frozen=True)
class Robustness:
    """How a model bears spoilt rows; made by `robustness`.

    Attributes:
        model: its name.
        kind: what it takes: `table`, `text`, `picture` or `sound`.
        metric: title of what is measured.
        greater_is_better: which way is good.
        labelled: whether there was a truth; where not, answers are compared with those to the unspoilt rows.
        value: of the model on the unspoilt rows.
        curves: one for each perturbation.
        worst_columns: of a table, the columns whose errors cost most, the worst first.
        num_rows: rows that were used.
        left_out: perturbations that say nothing here → why.
        notes: limits of all this.
    """

    model: str
    kind: str
    metric: str
    greater_is_better: bool
    labelled: bool
    value: Estimate
    curves: tuple[Curve, ...]
    worst_columns: tuple[ColumnLoss, ...]
    num_rows: int
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Curve:
        """The curve of a perturbation."""
        return next(curve for curve in self.curves if curve.name == name)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "kind": self.kind,
            "metric": self.metric,
            "greater_is_better": self.greater_is_better,
            "labelled": self.labelled,
            "value": self.value.to_dict(),
            "curves": [each.to_dict() for each in self.curves],
            "worst_columns": [each.to_dict() for each in self.worst_columns],
            "num_rows": self.num_rows,
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        parts = [
            f"{printable(self.model)}: {self._lead()}",
            plain_table(_HEAD[:-1], [row[:-1] for row in self._rows()]) if self.curves else "  nothing was measured",
        ]
        if self.worst_columns:
            parts.append("Columns whose errors cost most, each spoilt alone\n" + self._column_table())
        parts += [f"Note: {each}" for each in self._notes()]
        return "\n\n".join(parts)

    def page(self) -> Page:
        """A page with the curves drawn."""
        page = Page(f"How {self.model} bears spoilt rows", subtitle=self._lead())
        for start in range(0, len(self.curves), _A_FIGURE):
            heading = "Curves" if start == 0 else f"Curves, continued ({start // _A_FIGURE + 1})"
            page.section(heading, self._figure(self.curves[start : start + _A_FIGURE]))
        if self.curves:
            page.section("Each strength", Table(_HEAD, self._rows()))
        if self.worst_columns:
            page.section("Columns whose errors cost most", *self._column_blocks())
        notes = self._notes()
        if notes:
            page.section("Limits", Points(notes))
        return page

    def _repr_html_(self) -> str:
        return self.page().html()

    def _lead(self) -> str:
        better = "more" if self.greater_is_better else "less"
        return f"{self.metric} {self.value} on {self.num_rows:,} unspoilt rows; {better} is better"

    def _figure(self, curves: Sequence[Curve]) -> Block:
        start = np.nan if self.value.value is None else self.value.value
        drawn = {
            curve.title: (
                [0, *curve.strengths],
                [start, *(np.nan if each.value is None else each.value for each in curve.values)],
            )
            for curve in curves
        }
        title = f"{self.metric} against strength, 0 being the unspoilt rows"
        return lines(drawn, title=title, x_label="strength", y_label=self.metric)

    def _rows(self) -> list[tuple[object, ...]]:
        return [
            (
                curve.title,
                curve.strengths[place],
                show_number(curve.values[place].value),
                show_number(curve.losses[place].value),
                curve.losses[place].interval,
                curve.changed[place],
                curve.refused[place],
                curve.says[place],
            )
            for curve in self.curves
            for place in range(len(curve.strengths))
        ]

    def _column_rows(self) -> list[tuple[object, ...]]:
        return [(e.column, e.says, show_number(e.loss.value), e.loss.interval, e.refused) for e in self.worst_columns]

    def _column_table(self) -> str:
        return plain_table(_COLUMN_HEAD, self._column_rows())

    def _column_blocks(self) -> list[Block]:
        told = [each for each in self.worst_columns if each.loss.value is not None]
        ends = [(e.loss.value if end is None else end) for e in told for end in (e.loss.lower, e.loss.upper)]
        values = np.array([each.loss.value for each in told], dtype=np.float64)
        figure = bars(
            [f"{each.column}: {each.says}" for each in told],
            values,
            title=f"Loss in {self.metric} when one column is spoilt",
            lower=np.array(ends[::2], dtype=np.float64),
            upper=np.array(ends[1::2], dtype=np.float64),
        )
        said = "These were the worst of many on the same rows: on others, expect a little less."
        return [figure, Table(_COLUMN_HEAD, self._column_rows()), Text(said, "note")]

    def _notes(self) -> list[str]:
        notes = list(self.notes)
        notes += [f"{name}: left out, {reason}." for name, reason in self.left_out.items()]
        refused = [curve for curve in self.curves if any(curve.refused)]
        notes += [
            f"{curve.title}: the model refused up to {max(curve.refused):,} rows"
            f"{': ' + printable(curve.reason, 200) if curve.reason else ''}. Its values are of those that it answered."
            for curve in refused
        ]
        return notes
