"""Texts as rows of numbered pieces: what the models of texts learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.codecs import CodePoints, padded_length
from lepton.core import Work
from lepton.training.deep.grams import Grams, keys_of

__all__ = ["PieceRows", "TextKeys"]

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

_AT_ONCE = 4_096  # texts that are made tokens between two looks at the clock
_GROUP_TOKENS = 2_000_000
_LEARNED_FROM = 40_000_000  # keys


@dataclass(frozen=True, slots=True)
class PieceRows:
    """Rows of pieces in compressed form: of row i, those from `starts[i]` to `starts[i + 1]`, each once.

    Attributes:
        starts: int64 [N + 1].
        pieces: int32, numbers of pieces, rising within a row.
        values: float32, how much each counts: its weight, as often as it stands there; squares of all that stands in a
            row, repetitions one by one, add up to 1.
    """

    starts: Integers
    pieces: NDArray[np.int32]
    values: Floats

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, rows: Integers) -> PieceRows:
        """Some of the rows."""
        lengths = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
        return PieceRows(starts, self.pieces[places], self.values[places])


class TextKeys:
    """The keys of texts, by groups of one padded length.

    Attributes:
        num_rows: N.
        same: for each text the number of the first that is equal to it, tokens compared [N].

    Args:
        texts: any texts; the empty one for none.
        work: stop signal.
    """

    def __init__(self, texts: Sequence[str], work: Work) -> None:
        encoder = CodePoints()
        rows: list[Integers] = []
        for start in range(0, len(texts), _AT_ONCE):
            work.check()
            rows += encoder.encode(texts[start : start + _AT_ONCE])
        by_length: dict[int, list[int]] = {}
        for row, tokens in enumerate(rows):
            by_length.setdefault(padded_length(len(tokens)), []).append(row)
        self.num_rows = len(rows)
        first: dict[bytes, int] = {}
        self.same = np.array([first.setdefault(tokens.tobytes(), row) for row, tokens in enumerate(rows)], np.int64)
        self._groups: list[tuple[Integers, Integers, Integers]] = []
        for length, members in sorted(by_length.items()):
            for start in range(0, len(members), step := max(1, _GROUP_TOKENS // length)):
                group = members[start : start + step]
                tokens, mask = np.zeros((2, len(group), length), dtype=np.int64)
                for place, row in enumerate(group):
                    tokens[place, : len(rows[row])] = rows[row]
                    mask[place, : len(rows[row])] = 1
                self._groups.append((np.array(group), tokens, mask))

    def grams(self, rows: Integers, *, most: int, seed: int) -> Grams:
        """Learn pieces from some of the texts, or of very many from a part of these."""
        wanted = np.zeros(self.num_rows, dtype=bool)
        wanted[rows] = True
        cells = sum(tokens.size * 5 for _, tokens, _ in self._groups)
        if cells > _LEARNED_FROM:
            wanted &= np.random.default_rng(seed).random(self.num_rows) < _LEARNED_FROM / cells
        keys = [keys_of(tokens[wanted[group]], mask[wanted[group]]) for group, tokens, mask in self._groups]
        return Grams.fit(keys, most=most)

    def rows(self, grams: Grams, work: Work) -> PieceRows:
        """All texts in the pieces that `grams` knows."""
        found_rows, found_pieces = [], []
        for group, tokens, mask in self._groups:
            work.check()
            numbers = grams.numbers(keys_of(tokens, mask))
            places = numbers.nonzero()
            found_rows.append(group[places[0]])
            found_pieces.append(numbers[places])
        row, piece = np.concatenate(found_rows), np.concatenate(found_pieces)
        squares = np.bincount(row, grams.weights[piece] ** 2, minlength=self.num_rows)
        cells, counts = np.unique(row * len(grams) + piece, return_counts=True)
        row, piece = np.divmod(cells, len(grams))
        values = counts * grams.weights[piece] / np.sqrt(squares[row])
        starts = np.searchsorted(row, np.arange(self.num_rows + 1))
        return PieceRows(starts, piece.astype(np.int32), values.astype(np.float32))
