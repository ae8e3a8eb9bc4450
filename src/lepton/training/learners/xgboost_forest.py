"""XGBoost's own JSON model as a `Forest`: it compares in single precision, and keeps its leaves in it too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.training.trees import Forest

__all__ = ["forest_of", "trees_of"]

Tree = dict[str, Any]


def trees_of(data: bytes | bytearray) -> list[Tree]:
    """The trees of XGBoost's JSON model (`Booster.save_raw("json")`), round by round, one for each class."""
    trees: list[Tree] = json.loads(bytes(data))["learner"]["gradient_booster"]["model"]["trees"]
    return trees


def forest_of(trees: Sequence[Tree], num_features: int, num_targets: int) -> Forest:
    """Trees of XGBoost as one forest.

    A row goes left where its number, in single precision, is below the threshold; the graph asks for "at most", so
    each threshold becomes the next number below it. Rows must be cast to single precision and back.

    Args:
        trees: as XGBoost keeps them; all splits are of numbers.
        num_features: columns that the rows have.
        num_targets: sums that are kept apart, a tree of each round for each.
    """
    parts: dict[str, list[NDArray[Any]]] = {key: [] for key in _PARTS}
    roots = []
    num_nodes, num_leaves = 0, 0
    for position, tree in enumerate(trees):
        roots.append(num_nodes)
        own = _tree(tree, num_nodes, num_leaves)
        num_nodes += len(own["features"])
        num_leaves += len(own["leaf_values"])
        own["leaf_targets"] = np.full(len(own["leaf_values"]), position % num_targets)
        for key, values in own.items():
            parts[key].append(values)
    joined = {key: np.concatenate(values) for key, values in parts.items()}
    none = np.zeros(num_nodes, dtype=np.int64)
    return Forest(
        num_features=num_features,
        num_targets=num_targets,
        roots=np.array(roots, dtype=np.int64),
        is_set=none.astype(bool),
        members=np.empty(0, dtype=np.int64),
        set_sizes=none,
        features=joined["features"],
        thresholds=joined["thresholds"],
        missing_left=joined["missing_left"],
        left=joined["left"],
        right=joined["right"],
        leaf_values=joined["leaf_values"],
        leaf_targets=joined["leaf_targets"],
    )


_PARTS = ("features", "thresholds", "missing_left", "left", "right", "leaf_values", "leaf_targets")


def _tree(tree: Tree, first_node: int, first_leaf: int) -> dict[str, NDArray[Any]]:
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    is_leaf = left < 0
    numbers = np.where(is_leaf, ~(first_leaf + np.cumsum(is_leaf) - 1), first_node + np.cumsum(~is_leaf) - 1)
    values = conditions[is_leaf].astype(np.float64)
    if is_leaf.all():  # a tree without a split: one node with the leaf on both sides
        zero = np.zeros(1, dtype=np.int64)
        return {
            "features": zero,
            "thresholds": np.zeros(1),
            "missing_left": np.ones(1, dtype=bool),
            "left": numbers[:1],
            "right": numbers[:1],
            "leaf_values": values,
        }
    inner = ~is_leaf
    return {
        "features": np.array(tree["split_indices"], dtype=np.int64)[inner],
        "thresholds": np.nextafter(conditions[inner], np.float32(-np.inf)).astype(np.float64),
        "missing_left": np.array(tree["default_left"], dtype=bool)[inner],
        "left": numbers[left[inner]],
        "right": numbers[right[inner]],
        "leaf_values": values,
    }
