"""LightGBM's own text model as a `Forest`, by the rules of LightGBM's C++ prediction code (checked to the last bit)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, TrainingError
from lepton.training.trees import ZERO_THRESHOLD, Forest

__all__ = ["forest_from_text"]

# decision_type is a bit field: bit 0 a set of categories, bit 1 missing goes left, bits 2-3 what counts as missing.
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_ZERO, _MISSING_NAN = 1, 2


def forest_from_text(text: str) -> Forest:
    """The forest of LightGBM's text model (`Booster.model_to_string`, format v4).

    Numbers are printed with 17 digits, so nothing is lost. The sums are those of `predict(raw_score=True)`: boosting
    `rf` divides them by the number of iterations afterwards.

    Raises:
        TrainingError: trees with linear leaves, which a tree node cannot hold.
    """
    header, *trees = text.partition("end of trees")[0].split("\nTree=")
    facts = dict(line.partition("=")[::2] for line in header.splitlines())
    parts = _Parts()
    for position, tree in enumerate(trees):
        parts.add(dict(line.partition("=")[::2] for line in tree.splitlines()), position)
    return parts.forest(int(facts["max_feature_idx"]) + 1, int(facts["num_tree_per_iteration"]))


@dataclass
class _Parts:
    roots: list[int] = field(default_factory=list)
    features: list[NDArray[np.int64]] = field(default_factory=list)
    thresholds: list[NDArray[np.float64]] = field(default_factory=list)
    decisions: list[NDArray[np.int64]] = field(default_factory=list)
    left: list[NDArray[np.int64]] = field(default_factory=list)
    right: list[NDArray[np.int64]] = field(default_factory=list)
    members: list[NDArray[np.int64]] = field(default_factory=list)
    set_sizes: list[NDArray[np.int64]] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    num_nodes: int = 0
    num_leaves: int = 0

    def add(self, tree: dict[str, str], position: int) -> None:
        if tree.get("is_linear", "0") != "0":
            raise TrainingError(
                ErrorCode.TRAINING_FAILED, f"tree {position} has linear leaves", wanted="trees with constant leaves"
            )
        values = np.array(tree["leaf_value"].split(), dtype=np.float64)
        if len(values) == 1:  # a tree without a split: one node with the leaf on both sides
            tree = {"split_feature": "0", "threshold": "0", "decision_type": "0", "left_child": "-1"}
            tree["right_child"] = "-1"
        decisions = _integers(tree["decision_type"])
        thresholds = np.array(tree["threshold"].split(), dtype=np.float64)
        members, set_sizes = _sets(tree, decisions & _CATEGORICAL != 0, thresholds)
        self.roots.append(self.num_nodes)
        self.features.append(_integers(tree["split_feature"]))
        self.thresholds.append(thresholds)
        self.decisions.append(decisions)
        for children, key in ((self.left, "left_child"), (self.right, "right_child")):
            own = _integers(tree[key])
            children.append(np.where(own < 0, own - self.num_leaves, own + self.num_nodes))
        self.members.append(members)
        self.set_sizes.append(set_sizes)
        self.values.append(values)
        self.num_nodes += len(decisions)
        self.num_leaves += len(values)

    def forest(self, num_features: int, num_targets: int) -> Forest:
        decisions = np.concatenate(self.decisions)
        thresholds = np.concatenate(self.thresholds)
        is_set = decisions & _CATEGORICAL != 0
        missing_type = decisions >> 2 & 3
        # Where NaN is not what counts as missing, LightGBM reads it as 0. A set never holds NaN.
        nan_is_zero = (missing_type != _MISSING_NAN) & (missing_type != _MISSING_ZERO)
        missing_left = np.where(nan_is_zero, thresholds >= 0.0, decisions & _DEFAULT_LEFT != 0) & ~is_set
        leaf_targets = [np.full(len(values), tree % num_targets) for tree, values in enumerate(self.values)]
        return Forest(
            num_features=num_features,
            num_targets=num_targets,
            roots=np.array(self.roots, dtype=np.int64),
            features=np.concatenate(self.features),
            thresholds=_around_zero(thresholds),
            is_set=is_set,
            members=np.concatenate(self.members),
            set_sizes=np.concatenate(self.set_sizes),
            missing_left=missing_left,
            left=np.concatenate(self.left),
            right=np.concatenate(self.right),
            leaf_values=np.concatenate(self.values),
            leaf_targets=np.concatenate(leaf_targets),
            zero_is_missing=bool((missing_type == _MISSING_ZERO).any()),
        )


def _integers(text: str) -> NDArray[np.int64]:
    return np.array(text.split(), dtype=np.int64)


def _sets(
    tree: dict[str, str], is_set: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Members of the tree's sets in the order of its nodes, and the size of each node's set.

    The threshold of a categorical node is the number of its set; a set is a row of 32-bit words.
    """
    sizes = np.zeros(len(is_set), dtype=np.int64)
    if not is_set.any():
        return np.empty(0, dtype=np.int64), sizes
    boundaries = _integers(tree["cat_boundaries"])
    words = np.array(tree["cat_threshold"].split(), dtype="<u4")
    members = []
    for node in np.flatnonzero(is_set):
        number = int(thresholds[node])
        bits = np.unpackbits(words[boundaries[number] : boundaries[number + 1]].view(np.uint8), bitorder="little")
        members.append(np.flatnonzero(bits))
        sizes[node] = len(members[-1])
    return np.concatenate(members), sizes


def _around_zero(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds that send every number within `ZERO_THRESHOLD` the way LightGBM sends 0.

    LightGBM takes such numbers for 0 before it compares; so a threshold among them moves to their edge.
    """
    below, above = np.nextafter(-ZERO_THRESHOLD, -np.inf), ZERO_THRESHOLD
    negative = (thresholds >= -ZERO_THRESHOLD) & (thresholds < 0.0)
    positive = (thresholds >= 0.0) & (thresholds < ZERO_THRESHOLD)
    return np.where(negative, below, np.where(positive, above, thresholds))
