"""Missing values filled by the value before or after them: in the order of the rows, or of a column, within groups.

Without order and group the rows stream by. Otherwise they are sorted, filled and sorted back, by way of the disk where
they do not fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from lepton.core import DataError, ErrorCode, Schema, UsageError
from lepton.data.recipes.base import BoundTableStep, Frames, RecipeStep, RunContext, Scope
from lepton.data.recipes.sorting import ROW, even_pieces, numbered, sorted_rows

__all__ = ["BoundFillAlong", "FillBackward", "FillForward"]

_CAME = "\0came"
"""The row numbers that came with the rows, while `ROW` is their place."""


@dataclass(frozen=True)
class _FillAlong(RecipeStep):
    scope: ClassVar[Scope] = Scope.TABLE
    backward: ClassVar[bool] = False
    columns: tuple[str, ...]
    order: str | None = None
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Something must be filled, by other columns than itself."""
        super().__post_init__()
        if not self.columns:
            raise UsageError(ErrorCode.BAD_RECIPE, f"{self.name}: got no columns", wanted="at least one")

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundFillAlong:
        """Check the columns."""
        columns = tuple(dict.fromkeys(schema[name].name for name in self.columns))
        by = tuple(dict.fromkeys(schema[name].name for name in self.by))
        order = None if self.order is None else schema[self.order].name
        if both := [name for name in columns if name in (*by, order)]:
            came = f"{self.name}: column {both[0]!r} is to be filled, and says where"
            raise DataError(ErrorCode.BAD_VALUE, came, wanted="other columns in order and by")
        return BoundFillAlong(schema, columns, order, by, self.backward)


@dataclass(frozen=True)
class FillForward(_FillAlong):
    """Fill missing values with the last value before them: `fill_forward("level", order="when", by="sensor")`.

    The rows stay in their order. What has no value before it stays missing, and so does a row whose order or group
    is missing. Of rows that are equal in `order`, the one that came first is before the others.

    Attributes:
        columns: the columns that are filled.
        order: a column that says what is before what; None for the order of the rows.
        by: columns that name a group; nothing is taken from another group.
    """

    name: ClassVar[str] = "fill_forward"


@dataclass(frozen=True)
class FillBackward(_FillAlong):
    """Fill missing values with the next value after them; see `fill_forward`.

    What is filled so was not known at its time: a column to be predicted from must not be.

    Attributes:
        columns: the columns that are filled.
        order: a column that says what is after what; None for the order of the rows.
        by: columns that name a group; nothing is taken from another group.
    """

    name: ClassVar[str] = "fill_backward"
    backward: ClassVar[bool] = True


@dataclass(frozen=True)
class BoundFillAlong(BoundTableStep):
    """`FillForward` or `FillBackward` on columns."""

    only_filters: ClassVar[bool] = True  # the same rows in the same order: hidden columns come along
    columns: tuple[str, ...]
    order: str | None
    by: tuple[str, ...]
    backward: bool

    @property
    def schema(self) -> Schema:
        """The same columns."""
        return self.before

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns, and those that say what is before what."""
        return (*self.columns, *self._keys)

    @property
    def writes(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns

    @property
    def _keys(self) -> list[str]:
        return [*self.by, *([] if self.order is None else [self.order])]

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """The rows, filled."""
        if self._keys:
            made = self._sorted(frames, context)
        elif self.backward:
            made = self._streamed_back(frames, context)
        else:
            made = self._along(frames(), context)
        for frame in made:
            context.work.check()
            yield frame

    def _along(self, frames: Iterable[pl.DataFrame], context: RunContext) -> Iterator[pl.DataFrame]:
        """Fill from the rows before, which come first; rows of a group come together."""
        last: pl.DataFrame | None = None
        for frame in frames:
            if not frame.height:
                continue
            fills = pl.col(self.columns).forward_fill()
            filled = frame.with_columns(fills.over(self.by) if self.by else fills)
            if last is not None:
                same = [pl.col(name) == last[name][0] for name in self.by if last[name][0] is not None]
                # Rows without a group stay as they are: a group that is missing needs no rule here.
                begun = filled.select(pl.all_horizontal(pl.lit(True), *same)).to_series()
                begun = begun if len(begun) == frame.height else begun.new_from_index(0, frame.height)
                filled = filled.with_columns(
                    filled[name].zip_with(
                        filled[name].is_not_null() | ~begun, last[name].new_from_index(0, frame.height)
                    )
                    for name in self.columns
                )
            last = filled[-1:]
            if self._keys:
                unknown = frame.select(pl.any_horizontal(pl.col(self._keys).is_null())).to_series()
                filled = filled.with_columns(frame[name].zip_with(unknown, filled[name]) for name in self.columns)
            context.count(frame, filled, self.columns)
            yield filled

    def _streamed_back(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """Look at the first value of each piece, then fill each from those after it."""
        first = [frame.select(pl.col(self.columns).drop_nulls().first()) for frame in even_pieces(frames())]
        if not first:
            return
        after = pl.concat(first).select(pl.all().backward_fill().shift(-1))
        for number, frame in enumerate(even_pieces(frames())):
            filled = frame.with_columns(
                values.zip_with(values.is_not_null(), after[name].new_from_index(number, frame.height))
                for name in self.columns
                for values in [frame[name].backward_fill()]
            )
            context.count(frame, filled, self.columns)
            yield filled

    def _sorted(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """Fill in order, going backwards with the numbers of the rows turned round, and sort back."""
        turned = pl.col(ROW) * (-1 if self.backward else 1)

        def placed() -> Iterator[pl.DataFrame]:
            for frame in numbered(each.rename({ROW: _CAME}, strict=False) for each in frames()):
                yield frame.with_columns(turned)

        down = [*([False] * len(self.by)), *([] if self.order is None else [self.backward])]
        in_order = sorted_rows(placed(), self._keys, context, descending=down)
        filled = (frame.with_columns(turned) for frame in self._along(in_order, context))
        for frame in sorted_rows(filled, [], context):
            yield frame.drop(ROW).rename({_CAME: ROW}, strict=False)
