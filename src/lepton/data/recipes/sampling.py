"""A bounded sample of rows that pass by, by chance that is a hash of the row's number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from lepton.data.split import hashed

__all__ = ["RowSample"]

_CHANCE = "\0chance"


class RowSample:
    """All rows as long as they are few, then a sample in which every row is as likely as any other.

    The same rows in the same order give the same sample, however they are cut. Samples merge: to that of the whole
    where the other still has all of its rows, else to one that is as fair.

    Args:
        columns: what is kept of a row.
        rows: how many are kept.
        seed: of the chance.
    """

    def __init__(self, columns: Sequence[str], rows: int, seed: int) -> None:
        self.columns = tuple(columns)
        self.seen = 0
        self._rows, self._seed = rows, seed
        self._held: list[pl.DataFrame] = []
        self._num_held = 0
        self._limit: np.uint64 | None = None

    def update(self, frame: pl.DataFrame) -> None:
        """See some more rows."""
        places = np.arange(self.seen, self.seen + frame.height, dtype=np.uint64)
        self.seen += frame.height
        self._take(frame.select(self.columns).with_columns(pl.Series(_CHANCE, hashed(places, self._seed))))

    def _take(self, frame: pl.DataFrame) -> None:
        if self._limit is not None:
            frame = frame.filter(frame[_CHANCE] <= self._limit)
        self._held.append(frame)
        self._num_held += frame.height
        if self._num_held > 2 * self._rows:
            self._thin()

    def _thin(self) -> None:
        whole = pl.concat(self._held)
        if whole.height > self._rows:
            self._limit = np.partition(whole[_CHANCE].to_numpy(), self._rows - 1)[self._rows - 1]
            whole = whole.filter(whole[_CHANCE] <= self._limit).head(self._rows)
        self._held, self._num_held = [whole], whole.height

    def merge(self, other: RowSample) -> None:
        """Take in what another one has seen, after the own rows."""
        if other._limit is None:
            for frame in other._held:
                self.update(frame)
            return
        for frame in other._held:
            self._take(frame)
        self.seen += other.seen

    def frame(self) -> pl.DataFrame:
        """The rows that are kept, in their order; without columns where no row was seen."""
        if not self._held:
            return pl.DataFrame()
        self._thin()
        return self._held[0].drop(_CHANCE)
