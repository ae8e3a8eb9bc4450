"""Pieces of texts as numbers: runs of characters and words of tokens, by hashing, in numpy and in a graph alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder

__all__ = ["Grams", "keys_of"]

Integers = NDArray[np.int64]

_PRIME = 2**31 - 1
_FACTOR = 1_000_003
_LONGEST = 3  # characters
_WORDS, _PAIRS = 6, 7  # marks of keys, beside 1 to 3 for so many characters
_MARKS = 8
_SPACE_TO = 0x3041  # code points above stand in words, all of them
_SLOTS_PER_KEY = 8


def _separators() -> NDArray[np.int64]:
    """By code point + 1: 1 where it parts words. 0 is padding, and the last stands for all beyond."""
    parting = [unicodedata.category(chr(point))[0] in "PSZC" for point in range(_SPACE_TO)]
    return np.array([True, *parting, False], dtype=np.int64)


_SEPARATORS = _separators()


def keys_of(tokens: Integers, mask: Integers) -> Integers:
    """The key of each piece that stands in the texts, [N, K]; 0 where there is none.

    Pieces are runs of 1 to 3 characters (the edges of the text counting as one), words, and pairs of words that follow
    each other.

    Args:
        tokens: code points [N, L].
        mask: 1 where there is one.
    """
    num_rows, length = tokens.shape
    ones = (tokens + 1) * mask
    edged = np.pad(ones, ((0, 0), (1, 1)))
    present = np.pad(mask, ((0, 0), (1, 1)))
    ends = np.maximum(present[:, 1:], present[:, :-1])  # from the second place on: a character or the edge behind one
    parts = [(ones * _MARKS + 1) * mask]
    run = edged
    for size in range(2, _LONGEST + 1):
        run = (run[:, :-1] * _FACTOR + edged[:, size - 1 :] + 1) % _PRIME
        parts.append((run * _MARKS + size) * ends[:, size - 2 :])
    inside = ones * (1 - _SEPARATORS[np.minimum(ones, _SPACE_TO + 1)])
    before = np.pad(inside, ((0, 0), (2, 0)))
    three = ((before[:, :-2] * _FACTOR + before[:, 1:-1]) % _PRIME * _FACTOR + inside) % _PRIME
    three = three * np.minimum(inside, 1)
    starts = np.minimum(inside, 1) * (1 - np.minimum(before[:, 1:-1], 1))
    places = np.maximum(np.cumsum(starts, axis=1) - 1, 0)
    words = np.zeros((num_rows, length), dtype=np.int64)
    np.add.at(words, (np.arange(num_rows)[:, None], places), three)
    words %= _PRIME
    parts.append((words * _MARKS + _WORDS) * np.minimum(words, 1))
    pairs = (words[:, :-1] * _FACTOR + words[:, 1:]) % _PRIME
    parts.append((pairs * _MARKS + _PAIRS) * np.minimum(words[:, 1:], 1))
    return np.concatenate(parts, axis=1)


class Grams:
    """The pieces that a model knows, by number from 1, and what each weighs; 0 is any other.

    Attributes:
        keys: of each piece; that of 0 is -1, which no piece has.
        weights: of each piece, larger for rarer ones; that of 0 is 0.
        num_repeated: pieces below this number stood in more than one text.

    Args:
        keys: int64 [V], different from each other, the most frequent first.
        counts: in how many texts each stood [V].
        num_rows: how many texts there were.
    """

    def __init__(self, keys: Integers, counts: Integers, num_rows: int) -> None:
        num_slots = max(_SLOTS_PER_KEY * len(keys), 1) | 1
        slots = np.zeros(num_slots, dtype=np.int32)
        places = keys % num_slots
        # Where several have one slot the most frequent keeps it: the last that is written.
        slots[places[::-1]] = np.arange(len(keys), 0, -1, dtype=np.int32)
        kept = slots[places] == np.arange(1, len(keys) + 1)
        slots[places[kept]] = np.arange(1, kept.sum() + 1, dtype=np.int32)
        self.slots = slots
        self.keys: Integers = np.concatenate([[-1], keys[kept]])
        self.weights: NDArray[np.float64] = np.concatenate([[0.0], 1 + np.log((1 + num_rows) / (1 + counts[kept]))])
        self.num_repeated = 1 + int((counts[kept] > 1).sum())

    @classmethod
    def fit(cls, keys: Sequence[Integers], *, most: int) -> Grams:
        """Learn from the keys [N, K] of groups of texts.

        Args:
            keys: as `keys_of` gives them.
            most: how many pieces, the most frequent of them.
        """
        num_rows = sum(map(len, keys))
        found, counts = np.unique(np.concatenate([_distinct(group) for group in keys]), return_counts=True)
        chosen = np.flatnonzero(found > 0)
        chosen = chosen[np.argsort(-counts[chosen], kind="stable")][:most]
        return cls(found[chosen], counts[chosen], num_rows)

    def __len__(self) -> int:
        return len(self.keys)

    def numbers(self, keys: Integers) -> NDArray[np.int32]:
        """The number of each key, in the same shape; 0 of what is not known."""
        numbers = self.slots[keys % len(self.slots)]
        return np.where(self.keys[numbers] == keys, numbers, np.int32(0))

    def write(self, builder: GraphBuilder, tokens: str, mask: str) -> str:
        """`keys_of` and `numbers` in a graph: the value with the numbers, int32 [N, K]."""
        return _Writer(builder).numbers(self, tokens, mask)


def _distinct(keys: Integers) -> Integers:
    """The keys of all rows, each once a row."""
    ordered = np.sort(keys, axis=1)
    new = np.ones(ordered.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return ordered[new]


class _Writer:
    """The same computation as `keys_of`, line by line."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder

    def _constant(self, value: Any) -> str:
        return self._builder.constant(np.asarray(value, dtype=np.int64))

    def _do(self, op: str, *inputs: str | int, **attributes: Any) -> str:
        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        return str(self._builder.node(op, names, **attributes))

    def _cut(self, value: str, start: int, stop: int = 2**31) -> str:
        """`value[:, start:stop]`."""
        return str(self._builder.node("Slice", [value, *(self._constant([each]) for each in (start, stop, 1))]))

    def _edged(self, value: str, before: int, after: int) -> str:
        return str(self._builder.node("Pad", [value, self._constant([0, before, 0, after])]))

    def _mixed(self, first: str, second: str) -> str:
        return self._do("Add", self._do("Mul", first, _FACTOR), second)

    def _key(self, value: str, mark: int, where: str) -> str:
        return self._do("Mul", self._do("Add", self._do("Mul", value, _MARKS), mark), where)

    def numbers(self, grams: Grams, tokens: str, mask: str) -> str:
        ones = self._do("Mul", self._do("Add", tokens, 1), mask)
        keys = self._do("Concat", *self._runs(ones, mask), *self._words(ones), axis=1)
        places = self._do("Mod", keys, len(grams.slots))
        numbers = self._do("Gather", self._builder.constant(grams.slots), places)
        known = self._do("Equal", self._do("Gather", self._constant(grams.keys), numbers), keys)
        return self._do("Where", known, numbers, self._builder.constant(np.array(0, dtype=np.int32)))

    def _runs(self, ones: str, mask: str) -> list[str]:
        edged, present = self._edged(ones, 1, 1), self._edged(mask, 1, 1)
        ends = self._do("Max", self._cut(present, 1), self._cut(present, 0, -1))
        parts = [self._key(ones, 1, mask)]
        run = edged
        for size in range(2, _LONGEST + 1):
            mixed = self._mixed(self._cut(run, 0, -1), self._cut(edged, size - 1))
            run = self._do("Mod", self._do("Add", mixed, 1), _PRIME)
            parts.append(self._key(run, size, self._cut(ends, size - 2)))
        return parts

    def _words(self, ones: str) -> list[str]:
        parting = self._do("Gather", self._constant(_SEPARATORS), self._do("Min", ones, _SPACE_TO + 1))
        inside = self._do("Mul", ones, self._do("Sub", 1, parting))
        before = self._edged(inside, 2, 0)
        earlier = self._cut(before, 1, -1)
        two = self._do("Mod", self._mixed(self._cut(before, 0, -2), earlier), _PRIME)
        is_inside = self._do("Min", inside, 1)
        three = self._do("Mul", self._do("Mod", self._mixed(two, inside), _PRIME), is_inside)
        starts = self._do("Mul", is_inside, self._do("Sub", 1, self._do("Min", earlier, 1)))
        places = self._do("Max", self._do("Sub", self._do("CumSum", starts, 1), 1), 0)
        nothing = self._do("Mul", ones, 0)
        words = self._do("ScatterElements", nothing, places, three, axis=1, reduction="add")
        words = self._do("Mod", words, _PRIME)
        later = self._cut(words, 1)
        pairs = self._do("Mod", self._mixed(self._cut(words, 0, -1), later), _PRIME)
        return [
            self._key(words, _WORDS, self._do("Min", words, 1)),
            self._key(pairs, _PAIRS, self._do("Min", later, 1)),
        ]
