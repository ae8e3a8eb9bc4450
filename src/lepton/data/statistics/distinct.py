"""How many different values a stream holds: exact up to a thousand, estimated beyond."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from lepton.data.statistics.encoding import Floats, Hashes, array_to_text, count_of, refuse_final, text_to_array

__all__ = ["DistinctSketch", "hash_numbers", "hash_texts"]

_SIZE = 1_024
_HASHED_CHARACTERS = 128
_ODD = np.uint64(0x9E3779B97F4A7C15)


def hash_numbers(values: Floats) -> Hashes:
    """64-bit hashes of float64 [n], the same on every machine and version; 0 and -0 are one value."""
    return _mixed((values + 0.0).view(np.uint64))


def hash_texts(texts: pl.Series) -> Hashes:
    """64-bit hashes of a String series without nulls, the same on every machine and version.

    A polynomial over the bytes of the first 128 characters, with the whole length. Polars' own hash changes between
    its versions, which would make statistics of two machines unmergeable.
    """
    lengths = texts.str.len_bytes().to_numpy().astype(np.uint64)
    heads = texts.str.slice(0, _HASHED_CHARACTERS)
    ends = np.cumsum(heads.str.len_bytes().to_numpy(), dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    joined = heads.str.join("").item() if len(heads) else ""
    codes = np.frombuffer((joined or "").encode(), dtype=np.uint8).astype(np.uint64) + np.uint64(1)
    within = np.arange(len(codes)) - np.repeat(starts, ends - starts)
    powers = np.cumprod(np.full(int(within.max(initial=0)) + 1, _ODD))
    sums = np.concatenate([[np.uint64(0)], np.cumsum(codes * powers[within])])
    return _mixed((sums[ends] - sums[starts]) ^ (lengths * _ODD))


def _mixed(bits: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every input bit reaches every output bit."""
    bits = bits + _ODD
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


class DistinctSketch:
    """The `size` smallest hashes of a stream: their spread tells how many there are.

    Exact below `size`; beyond, the relative standard error is 1/√(size − 2), 3.1 % (Bar-Yossef et al., RANDOM 2002;
    Beyer et al., SIGMOD 2007). Merging is exact: it gives what the joint stream would.

    >>> sketch = DistinctSketch()
    >>> sketch.update(hash_numbers(np.array([1.0, 2.0, 2.0])))
    >>> sketch.estimate, sketch.is_exact
    (2, True)
    """

    def __init__(self, size: int = _SIZE) -> None:
        self.size = size
        self._hashes: Hashes = np.empty(0, dtype=np.uint64)
        self._sealed: tuple[int, bool] | None = None

    def update(self, hashes: Hashes) -> None:
        """Add hashes, uint64 [n]."""
        refuse_final(self._sealed is not None)
        if len(self._hashes) == self.size:
            hashes = hashes[hashes < self._hashes[-1]]
        if len(hashes):
            self._hashes = np.union1d(self._hashes, hashes)[: self.size]

    def merge(self, other: DistinctSketch) -> None:
        """Add what `other` has seen."""
        refuse_final(other._sealed is not None)
        self.update(other._hashes)

    @property
    def is_exact(self) -> bool:
        """Whether `estimate` is a count."""
        return len(self._hashes) < self.size if self._sealed is None else self._sealed[1]

    @property
    def estimate(self) -> int:
        """How many different values were seen."""
        if self._sealed is not None:
            return self._sealed[0]
        if self.is_exact:
            return len(self._hashes)
        return round((self.size - 1) / (float(self._hashes[-1]) / 2.0**64))

    @property
    def relative_error(self) -> float:
        """Standard error of `estimate` as a share of it; 0 where it is a count."""
        return 0.0 if self.is_exact else 1 / math.sqrt(self.size - 2)

    def sealed(self) -> DistinctSketch:
        """A final copy that holds the estimate alone: hashes of rare values could be guessed."""
        out = DistinctSketch(self.size)
        out._sealed = (self.estimate, self.is_exact)
        return out

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        if self._sealed is not None:
            return {"size": self.size, "estimate": self._sealed[0], "exact": self._sealed[1]}
        return {"size": self.size, "hashes": array_to_text(self._hashes)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> DistinctSketch:
        """Read the JSON form; `ValueError` on anything else."""
        out = cls(count_of(raw, "size"))
        if "estimate" in raw:
            out._sealed = (count_of(raw, "estimate"), bool(raw["exact"]))
        else:
            out._hashes = text_to_array(raw.get("hashes"), "uint64")
        return out
