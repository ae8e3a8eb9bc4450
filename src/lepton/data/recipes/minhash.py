"""Groups of texts that are nearly the same: MinHash and locality-sensitive hashing, then exact comparison.

Two texts are as similar as the share of their pieces of a few letters that they have in common (Jaccard; Broder, 1997,
for the hashes; Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3, for the bands). Candidates are
texts whose hashes agree in all rows of at least one band; each candidate pair is then compared exactly, so nothing
that is found is wrong, and only a pair that no band brings together is missed: fewer than 2 % at a similarity of 0.8.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import Work
from lepton.store import write_bytes

__all__ = ["MAX_CHARACTERS", "Bands", "Corpus", "folded", "group", "join"]

MAX_CHARACTERS = 65_536
"""Of a longer text only the beginning is looked at."""

_PIECE = 2_000_000  # letters that are hashed at a time
_CACHED = 65_536  # letters whose hashes stay in the cache of one core
_WINDOW = 16  # neighbours that a text is compared with
_WINDOW_OF_LONG = 4  # the same where more than `_LONG` texts share a key
_LONG = 64
_GOLDEN = 0x9E3779B97F4A7C15
_BITS = 40  # of the hash of one shingle where pairs are compared; the other 24 name the text
_FEWEST_MISSED = 0.02

Hashes = NDArray[np.uint64]
Letters = NDArray[np.uint32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Bands:
    """How many hashes are compared: a pair is a candidate if `rows` hashes agree in at least one of `number` bands."""

    number: int
    rows: int

    @classmethod
    def of(cls, similarity: float) -> Bands:
        """As many rows as keep what is missed at `similarity` below 2 % with 60 hashes or so.

        >>> Bands.of(0.8)
        Bands(number=10, rows=5)
        """
        fitting = (cls.enough(rows, similarity) for rows in range(10, 0, -1))
        return next((bands for bands in fitting if bands.number * bands.rows <= 60), cls.enough(1, similarity))

    @classmethod
    def enough(cls, rows: int, similarity: float) -> Bands:
        """The fewest bands of so many rows that keep what is missed below 2 %."""
        missed = 1 - min(similarity, 0.99) ** rows
        return cls(max(math.ceil(math.log(_FEWEST_MISSED) / math.log(missed)), 1), rows)

    def found(self, similarity: float) -> float:
        """The share of pairs so similar that become candidates."""
        return float(1 - (1 - similarity**self.rows) ** self.number)


def folded(texts: pl.Series) -> pl.Series:
    """The texts as they are compared: lower case, runs of white space as one space, at most `MAX_CHARACTERS`."""
    return texts.str.slice(0, MAX_CHARACTERS).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


class Corpus:
    """Texts that are compared: their letters as code points, in memory or, beyond a limit, in files that are mapped.

    >>> corpus = Corpus()
    >>> corpus.add(pl.Series(["abcd", "xy"]))
    >>> len(corpus), corpus.letters(np.array([1]), gap=2).tolist()
    (2, [120, 121, 0, 0])

    Args:
        folder: for the files.
        memory: bytes of letters that are held.
    """

    def __init__(self, folder: Path | None = None, memory: int = 2**62) -> None:
        self._folder, self._memory = folder, memory
        self._parts: list[Letters] = []
        self._held: list[Letters] = []
        self._lengths: list[Rows] = []
        self._hashes: list[Hashes] = []
        self._first_rows = [0]  # of each part that is finished

    def add(self, texts: pl.Series) -> None:
        """Some more texts, as `folded` gives them, none missing."""
        self._held.append(np.frombuffer((texts.str.join("").item() or "").encode("utf-32-le"), dtype="<u4"))
        self._lengths.append(texts.str.len_chars().to_numpy().astype(np.int64))
        self._hashes.append(texts.hash().to_numpy())
        if self._folder is not None and sum(letters.nbytes for letters in self._held) > self._memory:
            path = self._folder / f"letters-{id(self):x}-{len(self._parts)}.bin"
            write_bytes(path, np.concatenate(self._held).tobytes())
            self._end_part(np.memmap(path, dtype="<u4", mode="r"))

    def _end_part(self, letters: Letters) -> None:
        self._parts.append(letters)
        self._first_rows.append(len(self))
        self._held = []

    def __len__(self) -> int:
        return sum(map(len, self._lengths))

    @cached_property
    def lengths(self) -> Rows:
        """Letters of each text."""
        return np.concatenate([np.empty(0, np.int64), *self._lengths])

    @cached_property
    def hashes(self) -> Hashes:
        """Equal for equal texts, and hardly ever for others."""
        return np.concatenate([np.empty(0, np.uint64), *self._hashes])

    @cached_property
    def _starts(self) -> Rows:
        """Where each text begins in its part."""
        if self._held:
            self._end_part(np.concatenate(self._held))
        whole = np.cumsum(self.lengths) - self.lengths
        for first, last in itertools.pairwise(self._first_rows):
            whole[first:last] -= whole[first] if first < last else 0
        return whole

    def letters(self, rows: Rows, gap: int) -> Letters:
        """The letters of texts, one after the other, each with `gap` zeros behind it."""
        starts, lengths = self._starts[rows], self.lengths[rows]
        targets = np.cumsum(lengths + gap) - lengths - gap
        out = np.zeros(int((lengths + gap).sum()), dtype="<u4")
        for letters, (first, last) in zip(self._parts, itertools.pairwise(self._first_rows), strict=True):
            inside = slice(None) if len(self._parts) == 1 else (rows >= first) & (rows < last)
            sizes = lengths[inside]
            out[_ranges(targets[inside], sizes)] = letters[_ranges(starts[inside], sizes)]
        return out

    def shingles(self, rows: Rows, size: int) -> tuple[Hashes, Rows]:
        """Hashes of all runs of `size` letters of texts, text after text, with repetitions.

        A text that is shorter is one run; an empty one is one run too.

        Returns:
            The hashes, and where each text's begin [len(rows) + 1].
        """
        lengths = self.lengths[rows]
        counts = np.maximum(lengths - size + 1, 1)
        letters = self.letters(rows, size)  # the gap keeps runs from reaching into the next text
        rolling = np.zeros(max(len(letters) - size + 1, 0), dtype=np.uint64)
        for offset in range(size):
            rolling *= np.uint64(_GOLDEN)
            rolling += letters[offset : offset + len(rolling)]
            rolling += np.uint64(1)
        starts = np.cumsum(lengths + size) - lengths - size
        return _mixed(rolling[_ranges(starts, counts)]), np.concatenate([[0], np.cumsum(counts)])


def group(corpus: Corpus, *, size: int = 3, similarity: float = 0.8, seed: int = 0, work: Work | None = None) -> Rows:
    """Number of the first text of each text's group [len(corpus)]; its own where it is alone.

    Texts are in one group if a chain of pairs, each at least `similarity` alike, joins them. Some 120 bytes a text are
    held. Time grows with the number of letters whatever they are: equal texts are joined by one hash, and where a key
    is shared by many texts only neighbours in the order of the rows are compared.

    Args:
        corpus: the texts.
        size: letters of the runs that are compared.
        similarity: least share of runs in common, above 0 and at most 1.
        seed: the same seed finds the same.
        work: stopped between pieces.
    """
    work = Work.of(work)
    labels = _equal(corpus, work)
    rows = np.flatnonzero(labels == np.arange(len(labels)))
    for band in _keys(corpus, rows, size, Bands.of(similarity), seed, work):
        for left, right in _candidates(band):
            left, right = rows[left], rows[right]
            apart = labels[left] != labels[right]
            left, right = left[apart], right[apart]
            similar = _similar(corpus, left, right, size, similarity, work)
            join(labels, left[similar], right[similar])
    return labels


def _equal(corpus: Corpus, work: Work) -> Rows:
    """Number of the first text that is the same as each."""
    labels = np.arange(len(corpus), dtype=np.int64)
    if not len(corpus):
        return labels
    order = np.argsort(corpus.hashes, kind="stable")
    ordered = corpus.hashes[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = order[new][np.cumsum(new) - 1]
    again, first = order[~new], first[~new]
    together = corpus.lengths[again] == corpus.lengths[first]
    again, first = again[together], first[together]
    for start, stop in _runs(corpus.lengths[again]):
        work.check()
        some = again[start:stop]
        differ = corpus.letters(some, 1) != corpus.letters(first[start:stop], 1)
        steps = corpus.lengths[some] + 1
        same = ~np.logical_or.reduceat(differ, np.cumsum(steps) - steps)
        labels[some[same]] = first[start:stop][same]
    return labels


def _keys(corpus: Corpus, rows: Rows, size: int, bands: Bands, seed: int, work: Work) -> NDArray[np.uint64]:
    """One key for each band and each of `rows` [bands.number, len(rows)]: equal keys make a candidate."""
    random = np.random.default_rng(seed % 2**64)
    hashes = bands.number * bands.rows
    factors = random.integers(0, 2**32, hashes, dtype=np.uint32) | np.uint32(1)
    offsets = random.integers(0, 2**32, hashes, dtype=np.uint32)
    keys = np.zeros((bands.number, len(rows)), dtype=np.uint64)
    for start, stop in _runs(corpus.lengths[rows]):
        work.check()
        work.report(start, len(rows), "texts", note="hashing")
        found, bounds = corpus.shingles(rows[start:stop], size)
        smallest = _smallest((found >> np.uint64(32)).astype(np.uint32), bounds, factors, offsets)
        for number, smaller in enumerate(smallest):
            key = keys[number // bands.rows, start:stop]
            key[:] = _mixed(key * np.uint64(_GOLDEN) + smaller)
    return keys


def _smallest(
    hashes: NDArray[np.uint32], bounds: Rows, factors: NDArray[np.uint32], offsets: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """The smallest of each text's hashes under each of the permutations `factor · hash + offset` [hashes, texts]."""
    out = np.empty((len(factors), len(bounds) - 1), dtype=np.uint32)
    first = 0
    while first < len(bounds) - 1:
        last = max(int(np.searchsorted(bounds, bounds[first] + _CACHED, side="right")) - 1, first + 1)
        part = hashes[bounds[first] : bounds[last]]
        starts = bounds[first:last] - bounds[first]
        turned = np.empty_like(part)
        for number, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            np.multiply(part, factor, out=turned)
            turned += offset
            np.minimum.reduceat(turned, starts, out=out[number, first:last])
        first = last
    return out


def _candidates(keys: Hashes) -> Iterator[tuple[Rows, Rows]]:
    """Pairs with the same key: each with its next ones in the order of the rows, one distance after the other."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    # Only runs of equal keys are looked at again: most keys stand alone.
    equal = ordered[1:] == ordered[:-1]
    inside = np.flatnonzero(np.concatenate([equal, [False]]) | np.concatenate([[False], equal]))
    order, ordered = order[inside], ordered[inside]
    starts = np.flatnonzero(np.concatenate([np.ones(min(len(ordered), 1), bool), ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.concatenate([starts, [len(ordered)]]))
    is_long = np.repeat(sizes > _LONG, sizes)
    for distance in range(1, min(_WINDOW, len(order) - 1) + 1):
        if distance > _WINDOW_OF_LONG:
            order, ordered, is_long = order[~is_long], ordered[~is_long], is_long[~is_long]
        together = np.flatnonzero(ordered[distance:] == ordered[:-distance])
        if not len(together):
            return
        yield order[together], order[together + distance]


def _similar(corpus: Corpus, left: Rows, right: Rows, size: int, similarity: float, work: Work) -> NDArray[np.bool_]:
    """Which pairs are at least so similar, by all their pieces."""
    answer = np.zeros(len(left), dtype=bool)
    for start, stop in _runs(corpus.lengths[left] + corpus.lengths[right]):
        work.check()
        answer[start:stop] = _jaccard(corpus, left[start:stop], right[start:stop], size) >= similarity - 1e-12
    return answer


def _jaccard(corpus: Corpus, left: Rows, right: Rows, size: int) -> NDArray[np.float64]:
    """The share of common pieces of each pair."""
    chosen, places = _distinct(np.concatenate([left, right]))
    hashes, bounds = corpus.shingles(chosen, size)
    owner = np.repeat(np.arange(len(chosen), dtype=np.uint64), np.diff(bounds))
    pieces = (owner << np.uint64(_BITS)) | (hashes >> np.uint64(64 - _BITS))
    pieces.sort()
    pieces = pieces[np.concatenate([[True], pieces[1:] != pieces[:-1]])]
    counts = np.bincount((pieces >> np.uint64(_BITS)).astype(np.int64), minlength=len(chosen))
    starts = np.cumsum(counts) - counts
    plain = pieces & np.uint64((1 << _BITS) - 1)
    one, other = places[: len(left)], places[len(left) :]
    # The pieces of both sides, each marked with its pair: what stands there twice is common.
    pairs = np.arange(len(left), dtype=np.uint64)
    marked = np.concatenate(
        [
            np.repeat(pairs << np.uint64(_BITS), counts[side]) | plain[_ranges(starts[side], counts[side])]
            for side in (one, other)
        ]
    )
    marked.sort()
    twice = marked[1:][marked[1:] == marked[:-1]] >> np.uint64(_BITS)
    common = np.bincount(twice.astype(np.int64), minlength=len(left))
    shares: NDArray[np.float64] = common / (counts[one] + counts[other] - common)
    return shares


def _distinct(numbers: Rows) -> tuple[Rows, Rows]:
    """The different numbers in order, and where each one stands among them."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    places = np.empty(len(numbers), dtype=np.int64)
    places[order] = np.cumsum(new) - 1
    return ordered[new], places


def _ranges(starts: Rows, counts: Rows) -> Rows:
    """`start, start + 1, …` for each start, `count` of them, one after the other."""
    ends = np.cumsum(counts)
    ranges: Rows = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
    return ranges


def join(labels: Rows, left: Rows, right: Rows) -> None:
    """Join the groups of each pair; each group is called by its smallest number, also among `labels` of others."""
    one, other = labels[left], labels[right]
    if not len(one):
        return
    while (apart := one != other).any():
        one, other = one[apart], other[apart]
        np.minimum.at(labels, np.maximum(one, other), np.minimum(one, other))
        one, other = _roots(labels, one), _roots(labels, other)
    labels[:] = _roots(labels, labels)


def _roots(labels: Rows, rows: Rows) -> Rows:
    """Where the chain of labels that begins at each of `rows` ends."""
    while (further := labels[rows]).tobytes() != rows.tobytes():
        rows = further
    return rows


def _runs(lengths: Rows) -> Iterator[tuple[int, int]]:
    """Bounds of runs of about `_PIECE` letters, or of one text that is longer."""
    total = np.cumsum(np.maximum(lengths, 1))
    start = 0
    while start < len(lengths):
        before = total[start - 1] if start else 0
        stop = max(int(np.searchsorted(total, before + _PIECE, side="right")), start + 1)
        yield start, stop
        start = stop


def _mixed(values: Hashes) -> Hashes:
    """SplitMix64 (Steele, Lea and Flood, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
