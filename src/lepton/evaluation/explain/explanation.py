"""Contributions of columns to a model's answers, as a result: numbers, text, figures and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, printable
from lepton.data import Dataset
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.counterfactuals import Counterfactuals, counterfactuals
from lepton.evaluation.explain.sampling import t_quantile
from lepton.report import Figure, Page, Table, Text, bars, plain_table, show_number

__all__ = ["Explanation"]

_ROWS_SHOWN = 10
_COLUMNS_SHOWN = 10
_DRAWN = 15
_METHODS = {
    "trees": "exact, from the trees in the model file",
    "linear": "exact, from the weights in the model file",
    "enumeration": "exact, over all combinations of columns",
    "sampling": "drawn, with intervals that hold 95 % of the time",
}


@dataclass(frozen=True)
class Explanation:
    """What each column adds to each answer, compared with what is usual; made by `Model.explain`.

    Contributions [N, P, K] are of N rows, P columns and K labels (one where there is one number). For each row and
    label, `base` and the contributions add up to the answer.

    Attributes:
        model: its name.
        title: what is explained, as in "the probability of 'yes'".
        names: the columns, or groups of them.
        labels: what K stands for; empty where there is one number.
        values: contributions [N, P, K].
        errors: their standard errors [N, P, K]; 0 where they are exact.
        degrees: degrees of freedom of the errors [N].
        base: what the model answers to the background on average [K].
        answers: what it answers to the rows [N, K].
        cells: what the rows hold, a table of N rows.
        method: `trees`, `linear`, `enumeration` or `sampling`.
        background: what rows are compared with, in words.
        notes: what limits all this.
        evaluations: rows that the model was asked for.
    """

    model: str
    title: str
    names: tuple[str, ...]
    labels: tuple[str | int, ...]
    values: Floats
    errors: Floats
    degrees: Floats
    base: Floats
    answers: Floats
    cells: pl.DataFrame
    method: str
    background: str
    notes: tuple[str, ...] = ()
    evaluations: int = 0
    predictor: Predictor | None = field(default=None, repr=False, compare=False)
    data: Dataset | None = field(default=None, repr=False, compare=False)

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.values)

    @property
    def margins(self) -> Floats:
        """Half the widths of the 95 % intervals [N, P, K]; 0 where contributions are exact."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.errors * t_quantile(self.degrees)[:, None, None])

    def strongest(self, row: int = 0, label: Any = None) -> list[tuple[str, float, float]]:
        """Columns of a row with contribution and margin, the largest first.

        Raises:
            UsageError: no such row or label.
        """
        place = self._label(self._row(row), label)
        values, margins = self.values[row, :, place], self.margins[row, :, place]
        order = np.argsort(-np.abs(values), kind="stable")
        return [(self.names[at], float(values[at]), float(margins[at])) for at in order.tolist()]

    def plot(self, row: int = 0, label: Any = None) -> Figure:
        """Bars of the strongest contributions to the answer of one row, with their intervals.

        Args:
            row: which.
            label: whose number; by default the label that the model gives the row most.

        Raises:
            UsageError: no such row or label.
        """
        place = self._label(self._row(row), label)
        found = self.strongest(row, label)
        shown, rest = found[:_DRAWN], found[_DRAWN:]
        names = [self._named(row, name) for name, _, _ in shown]
        values = [value for _, value, _ in shown]
        margins = [margin for _, _, margin in shown]
        if rest:
            names.append(f"{len(rest):,} others")
            values.append(sum(value for _, value, _ in rest))
            margins.append(0.0)
        lengths, around = np.array(values), np.array(margins)
        base, answer = show_number(float(self.base[place])), show_number(float(self.answers[row, place]))
        return bars(
            names,
            lengths,
            title=f"Row {row}: from {base}, what is usual, to {answer}",
            lower=lengths - around if around.any() else None,
            upper=lengths + around if around.any() else None,
            x_label=f"added to {self._titled(place)}",
        )

    def counterfactuals(self, k: int = 3, row: int = 0, **options: Any) -> Counterfactuals:
        """The smallest changes of a row that turn the answer; see `lepton.evaluation.explain.counterfactuals`.

        Args:
            k: how many, unlike each other.
            row: which of the rows.
            options: `wanted`, `immutable`, `ranges`, `max_changes`, `data`, `seed` and `work`.

        Raises:
            UsageError: no such row; options that contradict each other.
        """
        if self.predictor is None:
            raise UsageError(ErrorCode.USAGE, "the explanation has no model any more", fix="call explain again")
        options.setdefault("data", self.data)
        return counterfactuals(self.predictor, self.cells.slice(self._row(row), 1), k=k, **options)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "title": self.title,
            "method": self.method,
            "background": self.background,
            "labels": list(self.labels),
            "columns": list(self.names),
            "base": self.base.tolist(),
            "rows": [self._row_dict(row) for row in range(self.num_rows)],
            "notes": list(self.notes),
            "evaluations": self.evaluations,
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people: the strongest columns of each row."""
        lines = [f"What adds to {self.title}, compared with {self.background}; {_METHODS[self.method]}."]
        for row in range(min(self.num_rows, _ROWS_SHOWN)):
            place = self._label(row, None)
            lines += ["", f"{self._heading(row, place)}:", ""]
            lines.append(plain_table(self._columns, self._table(row, place)))
        if self.num_rows > _ROWS_SHOWN:
            lines += ["", f"and {self.num_rows - _ROWS_SHOWN:,} more rows"]
        return "\n".join([*lines, *(["", *self.notes] if self.notes else [])])

    def page(self) -> Page:
        """A page with the contributions drawn."""
        page = Page(f"Why {self.model} answers so", subtitle=f"What adds to {self.title}; {_METHODS[self.method]}")
        page.section("Compared with", Text(self.background))
        if self.num_rows > 1:
            mean = np.abs(self.values).mean(axis=(0, 2))
            order = np.argsort(-mean, kind="stable")[:_DRAWN]
            names = [printable(self.names[at]) for at in order.tolist()]
            title = f"What columns add or take, on average over {self.num_rows:,} rows"
            page.section("All rows", bars(names, mean[order], title=title))
        for row in range(min(self.num_rows, _ROWS_SHOWN)):
            place = self._label(row, None)
            table = Table(self._columns, self._table(row, place))
            page.section(self._heading(row, place), self.plot(row), table)
        for note in self.notes:
            page.section("Note", Text(note, tone="note"))
        return page

    def _repr_html_(self) -> str:
        return self.page().html()

    @property
    def _columns(self) -> tuple[str, ...]:
        return ("column", "value", "adds", "±") if self.errors.any() else ("column", "value", "adds")

    def _table(self, row: int, place: int) -> list[tuple[str, ...]]:
        found = self.strongest(row, self.labels[place] if self.labels else None)
        shown, rest = found[:_COLUMNS_SHOWN], found[_COLUMNS_SHOWN:]
        lines = [
            (printable(name), self._cell(row, name), _signed(value), show_number(margin))
            for name, value, margin in shown
        ]
        if rest:
            lines.append((f"{len(rest):,} others", "", _signed(sum(value for _, value, _ in rest)), ""))
        return [line[: len(self._columns)] for line in lines]

    def _heading(self, row: int, place: int) -> str:
        base, answer = show_number(float(self.base[place])), show_number(float(self.answers[row, place]))
        return f"Row {row}: {self._titled(place)} is {answer}, and {base} on average"

    def _titled(self, place: int) -> str:
        return f"{self.title}, here {printable(str(self.labels[place]))!r}" if self.labels else self.title

    def _named(self, row: int, name: str) -> str:
        cell = self._cell(row, name)
        return f"{printable(name)} = {cell}" if cell else printable(name)

    def _cell(self, row: int, name: str) -> str:
        if name not in self.cells.columns:
            return ""
        value = self.cells[row, name]
        if value is None or value == "":
            return "missing"
        if isinstance(value, float):
            return "missing" if np.isnan(value) else show_number(value)
        return printable(str(value), 40)

    def _row(self, row: int) -> int:
        if not 0 <= row < self.num_rows:
            raise UsageError(ErrorCode.USAGE, f"got row={row}", wanted=f"0 to {self.num_rows - 1}")
        return row

    def _label(self, row: int, label: Any) -> int:
        if not self.labels:
            return 0
        if label is None:
            return int(self.answers[row].argmax())
        names: Sequence[str] = [str(each) for each in self.labels]
        if str(label) not in names:
            known = ", ".join(map(repr, self.labels[:10]))
            raise UsageError(ErrorCode.USAGE, f"the explanation has no label {label!r}", wanted=f"one of {known}")
        return names.index(str(label))

    def _row_dict(self, row: int) -> dict[str, Any]:
        margins = self.margins[row]
        return {
            "answer": self.answers[row].tolist(),
            "contributions": {
                name: {
                    "value": self.values[row, place].tolist(),
                    "error": self.errors[row, place].tolist(),
                    "margin": margins[place].tolist(),
                }
                for place, name in enumerate(self.names)
            },
        }


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + show_number(value)
