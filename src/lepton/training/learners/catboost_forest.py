"""CatBoost's symmetric trees: read from its JSON model, evaluated in numpy, written as a `Forest`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.training.base import Doubles
from lepton.training.trees import Forest

__all__ = ["SymmetricTree", "forest_of", "sums_of", "trees_of"]


@dataclass(frozen=True)
class SymmetricTree:
    """A tree that asks the same question in every node of a level.

    Attributes:
        columns: asked about, the first question first [D].
        borders: a number, in single precision, is above them or not; a missing one is not [D].
        values: of the leaves [2 ** D, S]; the answer to question i is bit i of a leaf's position.
    """

    columns: NDArray[np.int64]
    borders: Doubles
    values: Doubles


def trees_of(model: Mapping[str, Any], num_scores: int) -> tuple[tuple[SymmetricTree, ...], Doubles]:
    """The trees of a JSON model of CatBoost and what is added to their sums [S].

    Args:
        model: what `save_model(format="json")` writes; all splits are of numbers.
        num_scores: S.
    """
    scale, bias = model["scale_and_bias"]
    trees = []
    for tree in model.get("oblivious_trees", ()):
        splits = tree["splits"] or ()
        borders = np.array([split["border"] for split in splits], dtype=np.float32)
        trees.append(
            SymmetricTree(
                columns=np.array([split["float_feature_index"] for split in splits], dtype=np.int64),
                borders=borders.astype(np.float64),
                values=scale * np.array(tree["leaf_values"], dtype=np.float64).reshape(-1, num_scores),
            )
        )
    return tuple(trees), np.broadcast_to(np.array(bias, dtype=np.float64), (num_scores,))


def sums_of(trees: Sequence[SymmetricTree], features: Doubles, num_scores: int) -> Doubles:
    """The leaves of rows [N, F], added up in the order of the trees [N, S].

    Args:
        trees: of `trees_of`.
        features: numbers of single precision.
        num_scores: S.
    """
    sums = np.zeros((len(features), num_scores))
    for tree in trees:
        leaves = np.zeros(len(features), dtype=np.int64)
        for place, (column, border) in enumerate(zip(tree.columns, tree.borders, strict=True)):
            leaves += (features[:, column] > border).astype(np.int64) << place
        sums += tree.values[leaves]
    return sums


def forest_of(trees: Sequence[SymmetricTree], num_features: int, num_scores: int) -> Forest:
    """The trees as one forest, one for each score; questions whose answer changes nothing are left out.

    Args:
        trees: of `trees_of`.
        num_features: columns that the rows have.
        num_scores: S.
    """
    nodes = _Nodes([], [], [], [], [])
    roots, targets = [], []
    for tree in trees:
        for score in range(num_scores):
            first_leaf = len(nodes.leaves)
            root = nodes.grow(tree, tree.values[:, score])
            if root < 0:  # a tree without a question: one node with the leaf on both sides
                root = nodes.ask(0, 0.0, root, root)
            roots.append(root)
            targets += [score] * (len(nodes.leaves) - first_leaf)
    none = np.zeros(len(nodes.features), dtype=np.int64)
    return Forest(
        num_features=num_features,
        num_targets=num_scores,
        roots=np.array(roots, dtype=np.int64),
        features=np.array(nodes.features, dtype=np.int64),
        thresholds=np.array(nodes.thresholds, dtype=np.float64),
        is_set=none.astype(bool),
        members=np.empty(0, dtype=np.int64),
        set_sizes=none,
        missing_left=np.ones(len(none), dtype=bool),
        left=np.array(nodes.left, dtype=np.int64),
        right=np.array(nodes.right, dtype=np.int64),
        leaf_values=np.array(nodes.leaves, dtype=np.float64),
        leaf_targets=np.array(targets, dtype=np.int64),
    )


@dataclass(frozen=True)
class _Nodes:
    """Nodes and leaves of all trees, as `Forest` numbers them."""

    features: list[int]
    thresholds: list[float]
    left: list[int]
    right: list[int]
    leaves: list[float]

    def grow(self, tree: SymmetricTree, values: Doubles) -> int:
        """The number of the node, or `~leaf`, that answers with one of `values` by their questions."""
        if (values == values[0]).all():
            self.leaves.append(float(values[0]))
            return ~(len(self.leaves) - 1)
        # The last question is the highest bit: it cuts the leaves into halves.
        last = len(values).bit_length() - 2
        below, above = np.split(values, 2)
        if np.array_equal(below, above):
            return self.grow(tree, below)
        left, right = self.grow(tree, below), self.grow(tree, above)
        return self.ask(int(tree.columns[last]), float(tree.borders[last]), left, right)

    def ask(self, column: int, border: float, left: int, right: int) -> int:
        """Add a node; its number."""
        self.features.append(column)
        self.thresholds.append(border)
        self.left.append(left)
        self.right.append(right)
        return len(self.features) - 1
