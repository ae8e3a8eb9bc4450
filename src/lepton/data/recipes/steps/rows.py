"""Which rows there are and in which order: sort, shuffle, sample, balance; and the column that says how they are split.

Chance is a hash of seed and row number, so a choice depends on neither the machine nor how the rows were cut. Sorting
and sampling keep to the memory limit; `balance` holds 16 bytes a row, `split` by a column its values and some 40 more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError, check_label, printable
from lepton.data.recipes.base import BoundTableStep, Frames, RecipeStep, RunContext, Scope
from lepton.data.recipes.sorting import ROW, numbered, sorted_rows
from lepton.data.split import Method, hashed, split_by_group, split_by_time, split_random, split_stratified

__all__ = ["Balance", "BoundSplit", "Sample", "Shuffle", "Sort", "Split", "TableStep"]

_CLASSES = 1_000
_SPLIT_PARTS = ["train", "validation", "test"]
_CHANCE = "\0chance"
_NUMBERS = 4_000_000  # row numbers that are hashed at a time


@dataclass(frozen=True)
class TableStep(BoundTableStep):
    """A table step that keeps the columns as they are."""

    @property
    def schema(self) -> Schema:
        """The same columns."""
        return self.before

    @property
    def writes(self) -> tuple[str, ...]:
        """None."""
        return ()


# --- order ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sort(RecipeStep):
    """Puts the rows in order of columns; missing values come last, equal rows stay in their order.

    Attributes:
        columns: the first one first.
        descending: whether all of them go downwards, or the names of those that do.
    """

    name: ClassVar[str] = "sort"
    scope: ClassVar[Scope] = Scope.TABLE
    columns: tuple[str, ...]
    descending: bool | tuple[str, ...] = False

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundSort:
        """Check that the columns are there."""
        columns = _some(self.name, self.columns, schema)
        if isinstance(self.descending, bool):
            return BoundSort(schema, columns, (self.descending,) * len(columns))
        if strange := [name for name in self.descending if name not in columns]:
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"sort: got '{printable(strange[0])}' in descending, which is not among the columns to sort by",
                wanted="true, false or some of " + ", ".join(columns),
            )
        return BoundSort(schema, columns, tuple(name in self.descending for name in columns))


@dataclass(frozen=True)
class BoundSort(TableStep):
    """`Sort` on columns."""

    columns: tuple[str, ...]
    descending: tuple[bool, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns to sort by."""
        return self.columns

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """The rows in order, by way of the disk where they do not fit in memory."""
        for frame in sorted_rows(numbered(frames()), self.columns, context, descending=self.descending):
            yield frame.drop(ROW)


@dataclass(frozen=True)
class Shuffle(RecipeStep):
    """Puts the rows in an order of chance.

    Attributes:
        seed: the same seed gives the same order.
    """

    name: ClassVar[str] = "shuffle"
    scope: ClassVar[Scope] = Scope.TABLE
    seed: int = 0

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundShuffle:
        """Nothing to check."""
        return BoundShuffle(schema, self.seed)


@dataclass(frozen=True)
class BoundShuffle(TableStep):
    """`Shuffle` on columns."""

    seed: int

    @property
    def reads(self) -> tuple[str, ...]:
        """None."""
        return ()

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """The rows in order of the hashes of their numbers."""
        for frame in sorted_rows(self._with_chance(frames), [_CHANCE], context):
            yield frame.drop(ROW, _CHANCE)

    def _with_chance(self, frames: Frames) -> Iterator[pl.DataFrame]:
        for frame in numbered(frames()):
            yield frame.with_columns(pl.Series(_CHANCE, hashed(frame[ROW].to_numpy().astype(np.uint64), self.seed)))


# --- choice -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample(RecipeStep):
    """Keeps some rows by chance, in their order: `sample(1000)` or `sample(share=0.1)`.

    Attributes:
        number: how many rows; all where there are no more.
        share: or which share of them, above 0 and at most 1.
        seed: the same seed keeps the same rows.
    """

    name: ClassVar[str] = "sample"
    scope: ClassVar[Scope] = Scope.TABLE
    number: int | None = None
    share: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Exactly one of number and share."""
        super().__post_init__()
        if (self.number is None) == (self.share is None):
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"sample: got number={self.number} and share={self.share}",
                wanted="one of the two",
                fix="sample(1000) or sample(share=0.1)",
            )
        if self.number is not None and self.number < 1:
            raise UsageError(ErrorCode.BAD_RECIPE, f"sample: got number={self.number}", wanted="at least 1")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(ErrorCode.BAD_RECIPE, f"sample: got share={self.share}", wanted="above 0 and at most 1")

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundSample:
        """Nothing to check."""
        return BoundSample(schema, self.number, self.share, self.seed)


@dataclass(frozen=True)
class BoundSample(TableStep):
    """`Sample` on columns."""

    number: int | None
    share: float | None
    seed: int

    @property
    def reads(self) -> tuple[str, ...]:
        """None."""
        return ()

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """Count the rows, then keep those with the smallest hashes."""
        total = sum(frame.height for frame in frames())
        wanted = round(total * self.share) if self.share is not None else min(int(self.number or 0), total)
        if not wanted:
            return
        limit = _limit(total, wanted, self.seed)
        for frame in numbered(frames()):
            context.work.check()
            chosen = hashed(frame[ROW].to_numpy().astype(np.uint64), self.seed) <= limit
            if chosen.any():
                yield frame.filter(pl.Series(chosen)).drop(ROW)


def _limit(total: int, wanted: int, seed: int) -> np.uint64:
    """The `wanted`-th smallest hash of the numbers below `total`, found without holding all of them."""
    low, below = np.uint64(0), 0
    for shift in (48, 32):
        counts = np.zeros(2**16, dtype=np.int64)
        for hashes in _hashes(total, seed):
            inside = (
                hashes[(hashes >> np.uint64(shift + 16)) == (low >> np.uint64(shift + 16))] if shift < 48 else hashes
            )
            counts += np.bincount(((inside >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64), minlength=2**16)
        upto = below + np.cumsum(counts)
        place = int(np.searchsorted(upto, wanted))
        below = int(upto[place - 1]) if place else below
        low |= np.uint64(place << shift)
    inside = np.concatenate([h[(h >> np.uint64(32)) == (low >> np.uint64(32))] for h in _hashes(total, seed)])
    limit: np.uint64 = np.sort(inside)[wanted - below - 1]
    return limit


def _hashes(total: int, seed: int) -> Iterator[NDArray[np.uint64]]:
    for first in range(0, total, _NUMBERS):
        yield hashed(np.arange(first, min(first + _NUMBERS, total), dtype=np.uint64), seed)


@dataclass(frozen=True)
class Balance(RecipeStep):
    """Gives every class as many rows: by leaving rows out, or by repeating rows where they stand.

    Rows whose class is missing stay as they are. Balance what a model is trained on, never what it is tested on.

    Attributes:
        column: holds the classes, at most 1,000.
        how: `under` leaves rows out until all classes are as rare as the rarest; `over` repeats rows until all are as
            frequent as the most frequent.
        seed: the same seed chooses the same rows.
    """

    name: ClassVar[str] = "balance"
    scope: ClassVar[Scope] = Scope.TABLE
    column: str
    how: Literal["under", "over"] = "under"
    seed: int = 0

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundBalance:
        """Check that the column is there."""
        return BoundBalance(schema, schema[self.column].name, self.how, self.seed)


@dataclass(frozen=True)
class BoundBalance(TableStep):
    """`Balance` on columns."""

    column: str
    how: Literal["under", "over"]
    seed: int

    @property
    def reads(self) -> tuple[str, ...]:
        """The classes."""
        return (self.column,)

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """Look at the classes of all rows, then repeat each row 0 times, once or more."""
        times = self._times(frames)
        first = 0
        for frame in frames():
            context.work.check()
            wanted = times[first : first + frame.height]
            first += frame.height
            # Repeating often can make a frame large: it is handed on in pieces.
            for start, stop in _even_cuts(wanted):
                if wanted[start:stop].any():
                    yield frame[np.repeat(np.arange(start, stop), wanted[start:stop])]

    def _times(self, frames: Frames) -> NDArray[np.int32]:
        """How often each row is wanted [rows]."""
        codes: dict[Any, int] = {}
        parts = []
        for frame in frames():
            values = frame[self.column]
            for value in values.unique(maintain_order=True).drop_nulls():
                codes.setdefault(value, len(codes))
                if len(codes) > _CLASSES:
                    raise DataError(
                        ErrorCode.BAD_VALUE,
                        f"balance: column '{printable(self.column)}' has more than {_CLASSES:,} different values",
                        wanted="a column of classes",
                    )
            known = pl.DataFrame(
                {"value": list(codes), "code": range(len(codes))}, schema_overrides={"value": values.dtype}
            )
            coded = values.to_frame("value").join(known, on="value", how="left", maintain_order="left")["code"]
            parts.append(coded.fill_null(-1).cast(pl.Int32).to_numpy())
        of_rows = np.concatenate(parts) if parts else np.empty(0, np.int32)
        counts = np.bincount(of_rows[of_rows >= 0], minlength=1)
        wanted = int(counts.min() if self.how == "under" else counts.max())
        times = np.ones(len(of_rows), dtype=np.int32)
        for code, count in enumerate(counts):
            rows = np.flatnonzero(of_rows == code)
            if count:
                whole, more = divmod(wanted, int(count))
                order = np.argsort(hashed(rows.astype(np.uint64), self.seed), kind="stable")
                times[rows] = whole
                times[rows[order[:more]]] += 1
        return times


def _even_cuts(times: NDArray[np.int32], most: int = 65_536) -> Iterator[tuple[int, int]]:
    """Bounds of runs of rows that are wanted about `most` times together."""
    total = np.cumsum(times, dtype=np.int64)
    start = 0
    while start < len(times):
        before = int(total[start - 1]) if start else 0
        stop = max(int(np.searchsorted(total, before + most, side="right")), start + 1)
        yield start, stop
        start = stop


# --- split ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split(RecipeStep):
    """Adds a column that says which rows are to learn from and which to test on: "train", "validation" or "test".

    Attributes:
        test: share of the rows to test on.
        validation: share to choose by; none by default.
        method: `random`, `stratified`, `group` or `time`, as in `Dataset.split`; by default what fits `by`.
        by: the column that the method looks at.
        seed: the same seed gives the same split.
        column: name of the column that is added.
    """

    name: ClassVar[str] = "split"
    scope: ClassVar[Scope] = Scope.TABLE
    test: float = 0.2
    validation: float = 0.0
    method: Method | None = None
    by: str | None = None
    seed: int = 0
    column: str = "split"

    def __post_init__(self) -> None:
        """Shares that leave rows to learn from."""
        super().__post_init__()
        check_label(self.column, "column")
        if not (0 < self.test < 1 and 0 <= self.validation < 1 and self.test + self.validation < 1):
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"split: got test={self.test} and validation={self.validation}",
                wanted="shares of the rows, together below 1",
            )
        if self.method not in (None, "random") and self.by is None:
            raise UsageError(ErrorCode.BAD_RECIPE, f"split: got method={self.method!r} without by", wanted="a column")

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundSplit:
        """Choose the method."""
        if self.column in schema:
            raise DataError(
                ErrorCode.BAD_COLUMN_NAMES,
                f"split: there is a column '{printable(self.column)}' already",
                fix="split(column='another name')",
            )
        if self.by is None:
            return BoundSplit(schema, self, "random", None)
        by = schema[self.by]
        if self.method == "time" and by.kind not in (Kind.DATETIME, Kind.NUMBER):
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"split: column '{printable(by.name)}' is of kind {by.kind}",
                wanted="a datetime or a number to split by time",
            )
        fitting: dict[Kind, Method] = {Kind.DATETIME: "time", Kind.IDENTIFIER: "group"}
        return BoundSplit(schema, self, self.method or fitting.get(by.kind, "stratified"), by.name)


@dataclass(frozen=True)
class BoundSplit(BoundTableStep):
    """`Split` on columns."""

    step: Split
    method: Method
    by: str | None

    @property
    def schema(self) -> Schema:
        """The columns and the one that says where a row belongs, which is not learned from."""
        return Schema((*self.before, ColumnRecord(self.step.column, Kind.CATEGORY, "string", role=Role.IGNORED)))

    @property
    def reads(self) -> tuple[str, ...]:
        """The column that the method looks at."""
        return () if self.by is None else (self.by,)

    @property
    def writes(self) -> tuple[str, ...]:
        """The new column."""
        return (self.step.column,)

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """Decide for all rows, then add the column piece by piece."""
        parts = self._parts(frames)
        first = 0
        for frame in frames():
            context.work.check()
            part = pl.Series(self.step.column, parts[first : first + frame.height])
            yield frame.with_columns(part.replace_strict(list(range(3)), _SPLIT_PARTS, return_dtype=pl.String))
            first += frame.height

    def _parts(self, frames: Frames) -> NDArray[np.uint8]:
        """The part of each row, as its place in `_SPLIT_PARTS`."""
        step = self.step
        key = self._key(frames)
        num_rows = len(key) if isinstance(key, pl.Series) else key
        parts = np.zeros(num_rows, dtype=np.uint8)
        if not num_rows:
            return parts
        held_out = self._held_out(key, step.test)
        parts[held_out] = 2
        if step.validation:
            rest = key.filter(pl.Series(~held_out)) if isinstance(key, pl.Series) else int((~held_out).sum())
            chosen = self._held_out(rest, step.validation / (1 - step.test))
            parts[np.flatnonzero(~held_out)[chosen]] = 1
        return parts

    def _key(self, frames: Frames) -> pl.Series | int:
        """The column that the method looks at, in as few bytes as it allows; the number of rows without one."""
        if self.by is None:
            return sum(frame.height for frame in frames())
        # A text that comes often is held once.
        dtype = pl.Categorical() if self.before[self.by].dtype == "string" else None
        kept = [frame[self.by] if dtype is None else frame[self.by].cast(dtype) for frame in frames()]
        return pl.concat(kept) if kept else pl.Series(self.by, [], dtype=pl.String)

    def _held_out(self, key: pl.Series | int, share: float) -> NDArray[np.bool_]:
        seed = self.step.seed
        if isinstance(key, int):
            return split_random(key, share, seed)
        if self.method == "stratified":
            return split_stratified(key, share, seed)
        if self.method == "group":
            return split_by_group(key, share, seed)
        if self.method == "time":
            return split_by_time(key, share)
        return split_random(len(key), share, seed)


def _some(step: str, columns: tuple[str, ...], schema: Schema) -> tuple[str, ...]:
    """The columns, which must be there and be at least one."""
    if not columns:
        raise UsageError(ErrorCode.BAD_RECIPE, f"{step}: got no columns", wanted="at least one")
    return tuple(schema[name].name for name in columns)
