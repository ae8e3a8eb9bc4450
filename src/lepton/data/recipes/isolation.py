"""Isolation forests (Liu, Ting and Zhou, "Isolation Forest", ICDM 2008): rows that random cuts set apart early are far.

A tree stands as a text of its nodes, the root first and each followed by its left and its right branch: `2<0.5` sends a
row left where its third number is below 0.5, and `7` is a leaf that held seven rows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.build import ML_DOMAIN, GraphBuilder
from lepton.core import ErrorCode, UsageError

__all__ = ["IsolationForest", "average_path", "grow"]

Doubles = NDArray[np.float64]

_DEEPEST = 16
_BLOCK = 8_192  # rows whose way through a tree stays in the cache
_LESS, _SUM, _NO_TRANSFORM = 1, 1, 0  # of TreeEnsemble
_NODE = re.compile(r"([0-9]{1,6})(?:<(-?[0-9.]+(?:e[+-]?[0-9]+)?))?")


def average_path(rows: int) -> float:
    """Average length of an unsuccessful search in a binary search tree of `rows` keys: what is left below a leaf."""
    if rows <= 2:
        return float(max(rows - 1, 0))
    return 2.0 * (math.log(rows - 1) + float(np.euler_gamma)) - 2.0 * (rows - 1) / rows


def grow(values: Doubles, *, trees: int, rows: int, seed: int) -> tuple[str, ...]:
    """Grow trees, each on some of the rows.

    Args:
        values: finite numbers [N, F], N ≥ 1.
        trees: how many.
        rows: that a tree sees; it is cut at most log2 of them deep.
        seed: of the rows and the cuts.

    Returns:
        The trees as texts.
    """
    rows = min(rows, len(values))
    deepest = math.ceil(math.log2(max(rows, 2)))
    made = []
    for number in range(trees):
        random = np.random.default_rng([seed, number])
        made.append(" ".join(_nodes(values[random.choice(len(values), rows, replace=False)], deepest, random)))
    return tuple(made)


def _nodes(values: Doubles, left: int, random: np.random.Generator) -> Iterator[str]:
    """The nodes below one that has these rows, with `left` cuts to come."""
    low, high = values.min(axis=0), values.max(axis=0)
    columns = np.flatnonzero(low < high)
    if not left or not len(columns):
        yield str(len(values))
        return
    column = int(random.choice(columns))
    cut = _short(float(low[column]), float(high[column]), float(random.random()))
    below = values[:, column] < cut
    yield f"{column}<{cut!r}"
    yield from _nodes(values[below], left - 1, random)
    yield from _nodes(values[~below], left - 1, random)


def _short(low: float, high: float, share: float) -> float:
    """A number above `low` and at most `high`, a share of the way between them, in as few digits as may be."""
    exact = low * (1.0 - share) + high * share
    for digits in range(4, 18):
        cut = float(f"{exact:.{digits}g}")
        if low < cut <= high:
            return cut
    return high


@dataclass(frozen=True)
class IsolationForest:
    """Trees that say how early a row is set apart.

    >>> values = np.random.default_rng(0).normal(size=(500, 2))
    >>> forest = IsolationForest(grow(values, trees=100, rows=256, seed=0), 2)
    >>> near, far = forest.lengths(np.array([[0.0, 0.0], [9.0, -9.0]]))
    >>> bool(near > far)
    True

    Attributes:
        trees: as texts.
        num_columns: numbers of a row [F].

    Raises:
        UsageError: a text is no tree.
    """

    trees: tuple[str, ...]
    num_columns: int

    def __post_init__(self) -> None:
        for text in self.trees:
            _read(text, self.num_columns)

    @cached_property
    def _levels(self) -> list[list[tuple[NDArray[np.intp], Doubles]]]:
        """For each tree and level the column and the cut of each place; a leaf goes on to the left."""
        return [_placed(_read(text, self.num_columns)) for text in self.trees]

    @cached_property
    def _ends(self) -> list[Doubles]:
        """For each tree the lengths of the ways to the places below its last level."""
        return [_lengths(_read(text, self.num_columns)) for text in self.trees]

    def lengths(self, values: Doubles) -> Doubles:
        """Length of the way through all trees together [N]; the shorter, the farther is the row from the others.

        Args:
            values: numbers [N, F]; infinities are far, NaN is not allowed.
        """
        total = np.zeros(len(values))
        for first in range(0, len(values), _BLOCK):
            block = np.ascontiguousarray(values[first : first + _BLOCK].T)
            flat, across = block.reshape(-1), np.arange(block.shape[1])
            for levels, ends in zip(self._levels, self._ends, strict=True):
                place = np.zeros(block.shape[1], dtype=np.intp)
                for columns, cuts in levels:
                    found = flat.take(columns.take(place) * block.shape[1] + across)
                    place = 2 * place + (found >= cuts.take(place))
                total[first : first + _BLOCK] += ends.take(place)
        return total

    def emit(self, builder: GraphBuilder, values: str) -> str:
        """The lengths of rows [N, 1] by one `TreeEnsemble`; `values` is a double tensor [N, F]."""
        roots: list[int] = []
        nodes: list[tuple[int, float, int, int, int, int]] = []
        leaves: list[float] = []

        def add(node: _Node) -> tuple[int, int]:
            """A node; its number, and whether it is a leaf."""
            if node.column is None:
                leaves.append(node.length)
                return len(leaves) - 1, 1
            number = len(nodes)
            nodes.append((0, 0.0, 0, 0, 0, 0))
            left, right = (add(branch) for branch in node.branches)
            nodes[number] = (node.column, node.cut, *left, *right)
            return number, 0

        for text in self.trees:
            number, is_leaf = add(_read(text, self.num_columns))
            if is_leaf:  # a tree must have a node
                nodes.append((0, 0.0, number, 1, number, 1))
                number = len(nodes) - 1
            roots.append(number)
        columns, cuts, left, left_is_leaf, right, right_is_leaf = (list(each) for each in zip(*nodes, strict=True))
        made: str = builder.node(
            "TreeEnsemble",
            [values],
            domain=ML_DOMAIN,
            n_targets=1,
            aggregate_function=_SUM,
            post_transform=_NO_TRANSFORM,
            tree_roots=roots,
            nodes_splits=np.array(cuts),
            nodes_featureids=columns,
            nodes_modes=np.full(len(nodes), _LESS, dtype=np.uint8),
            nodes_truenodeids=left,
            nodes_trueleafs=left_is_leaf,
            nodes_falsenodeids=right,
            nodes_falseleafs=right_is_leaf,
            leaf_weights=np.array(leaves),
            leaf_targetids=[0] * len(leaves),
        )
        return made


@dataclass(frozen=True)
class _Node:
    """A node of a tree: a column, a cut and two branches, or a leaf with the length of the way to it."""

    column: int | None
    cut: float = 0.0
    branches: tuple[_Node, ...] = ()
    length: float = 0.0


def _read(text: str, num_columns: int) -> _Node:
    """The root of a tree that stands as a text."""
    words = iter(text.split())
    root = _branch(words, 0, num_columns)
    if next(words, None) is not None:
        raise _refusal(text)
    return root


def _branch(words: Iterator[str], depth: int, num_columns: int) -> _Node:
    word = next(words, "")
    match = _NODE.fullmatch(word)
    if match is None or depth > _DEEPEST:
        raise _refusal(word)
    if match[2] is None:
        return _Node(None, length=depth + average_path(int(match[1])))
    column, cut = int(match[1]), float(match[2])
    if column >= num_columns or not math.isfinite(cut):
        raise _refusal(word)
    left = _branch(words, depth + 1, num_columns)
    return _Node(column, cut, (left, _branch(words, depth + 1, num_columns)))


def _refusal(came: str) -> UsageError:
    return UsageError(ErrorCode.BAD_RECIPE, f"no tree reads {came[:40]!r}", fix="fit the recipe again")


def _depth(node: _Node) -> int:
    return 1 + max(_depth(branch) for branch in node.branches) if node.branches else 0


def _placed(root: _Node) -> list[tuple[NDArray[np.intp], Doubles]]:
    nodes: Sequence[_Node] = [root]
    levels = []
    for _ in range(_depth(root)):
        columns = np.array([node.column or 0 for node in nodes], dtype=np.intp)
        levels.append((columns, np.array([node.cut for node in nodes])))
        nodes = [branch for node in nodes for branch in node.branches or (node, node)]
    return levels


def _lengths(root: _Node) -> Doubles:
    nodes: Sequence[_Node] = [root]
    for _ in range(_depth(root)):
        nodes = [branch for node in nodes for branch in node.branches or (node, node)]
    return np.array([node.length for node in nodes])
