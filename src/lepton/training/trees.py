"""Trees of any library as one neutral `Forest`, and the one writer from it to `TreeEnsemble` (ai.onnx.ml 5, double)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.build import ML_DOMAIN, GraphBuilder

__all__ = ["ZERO_THRESHOLD", "Forest"]

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

ZERO_THRESHOLD = float(np.float32(1e-35))
"""LightGBM takes numbers of at most this magnitude for zero (`kZeroThreshold`)."""

_LESS_OR_EQUAL, _MEMBER = 0, 6  # nodes_modes of TreeEnsemble
_SUM, _NO_TRANSFORM = 1, 0


@dataclass(frozen=True)
class Forest:
    """Trees whose leaves are summed, in the arrays that both libraries and ONNX can be written in.

    The nodes of all trees stand in one row of arrays, a tree's root anywhere in it. A child is the number of a node,
    or `~leaf` (negative) for a leaf. A node sends a row left where `row[feature] <= threshold`, or, where `is_set`,
    where `row[feature]` is one of its `members`; a missing value (NaN) goes left where `missing_left`. Columns that
    are split by sets hold whole numbers or NaN.

    Attributes:
        num_features: columns that the rows have [F].
        num_targets: sums that are kept apart, one for each class, else 1.
        roots: root node of each tree [T], in the order in which the library adds them up.
        features: column of each node [M].
        thresholds: threshold of each node [M], not read where `is_set`.
        is_set: whether a node tests membership [M].
        members: members of all sets, in the order of the nodes.
        set_sizes: how many of `members` belong to each node [M]; 0 where it is not a set.
        missing_left: where NaN goes [M].
        left: left child [M].
        right: right child [M].
        leaf_values: value of each leaf [L].
        leaf_targets: sum to which each leaf belongs [L].
        zero_is_missing: whether numbers (not categories) within `ZERO_THRESHOLD` of zero count as missing.
    """

    num_features: int
    num_targets: int
    roots: Integers
    features: Integers
    thresholds: Doubles
    is_set: Flags
    members: Integers
    set_sizes: Integers
    missing_left: Flags
    left: Integers
    right: Integers
    leaf_values: Doubles
    leaf_targets: Integers
    zero_is_missing: bool = False

    @property
    def num_trees(self) -> int:
        """T."""
        return len(self.roots)

    def emit(self, builder: GraphBuilder, features: str) -> str:
        """Write the forest as one `TreeEnsemble` node over the double tensor `features` [N, F].

        With one thread, onnxruntime adds the leaves in the order of the trees, as the libraries do: the sums are the
        same to the last bit.

        Returns:
            Name of the double tensor [N, num_targets] of sums.
        """
        if self.zero_is_missing:
            limits = np.full((1, self.num_features), ZERO_THRESHOLD)
            limits[0, self.features[self.is_set]] = -1.0
            small = builder.node("LessOrEqual", [builder.node("Abs", [features]), builder.constant(limits)])
            features = builder.node("Where", [small, builder.constant(np.nan), features])
        sums: str = builder.node("TreeEnsemble", [features], domain=ML_DOMAIN, **self.attributes())
        return sums

    def attributes(self, dtype: type[np.floating[Any]] = np.float64) -> dict[str, Any]:
        """What the `TreeEnsemble` node holds over features of `dtype`: numbers, lists of them, arrays as tensors."""
        return {
            "n_targets": self.num_targets,
            "aggregate_function": _SUM,
            "post_transform": _NO_TRANSFORM,
            "tree_roots": self.roots.tolist(),
            "nodes_splits": np.where(self.is_set, 0.0, self.thresholds).astype(dtype),
            "nodes_featureids": self.features.tolist(),
            "nodes_modes": np.where(self.is_set, _MEMBER, _LESS_OR_EQUAL).astype(np.uint8),
            "nodes_missing_value_tracks_true": self.missing_left.astype(int).tolist(),
            "nodes_truenodeids": _ids(self.left),
            "nodes_trueleafs": (self.left < 0).astype(int).tolist(),
            "nodes_falsenodeids": _ids(self.right),
            "nodes_falseleafs": (self.right < 0).astype(int).tolist(),
            "leaf_weights": self.leaf_values.astype(dtype),
            "leaf_targetids": self.leaf_targets.tolist(),
            "membership_values": self._membership().astype(dtype) if self.is_set.any() else None,
        }

    def _membership(self) -> Doubles:
        # The sets of all member nodes in a row, each closed by a NaN.
        ends = np.cumsum(self.set_sizes[self.is_set])
        return np.insert(self.members.astype(np.float64), ends, np.nan)


def _ids(children: Integers) -> list[int]:
    ids: list[int] = np.where(children < 0, ~children, children).tolist()
    return ids
