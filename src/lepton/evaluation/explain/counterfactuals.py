"""What would have to be different for a row to get another answer: the nearest rows that are possible.

A counterfactual says what the model would answer, not what would come to pass: columns are changed as if nothing else
followed from it (Wachter, Mittelstadt & Russell, "Counterfactual explanations without opening the black box", 2018;
several that are unlike each other: Mothilal, Sharma & Tan, "DiCE", 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import Predictor, TableInputs
from lepton.bundle.containers import read_rows
from lepton.core import ErrorCode, UsageError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.classification import label_positions
from lepton.evaluation.explain.choices import Choices, choices_of, occurring, told
from lepton.evaluation.explain.counterfactual_search import Change, Search, Searched
from lepton.evaluation.explain.wishes import Wish, wish_of
from lepton.report import Page, Points, Table, Text, bars, plain_table, show_number, show_value

__all__ = ["ColumnChange", "Counterfactual", "Counterfactuals", "counterfactuals"]

_MOST_CHANGES = 6
_CAUTION = "This is what the model would answer. What would come to pass if the columns were changed, it does not know."


@dataclass(frozen=True)
class ColumnChange:
    """One column of a counterfactual.

    Attributes:
        column: its name.
        before: the row's value; None where it is missing.
        after: the value in its place.
        steps: how far that is, in units of the column's spread; 1 for a category.
    """

    column: str
    before: Any
    after: Any
    steps: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "column": self.column, "before": _plain(self.before), "after": _plain(self.after), "steps": self.steps,
        }  # fmt: skip

    def __str__(self) -> str:
        before, after = (printable(show_value(_plain(value)), 60) for value in (self.before, self.after))
        return f"{printable(self.column, 80)}: {before} → {after}"


@dataclass(frozen=True)
class Counterfactual:
    """A row near the one that was asked about, and its answer.

    Attributes:
        changes: what is different.
        answer: label, or number, that the model gives it.
        value: the number beside it, see `Counterfactuals.of_value`.
        distance: sum of the changes in units of the columns' spreads.
        row: all of it, as `Model.predict` takes it.
    """

    changes: tuple[ColumnChange, ...]
    answer: Any
    value: float | None
    distance: float
    row: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "changes": [each.to_dict() for each in self.changes],
            "answer": self.answer,
            "value": self.value,
            "distance": self.distance,
            "row": {name: _plain(value) for name, value in self.row.items()},
        }

    def __str__(self) -> str:
        return "; ".join(map(str, self.changes))


@dataclass(frozen=True)
class Counterfactuals:
    """The nearest rows that get the wanted answer; made by `counterfactuals`.

    Attributes:
        model: its name.
        row: what was asked about.
        answer: what the model answers it.
        value: the number beside that.
        wanted: the answer that was sought, in words.
        of_value: what `value` is, in words.
        found: rows with that answer, each verified by the model, those of the fewest changes first.
        nearest: where there is none, the row that came nearest to it; not one with the answer.
        reason: why there is none, or fewer than were asked for; "" where nothing is to be said.
        fixed: columns that were not changed, and why.
        asked: rows that the model answered in the search.
        complete: up to so many changed columns, all combinations of the values looked at were tried.
    """

    model: str
    row: Mapping[str, Any]
    answer: Any
    value: float | None
    wanted: str
    of_value: str
    found: tuple[Counterfactual, ...]
    nearest: Counterfactual | None
    reason: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    asked: int = 0
    complete: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "row": {name: _plain(value) for name, value in self.row.items()},
            "answer": self.answer,
            "value": self.value,
            "wanted": self.wanted,
            "of_value": self.of_value,
            "found": [each.to_dict() for each in self.found],
            "nearest": None if self.nearest is None else self.nearest.to_dict(),
            "reason": self.reason,
            "fixed": dict(self.fixed),
            "asked": self.asked,
            "complete": self.complete,
        }

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page().html()

    def text(self) -> str:
        """For people."""
        lines = [f"{self._answered()} For {self.wanted}:", ""]
        rows = [(number, str(each), self._told(each)) for number, each in enumerate(self.found, 1)]
        if rows:
            lines += [plain_table(("", "change", self.of_value), rows), ""]
        return "\n".join([*lines, *self._notes()])

    def page(self) -> Page:
        """A page with the changes."""
        page = Page(f"What would change an answer of {self.model}", subtitle=self._answered())
        for number, each in enumerate(self.found, 1):
            table = Table(
                ("column", "before", "after", "steps of its spread"),
                [(c.column, _plain(c.before), _plain(c.after), c.steps) for c in each.changes],
            )
            lead = Text(f"{self.of_value}: {self._told(each)}", tone="lead")
            page.section(f"{number}. Change {_columns(each)}", lead, table)
        drawn = [*self.found, *([] if self.nearest is None else [self.nearest])]
        if drawn:
            names = ["as it is", *(str(number) for number in range(1, len(self.found) + 1))]
            names += ["nearest try"] if self.nearest is not None else []
            values = np.array([_number(self.value), *(_number(each.value) for each in drawn)])
            page.section("Answers", bars(names, values, title=self.of_value[:1].upper() + self.of_value[1:]))
        if self.fixed:
            kept = [f"{name}: {reason}" for name, reason in self.fixed.items()]
            page.section("Columns that were not changed", Points(kept))
        page.section("Notes", Points(self._notes()))
        return page

    def _answered(self) -> str:
        shown = printable(show_value(self.answer), 80)
        beside = "" if self.answer == self.value else f" ({self.of_value}: {show_number(self.value)})"
        return f"The model answers {shown}{beside}."

    def _told(self, each: Counterfactual) -> str:
        return show_number(each.value)

    def _notes(self) -> list[str]:
        notes = [self.reason] if self.reason else []
        if self.nearest is not None:
            notes.append(f"The nearest try: {self.nearest}, where {self.of_value} is {self._told(self.nearest)}.")
        if self.asked:
            notes.append(f"{self.asked:,} rows were asked, changed to values that occur.")
        if self.complete:
            notes.append(f"All combinations of the values looked at were tried, of up to {_so_many(self.complete)}.")
        if self.fixed:
            shown = ", ".join(f"{printable(name, 60)} ({why})" for name, why in list(self.fixed.items())[:8])
            more = f" and {len(self.fixed) - 8:,} more" if len(self.fixed) > 8 else ""
            notes.append(f"Not changed: {shown}{more}.")
        return [*notes, _CAUTION]


def counterfactuals(
    predictor: Predictor,
    row: Any,
    *,
    wanted: Any = None,
    k: int = 3,
    immutable: Sequence[str] = (),
    ranges: Mapping[str, Any] | None = None,
    max_changes: int | None = None,
    data: Dataset | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Counterfactuals:
    """The nearest rows that get the wanted answer: few changed columns first, then small changes, k unlike each other.

    Args:
        predictor: an opened model of a table.
        row: one row, as `Model.predict` takes rows.
        wanted: None for any other label; a label, or a list of labels of which each will do; `{label: 0.7}` for a
            probability of at least that, `{label: (low, high)}` for one in a range; of numbers `(low, high)`, either
            of which may be None.
        k: how many are wanted, at most.
        immutable: columns that must stay as they are.
        ranges: what a column may be changed to: `(low, high)`, either of which may be None, `"up"`, `"down"`, or a
            list of values.
        max_changes: columns that may be changed at once; by default 6.
        data: rows whose values are tried; by default those that the bundle's statistics of the training rows tell.
        seed: of what is drawn.
        work: cancel, progress and time; when it is over, what was found until then is given.

    Raises:
        UsageError: another kind of model; no single row; a wish or a range that makes no sense; nothing is known of
            any column's values.
        DataError: a column that the model does not take.
        SchemaError: the row does not fit the model.
    """
    work = Work.of(work)
    inputs = _table_inputs(predictor)
    _check_counts(k, max_changes)
    own = _one_row(inputs, row)
    tensors = predictor.tensors(own)
    given = predictor.run(tensors)
    position = None
    if predictor.task.classifies and not predictor.task.several:
        position = int(label_positions(given["prediction"], predictor.manifest.labels or (), "the prediction")[0])
    wish = wish_of(predictor, wanted, position)
    known = occurring(predictor, inputs, data, seed)
    stay = (immutable,) if isinstance(immutable, str) else tuple(immutable)
    choices = choices_of(inputs, tensors, known, stay, dict(ranges or {}))
    judged, answer = wish.judge(given), wish.answers(given)[0]
    done = Searched((), None, 0, 0)
    telling = _Telling(predictor, inputs, own, wish, choices)
    if not judged.met[0]:
        if not known and not choices.columns and len(stay) < len(inputs.names):
            raise UsageError(
                ErrorCode.USAGE,
                "nothing is known of the values that the columns have",
                wanted="statistics in the model file, or rows with its columns",
                fix="give data=",
            )
        most = min(max_changes or _MOST_CHANGES, len(choices.columns))
        search = Search(predictor, wish, tensors, choices.columns, most, k, seed, work)
        done = search.run()
        telling.search = search
    found = telling.each(done.found)
    return Counterfactuals(
        predictor.manifest.name,
        own.row(0, named=True),
        answer,
        _told_number(judged.value[0]),
        wish.title,
        wish.of_value,
        tuple(each for each, met in found if met),
        None if done.nearest is None else telling.each([done.nearest])[0][0],
        _reason(bool(judged.met[0]), choices, sum(met for _, met in found), k, max_changes, done.beyond, work),
        choices.fixed,
        done.asked,
        done.complete,
    )


def _reason(
    met: bool, choices: Choices, num_found: int, k: int, max_changes: int | None, beyond: int, work: Work
) -> str:
    if met:
        return "The row has the wanted answer already; nothing is to be changed."
    if not choices.columns:
        return "No column may be changed, so there is no other row to ask about."
    most = _so_many(min(max_changes or _MOST_CHANGES, len(choices.columns)))
    if work.stopped:
        return f"The time was over: {num_found} of {k} found, and there may be nearer ones."
    if num_found == 0:
        more = f" One of {beyond} columns does: max_changes={beyond}." if beyond else ""
        return f"No change of up to {most} was found that gives the wanted answer within these limits.{more}"
    if num_found < k:
        return f"{num_found} of {k} found; all other ways that were met change the same columns, or these and more."
    return ""


class _Telling:
    """Makes records of changes, and asks the model once more for each, the way that a user would."""

    search: Search | None = None

    def __init__(
        self, predictor: Predictor, inputs: TableInputs, own: pl.DataFrame, wish: Wish, choices: Choices
    ) -> None:
        self._predictor, self._inputs, self._own = predictor, inputs, own
        self._wish, self._choices = wish, choices.columns

    def each(self, changes: Sequence[Change]) -> list[tuple[Counterfactual, bool]]:
        """The record of each change, and whether it has the wanted answer."""
        if not changes or self.search is None:
            return []
        before = self._own.row(0, named=True)
        rows, steps = [], []
        for change in changes:
            after = dict(before)
            columns = []
            for place, pick in change:
                choice = self._choices[place]
                name = choice.column.name
                after[name] = told(choice.column, choice.values[pick])
                columns.append(ColumnChange(name, before[name], after[name], float(choice.distances[pick])))
            rows.append(after)
            steps.append(tuple(columns))
        given = self._predictor.outputs([{name: row[name] for name in self._inputs.names} for row in rows])
        judged, answers = self._wish.judge(given), self._wish.answers(given)
        return [
            (
                Counterfactual(columns, answer, _told_number(value), self.search.distance(change), row),
                bool(met),
            )
            for columns, answer, value, change, row, met in zip(
                steps, answers, judged.value, changes, rows, judged.met, strict=True
            )
        ]


def _table_inputs(predictor: Predictor) -> TableInputs:
    if not isinstance(predictor.inputs, TableInputs):
        what = predictor.inputs.kind if hasattr(predictor.inputs, "kind") else predictor.task.name
        raise UsageError(
            ErrorCode.USAGE,
            f"got a model of {what or 'tensors'}",
            wanted="a model of tables, whose columns can be changed one by one",
        )
    return predictor.inputs


def _check_counts(k: Any, max_changes: Any) -> None:
    for name, value in (("k", k), ("max_changes", max_changes)):
        if value is None and name == "max_changes":
            continue
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise UsageError(ErrorCode.USAGE, f"got {name}={value!r}", wanted="a whole number of at least 1")


def _one_row(inputs: TableInputs, row: Any) -> pl.DataFrame:
    """The model's columns of one row, as they came."""
    read = read_rows(row, inputs.names)
    if read.num_rows != 1:
        raise UsageError(
            ErrorCode.USAGE, f"got {read.num_rows:,} rows", wanted="one row", fix="rows[:1], or a dict of its values"
        )
    columns = {}
    for name in inputs.names:
        values = read.columns[name]
        columns[name] = values.alias(name) if isinstance(values, pl.Series) else pl.Series(name, values, strict=False)
    return pl.DataFrame(columns)


def _columns(each: Counterfactual) -> str:
    return " and ".join(change.column for change in each.changes)


def _so_many(count: int) -> str:
    return f"{count} column{'' if count == 1 else 's'}"


def _told_number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _plain(value: Any) -> Any:
    """As JSON holds it: numbers, booleans and texts as they are, all else as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | bool | int) else str(value)
