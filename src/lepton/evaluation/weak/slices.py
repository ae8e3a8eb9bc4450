"""Parts of the rows in which a model is worse than in the rest, found by themselves and proven on rows set apart.

The rows are halved, whole groups together. Parts are looked for in one half and tested on the other, then the other way
round: the search may look at millions of parts, for none of its looks touches the rows that decide. Plain parts, one
value or a run of quarters of one column, are so few that each is tested on all rows. Each of these three families of
tests is corrected by Holm's method at a third of the level, so the chance that anything is told where nothing is weak
stays below the level. `docs/decisions/0251-slices-are-proven-on-rows-set-apart.md` has what other ways found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, UsageError, Work, printable
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import Estimate, intervals
from lepton.evaluation.classification import Floats
from lepton.evaluation.metrics import Metric, metric as metric_of
from lepton.evaluation.segments import MIN_ROWS
from lepton.evaluation.weak.conditions import CodedColumn, Condition, coded_column
from lepton.evaluation.weak.losses import row_losses
from lepton.evaluation.weak.search import rows_of, search
from lepton.evaluation.weak.significance import Excess, excess, holm
from lepton.report import Page, Table, Text, bars, plain_table, show_number, show_share

__all__ = ["Slice", "Slices", "find_slices"]

SEARCHED = 30_000
"""Rows of a half that are searched; all of the other half are tested."""
MIN_GROUPS = 10
_CELLS = 40_000_000
_RESAMPLES = 200
_FAMILIES = 3
_LOOK = 2.0
"""Standard errors below which a plain part is not tested, and counts as one that was with a p-value of 1."""
_SAME = 0.5
_INSIDE = 0.8
_NEW = 0.2
_AS_MUCH = 0.5
_TELLS = 0.01
_HEAD = ("rows where", "rows", "share", "metric", "the rest", "p")


@dataclass(frozen=True)
class Slice:
    """A part of the rows in which the model is worse.

    Attributes:
        conditions: what its rows share, all of them at once.
        num_rows: how many rows.
        share: of all rows.
        value: the metric on all its rows, with its 95 % interval.
        rest: the metric on all other rows; None where it is undefined.
        loss: how much higher the mean loss of a row is in it than outside, with its 95 % interval: on rows that the
            search has not seen, or for a plain part (one value or a run of quarters) on all.
        p_value: chance of so much or more where there is nothing, corrected for all parts that were tested.
        rows: which rows, a mask [N]; not in the JSON form.
    """

    conditions: tuple[Condition, ...]
    num_rows: int
    share: float
    value: Estimate
    rest: float | None
    loss: Estimate
    p_value: float
    rows: NDArray[np.bool_] = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """Its conditions in words."""
        return " and ".join(each.text for each in self.conditions)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "text": self.text,
            "conditions": [each.to_dict() for each in self.conditions],
            "num_rows": self.num_rows,
            "share": self.share,
            "value": self.value.to_dict(),
            "rest": self.rest,
            "loss": self.loss.to_dict(),
            "p_value": self.p_value,
        }


@dataclass(frozen=True)
class Slices:
    """The weak parts that were found, the worst evidence first.

    Attributes:
        found: the parts; empty where none was shown to be weak.
        metric: title of the metric that is told.
        loss: what the loss of a row is, in words.
        value: the metric on all rows.
        num_rows: rows that were judged.
        num_columns: columns whose values were tried.
        num_tested: parts that were tested, of all that the search looked at.
        level: the chance of telling any part where none is weak.
        notes: what limits all of this, in words.
    """

    found: tuple[Slice, ...]
    metric: str
    loss: str
    value: Estimate
    num_rows: int
    num_columns: int
    num_tested: int
    level: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "found": [each.to_dict() for each in self.found],
            "metric": self.metric,
            "loss": self.loss,
            "value": self.value.to_dict(),
            "num_rows": self.num_rows,
            "num_columns": self.num_columns,
            "num_tested": self.num_tested,
            "level": self.level,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        where = f"{self.num_rows:,} rows and {self.num_columns:,} columns"
        if not self.found:
            return f"No part of the rows was shown to be weaker than the rest ({where})."
        number = "One part" if len(self.found) == 1 else f"{len(self.found)} parts"
        is_are = "is" if len(self.found) == 1 else "are"
        return f"{number} of the rows {is_are} weaker than the rest ({where}); {self.metric} of all rows {self.value}."

    def text(self) -> str:
        """For people."""
        table = ["", plain_table(self._head(), self._rows(60))] if self.found else []
        return "\n".join([self.sentence, *table, *(f"  {note}" for note in self.notes)])

    def page(self) -> Page:
        """A page with the losses drawn."""
        page = Page("Weak parts of the rows", subtitle=self.sentence)
        if self.found:
            names = [each.text for each in self.found]
            losses = [0.0 if each.loss.value is None else each.loss.value for each in self.found]
            lower, upper = (
                [loss if end is None else end for loss, end in zip(losses, ends, strict=True)]
                for ends in ([e.loss.lower for e in self.found], [e.loss.upper for e in self.found])
            )
            title = f"How much higher the {self.loss} is than in the rest"
            figure = bars(
                names, losses, title=title, lower=lower, upper=upper, x_label="difference, with 95 % interval"
            )
            page.section("Parts", figure, Table(self._head(), self._rows(None)))
        for note in self.notes:
            page.section("Note", Text(note, "note"))
        return page

    def _repr_html_(self) -> str:
        return self.page().html()

    def _head(self) -> tuple[str, ...]:
        return tuple(self.metric if each == "metric" else each for each in _HEAD)

    def _rows(self, most: int | None) -> list[tuple[object, ...]]:
        return [
            (
                printable(each.text, most) if most else each.text,
                each.num_rows,
                show_share(each.share),
                str(each.value),
                show_number(each.rest),
                "< 0.0001" if each.p_value < 1e-4 else show_number(each.p_value, 2),
            )
            for each in self.found
        ]


def find_slices(
    answers: Answers,
    *,
    columns: Sequence[str] | None = None,
    metric: str | Metric | None = None,
    max_conditions: int = 3,
    min_rows: int = MIN_ROWS,
    level: float = 0.05,
    most: int = 20,
    seed: int = 0,
    work: Work | None = None,
) -> Slices:
    """Parts of the rows, by up to three conditions on columns, in which a model is worse than in the rest.

    Args:
        answers: truth and answers of N rows, with the columns that may tell parts apart.
        columns: those of `answers.columns` to look at; by default all.
        metric: what is told of each part, and which loss of a row is looked at; by default that of the task.
        max_conditions: how many conditions a part has at most, 1 to 3.
        min_rows: rows that a part has at least; where rows belong to groups, ten groups as well.
        level: chance of telling any part where none is weak.
        most: parts told at most.
        seed: of the halves.
        work: cancel and progress.

    Raises:
        DataError: an unknown column.
        UsageError: a metric that does not fit; conditions, rows or a level that cannot be.
    """
    work = Work.of(work)
    if max_conditions not in (1, 2, 3) or min_rows < 2 or not 0 < level < 1 or most < 1:
        came = f"got max_conditions={max_conditions}, min_rows={min_rows}, level={level}, most={most}"
        raise UsageError(ErrorCode.USAGE, came, wanted="1 to 3 conditions, 2 rows, a level between 0 and 1, 1 part")
    names = _names(answers, columns)
    measured = metric_of(metric, answers.task)
    losses = row_losses(answers, measured)
    coded = [each for name in names if (each := coded_column(answers.columns[name], min_rows=min_rows)) is not None]
    finding = _Finding(answers, losses.values, coded, max_conditions, min_rows, most, seed)
    notes = _notes(answers, names, coded, losses.values, finding, losses.cut)
    proven = finding.proven(level, work) if finding.possible else []
    told = finding.told(proven)[:most]
    total = intervals(
        {(): answers.score(measured)},
        answers.num_rows,
        undefined={(): measured.undefined},
        weight=answers.weight,
        groups=answers.groups,
        resamples=_RESAMPLES,
        seed=seed,
    )[()]
    found = tuple(_slice(answers, measured, each, coded, seed, work) for each in told)
    return Slices(
        found,
        measured.title,
        losses.title,
        total,
        answers.num_rows,
        len(coded),
        finding.num_tested,
        level,
        tuple(notes),
    )


@dataclass(frozen=True)
class _Proven:
    """A part that passed its test: its conditions, its rows, what the rows set apart say, and which they are."""

    spans: dict[int, tuple[int, int]]
    rows: NDArray[np.bool_]
    excess: Excess
    p_value: float
    apart: NDArray[np.bool_]


class _Finding:
    """Two halves, each searched and each deciding what the other has found."""

    def __init__(
        self,
        answers: Answers,
        losses: Floats,
        coded: Sequence[CodedColumn],
        max_conditions: int,
        min_rows: int,
        most: int,
        seed: int,
    ) -> None:
        self.answers, self.losses, self.coded = answers, losses, coded
        self.max_conditions, self.min_rows, self.most = max_conditions, min_rows, most
        self.random = np.random.default_rng([seed, 251])
        self.num_tested = 0
        num_rows, groups = answers.num_rows, answers.groups
        units = np.arange(num_rows) if groups is None else groups
        num_units = int(units.max(initial=-1)) + 1
        side = np.zeros(num_units, dtype=bool)
        side[self.random.permutation(num_units)[: num_units // 2]] = True
        self.first: NDArray[np.bool_] = side[units]
        self.possible = bool(
            coded
            and num_rows >= 2 * min_rows
            and (groups is None or num_units >= 2 * MIN_GROUPS)
            and np.ptp(losses) > 0
        )

    def proven(self, level: float, work: Work) -> list[_Proven]:
        """Parts of both directions whose corrected p-value is at most the level, the strongest evidence first."""
        found: list[_Proven] = []
        for turn, searched in enumerate((self.first, ~self.first)):
            found += [each for each in self.one_way(searched, work) if each.p_value <= level]
            work.report(turn + 1, 2, "halves", note="looking for weak parts")
        found.sort(key=lambda each: (each.p_value, -each.excess.z))
        plain = [each for each in self.plain() if each.p_value <= level]
        # What was searched fits better, so a plain part is told where it says more.
        return [*found, *sorted(plain, key=lambda each: (each.p_value, -each.excess.z))]

    def plain(self) -> list[_Proven]:
        """Single values and runs of quarters, tested on all rows."""
        spans = [(number, span) for number, column in enumerate(self.coded) for span in column.plain()]
        everything = np.ones(self.answers.num_rows, dtype=bool)
        weight = self.answers.weight
        weights = np.ones(len(self.losses)) if weight is None else weight / weight.mean()
        gaps = weights * (self.losses - np.average(self.losses, weights=weights))
        spread = float(gaps.std())
        tests = []
        for number, column in enumerate(self.coded):
            counts = np.bincount(column.codes, minlength=column.num_bins)
            sums = np.bincount(column.codes, weights=gaps, minlength=column.num_bins)
            for first, last in column.plain():
                count, total = int(counts[first : last + 1].sum()), float(sums[first : last + 1].sum())
                if count < self.min_rows or total <= _LOOK * spread * np.sqrt(count):
                    continue
                inside = (column.codes >= first) & (column.codes <= last)
                if self.enough(inside, MIN_GROUPS):
                    tests.append(({number: (first, last)}, inside, self.test(inside, ~inside)))
        self.num_tested += len(spans)
        corrected = holm([*(test.p_value for _, _, test in tests), *[1.0] * (len(spans) - len(tests))], looks=_FAMILIES)
        return [
            _Proven(spans, inside, test, p, everything)
            for (spans, inside, test), p in zip(tests, corrected, strict=False)
        ]

    def one_way(self, searched: NDArray[np.bool_], work: Work) -> list[_Proven]:
        """Search one half, test on the other."""
        rows = np.flatnonzero(searched)
        most = max(4 * self.min_rows, min(SEARCHED, _CELLS // max(1, len(self.coded))))
        if len(rows) > most:
            rows = np.sort(self.random.choice(rows, most, replace=False))
        weight = self.answers.weight
        boxes = search(
            [_of_rows(column, rows) for column in self.coded],
            self.losses[rows],
            weight=None if weight is None else weight[rows],
            max_conditions=self.max_conditions,
            min_rows=max(5, int(0.8 * self.min_rows * len(rows) / self.answers.num_rows)),
            work=work,
        )
        apart, tests = ~searched, []
        for box in boxes:
            inside = rows_of(self.coded, box.spans)
            if inside.sum() < self.min_rows or not self.enough(inside & apart):
                continue
            tests.append((box.spans, inside, self.test(inside & apart, apart & ~inside)))
        self.num_tested += len(tests)
        corrected = holm([test.p_value for _, _, test in tests], looks=_FAMILIES)
        return [
            _Proven(spans, inside, test, p, apart) for (spans, inside, test), p in zip(tests, corrected, strict=True)
        ]

    def enough(self, rows: NDArray[np.bool_], least: int = MIN_GROUPS // 2) -> bool:
        """Whether rows, and the groups they belong to, suffice to test a part."""
        if rows.sum() < 5:
            return False
        groups = self.answers.groups
        return groups is None or len(np.unique(groups[rows])) >= least

    def test(self, part: NDArray[np.bool_], rest: NDArray[np.bool_]) -> Excess:
        return excess(self.losses, part, rest, weight=self.answers.weight, groups=self.answers.groups)

    def told(self, proven: Sequence[_Proven]) -> list[_Proven]:
        """Those that say something that the ones before them do not."""
        told: list[_Proven] = []
        covered = np.zeros(self.answers.num_rows, dtype=bool)
        for each in proven:
            if self.adds(each, told, covered):
                told.append(each)
                covered |= each.rows
        return told

    def adds(self, one: _Proven, told: Sequence[_Proven], covered: NDArray[np.bool_]) -> bool:
        """Whether its rows beyond what was told are weak too, or it is weaker than the part that it lies in."""
        if any((one.rows & each.rows).sum() > _SAME * (one.rows | each.rows).sum() for each in told):
            return False
        around = [each for each in told if (one.rows & each.rows).sum() >= _INSIDE * one.rows.sum()]
        if around:
            parent = min(around, key=lambda each: int(each.rows.sum()))
            part, rest = one.rows & one.apart, parent.rows & ~one.rows & one.apart
            return self.test(part, rest).p_value < _TELLS
        new = one.rows & ~covered
        if new.sum() < max(self.min_rows, _NEW * one.rows.sum()):
            return False
        beyond = self.test(new & one.apart, one.apart & ~covered & ~one.rows)
        return beyond.p_value < _TELLS and beyond.value >= _AS_MUCH * one.excess.value


def _of_rows(column: CodedColumn, rows: NDArray[np.int64]) -> CodedColumn:
    return CodedColumn(
        column.name,
        column.codes[rows],
        column.num_bins,
        column.ordered,
        column.has_missing,
        column.lows,
        column.highs,
        column.values,
        column.coarse,
        column.kind,
        column.moments,
    )


def _slice(
    answers: Answers, measured: Metric, proven: _Proven, coded: Sequence[CodedColumn], seed: int, work: Work
) -> Slice:
    work.check()
    inside = proven.rows
    part = answers.only(inside)
    value = intervals(
        {(): part.score(measured)},
        part.num_rows,
        undefined={(): measured.undefined},
        weight=part.weight,
        groups=part.groups,
        resamples=_RESAMPLES,
        seed=seed,
    )[()]
    weight = np.ones(len(inside)) if answers.weight is None else answers.weight
    rest = float(answers.score(measured)((weight * ~inside)[None, :])[0])
    return Slice(
        tuple(coded[number].condition(span) for number, span in proven.spans.items()),
        part.num_rows,
        part.num_rows / answers.num_rows,
        value,
        rest if np.isfinite(rest) else None,
        proven.excess.estimate,
        proven.p_value,
        inside,
    )


def _names(answers: Answers, columns: Sequence[str] | None) -> list[str]:
    """Columns to look at."""
    if columns is None:
        return answers.columns.columns
    if isinstance(columns, str):
        raise UsageError(ErrorCode.USAGE, f"got columns={columns!r}", wanted=f"a list, such as [{columns!r}]")
    for name in columns:
        if name not in answers.columns.columns:
            known = ", ".join(printable(each, 40) for each in answers.columns.columns[:10])
            came = f"there is no column {printable(str(name))!r} among those that were kept"
            raise DataError(ErrorCode.UNKNOWN_COLUMN, came, wanted=f"some of {known}")
    return list(dict.fromkeys(columns))


def _notes(
    answers: Answers,
    names: Sequence[str],
    coded: Sequence[CodedColumn],
    losses: Floats,
    finding: _Finding,
    cut: bool,
) -> list[str]:
    said = []
    groups = answers.groups
    if not coded:
        said.append("No column tells rows apart: nothing can be concluded about parts.")
    elif answers.num_rows < 2 * finding.min_rows:
        said.append(
            f"There are {answers.num_rows:,} rows; a part needs {finding.min_rows}, and so does the rest: "
            "nothing can be concluded."
        )
    elif groups is not None and int(groups.max()) + 1 < 2 * MIN_GROUPS:
        number = int(groups.max()) + 1
        words = f"a part needs {MIN_GROUPS}, and so does the rest: nothing can be concluded."
        said.append(f"The rows belong to {number} groups; {words}")
    elif np.ptp(losses) == 0:
        said.append("Every row has the same loss: no part can be worse than another.")
    small = _too_small(answers.columns.select(names), finding.min_rows) if names else []
    if small:
        shown = "; ".join(f"{printable(name, 40)} ({number:,} values)" for name, number in small[:5])
        said.append(
            f"Nothing can be concluded about values with fewer than {finding.min_rows} rows; there are some in {shown}."
        )
    if cut:
        said.append("The largest half per cent of the losses count as what lies below them.")
    return said


def _too_small(frame: pl.DataFrame, min_rows: int) -> list[tuple[str, int]]:
    """Columns of categories with values that have too few rows, and how many values."""
    found = []
    for column in frame.iter_columns():
        if column.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
            continue
        counts = column.drop_nulls().alias("value").value_counts(name="rows")["rows"]
        if number := int((counts < min_rows).sum()):
            found.append((column.name, number))
    return found
