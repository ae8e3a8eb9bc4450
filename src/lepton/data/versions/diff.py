"""What differs between two tables: columns, rows and distributions.

With a key, rows are the same where their key is, and what changed in them is counted by column. Without one, rows are
the same where all their values are, each as often as it is there. Rows are compared by two hashes of 64 bits, in parts
that lie on disk where they do not fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from lepton.core import DataError, ErrorCode, Kind, LeptonError, UsageError, Work, printable
from lepton.data.dataset import Dataset
from lepton.data.quality.drift import DriftRecord, SchemaChange, compare_tables
from lepton.data.recipes.hashes import row_hashes
from lepton.data.recipes.run import memory_limit
from lepton.data.recipes.spill import read_rows, write_rows
from lepton.report import plain_table
from lepton.store import scratch_folder

__all__ = ["ChangedColumn", "TableDiff", "diff"]

_EXAMPLES = 5
_PARTS = 64
_TEXTS = frozenset({Kind.TEXT, Kind.CATEGORY, Kind.IDENTIFIER})
_SIDE, _PLACE = "\0side", "\0place"


@dataclass(frozen=True)
class ChangedColumn:
    """A column whose values changed in rows of the same key.

    Attributes:
        column: its name.
        rows: how many rows.
        examples: up to five, as (key, before, after).
    """

    column: str
    rows: int
    examples: tuple[tuple[Any, Any, Any], ...]


@dataclass(frozen=True)
class TableDiff:
    """What differs between an old and a new table; made by `lepton.diff`.

    Attributes:
        rows_before: of the old table.
        rows_after: of the new one.
        added: rows that only the new one has.
        removed: rows that only the old one has.
        changed: rows of the same key with other values; None without a key.
        key: the columns that say which rows are the same.
        columns: those that are gone, new, or of another kind.
        changed_columns: where the values changed; needs a key.
        drift: how far the distribution of each column has moved.
        added_examples: up to five of the rows that are new.
        removed_examples: up to five of those that are gone.
    """

    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: int | None
    key: tuple[str, ...]
    columns: tuple[SchemaChange, ...]
    changed_columns: tuple[ChangedColumn, ...] = ()
    drift: tuple[DriftRecord, ...] = ()
    added_examples: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    removed_examples: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def is_same(self) -> bool:
        """Whether nothing differs but, perhaps, the order of the rows."""
        return not (self.added or self.removed or self.changed or self.columns)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"same": self.is_same, **asdict(self)}

    def text(self) -> str:
        """For people."""
        unchanged = self.rows_after - self.added - (self.changed or 0)
        lines = [f"{self.rows_before:,} rows before, {self.rows_after:,} after"]
        counts = [("added", self.added), ("removed", self.removed), ("changed", self.changed), ("as before", unchanged)]
        lines.append(", ".join(f"{count:,} {word}" for word, count in counts if count is not None))
        if self.is_same:
            lines.append("The tables hold the same rows.")
        if self.columns:
            rows = [(c.column, c.what, c.before, c.after) for c in self.columns]
            lines += ["", plain_table(("column", "what", "before", "after"), rows)]
        if self.changed_columns:
            changes = [(c.column, f"{c.rows:,}", _shown(c.examples)) for c in self.changed_columns]
            lines += ["", plain_table(("column", "rows changed", "such as"), changes)]
        for word, examples in (("added", self.added_examples), ("removed", self.removed_examples)):
            if examples:
                lines += ["", f"{word}, such as"]
                lines += ["  " + printable(", ".join(f"{k}={v}" for k, v in row.items()), 160) for row in examples]
        moved = [record for record in self.drift if record.verdict != "stable"]
        if moved:
            shifts = [(r.column, str(r.verdict), "" if r.psi is None else f"{r.psi:.2f}") for r in moved]
            lines += ["", plain_table(("column", "distribution", "PSI"), shifts)]
        return "\n".join(lines)


def _shown(examples: Sequence[tuple[Any, Any, Any]]) -> str:
    return "; ".join(
        f"{printable(str(k), 40)}: {printable(str(a), 40)} → {printable(str(b), 40)}" for k, a, b in examples[:2]
    )


def diff(old: Dataset, new: Dataset, *, key: str | Sequence[str] = (), work: Work | None = None) -> TableDiff:
    """What differs between two tables; see `lepton.diff`."""
    work = Work.of(work)
    names = (key,) if isinstance(key, str) else tuple(key)
    new = _alike(old, new)
    common = tuple(c.name for c in old.schema if c.name in new.schema and _comparable(old, new, c.name))
    for table, word in ((old, "old"), (new, "new")):
        for name in names:
            table.schema[name]
            if name not in common:
                kind = table.schema[name].kind
                came = f"the key {name!r} is a {kind} in the {word} table, and something else in the other"
                raise UsageError(ErrorCode.USAGE, came, wanted="a key of one kind in both")
    if not common:
        raise DataError(
            ErrorCode.UNKNOWN_COLUMN, "the two tables have no column in common", wanted="two versions of a table"
        )
    columns, drift = compare_tables(new, old, work)
    tables = (old, new)
    with scratch_folder(work.resources.scratch) as folder:
        comparison = _Comparison(tables, common, names, folder, work)
        comparison.run()
        return TableDiff(
            old.num_rows,
            new.num_rows,
            comparison.added,
            comparison.removed,
            comparison.changed if names else None,
            names,
            columns,
            comparison.changed_columns(),
            drift,
            tuple(_rows_at(new, comparison.places_added, work).values()),
            tuple(_rows_at(old, comparison.places_removed, work).values()),
        )


def _alike(old: Dataset, new: Dataset) -> Dataset:
    """The new table with the kinds of the old one, where its values can be of them: what was detected may differ."""
    for column in old.schema:
        if column.name in new.schema and new.schema[column.name].kind is not column.kind:
            with suppress(LeptonError):
                changed = new.with_kinds({column.name: column.kind})
                for _ in changed.batches(262_144, [column.name]):  # a value that cannot be of the kind is an error
                    pass
                new = changed
    return new


def _comparable(old: Dataset, new: Dataset, name: str) -> bool:
    kinds = {old.schema[name].kind, new.schema[name].kind}
    return len(kinds) == 1 or kinds <= _TEXTS


class _Comparison:
    """Rows of two tables held against each other, part by part of their hashes."""

    def __init__(
        self, tables: tuple[Dataset, Dataset], common: tuple[str, ...], key: tuple[str, ...], folder: Path, work: Work
    ) -> None:
        self.tables, self.common, self.key, self.folder, self.work = tables, common, key, folder, work
        self.values = tuple(name for name in common if name not in key)
        self.added = self.removed = self.changed = 0
        self.places_added: list[int] = []
        self.places_removed: list[int] = []
        self.counts = dict.fromkeys(self.values, 0)
        self.places: dict[str, list[tuple[int, int]]] = {name: [] for name in self.values}

    def run(self) -> None:
        """Compare all rows."""
        for part in _parted(self._hashed(), memory_limit(self.work) // 4, self.folder, self.work):
            self.work.check()
            old, new = (part.filter(pl.col(_SIDE) == side).drop(_SIDE) for side in (0, 1))
            if self.key:
                self._by_key(old, new)
            else:
                self._by_row(old, new)

    def _hashed(self) -> Iterator[pl.DataFrame]:
        for side, table in enumerate(self.tables):
            start = 0
            for frame in table.batches(262_144, self.common):
                self.work.check()
                # Whole numbers in one table may be doubles in the other.
                frame = frame.with_columns(pl.selectors.integer().cast(pl.Float64))
                keys = row_hashes(frame.select(self.key or self.common), start).rename({"place": _PLACE})
                if self.key:
                    keys = keys.with_columns(
                        (frame[n] + 0.0 if frame[n].dtype.is_float() else frame[n]).hash(7).alias(n)
                        for n in self.values
                    )
                yield keys.with_columns(pl.lit(side, dtype=pl.Int8).alias(_SIDE))
                start += frame.height
                self.work.report(start, unit="rows", note="compared")

    def _by_row(self, old: pl.DataFrame, new: pl.DataFrame) -> None:
        """Equal rows cancel out, each as often as it is there; the first ones of a kind are taken as equal."""
        numbered = [rows.with_columns(pl.int_range(pl.len()).over("low", "high").alias("copy")) for rows in (old, new)]
        on = ["low", "high", "copy"]
        added = numbered[1].join(numbered[0], on=on, how="anti")
        removed = numbered[0].join(numbered[1], on=on, how="anti")
        self._note(added, removed)

    def _by_key(self, old: pl.DataFrame, new: pl.DataFrame) -> None:
        on = ["low", "high"]
        for rows, word in ((old, "old"), (new, "new")):
            if (twice := rows.select(on).is_duplicated()).any():
                place = int(rows.filter(twice)[_PLACE].min())  # type: ignore[arg-type]
                found = _rows_at(self.tables[word == "new"], [place], self.work)[place]
                named = ", ".join(f"{name} = {printable(str(found[name]), 60)}" for name in self.key)
                raise DataError(
                    ErrorCode.BAD_VALUE,
                    f"the {word} table has more than one row with {named}",
                    wanted="a key that no two rows of a table have in common",
                    fix="add a column to the key, or compare without one",
                )
        self._note(new.join(old, on=on, how="anti"), old.join(new, on=on, how="anti"))
        both = old.join(new, on=on, how="inner", suffix="\0new")
        differs = {n: pl.col(n).ne_missing(pl.col(f"{n}\0new")) for n in self.values}
        if not differs or not both.height:
            return
        self.changed += both.filter(pl.any_horizontal(list(differs.values()))).height
        for name, condition in differs.items():
            rows = both.filter(condition)
            self.counts[name] += rows.height
            self.places[name] += rows.sort(_PLACE).head(_EXAMPLES).select(_PLACE, f"{_PLACE}\0new").rows()

    def _note(self, added: pl.DataFrame, removed: pl.DataFrame) -> None:
        self.added += added.height
        self.removed += removed.height
        self.places_added = sorted([*self.places_added, *added[_PLACE].bottom_k(_EXAMPLES)])[:_EXAMPLES]
        self.places_removed = sorted([*self.places_removed, *removed[_PLACE].bottom_k(_EXAMPLES)])[:_EXAMPLES]

    def changed_columns(self) -> tuple[ChangedColumn, ...]:
        """Where values changed, the most changed column first."""
        chosen = {name: sorted(places)[:_EXAMPLES] for name, places in self.places.items() if places}
        before = _rows_at(self.tables[0], [a for places in chosen.values() for a, _ in places], self.work)
        after = _rows_at(self.tables[1], [b for places in chosen.values() for _, b in places], self.work)
        found = [
            ChangedColumn(
                name,
                self.counts[name],
                tuple((self._key(before[a]), before[a][name], after[b][name]) for a, b in places),
            )
            for name, places in chosen.items()
        ]
        return tuple(sorted(found, key=lambda each: (-each.rows, self.common.index(each.column))))

    def _key(self, row: dict[str, Any]) -> Any:
        values = tuple(row[name] for name in self.key)
        return values[0] if len(values) == 1 else values


def _parted(hashes: Iterator[pl.DataFrame], memory: int, folder: Path, work: Work) -> Iterator[pl.DataFrame]:
    """All hashes at once, or where they do not fit in memory by parts, those of equal rows in one."""
    held: list[pl.DataFrame] = []
    size = written = 0
    for frame in hashes:
        held.append(frame)
        size += int(frame.estimated_size())
        if size > memory:
            _spill(pl.concat(held), folder, written)
            held, size, written = [], 0, written + 1
    if not written:
        yield pl.concat(held) if held else pl.DataFrame()
        return
    if held:
        _spill(pl.concat(held), folder, written)
        held = []
    for part in range(_PARTS):
        work.check()
        if files := sorted(folder.glob(f"diff-*-{part}.arrow")):
            yield pl.concat([read_rows(path) for path in files])


def _spill(rows: pl.DataFrame, folder: Path, number: int) -> None:
    cut = rows.with_columns((pl.col("low") % _PARTS).cast(pl.UInt8).alias("\0part"))
    for (part,), piece in cut.partition_by("\0part", as_dict=True, include_key=False, maintain_order=True).items():
        write_rows(piece, folder / f"diff-{number:06}-{int(part)}.arrow")


def _rows_at(table: Dataset, places: Sequence[int], work: Work) -> dict[int, dict[str, Any]]:
    """The rows of those numbers."""
    left = sorted(set(places))
    found: dict[int, dict[str, Any]] = {}
    start = 0
    for frame in table.batches(262_144) if left else ():
        work.check()
        while left and left[0] < start + frame.height:
            found[left[0]] = frame.row(left[0] - start, named=True)
            left = left[1:]
        start += frame.height
        if not left:
            break
    return found
