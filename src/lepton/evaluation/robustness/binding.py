"""A rule bound to one model and one table: its columns are there, its changes fit their kinds, and it can be broken."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from lepton.bundle import Predictor
from lepton.core import ErrorCode, Kind, LeptonError, Schema, UsageError, printable
from lepton.data import Dataset
from lepton.data.recipes.expressions import Expression, parse
from lepton.evaluation.robustness.changes import Change, read_change, read_transform
from lepton.evaluation.robustness.expecting import Expectation, expectation_of
from lepton.evaluation.robustness.naming import kind_of
from lepton.evaluation.robustness.pictures import PICTURES
from lepton.evaluation.robustness.rules import MetamorphicRule
from lepton.evaluation.robustness.sounds import SOUNDS

__all__ = ["BoundRule", "bind", "refuse_contradictions"]


@dataclass(frozen=True)
class BoundRule:
    """A rule and what it means here.

    Attributes:
        rule: as it was written.
        changes: of columns, or the one of a picture or a sound.
        expects: what the answers must do.
        condition: which rows it is about, or None.
        schema: kinds of the columns of the table.
        taken: whether the model takes any of the columns that are changed.
    """

    rule: MetamorphicRule
    changes: tuple[Change, ...]
    expects: Expectation
    condition: Expression | None
    schema: Schema
    taken: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that it needs."""
        condition = () if self.condition is None else self.condition.columns
        return tuple(dict.fromkeys((*(each.column for each in self.changes if each.column), *condition)))

    def fits(self, rows: pl.DataFrame) -> pl.Series:
        """Which rows it is about [N]."""
        if self.condition is None:
            return pl.Series("fits", [True] * rows.height, dtype=pl.Boolean)
        return rows.select(fits=self.condition.polars(self.schema))["fits"].fill_null(False)

    @property
    def heading(self) -> int:
        """1 where it says that the answer may only rise with a column, -1 where it may only fall, 0 otherwise."""
        order = {"not_decreasing": 1, "not_increasing": -1}.get(self.rule.form, 0)
        return order * (self.changes[0].direction if len(self.changes) == 1 else 0)


def bind(rule: MetamorphicRule, number: int, predictor: Predictor, dataset: Dataset) -> BoundRule:
    """Bind rule `number` of a list.

    Raises:
        UsageError: unknown columns, with the closest name; a change that does not fit its column; one that changes
            nothing; a condition that is none; a label that the model has not.
    """
    try:
        kind = kind_of(predictor)
        condition = parse(rule.where) if rule.where else None
        if condition is not None and (found := condition.kind(dataset.schema)) is not Kind.BOOLEAN:
            raise _bad(f"where: {printable(rule.where, 80)!r} gives a {found}", "a condition, as in age > 30")
        changes = (
            _transforms(rule, predictor, kind) if rule.transform else _changes(rule, predictor, dataset, kind)
        )  # fmt: skip
        if all(change.idle() for change in changes):
            raise _bad("the rule changes nothing: no row becomes another one", "a change that is none of +0 and x1")
        expects = expectation_of(rule, predictor)
    except LeptonError as error:
        raise UsageError(
            ErrorCode.BAD_RULE, f"rule {number} ({rule}): {error.came}", wanted=error.wanted, fix=error.fix
        ) from None
    inputs = {column.name for column in predictor.manifest.inputs}
    taken = kind in ("picture", "sound") or any(change.column in inputs for change in changes)
    return BoundRule(rule, changes, expects, condition, dataset.schema, taken)


def _transforms(rule: MetamorphicRule, predictor: Predictor, kind: str) -> tuple[Change, ...]:
    if kind in ("picture", "sound"):
        return (read_transform("", rule.transform, PICTURES if kind == "picture" else SOUNDS),)
    texts = [column.name for column in predictor.manifest.inputs if column.kind is Kind.TEXT]
    if not texts:
        raise _bad(f"got transform: {printable(rule.transform, 60)!r} for a model without texts", "change: of columns")
    return tuple(read_transform(name, rule.transform) for name in texts)


def _changes(rule: MetamorphicRule, predictor: Predictor, dataset: Dataset, kind: str) -> tuple[Change, ...]:
    if kind in ("picture", "sound"):
        known = PICTURES if kind == "picture" else SOUNDS
        raise _bad(f"got change for a model of {kind}s", "transform: one of " + ", ".join(known))
    inputs = {column.name: column.kind for column in predictor.manifest.inputs}
    out = []
    for column, written in rule.change.items():
        if column not in dataset.schema:
            names = list(dict.fromkeys((*inputs, *dataset.schema.names)))
            close = difflib.get_close_matches(column, names, n=1)
            came = f"there is no column {printable(column, 80)!r}"
            fix = f"did you mean {printable(close[0], 80)!r}?" if close else ""
            raise UsageError(ErrorCode.BAD_RULE, came, wanted="a column of the data", fix=fix)
        out.append(read_change(column, written, inputs.get(column, dataset.schema[column].kind)))
    return tuple(out)


def refuse_contradictions(bound: Sequence[BoundRule]) -> None:
    """Refuse rules that can hold together only where the answer does not depend on what they change.

    Raises:
        UsageError: naming the two.
    """
    for number, second in enumerate(bound, 1):
        for earlier, first in enumerate(bound[: number - 1], 1):
            about = [(each.rule.label, each.rule.where) for each in (first, second)]
            columns = [tuple(change.column for change in each.changes) for each in (first, second)]
            if about[0] != about[1] or columns[0] != columns[1]:
                continue
            forms = {first.rule.form, second.rule.form}
            opposite = forms == {"not_decreasing", "not_increasing"} and first.changes == second.changes
            if opposite or first.heading * second.heading < 0:
                raise UsageError(
                    ErrorCode.BAD_RULE,
                    f"rules {earlier} and {number} contradict each other: {first.rule}; {second.rule}",
                    wanted="rules that a model can keep whose answer depends on what they change",
                    fix="answer: same, if it shall not depend on it; else leave one of them out",
                )


def _bad(came: str, wanted: str) -> UsageError:
    return UsageError(ErrorCode.BAD_RULE, came, wanted=wanted)
