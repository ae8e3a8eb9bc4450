"""Categories as the mean of the target in their rows, without letting a row see its own target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from lepton.core import DataError, ErrorCode, Kind, Schema, UsageError
from lepton.data.recipes.base import Applied, BoundStep, Learner, OwnRows, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.steps.lookup import LookedUp, with_replaced

__all__ = ["TargetEncode"]

_FOLDS = 5
_MOST_CLASSES = 50
_HELD = 1_000_000
"""Values of a column that are counted at once; of more the rarer half is left out."""
_NAMES = (Kind.CATEGORY, Kind.IDENTIFIER)
_TARGETS = (Kind.NUMBER, Kind.BOOLEAN, Kind.CATEGORY)
_SUMS = {"value": pl.String, "fold": pl.Int64, "class": pl.String, "rows": pl.Int64, "sum": pl.Float64}
_DEALT = {"value": pl.String, "dealt": pl.Int64}


@dataclass(frozen=True)
class TargetEncode(RecipeStep):
    """Replace each category by the mean of the target in its rows, drawn towards the mean of all rows.

    The mean of a number, or the share of true; of a category with two values the share of the second, in their
    order; with more, a column for the share of each. A category of n rows with the sum s becomes
    (s + smooth · mean) / (n + smooth), and one that was not learned the mean of all. Missing is a category of its own.

    In the rows that were learned from, the own target must not tell: the rows of each category are dealt to five
    folds in turn, and a row becomes what the other four say. New rows, also these rows once more, get what all rows
    say. So fit on training rows alone, and judge a model on rows that came by `transform`.

    Attributes:
        columns: the columns; () for every category column but the target.
        target: the column whose mean is taken; rows in which it is missing or infinite do not count.
        smooth: how many rows the mean of all counts for.
        max_categories: at most so many values of a column are learned, the most frequent.
    """

    name: ClassVar[str] = "target_encode"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...] = ()
    target: str = ""
    smooth: float = 10.0
    max_categories: int = 10_000

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns and the target."""
        return (*self._columns(schema), self.target)

    def _columns(self, schema: Schema) -> tuple[str, ...]:
        if not self.target or self.target in self.columns:
            came = f"target_encode: got target={self.target!r}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="a column that is not encoded itself")
        if not (0 <= self.smooth < math.inf and self.max_categories >= 1):
            came = f"target_encode: got smooth={self.smooth:g} and max_categories={self.max_categories}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="0 or more, and at least 1")
        chosen_columns(schema, (self.target,), _TARGETS, self.name)
        names = chosen_columns(schema, self.columns, _NAMES, self.name, default=(Kind.CATEGORY,))
        return tuple(name for name in names if name != self.target)

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """Sums of the target."""
        return _Sums(self._columns(schema), schema[self.target].kind, self)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self._columns(schema)
        classes, means = learned["classes"], learned["means"]
        made = tuple((name,) if classes is None else tuple(_label(name, each) for each in classes) for name in columns)
        after = with_replaced(self.name, schema, columns, made)
        tables = tuple(
            {text: tuple(map(float, numbers)) for text, numbers in learned["encodings"][name].items()}
            for name in columns
        )
        return LookedUp(schema, columns, made, after, tables, tuple(map(float, means)))


def _label(column: str, value: str) -> str:
    return f"{column}: {value}"[:128]


class _Sums(Learner):
    """Rows and sums of the target by column, value, fold and class.

    A table of a column has `value`, `fold`, `class` ("" of numbers), `rows` and `sum`; another one how many rows of
    each value were dealt. Folds are dealt in turn, value by value: so parts merge by shifting those of the later one.
    """

    def __init__(self, columns: Sequence[str], kind: Kind, step: TargetEncode) -> None:
        self._encoded = tuple(columns)
        self.columns = (*self._encoded, step.target)
        self._classifies = kind is Kind.CATEGORY
        self._step = step
        self._sums = {name: pl.DataFrame(schema=_SUMS) for name in self._encoded}
        self._dealt = {name: pl.DataFrame(schema=_DEALT) for name in self._encoded}
        self._told: list[str] = []  # classes that have a column
        self._means: list[float] = []

    def update(self, frame: pl.DataFrame) -> None:
        for name in self._encoded:
            rows, counts = _dealt(frame, name, self._step.target, self._classifies, self._dealt[name])
            # In their order: sums of floating-point numbers depend on it.
            grouped = rows.group_by("value", "fold", "class", maintain_order=True)
            self._add(name, grouped.agg(rows=pl.len().cast(pl.Int64), sum=pl.col("sum").sum()), counts)

    def merge(self, other: Self) -> None:
        for name, sums in other._sums.items():
            shifted = sums.join(self._dealt[name], on="value", how="left", maintain_order="left")
            fold = (pl.col("fold") + pl.col("dealt").fill_null(0)) % _FOLDS
            self._add(name, shifted.with_columns(fold=fold).select(sums.columns), other._dealt[name])

    def _add(self, name: str, sums: pl.DataFrame, dealt: pl.DataFrame) -> None:
        both = pl.concat([self._sums[name], sums]).group_by("value", "fold", "class", maintain_order=True)
        sums = both.agg(pl.col("rows", "sum").sum())
        dealt = _together(self._dealt[name], dealt)
        if dealt.height > _HELD:
            dealt = _frequent(dealt, _HELD // 2)
            sums = sums.join(dealt, on="value", how="semi", maintain_order="left")
        self._sums[name], self._dealt[name] = sums, dealt

    def finish(self) -> dict[str, Any]:
        every = self._sums[self._encoded[0]] if self._encoded else pl.DataFrame(schema=_SUMS)
        rows = int(every["rows"].sum())
        totals = dict(every.group_by("class", maintain_order=True).agg(pl.col("sum").sum()).sort("class").rows())
        classes = list(totals)
        if len(classes) > _MOST_CLASSES:
            raise DataError(
                ErrorCode.BAD_TARGET,
                f"target_encode: the target {self._step.target!r} has {len(classes):,} different values",
                wanted=f"a number, a boolean, or at most {_MOST_CLASSES} categories",
            )
        several = self._classifies and len(classes) > 2
        self._told = classes if several else classes[1:] or [""]
        self._means = [totals.get(each, 0.0) / max(rows, 1) for each in self._told]
        for name in self._encoded:
            kept = _frequent(self._dealt[name], self._step.max_categories)
            self._sums[name] = self._sums[name].join(kept, on="value", how="semi", maintain_order="left")
        encodings = {
            name: {value: numbers for value, *numbers in self._encodings(sums).sort("value").iter_rows()}
            for name, sums in self._sums.items()
        }
        return {"classes": classes if several else None, "means": self._means, "encodings": encodings}

    def _encodings(self, sums: pl.DataFrame) -> pl.DataFrame:
        """The smoothed means of each value, one column for each class that is told: "0", "1" and so on."""
        smooth, rows = self._step.smooth, pl.col("rows").sum()
        return sums.group_by("value", maintain_order=True).agg(
            ((pl.col("sum").filter(pl.col("class") == told).sum() + smooth * mean) / (rows + smooth)).alias(str(place))
            for place, (told, mean) in enumerate(zip(self._told, self._means, strict=True))
        )

    def own_rows(self, bound: BoundStep) -> OwnRows | None:
        """What the folds say in which a row is not."""
        assert isinstance(bound, LookedUp)  # noqa: S101 - made by `bind`
        tables = {
            name: pl.concat(
                self._encodings(sums.filter(pl.col("fold") != fold)).with_columns(fold=pl.lit(fold, pl.Int64))
                for fold in range(_FOLDS)
            )
            for name, sums in self._sums.items()
        }
        return lambda: _OwnPass(bound, tables, self._step.target, self._classifies)


class _OwnPass:
    """One pass over the rows that were learned from: each gets what the folds say in which it is not."""

    def __init__(self, bound: LookedUp, tables: Mapping[str, pl.DataFrame], target: str, classifies: bool) -> None:
        self._bound, self._tables, self._target, self._classifies = bound, tables, target, classifies
        self._dealt = {name: pl.DataFrame(schema=_DEALT) for name in bound.columns}

    def __call__(self, frame: pl.DataFrame) -> Applied:
        after = self._bound.apply(frame).frame
        made = []
        for name, names in zip(self._bound.columns, self._bound.made, strict=True):
            rows, counts = _dealt(frame, name, self._target, self._classifies, self._dealt[name])
            self._dealt[name] = _together(self._dealt[name], counts)
            found = rows.join(self._tables[name], on=["value", "fold"], how="left", maintain_order="left")
            for place, (new, mean) in enumerate(zip(names, self._bound.others, strict=True)):
                values = found[str(place)].fill_null(mean)
                made.append(after[new].clone().scatter(found["place"], values))
        return Applied(after.with_columns(made))


def _dealt(
    frame: pl.DataFrame, name: str, target: str, classifies: bool, before: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows with a target, with value, place, class, number and fold; and how many there are of each value."""
    truth = frame[target]
    rows = pl.DataFrame(
        {
            "value": frame[name].fill_null(""),
            "place": np.arange(frame.height),
            "class": truth if classifies else pl.repeat("", frame.height, dtype=pl.String, eager=True),
            "sum": truth.is_not_null().cast(pl.Float64) if classifies else truth.cast(pl.Float64),
        }
    ).filter(pl.col("class").is_not_null() & pl.col("sum").is_finite())
    rows = rows.join(before, on="value", how="left", maintain_order="left")
    turn = pl.int_range(pl.len(), dtype=pl.Int64).over("value") + pl.col("dealt").fill_null(0)
    rows = rows.with_columns(fold=turn % _FOLDS)
    return rows, rows.group_by("value", maintain_order=True).agg(dealt=pl.len().cast(pl.Int64))


def _together(dealt: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([dealt, more]).group_by("value", maintain_order=True).agg(pl.col("dealt").sum())


def _frequent(dealt: pl.DataFrame, most: int) -> pl.DataFrame:
    return dealt.sort(["dealt", "value"], descending=[True, False]).head(most)
