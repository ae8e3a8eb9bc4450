"""A table with a schema that is read when it is asked for, in pieces where it is large."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from lepton.core import ColumnRecord, ErrorCode, Kind, Role, Schema, UsageError, Work
from lepton.data.convert import ColumnPlan, convert
from lepton.data.decisions import DecisionRecord, Decisions
from lepton.data.describe import Description, describe
from lepton.data.detect import Wanted, detect
from lepton.data.fingerprint import Fingerprint
from lepton.data.formats import Source
from lepton.data.lineage import Lineage
from lepton.data.references import References
from lepton.data.split import Method, check_share, split_by_group, split_by_time, split_random, split_stratified
from lepton.data.versions.manifest import TableVersion
from lepton.data.versions.save import save_table

__all__ = ["Dataset"]


class Dataset:
    """A table: immutable, lazy, typed. Made by `read`; parts of it (`split`, `select`) are datasets too.

    >>> from lepton.data import read
    >>> table = read({"rooms": [2, 3, 4, 3], "town": ["Ulm", "Ulm", None, "Bonn"]})
    >>> table.num_rows, [str(column.kind) for column in table.schema]
    (4, ['number', 'category'])
    >>> table.frame()["rooms"].sum()
    12
    """

    def __init__(
        self,
        source: Source,
        plans: Sequence[ColumnPlan] | Callable[[], Sequence[ColumnPlan]],
        decisions: Iterable[DecisionRecord],
        wanted: Wanted,
        rows: NDArray[np.bool_] | None = None,
        lineage: Callable[[], Lineage] | None = None,
    ) -> None:
        self._source = source
        self._given_plans = plans
        self._wanted = wanted
        self._rows = rows
        self._lineage = lineage
        self.decisions = Decisions(tuple(decisions))

    @cached_property
    def _plans(self) -> tuple[ColumnPlan, ...]:
        return tuple(self._given_plans() if callable(self._given_plans) else self._given_plans)

    @property
    def lineage(self) -> Lineage | None:
        """The recipe that made this table and the columns that it takes; None for what was read as it is."""
        return None if self._lineage is None else self._lineage()

    def without_recipe(self) -> Dataset:
        """The same rows without their lineage: a model trained on them takes cleaned rows."""
        return Dataset(self._source, self._given_plans, self.decisions, self._wanted, self._rows)

    def changes(self) -> Any:
        """What the recipe changed: a `lepton.data.recipes.Changes`, counted over all rows.

        Raises:
            UsageError: no recipe made this table.
        """
        counted = getattr(self._source, "changes", None)
        if counted is None:
            raise UsageError(ErrorCode.USAGE, "this table was not made by a recipe", fix="recipe.fit_transform(table)")
        return counted()

    @cached_property
    def schema(self) -> Schema:
        """The columns, in order."""
        return Schema(tuple(plan.record for plan in self._plans))

    @cached_property
    def num_rows(self) -> int:
        """How many rows; reads a text file once to count them."""
        return self._source.count() if self._rows is None else int(self._rows.sum())

    @property
    def source_types(self) -> Mapping[str, pl.DataType]:
        """Column → its type where the rows are read from, before anything is decided about it."""
        return self._source.columns

    @property
    def known_rows(self) -> int | None:
        """How many rows, where that is known without reading them; else None."""
        return self.num_rows if self._rows is not None or self._source.num_rows is not None else None

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        if callable(self._given_plans) and "_plans" not in vars(self):
            return "Dataset(not prepared yet: ask for its rows or its schema)"
        rows = "rows not counted yet" if self.known_rows is None else f"{self.known_rows:,} rows"
        columns = ", ".join(f"{c.name}: {c.kind}" for c in self.schema.columns[:8])
        more = f", ... {len(self.schema) - 8} more" if len(self.schema) > 8 else ""
        return f"Dataset({rows} x {len(self.schema)} columns: {columns}{more})"

    # --- rows ----------------------------------------------------------------------------------------------------

    def batches(self, rows: int = 65_536, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Every row in order, typed, in frames of 1 to `rows` rows; memory stays bounded.

        Args:
            rows: most rows of a frame.
            columns: names wanted, in that order; default: all.

        Raises:
            DataError: a value that breaks what was decided (file, row, column and value are named), ragged rows, a
                damaged file, or one that changed while it was read.
        """
        if rows < 1:
            raise UsageError(ErrorCode.USAGE, f"got rows={rows}", wanted="at least 1")
        for frame in self._frames(self._chosen(columns)):
            yield from frame.iter_slices(rows)

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows at once, typed: number Float64 or Int64, boolean Boolean, datetime Datetime, others String."""
        plans = self._chosen(columns)
        frames = list(self._frames(plans, whole=True))
        if not frames:
            return pl.DataFrame(schema={plan.record.name: plan.dtype for plan in plans})
        return pl.concat(frames)

    def lazy(self) -> pl.LazyFrame:
        """The rows as a Polars query, which reads only the columns that it needs, in pieces."""

        def read_pieces(
            names: list[str] | None, predicate: pl.Expr | None, limit: int | None, _size: int | None
        ) -> Iterator[pl.DataFrame]:
            left = limit
            for frame in self._frames(self._chosen(names or None)):
                if left is not None:
                    frame = frame.head(left)
                    left -= frame.height
                yield frame if predicate is None else frame.filter(predicate)
                if left == 0:
                    return

        return register_io_source(
            read_pieces, schema={plan.record.name: plan.dtype for plan in self._plans}, is_pure=True
        )

    def head(self, rows: int = 5) -> pl.DataFrame:
        """The first rows; reads no further."""
        found: list[pl.DataFrame] = []
        missing = rows
        for frame in self._frames(self._plans):
            found.append(frame.head(missing))
            missing -= found[-1].height
            if missing <= 0:
                break
        return pl.concat(found) if found else self.frame()

    def _chosen(self, columns: Sequence[str] | None) -> tuple[ColumnPlan, ...]:
        if columns is None:
            return self._plans
        by_name = {plan.record.name: plan for plan in self._plans}
        return tuple(by_name[name] if name in by_name else by_name[self.schema[name].name] for name in columns)

    @property
    def is_text(self) -> bool:
        """Whether reading the rows means parsing text."""
        return self._source.textual

    def numbered(self, column: str, starts: list[tuple[int, str, int]]) -> Iterator[pl.DataFrame]:
        """Every row in order with its number in the source under `column`, from 0, the rows left out counted.

        Args:
            column: a name that no column has.
            starts: takes (number of the first row, file, number of that row within it) of each piece.
        """
        return self._frames(self._plans, number=column, starts=starts)

    def _frames(
        self,
        plans: Sequence[ColumnPlan],
        whole: bool = False,
        number: str = "",
        starts: list[tuple[int, str, int]] | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Typed frames of bounded size, none of them empty, of the rows that belong to this dataset."""
        if not plans:
            raise UsageError(ErrorCode.USAGE, "got no columns", wanted="at least one column")
        common = frozenset.intersection(*(frozenset(plan.record.missing_markers) for plan in plans))
        direct = {plan.record.name: plan.dtype for plan in plans if plan.parsed_by_reader(common)}
        start = 0
        chunks = self._source.whole if whole else self._source.chunks
        for chunk in chunks([plan.record.name for plan in plans], direct, sorted(common)):
            frame = chunk.frame if self._source.typed else convert(chunk, plans)
            if starts is not None:
                starts.append((start, chunk.file, chunk.first_row))
                frame = frame.with_columns(pl.int_range(start, start + frame.height, dtype=pl.Int64).alias(number))
            if self._rows is not None:
                frame = frame.filter(pl.Series(self._rows[start : start + frame.height]))
            start += chunk.frame.height
            if frame.height:
                yield frame

    # --- other datasets ------------------------------------------------------------------------------------------

    def select(self, names: Sequence[str]) -> Dataset:
        """The same rows with the named columns only, in that order."""
        plans = self._chosen(list(names))
        kept = {plan.record.name for plan in plans}
        decisions = [d for d in self.decisions if d.column is None or d.column in kept]
        return self._with(plans, decisions)

    def with_roles(self, roles: Mapping[str, Role | str]) -> Dataset:
        """The same table with other roles."""
        schema = self.schema.with_roles(roles)
        return self._with([replace(p, record=r) for p, r in zip(self._plans, schema, strict=True)], self.decisions)

    def with_kinds(self, kinds: Mapping[str, Kind | str]) -> Dataset:
        """The same table with columns read as other kinds; `"datetime:%d/%m/%Y"` gives a format too."""
        for name in kinds:
            self.schema[name]
        asked = Wanted.of(kinds, None, None)
        wanted = replace(
            self._wanted,
            kinds={**self._wanted.kinds, **asked.kinds},
            formats={
                name: f
                for name, f in {**self._wanted.formats, **asked.formats}.items()
                if name not in kinds or name in asked.formats
            },
        )
        plans, decisions = detect(self._source, wanted)
        changed = {plan.record.name: plan for plan in plans if plan.record.name in kinds}
        kept = [d for d in self.decisions if d.column not in changed]
        return Dataset(
            self._source,
            [_with_role(changed[p.record.name], p.record) if p.record.name in changed else p for p in self._plans],
            [*kept, *(d for d in decisions if d.column in changed)],
            wanted,
            self._rows,
        )

    def _with(self, plans: Sequence[ColumnPlan], decisions: Iterable[DecisionRecord]) -> Dataset:
        return Dataset(self._source, plans, decisions, self._wanted, self._rows, self._lineage)

    def split(
        self, test: float = 0.2, *, method: Method | None = None, by: str | None = None, seed: int = 0
    ) -> tuple[Dataset, Dataset]:
        """Split the rows in two datasets, which stay lazy: to learn from, and to test on. Nothing is written.

        Args:
            test: share of the rows to test on, above 0 and below 1.
            method: `random`; `stratified` (the same share of each value of `by`, within one row); `group` (no value
                of `by` on both sides); `time` (the latest rows by `by`). By default what `by` is: a datetime gives
                `time`, an identifier `group`, anything else `stratified`; and without `by`, the column whose role is
                group, else time, else a target that is not a number; else `random`.
            by: the column that `method` looks at; by default the one of the fitting role.
            seed: the same seed gives the same rows.

        Raises:
            DataError: fewer than two rows, groups or times; missing groups or times.
        """
        check_share(test)
        method, column = self._split_plan(method, by)
        if method == "random":
            held_out = split_random(self.num_rows, test, seed)
        else:
            key = self.frame([column])[column]
            if method == "stratified":
                held_out = split_stratified(key, test, seed)
            elif method == "group":
                held_out = split_by_group(key, test, seed)
            else:
                held_out = split_by_time(key, test)
        return self._of_rows(~held_out), self._of_rows(held_out)

    def _split_plan(self, method: Method | None, by: str | None) -> tuple[Method, str]:
        roles = {"group": Role.GROUP, "time": Role.TIME, "stratified": Role.TARGET}
        if method not in (None, "random", *roles):
            raise UsageError(ErrorCode.USAGE, f"got the split {method!r}", wanted="random, stratified, group or time")
        if by is not None:
            kinds: dict[Kind, Method] = {Kind.DATETIME: "time", Kind.IDENTIFIER: "group"}
            return method or kinds.get(self.schema[by].kind, "stratified"), self.schema[by].name
        if method == "random":
            return "random", ""
        for candidate, role in roles.items():
            of_role = self.schema.of_role(role)
            if method == candidate and not of_role:
                raise UsageError(
                    ErrorCode.USAGE,
                    f"got method={method!r} without by=",
                    wanted=f"by=, or a column with the role {role}",
                )
            wanted = method == candidate or (
                method is None and (role is not Role.TARGET or (of_role[:1] and of_role[0].kind is not Kind.NUMBER))
            )
            if of_role and wanted:
                return candidate, of_role[0].name  # type: ignore[return-value]
        return "random", ""

    def _of_rows(self, chosen: NDArray[np.bool_]) -> Dataset:
        """The dataset of those rows of this one that `chosen` [num_rows] names."""
        rows = chosen
        if self._rows is not None:
            rows = self._rows.copy()
            rows[rows] = chosen
        return Dataset(self._source, self._given_plans, self.decisions, self._wanted, rows, self._lineage)

    # --- the whole -----------------------------------------------------------------------------------------------

    def describe(self, target: str | None = None, work: Work | None = None) -> Description:
        """Counts, distributions, relations to `target` and what to look at, in one pass; see `lepton.data.describe`."""
        return replace(describe(self, target, work), references=self.references)

    def fingerprint(self) -> str:
        """sha256 of the content: column names, kinds and values in order, as 64 hexadecimal digits.

        The same content gives the same fingerprint from whatever file: numbers count as doubles, datetimes as
        microseconds, texts in NFC, whatever is missing as missing.
        """
        found = Fingerprint(self.schema)
        for frame in self._frames(self._plans):
            found.update(frame)
        return found.hexdigest()

    @property
    def version(self) -> TableVersion | None:
        """The saved version that the rows were read from, if they were: number, id, statistics, recipe, parents."""
        return self._source.version

    @property
    def references(self) -> References:
        """What the cells of columns of images and sounds mean, and which files those are."""
        return self._source.references()

    def parents(self, *, files: bool = True) -> tuple[Mapping[str, Any], ...]:
        """What the rows were made from: saved versions by their `id`, each with its `name`.

        Args:
            files: files that are no saved tables too, by their `sha256`, for which they are read.
        """
        return self._source.parents(files=files)

    def save(self, path: str | Path, *, append: bool = False, work: Work | None = None) -> Path:
        """Write the table, whole or not at all.

        Args:
            path: a file that ends in `.parquet`, `.csv`, `.tsv`, `.jsonl` or `.arrow`; or a folder, where each save is
                a new version and earlier ones stay: `read("claims")` reads the newest, `read("claims#2")` the second.
                Beside Parquet stands a manifest: kinds, roles and units of the columns, statistics, a hash of the
                content, the recipe and the parents.
            append: put the rows behind those of the newest version in the folder, which is not copied.
            work: stops it, and hears of its progress.

        Raises:
            DataError: the folder holds other files; or the columns do not fit those that they are appended to.
            StoreError: the disk is full or failed; what was there is intact.
        """
        return save_table(self, Path(path), append=append, work=Work.of(work))


def _with_role(plan: ColumnPlan, before: ColumnRecord) -> ColumnPlan:
    """The new plan of a column with the role that it had, unless that came from its kind alone."""
    from_kind = Role.IGNORED if before.kind is Kind.IDENTIFIER else Role.FEATURE
    return plan if before.role is from_kind else replace(plan, record=replace(plan.record, role=before.role))
