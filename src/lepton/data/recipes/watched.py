"""A look at rows as they flow by: how many there are, what is missing, and a sample, at hardly any cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from lepton.core import Schema

__all__ = ["View", "Watched"]

_ROWS = 10_000
_CELLS = 400_000
_LEAST_ROWS = 200
_CHARACTERS = 200


@dataclass(frozen=True)
class View:
    """What was seen of the rows of one whole pass.

    Attributes:
        schema: the columns.
        rows: how many came.
        missing: missing cells of each column.
        sample: rows drawn at random, at most 10,000, fewer of wide tables; texts are cut to 200 characters.
    """

    schema: Schema
    rows: int
    missing: dict[str, int]
    sample: pl.DataFrame

    def missing_share(self, name: str) -> float:
        """Share of the rows that lack a column."""
        return self.missing[name] / self.rows if self.rows else 0.0


class Watched:
    """Keeps a view of the first whole pass over some rows.

    Args:
        seed: of the sample.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._view: View | None = None

    def follow(self, frames: Iterable[pl.DataFrame], schema: Schema) -> Iterator[pl.DataFrame]:
        """The same frames; when the last of them was asked for, the pass was a whole one.

        Args:
            frames: rows with the columns of `schema`, and perhaps others.
            schema: the columns to look at.
        """
        if self._view is not None:
            yield from frames
            return
        names = list(schema.names)
        sample = _Sample(max(_LEAST_ROWS, min(_ROWS, _CELLS // max(len(names), 1))), self._seed)
        missing = np.zeros(len(names), dtype=np.int64)
        rows = 0
        for frame in frames:
            seen = frame.select(names)
            sample.update(seen, rows)
            missing += [series.null_count() for series in seen]
            rows += frame.height
            yield frame
        counts = dict(zip(names, missing.tolist(), strict=True))
        self._view = View(schema, rows, counts, sample.frame(names))

    def without(self, hidden: Collection[str]) -> View | None:
        """The view without the values of `hidden` columns; None where there was no whole pass."""
        view = self._view
        if view is None:
            return None
        return replace(view, sample=view.sample.drop([n for n in view.sample.columns if n in hidden]))


class _Sample:
    """So many rows drawn at random; each frame gives as many as its share of all rows so far."""

    def __init__(self, rows: int, seed: int) -> None:
        self._rows = rows
        self._random = np.random.default_rng(seed)
        self._kept: pl.DataFrame | None = None

    def update(self, frame: pl.DataFrame, before: int) -> None:
        """Add a frame that `before` rows came before."""
        held = 0 if self._kept is None else self._kept.height
        total = before + frame.height
        if not frame.height:
            return
        number = frame.height
        if total > self._rows:
            share = int(self._random.binomial(self._rows, frame.height / total))
            number = min(max(share, self._rows - held), frame.height)
        chosen = frame
        if number < frame.height:
            chosen = frame[np.sort(self._random.choice(frame.height, number, replace=False, shuffle=False))]
        chosen = chosen.with_columns(pl.col(pl.String).str.slice(0, _CHARACTERS))
        left = self._rows - number
        if self._kept is not None and held > left:
            self._kept = self._kept[np.sort(self._random.choice(held, left, replace=False, shuffle=False))]
        self._kept = chosen if self._kept is None else pl.concat([self._kept, chosen])

    def frame(self, names: list[str]) -> pl.DataFrame:
        """The rows drawn."""
        return pl.DataFrame(schema=dict.fromkeys(names, pl.Null)) if self._kept is None else self._kept
