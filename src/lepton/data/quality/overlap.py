"""Rows that stand in two tables: a model that is judged on rows that it was trained on looks better than it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lepton.core import Kind, Schema, Work
from lepton.data.dataset import Dataset
from lepton.data.recipes.minhash import Corpus, folded, group
from lepton.report import Table, Text, show_share

__all__ = ["SharedRow", "SharedRows", "shared_rows"]

_ROW = "\0row"
_EXAMPLES = 5
_MOST_ROWS = 5_000_000
_MOST_TEXTS = 200_000
_SHORTEST = 20
"""Letters from which two texts that are nearly the same are no accident."""
_SEED = 0x0E1A


@dataclass(frozen=True)
class SharedRow:
    """A row and the one that it repeats.

    Attributes:
        row: where it stands, as `row 17 of test.csv`.
        other: the row of the other table.
        how: `equal`, `nearly equal` (but for case, spaces and punctuation of texts, and digits of numbers beyond the
            fourth) or `similar text`.
    """

    row: str
    other: str
    how: str


@dataclass(frozen=True)
class SharedRows:
    """Rows of a table that stand in another one, too.

    Attributes:
        rows: of the table.
        equal: rows that stand in the other table, equal in every column that both have, identifiers left out.
        near: rows that do so nearly.
        texts: further rows with a text that is nearly one of the other table's.
        repeated: share of the rows of the other table that repeat an earlier one there: as many are shared by chance.
        columns: that were compared.
        examples: up to five.
        complete: whether all rows were compared; else the first five million, and texts of the first 200,000.
    """

    rows: int
    equal: int
    near: int
    texts: int
    repeated: float
    columns: tuple[str, ...]
    examples: tuple[SharedRow, ...]
    complete: bool

    @property
    def share(self) -> float:
        """Of the rows, those that are shared in one of the three ways."""
        return (self.equal + self.near + self.texts) / self.rows if self.rows else 0.0

    @property
    def is_usual(self) -> bool:
        """Whether no more rows are shared than repeat each other within the other table anyway."""
        return self.equal <= max(1.2 * self.repeated * self.rows, 0) and not self.near and not self.texts

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return vars(self) | {"columns": list(self.columns), "examples": [vars(each) for each in self.examples]}

    def text(self) -> str:
        """Lines for a terminal."""
        if not self.share:
            return "No row stands in both tables."
        lines = [f"{show_share(self.share)} of {self.rows:,} rows stand in both tables:"]
        for count, words in (
            (self.equal, f"equal in {len(self.columns)} columns"),
            (self.near, "equal but for case, spaces, punctuation and the last digits of numbers"),
            (self.texts, "with nearly the same text"),
        ):
            if count:
                lines.append(f"  {count:,} {words}")
        if self.repeated:
            lines.append(f"  ({show_share(self.repeated)} of the other table's rows repeat one another)")
        lines += [f"  {each.row} and {each.other}: {each.how}" for each in self.examples]
        if not self.complete:
            lines.append(f"  (the first {_MOST_ROWS:,} rows were compared, and texts of the first {_MOST_TEXTS:,})")
        return "\n".join(lines)

    def blocks(self) -> tuple[Text | Table, ...]:
        """The same for a page."""
        if not self.examples:
            return (Text(self.text()),)
        head = (
            f"{show_share(self.share)} of {self.rows:,} rows stand in both tables; {show_share(self.repeated)} of the "
        )
        rows = [(each.row, each.other, each.how) for each in self.examples]
        return Text(f"{head}other table's rows repeat one another."), Table(("row", "of the other table", "how"), rows)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()


def shared_rows(table: Dataset, other: Dataset, *, work: Work | None = None) -> SharedRows:
    """Rows of `table` that are in `other`, too: equal, nearly equal, or with nearly the same text.

    Columns that both have are compared; those that name rows are left out as long as others remain, because the same
    row can have another number. Two texts of 20 letters or more are nearly the same where four fifths of their runs of
    three letters are.

    Args:
        table: such as the rows to test with.
        other: such as those to train with.
        work: cancel and progress.
    """
    work = Work.of(work)
    names = _compared(table.schema, other.schema)
    if not names:
        return SharedRows(table.num_rows, 0, 0, 0, 0.0, (), (), True)
    theirs, mine = _Keyed(other, names, work), _Keyed(table, names, work)
    equal = _joined(mine.keys, theirs.keys, "exact")
    rest = mine.keys.filter(~pl.col("row").is_in(equal["row"].implode()))
    near = _joined(rest, theirs.keys, "near")
    rest = rest.filter(~pl.col("row").is_in(near["row"].implode()))
    texts = _similar(table, other, names, rest["row"], work)
    examples = [
        SharedRow(mine.place(row), theirs.place(of), how)
        for found, how in ((equal, "equal"), (near, "nearly equal"), (texts, "similar text"))
        for row, of in found.head(_EXAMPLES).iter_rows()
    ]
    repeated = 1 - theirs.keys["exact"].n_unique() / max(theirs.keys.height, 1)
    return SharedRows(
        mine.keys.height,
        equal.height,
        near.height,
        texts.height,
        repeated,
        names,
        tuple(examples[:_EXAMPLES]),
        mine.complete and theirs.complete,
    )


def _compared(mine: Schema, theirs: Schema) -> tuple[str, ...]:
    both = [column.name for column in mine if column.name in theirs.names]
    telling = [name for name in both if Kind.IDENTIFIER not in (mine[name].kind, theirs[name].kind)]
    return tuple(telling or both)


class _Keyed:
    """Two hashes of each row: of its values, and of what nearly equal values have in common."""

    def __init__(self, table: Dataset, names: Sequence[str], work: Work) -> None:
        self._starts: list[tuple[int, str, int]] = []
        self.complete = True
        parts, size = [], 0
        for frame in table.select(list(names)).numbered(_ROW, self._starts):
            work.check()
            if size + frame.height > _MOST_ROWS:
                frame, self.complete = frame.head(_MOST_ROWS - size), False
            size += frame.height
            plain = frame.select(_plain(frame[name]) for name in names)
            near = plain.select(_nearly(plain[name]) for name in names)
            hashes = {"exact": plain.hash_rows(_SEED), "near": near.hash_rows(_SEED)}
            parts.append(pl.DataFrame({"row": frame[_ROW], **hashes}))
            work.report(size, None, "rows", note="rows in both tables")
            if not self.complete:
                break
        types = {"row": pl.Int64, "exact": pl.UInt64, "near": pl.UInt64}
        self.keys = pl.concat(parts) if parts else pl.DataFrame(schema=types)

    def place(self, row: int) -> str:
        """Where a row stands."""
        start, file, first = max((each for each in self._starts if each[0] <= row), default=(0, "", 1))
        return f"row {first + row - start:,}" + (f" of {file}" if file else "")


def _plain(values: pl.Series) -> pl.Series:
    """The values in a type that both tables share: numbers, or texts."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64) + 0.0
    if values.dtype.is_temporal():
        return values.cast(pl.Datetime("us")).dt.to_string("iso")
    return values.cast(pl.String).str.strip_chars()


def _nearly(values: pl.Series) -> pl.Series:
    if values.dtype.is_numeric():
        return values.round_sig_figs(4)
    return values.str.to_lowercase().str.replace_all(r"[\s\p{P}]", "")


def _joined(mine: pl.DataFrame, theirs: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rows and the first row of the other table with the same hash."""
    first = theirs.group_by(key).agg(pl.col("row").min().alias("other"))
    return mine.join(first, on=key, how="inner").select("row", "other").sort("row")


def _similar(table: Dataset, other: Dataset, names: Sequence[str], rows: pl.Series, work: Work) -> pl.DataFrame:
    """Rows with a text that is nearly one of the other table's, and that one."""
    none = pl.DataFrame(schema={"row": pl.Int64, "other": pl.Int64})
    texts = [n for n in names if Kind.TEXT in (table.schema[n].kind, other.schema[n].kind)]
    found = [none]
    for name in texts:
        theirs, mine = (_long_texts(each, name) for each in (other, table))
        mine = mine.filter(pl.col("row").is_in(rows.implode()))
        if theirs.is_empty() or mine.is_empty():
            continue
        corpus = Corpus()
        for each in (theirs, mine):
            corpus.add(each["text"])
        groups = group(corpus, work=work)
        first = groups[theirs.height :]  # a group is named by its first text: one of theirs, if it has one
        shared = np.flatnonzero(first < theirs.height)
        found.append(pl.DataFrame({"row": mine["row"].gather(shared), "other": theirs["row"].gather(first[shared])}))
    return pl.concat(found).unique("row", keep="first").sort("row")


def _long_texts(table: Dataset, name: str) -> pl.DataFrame:
    """Row and text of the first 200,000 rows with long texts."""
    kept, size = [], 0
    for frame in table.select([name]).numbered(_ROW, []):
        part = frame.select(pl.col(_ROW).alias("row"), folded(frame[name].cast(pl.String)).alias("text"))
        kept.append(part.filter(pl.col("text").str.len_chars() >= _SHORTEST))
        size += kept[-1].height
        if size >= _MOST_TEXTS:
            break
    return pl.concat(kept).head(_MOST_TEXTS) if kept else pl.DataFrame(schema={"row": pl.Int64, "text": pl.String})
