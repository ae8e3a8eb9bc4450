"""Moments of numbers: count, mean and centred scatter, which merge exactly and are all that least squares needs.

Merging follows Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
(1979).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode
from lepton.training.estimators.rows import Doubles, product

__all__ = ["Moments", "moments_of"]

_BLOCK_ROWS = 8_192


@dataclass(frozen=True)
class Moments:
    """Weighted moments of V variables.

    Attributes:
        count: rows with a weight above 0.
        weight: sum of the weights.
        mean: [V].
        scatter: [V, V], sum over rows of weight × (row - mean)(row - mean)ᵀ.
    """

    count: int
    weight: float
    mean: Doubles
    scatter: Doubles

    @classmethod
    def empty(cls, variables: int) -> Moments:
        """No rows yet."""
        return cls(0, 0.0, np.zeros(variables), np.zeros((variables, variables)))

    def merge(self, other: Moments) -> Moments:
        """The moments of both parts together; exact up to rounding.

        Raises:
            DataError: the parts have different variables.
        """
        if self.mean.shape != other.mean.shape:
            came = f"one part has {self.mean.size} variables, the other {other.mean.size}"
            raise DataError(ErrorCode.WRONG_SHAPE, came, fix="give every part the same columns")
        if not self.count or not other.count:
            return self if self.count else other
        weight = self.weight + other.weight
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.weight / weight)
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.weight * other.weight / weight)
        return Moments(self.count + other.count, weight, mean, scatter)

    def about_zero(self) -> Moments:
        """The same rows with their scatter around 0 instead of their mean."""
        scatter = self.scatter + self.weight * np.outer(self.mean, self.mean)
        return Moments(self.count, self.weight, np.zeros_like(self.mean), scatter)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; doubles survive it exactly."""
        return {
            "count": self.count,
            "weight": self.weight,
            "mean": self.mean.tolist(),
            "scatter": self.scatter.tolist(),
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Moments:
        """Read the JSON form."""
        return cls(int(raw["count"]), float(raw["weight"]), np.array(raw["mean"]), np.array(raw["scatter"]))


@np.errstate(over="ignore", invalid="ignore")  # whoever uses them looks whether they are finite
def moments_of(x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None = None) -> Moments:
    """Moments of the columns of `x` and then of `y`, in blocks that stay in the cache.

    Sums run around the mean of the first block, which keeps them small, and are moved to the true mean at the end. One
    thread is as fast as two: the time is that of reading the memory.

    Args:
        x: numbers [N, K] of any real dtype and order.
        y: numbers [N, T].
        weight: [N] of at least 0, or None for 1.
    """
    if x.shape[0] == 0:
        return Moments.empty(x.shape[1] + y.shape[1])
    rows, columns = x.shape
    variables = columns + y.shape[1]
    first = slice(0, min(rows, _BLOCK_ROWS))
    shift = np.concatenate([_mean(x[first]), _mean(y[first])])
    buffer = np.empty((min(rows, _BLOCK_ROWS), variables))
    sums, products = np.zeros(variables), np.zeros((variables, variables))
    count, total = 0, 0.0
    for start in range(0, rows, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, rows)
        block = buffer[: stop - start]
        np.subtract(x[start:stop], shift[:columns], out=block[:, :columns])
        np.subtract(y[start:stop], shift[columns:], out=block[:, columns:])
        if weight is None:
            sums += product(np.ones(stop - start), block)
            products += product(block.T, block)
            count += stop - start
            total += stop - start
        else:
            w = np.asarray(weight[start:stop], dtype=np.float64)
            weighted = block * w[:, None]
            sums += weighted.sum(axis=0)
            products += product(weighted.T, block)
            count += int(np.count_nonzero(w))
            total += float(w.sum())
    if total == 0:
        return Moments.empty(variables)
    offset = sums / total
    return Moments(count, total, shift + offset, products - total * np.outer(offset, offset))


def _mean(block: NDArray[Any]) -> Doubles:
    return np.asarray(block.mean(axis=0, dtype=np.float64))
