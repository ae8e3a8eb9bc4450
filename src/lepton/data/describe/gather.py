"""The one pass that a description makes over a table: statistics, a sample of rows, repeated rows, missing cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from lepton.core import Interrupted, Schema, Work
from lepton.data.decisions import DecisionRecord
from lepton.data.describe.missing import MissingMap
from lepton.data.statistics import ColumnStatistics

__all__ = ["Gathered", "Table", "gather"]

_SAMPLE_ROWS = 20_000
_SAMPLE_CELLS = 10_000_000
_ROW_HASHES = 200_000
_WIDE = 1_000


class Table(Protocol):
    """What describing needs of a dataset."""

    @property
    def schema(self) -> Schema:
        """The columns."""
        ...

    @property
    def decisions(self) -> Sequence[DecisionRecord]:
        """What reading decided."""
        ...

    def batches(self, rows: int = ...) -> Iterator[pl.DataFrame]:
        """All rows, in frames."""
        ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one pass found.

    Attributes:
        statistics: one for each column, in order.
        sample: rows drawn at random, at most 20,000, fewer of wide tables.
        num_rows: rows seen.
        repeated: rows that repeat an earlier one, estimated where `repeated_exact` is False.
        repeated_exact: whether `repeated` is a count.
        complete: False if time was over before the last row.
        missing: where in the table values are missing.
    """

    statistics: tuple[ColumnStatistics, ...]
    sample: pl.DataFrame
    num_rows: int
    repeated: int
    repeated_exact: bool
    complete: bool
    missing: MissingMap


class _Sample:
    """Rows drawn at random: each gets a random key, and the rows with the smallest keys stay."""

    def __init__(self, rows: int, seed: int) -> None:
        self._rows = rows
        self._random = np.random.default_rng(seed)
        self._keys = np.empty(0)
        self._frames: pl.DataFrame | None = None

    def update(self, frame: pl.DataFrame) -> None:
        keys = self._random.random(frame.height)
        if len(self._keys) == self._rows:
            chosen = keys < self._keys.max()
            frame, keys = frame.filter(pl.Series(chosen)), keys[chosen]
        if not frame.height:
            return
        keys = np.concatenate([self._keys, keys])
        whole = frame if self._frames is None else pl.concat([self._frames, frame])
        if len(keys) > self._rows:
            kept = np.sort(np.argpartition(keys, self._rows)[: self._rows])
            whole, keys = whole[kept], keys[kept]
        self._frames, self._keys = whole, keys

    def frame(self, empty: pl.DataFrame) -> pl.DataFrame:
        return empty if self._frames is None else self._frames


class _RepeatedRows:
    """Counts rows that repeat others: all of them while few, then those whose hash is small, scaled up.

    Equal rows have equal hashes, so they are in the sample together or not at all.
    """

    def __init__(self) -> None:
        self._hashes = np.empty(0, dtype=np.uint64)
        self._halvings = 0

    def update(self, frame: pl.DataFrame) -> None:
        self._hashes = np.concatenate([self._hashes, self._within(frame.hash_rows().to_numpy())])
        while len(self._hashes) > _ROW_HASHES and self._halvings < 40:
            self._halvings += 1
            self._hashes = self._within(self._hashes)

    def _within(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return hashes[hashes >> np.uint64(64 - self._halvings) == 0] if self._halvings else hashes

    @property
    def estimate(self) -> int:
        return (len(self._hashes) - len(np.unique(self._hashes))) << self._halvings

    @property
    def is_exact(self) -> bool:
        return self._halvings == 0


def gather(table: Table, work: Work, *, batch_rows: int = 65_536) -> Gathered:
    """Pass over `table` once.

    Raises:
        Interrupted: the work was asked to stop. Where only its time is over, what was seen so far is given.
    """
    columns = table.schema.columns
    size = 512 if len(columns) > _WIDE else None
    statistics = tuple(ColumnStatistics(c.name, c.kind, size=size) for c in columns)
    sample_rows = max(1_000, min(_SAMPLE_ROWS, _SAMPLE_CELLS // max(len(columns), 1)))
    sample = _Sample(sample_rows, work.seed_for("describe", "sample"))
    repeated = _RepeatedRows()
    missing = MissingMap()
    empty = pl.DataFrame(schema=dict.fromkeys(table.schema.names, pl.Null))
    num_rows, complete = 0, True
    batch_rows = max(1_024, min(batch_rows, _SAMPLE_CELLS // max(len(columns), 1)))
    with ThreadPoolExecutor(work.resources.cpus) as pool:
        for frame in table.batches(batch_rows):
            _update_all(pool, statistics, frame)
            sample.update(frame)
            repeated.update(frame)
            missing.update(frame)
            num_rows += frame.height
            work.report(num_rows, None, "rows", note="describing")
            try:
                work.check()
            except Interrupted:
                if work.cancel.is_set():
                    raise
                complete = False
                break
    return Gathered(statistics, sample.frame(empty), num_rows, repeated.estimate, repeated.is_exact, complete, missing)


def _update_all(pool: ThreadPoolExecutor, statistics: Iterable[ColumnStatistics], frame: pl.DataFrame) -> None:
    """Columns side by side: sorting, hashing and Polars let other threads run."""
    list(pool.map(lambda column: column.update(frame[column.name]), statistics))
