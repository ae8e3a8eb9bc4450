"""One rule over rows of a table: each row changed in every way that is tried, and the worst of these kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.evaluation.answers import Answers
from lepton.evaluation.classification import Floats
from lepton.evaluation.robustness.asking import Replies, ask
from lepton.evaluation.robustness.binding import BoundRule
from lepton.evaluation.robustness.metamorphic_result import Example
from lepton.evaluation.robustness.trials import differing

__all__ = ["Checked", "Checker"]

_CELLS = 12


@dataclass
class Checked:
    """What became of N rows.

    Attributes:
        excess: by how much each breaks the rule [N]: above 0 it does; -inf where it was not changed, or refused.
        changed: rows that the change changed [N].
        refused: rows whose changed form the model refused [N].
        reason: why, or "".
        before: the rows.
        after: how they became, each in its worst way.
        answers: what was answered before and after, for each row that was changed.
    """

    excess: Floats
    changed: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    reason: str
    before: pl.DataFrame
    after: pl.DataFrame
    answers: list[tuple[str | float, str | float] | None]

    def worst(self, most: int) -> list[int]:
        """Places of the rows that break the rule, the worst first."""
        order = np.argsort(-self.excess, kind="stable")[:most]
        return [int(place) for place in order if self.excess[place] > 0]


class Checker:
    """Changes rows as a rule says, asks the model, and compares.

    Args:
        bound: the rule.
        predictor: the model.
        rows: the data, whose values stand for those that occur.
        inputs: columns of the rows that the model takes.
        like: answers of the model.
    """

    def __init__(
        self, bound: BoundRule, predictor: Predictor, rows: pl.DataFrame, inputs: list[str], like: Answers
    ) -> None:
        self.bound, self.predictor, self.inputs, self.like = bound, predictor, inputs, like
        self.columns = [change.column for change in bound.changes]
        self.known = {name: rows[name].drop_nulls().unique().sort() for name in self.columns}
        self.spreads: Mapping[str, float] = {name: _spread(rows[name]) for name in self.columns}
        self.num_variants = max(each.num_variants(self.known[each.column]) for each in bound.changes)

    def changed(self, rows: pl.DataFrame, variant: int, generator: np.random.Generator) -> pl.DataFrame:
        """Rows as the rule changes them."""
        return rows.with_columns(
            each.apply(rows[each.column], variant, self.known[each.column], self.spreads[each.column], generator)
            for each in self.bound.changes
        )

    def check(
        self, rows: pl.DataFrame, before: Replies, generator: np.random.Generator, variants: int | None = None
    ) -> Checked:
        """Change and compare N rows that the model has answered already, in all ways, or in some drawn ones."""
        num_rows = rows.height
        found = Checked(
            np.full(num_rows, -np.inf),
            np.zeros(num_rows, dtype=bool),
            np.zeros(num_rows, dtype=bool),
            "",
            rows,
            rows.select(self.columns),
            [None] * num_rows,
        )
        tried = (
            range(self.num_variants)
            if variants is None
            else generator.integers(self.num_variants, size=variants).tolist()
        )
        for variant in tried:
            self._variant(rows, before, variant, generator, found)
        return found

    def _variant(
        self, rows: pl.DataFrame, before: Replies, variant: int, generator: np.random.Generator, found: Checked
    ) -> None:
        changed = self.changed(rows, variant, generator)
        apart = differing(rows.select(self.columns), changed).to_numpy() & before.answered
        places = np.flatnonzero(apart)
        if not len(places):
            return
        after = ask(self.predictor, changed[places].select(self.inputs), self.like)
        first = _only(before, places)
        excess = np.where(after.answered, self.bound.expects.excess(first, after), -np.inf)
        found.changed[places] = True
        found.refused[places] |= ~after.answered
        found.reason = found.reason or after.reason
        worse = excess > found.excess[places]
        if not worse.any():
            return
        taken = np.zeros(len(apart), dtype=bool)
        taken[places[worse]] = True
        mask = pl.Series(taken)
        found.after = pl.DataFrame(
            [
                changed[name].cast(found.after[name].dtype, strict=False).zip_with(mask, found.after[name])
                if not found.after[name].dtype.is_integer()
                else changed[name].cast(pl.Float64).zip_with(mask, found.after[name].cast(pl.Float64))
                for name in self.columns
            ]
        )
        for at in np.flatnonzero(worse).tolist():
            place = int(places[at])
            found.excess[place] = excess[at]
            if excess[at] > 0:
                shown = self.bound.expects.shown
                found.answers[place] = (shown(first, at), shown(after, at))

    def example(self, found: Checked, place: int, row: int | None) -> Example:
        """A row that breaks the rule, for people."""
        others = [name for name in self.inputs if name not in self.columns][: max(_CELLS - len(self.columns), 0)]
        before = found.before[place].select([*self.columns, *others]).to_dicts()[0]
        after = found.after[place].to_dicts()[0]
        answers = found.answers[place] or ("", "")
        return Example(row, _plain(before), _plain(after), answers, float(found.excess[place]))


def _only(replies: Replies, places: NDArray[Any]) -> Replies:
    return Replies(
        replies.predicted[places],
        None if replies.probabilities is None else replies.probabilities[places],
        {name: values[places] for name, values in replies.beside.items()},
        replies.answered[places],
    )


def _spread(column: pl.Series) -> float:
    if not column.dtype.is_numeric():
        return 0.0
    values = column.cast(pl.Float64).drop_nulls().to_numpy()
    finite = values[np.isfinite(values)]
    return float(finite.std()) if len(finite) else 0.0


def _plain(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Cells as JSON takes them."""
    out: dict[str, Any] = {}
    for name, value in cells.items():
        if isinstance(value, float) and not np.isfinite(value):
            out[name] = None
        else:
            out[name] = value if isinstance(value, str | int | float | bool | None) else str(value)
    return out
