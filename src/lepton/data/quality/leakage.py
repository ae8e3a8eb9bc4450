"""What gives the target away: columns, missing values, the order of the rows, and rows that stand in two tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Work
from lepton.data.dataset import Dataset
from lepton.data.describe.findings import Finding
from lepton.data.describe.relations import Relation, relation
from lepton.data.quality.overlap import SharedRows, shared_rows
from lepton.report import plain_table, show_number, show_share

__all__ = ["Leakage", "find_leakage"]

_SAMPLE_ROWS = 20_000
_FEWEST = 50
_PERFECT = 0.98
_EQUAL = 0.995
_MONOTONE = 0.999
_TELLING = 0.1
"""How well a number that only says which row it is may predict before it is told."""
_UNIQUE = 0.99
_MOST_CODES = 1_000


@dataclass(frozen=True)
class Leakage:
    """What may give the target away. Each is a suspicion: a person knows what is known when the model answers.

    Attributes:
        target: the column.
        findings: the gravest first; `what` is `copy`, `encoding`, `alone`, `missing`, `shared`, `identifier` or
            `order`.
        shared: rows that stand in the other table, too; None without one.
        seen: rows that were looked at.
    """

    target: str
    findings: tuple[Finding, ...]
    shared: SharedRows | None
    seen: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "target": self.target,
            "findings": [each.to_dict() for each in self.findings],
            "shared": None if self.shared is None else self.shared.to_dict(),
            "seen": self.seen,
        }

    def text(self) -> str:
        """Tables for a terminal."""
        head = f"{self.seen:,} rows were looked at for what gives {self.target!r} away"
        rows = [(each.column or "", each.what, each.text) for each in self.findings]
        parts = [head, plain_table(("column", "what", "evidence"), rows) if rows else "Nothing was found."]
        return "\n\n".join(parts if self.shared is None else [*parts, self.shared.text()])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()


def find_leakage(dataset: Dataset, target: str, *, against: Dataset | None = None, work: Work | None = None) -> Leakage:
    """What may give the target away to a model, so that it looks better than it will be.

    Each column alone: a copy of the target, another way to write it, a nearly perfect prediction on rows held out, and
    missing values that say what the target is. What only says which row it is (identifiers, the order of the rows) and
    still predicts: the rows are sorted by the target, or it moves with time, and rows drawn at random are no fair test.

    Args:
        dataset: the rows; columns are judged on at most 20,000 of them, drawn with the work's seed.
        target: column to be predicted.
        against: rows to test with; those that stand in both tables are named.
        work: cancel, progress and seed.

    Raises:
        DataError: there is no such column, or fewer than 50 rows have a target.
    """
    work = Work.of(work)
    aim = dataset.schema[target]
    sample = _drawn(dataset, aim.name, work)
    if sample.height < _FEWEST:
        came = f"{sample.height} rows have a {aim.name!r}"
        raise DataError(ErrorCode.TOO_FEW_ROWS, came, wanted=f"at least {_FEWEST}")
    found: list[Finding] = []
    for column in dataset.schema:
        work.check()
        if column.name != aim.name:
            found += _of_column(column, sample[column.name], sample[aim.name], aim)
    found += _of_order(sample[_ROW], sample[aim.name], aim)
    shared = None if against is None else shared_rows(against, dataset, work=work)
    if shared is not None and shared.share and not shared.is_usual:
        text = f"{show_share(shared.share)} of the rows to test with stand in the table, too"
        found.append(Finding(None, "shared", "warning", text))
    found.sort(key=lambda each: (each.level != "warning", _GRAVEST.index(each.what)))
    return Leakage(aim.name, tuple(found), shared, sample.height)


_ROW = "\0row"
_GRAVEST = ("copy", "encoding", "alone", "missing", "shared", "identifier", "order")


def _drawn(dataset: Dataset, target: str, work: Work) -> pl.DataFrame:
    """Rows with a target, drawn from all over the table, in their order."""
    kept: list[pl.DataFrame] = []
    draw = np.random.default_rng(work.seed_for("leakage"))
    least, start = 0.0, 0
    for frame in dataset.batches():
        work.check()
        rows = pl.int_range(start, start + frame.height, dtype=pl.Int64, eager=True).alias(_ROW)
        start += frame.height
        lot = pl.Series("\0lot", draw.random(frame.height))
        frame = frame.with_columns(rows, lot).filter(pl.col(target).is_not_null() & (pl.col("\0lot") >= least))
        kept.append(frame)
        if sum(each.height for each in kept) > 2 * _SAMPLE_ROWS:
            kept = [pl.concat(kept).top_k(_SAMPLE_ROWS, by="\0lot")]
            least = float(kept[0]["\0lot"].min())  # type: ignore[arg-type]  # a number, because rows are there
        work.report(start, None, "rows")
    everything = pl.concat(kept) if kept else dataset.frame().with_columns(pl.Series(_ROW, [], dtype=pl.Int64))
    if everything.height > _SAMPLE_ROWS:
        everything = everything.top_k(_SAMPLE_ROWS, by="\0lot")
    return everything.sort(_ROW).drop("\0lot", strict=False)


def _of_column(column: ColumnRecord, values: pl.Series, target: pl.Series, aim: ColumnRecord) -> Iterator[Finding]:
    """The first of its leaks: the gravest."""
    named = column.kind is Kind.IDENTIFIER
    whole = column.kind is Kind.NUMBER and values.dtype.is_integer() and values.n_unique() >= _UNIQUE * len(values)
    if named or whole:
        numbers = values.cast(pl.Float64, strict=False) if named else values
        order = numbers if numbers.null_count() < 0.5 * len(numbers) else values.rank("dense")
        told = relation(order, Kind.NUMBER, target, aim.kind)
        if told is not None and _is_told(told) and told.alone < _PERFECT:
            text = f"only names the row, and its order predicts the target ({show_number(told.alone, 2)} of 1)"
            yield Finding(column.name, "identifier", "warning", f"{text}: leave it out, and test on later rows")
            return
    kind = Kind.NUMBER if named else column.kind
    found = relation(order if named else values, kind, target, aim.kind)
    if found is not None and found.equal >= _EQUAL:
        text = f"{show_share(found.equal)} of its values are those of the target: leave it out"
        yield Finding(column.name, "copy", "warning", text)
    elif found is not None and _encodes(values, target, column, aim, found):
        yield Finding(
            column.name, "encoding", "warning", "says the target in another way, value for value: leave it out"
        )
    elif values.null_count() and _says_by_missing(values, target, aim):
        text = "that it is missing says what the target is: is it filled in only afterwards?"
        yield Finding(column.name, "missing", "warning", text)
    elif found is not None and found.alone >= _PERFECT:
        text = f"predicts the target almost perfectly alone ({show_number(found.alone, 3)} of 1)"
        yield Finding(
            column.name, "alone", "warning", f"{text}: leave it out unless it is known when the model answers"
        )


def _says_by_missing(values: pl.Series, target: pl.Series, aim: ColumnRecord) -> bool:
    missing = relation(values.is_null(), Kind.BOOLEAN, target, aim.kind)
    return missing is not None and missing.alone >= _PERFECT


def _encodes(values: pl.Series, target: pl.Series, column: ColumnRecord, aim: ColumnRecord, found: Relation) -> bool:
    """Whether each value stands for one of the target and each of the target for one value, or numbers rise alike."""
    if found.measure == "spearman" and abs(found.value) >= _MONOTONE and values.null_count() == 0:
        return True
    pairs = pl.DataFrame({"value": values, "target": target}).drop_nulls()
    number = pairs.n_unique()
    many = min(_MOST_CODES, len(target) // 5)
    return 2 <= number <= many and number == pairs["value"].n_unique() == pairs["target"].n_unique()


def _is_told(told: Relation) -> bool:
    """Whether a prediction is better than chance: on half of the rows it errs by one over their root."""
    return told.alone >= max(_TELLING, 4 / math.sqrt(told.num_rows / 2))


def _of_order(rows: pl.Series, target: pl.Series, aim: ColumnRecord) -> Iterator[Finding]:
    told = relation(rows, Kind.NUMBER, target, aim.kind)
    if told is not None and _is_told(told):
        text = (
            f"where a row stands predicts the target ({show_number(told.alone, 2)} of 1): the rows are sorted by it, "
            "or it moves with time; then test on the last rows, not on rows drawn at random"
        )
        yield Finding(None, "order", "note", text)
