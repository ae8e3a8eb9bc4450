"""Formulas on numbers that are written once and evaluated twice: on arrays, and as nodes of a graph.

Both take the same operations in the same order, so that they differ by no more than the last digits of `log` and `exp`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.bundle.build import ML_DOMAIN

__all__ = ["Arithmetic", "Arrays", "Nodes", "expm1", "log1p", "normal_quantile", "yeo_johnson"]


class Arithmetic(ABC):
    """Operations on doubles [N, k]; conditions are Booleans of that shape. Numbers may stand for values."""

    @abstractmethod
    def of(self, op: str, *values: Any) -> Any:
        """`op` of the values: `Add Sub Mul Div Log Exp Sqrt Abs Equal Less Where`, as ONNX calls them."""

    @abstractmethod
    def piece(self, values: Any, places: Sequence[Sequence[float]]) -> Any:
        """In which piece each value lies, counted on from column to column.

        A column of m places has 2m + 1 pieces: what is below all, then each place and what lies between it and the
        next. A missing value lies in the last.

        Args:
            values: [N, k].
            places: of each column, rising; one or more.
        """

    @abstractmethod
    def taken(self, table: Sequence[float], numbers: Any) -> Any:
        """The entries of a table that have these numbers [N, k]."""

    def add(self, one: Any, other: Any) -> Any:
        """One + other."""
        return self.of("Add", one, other)

    def subtract(self, one: Any, other: Any) -> Any:
        """One - other."""
        return self.of("Sub", one, other)

    def multiply(self, one: Any, other: Any) -> Any:
        """One · other."""
        return self.of("Mul", one, other)

    def divide(self, one: Any, other: Any) -> Any:
        """One / other."""
        return self.of("Div", one, other)

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        """`yes` where the condition holds, else `no`."""
        return self.of("Where", condition, yes, no)

    def equal(self, one: Any, other: Any) -> Any:
        """Whether they are the same number."""
        return self.of("Equal", one, other)

    def less(self, one: Any, other: Any) -> Any:
        """Whether one < other; not of missing values."""
        return self.of("Less", one, other)

    def polynomial(self, factors: Sequence[float], value: Any) -> Any:
        """Of rising powers, by Horner's rule."""
        found: Any = factors[-1]
        for factor in reversed(factors[:-1]):
            found = self.add(self.multiply(value, found), factor)
        return found


class Arrays(Arithmetic):
    """On numpy arrays; overflow and missing values pass silently."""

    _OPS: ClassVar[Mapping[str, Any]] = {
        "Add": np.add,
        "Sub": np.subtract,
        "Mul": np.multiply,
        "Div": np.divide,
        "Log": np.log,
        "Exp": np.exp,
        "Sqrt": np.sqrt,
        "Abs": np.abs,
        "Equal": np.equal,
        "Less": np.less,
        "Where": np.where,
    }

    def of(self, op: str, *values: Any) -> Any:
        """The array."""
        with np.errstate(all="ignore"):
            return self._OPS[op](*values)

    def piece(self, values: Any, places: Sequence[Sequence[float]]) -> Any:
        """By binary search."""
        found = np.empty(values.shape, dtype=np.int64)
        for column, (each, first) in enumerate(zip(places, _first_pieces(places), strict=True)):
            below = np.searchsorted(each, values[:, column], side="left")
            found[:, column] = first + below + np.searchsorted(each, values[:, column], side="right")
        return found

    def taken(self, table: Sequence[float], numbers: Any) -> Any:
        """By their places."""
        return np.array(table)[numbers]


class Nodes(Arithmetic):
    """As nodes of a graph that is being built; values are names of tensors."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder

    def of(self, op: str, *values: Any) -> Any:
        """The name of the node's value."""
        names = [value if isinstance(value, str) else self._builder.constant(value) for value in values]
        return self._builder.node(op, names)

    def piece(self, values: Any, places: Sequence[Sequence[float]]) -> Any:
        """By one balanced search tree for each column, in one `TreeEnsemble`."""
        trees = _SearchTrees()
        for column, (each, first) in enumerate(zip(places, _first_pieces(places), strict=True)):
            trees.add(column, each, first)
        found = self._builder.node(
            "TreeEnsemble",
            [values],
            domain=ML_DOMAIN,
            n_targets=len(places),
            aggregate_function=1,  # the sum, here of one leaf
            post_transform=0,
            tree_roots=trees.roots,
            nodes_splits=np.array(trees.splits),
            nodes_featureids=trees.columns,
            nodes_modes=np.zeros(len(trees.splits), dtype=np.uint8),  # less or equal
            nodes_missing_value_tracks_true=[0] * len(trees.splits),
            nodes_truenodeids=[child for child, _ in trees.left],
            nodes_trueleafs=[is_leaf for _, is_leaf in trees.left],
            nodes_falsenodeids=[child for child, _ in trees.right],
            nodes_falseleafs=[is_leaf for _, is_leaf in trees.right],
            leaf_weights=np.array(trees.leaves),
            leaf_targetids=trees.leaf_columns,
        )
        return self._builder.node("Cast", [found], to=7)  # onnx.TensorProto.INT64

    def taken(self, table: Sequence[float], numbers: Any) -> Any:
        """By `Gather`."""
        return self._builder.node("Gather", [self._builder.constant(np.array(table)), numbers], axis=0)


class _SearchTrees:
    """Trees that tell in which piece of a line a number lies, in the arrays of `TreeEnsemble`."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.columns: list[int] = []
        self.splits: list[float] = []
        self.left: list[tuple[int, int]] = []  # number of a node or leaf, and 1 for a leaf
        self.right: list[tuple[int, int]] = []
        self.leaves: list[float] = []
        self.leaf_columns: list[int] = []

    def add(self, column: int, places: Sequence[float], first: int) -> None:
        """The tree of one column, whose pieces are counted from `first`."""
        # "Below a place" is "at most the double before it": one mode for all nodes, which runs faster.
        tests = [test for place in places for test in (math.nextafter(place, -math.inf), place)]
        self.roots.append(self._grown(column, tests, 0, len(tests), first)[0])

    def _grown(self, column: int, tests: list[float], low: int, high: int, first: int) -> tuple[int, int]:
        if low == high:
            self.leaves.append(float(first + low))
            self.leaf_columns.append(column)
            return len(self.leaves) - 1, 1
        middle, node = (low + high) // 2, len(self.splits)
        self.columns.append(column)
        self.splits.append(tests[middle])
        self.left.append((0, 0))
        self.right.append((0, 0))
        self.left[node] = self._grown(column, tests, low, middle, first)
        self.right[node] = self._grown(column, tests, middle + 1, high, first)
        return node, 0


def _first_pieces(places: Sequence[Sequence[float]]) -> list[int]:
    sizes = [2 * len(each) + 1 for each in places]
    return [sum(sizes[:column]) for column in range(len(sizes))]


def log1p(maths: Arithmetic, value: Any) -> Any:
    """log(1 + value) of numbers ≥ 0, precise near 0 too: what rounding takes from 1 + value, the quotient gives back.

    After W. Kahan, as D. Goldberg gives it ("What every computer scientist should know about floating-point
    arithmetic", theorem 4).
    """
    more = maths.add(value, 1.0)
    kept = maths.subtract(more, 1.0)
    found = maths.multiply(maths.of("Log", more), maths.divide(value, kept))
    found = maths.where(maths.equal(kept, 0.0), value, found)
    return maths.where(maths.equal(value, np.inf), value, found)


def expm1(maths: Arithmetic, value: Any) -> Any:
    """exp(value) - 1, precise near 0 too; after W. Kahan, the inverse of `log1p`."""
    power = maths.of("Exp", value)
    less = maths.subtract(power, 1.0)
    found = maths.multiply(less, maths.divide(value, maths.of("Log", power)))
    found = maths.where(maths.equal(power, 1.0), value, found)
    found = maths.where(maths.equal(power, 0.0), -1.0, found)
    return maths.where(maths.equal(power, np.inf), power, found)


def yeo_johnson(maths: Arithmetic, value: Any, power: Any) -> Any:
    """The power transformation of I.-K. Yeo and R. A. Johnson (Biometrika 87, 2000), for numbers of either sign.

    Args:
        maths: what it is evaluated on.
        value: [N, k].
        power: λ of each column [1, k], or one for all; 1 changes nothing.
    """
    negative = maths.less(value, 0.0)
    power = maths.where(negative, maths.subtract(2.0, power), power)
    flat = maths.equal(power, 0.0)
    logarithm = log1p(maths, maths.of("Abs", value))
    bent = maths.divide(expm1(maths, maths.multiply(logarithm, power)), maths.where(flat, 1.0, power))
    found = maths.where(flat, logarithm, bent)
    return maths.where(negative, maths.multiply(found, -1.0), found)


# M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution" (Applied Statistics 37, 1988).
_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip


def normal_quantile(maths: Arithmetic, share: Any) -> Any:
    """The number below which a `share`, from 10^-10 to 1 - 10^-10, of the standard normal distribution lies."""
    from_half = maths.subtract(share, 0.5)
    left = maths.less(from_half, 0.0)
    rest = maths.subtract(0.180625, maths.multiply(from_half, from_half))
    centre = maths.divide(maths.polynomial(_CENTRE[0], rest), maths.polynomial(_CENTRE[1], rest))
    centre = maths.multiply(from_half, centre)
    beyond = maths.where(left, share, maths.subtract(1.0, share))
    far = maths.subtract(maths.of("Sqrt", maths.multiply(maths.of("Log", beyond), -1.0)), 1.6)
    tail = maths.divide(maths.polynomial(_TAIL[0], far), maths.polynomial(_TAIL[1], far))
    tail = maths.where(left, maths.multiply(tail, -1.0), tail)
    return maths.where(maths.less(0.425, maths.of("Abs", from_half)), tail, centre)
