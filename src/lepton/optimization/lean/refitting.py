"""Leaves of trees that are grown already, fitted anew and all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.optimization.lean.forests import leaves_of, own_leaves
from lepton.training.trees import Forest

__all__ = ["joined", "refitted"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

_STEPS = 30
_RIDGE = 3.0
_ENOUGH = 1e-6


def refitted(forest: Forest, features: Doubles, target: Doubles, weight: Doubles, work: Work) -> Forest:
    """The trees with the leaves whose sums are nearest to `target` by least squares, drawn to what they were.

    Boosting fits one tree after the other and never comes back; with few trees that costs much more than it does
    with many. The ridge counts in rows of mean weight. Solved by conjugate gradients, preconditioned by the diagonal.

    Args:
        forest: trees; each adds to one sum.
        features: rows [N, F].
        target: sums to come near to [N, num_targets].
        weight: of each [N, num_targets].
        work: checked at each step.
    """
    forest = own_leaves(forest)
    values = forest.leaf_values.copy()
    reached = leaves_of(forest, features)
    targets = forest.leaf_targets[reached[0]]
    for place in range(forest.num_targets):
        own = targets == place
        if own.any():
            numbers, leaves = np.unique(reached[:, own], return_inverse=True)
            start = values[numbers]
            values[numbers] = _solved(leaves.reshape(-1, own.sum()), start, target[:, place], weight[:, place], work)
    return replace(forest, leaf_values=values)


def _solved(leaves: Integers, start: Doubles, target: Doubles, weight: Doubles, work: Work) -> Doubles:
    num_trees, count = leaves.shape[1], len(start)
    flat = leaves.ravel()

    def onto_leaves(rows: Doubles) -> Doubles:
        return np.bincount(flat, weights=np.repeat(rows, num_trees), minlength=count).astype(np.float64)

    ridge = _RIDGE * float(weight.mean())
    diagonal = onto_leaves(weight) + ridge
    change = np.zeros(count)
    rest = onto_leaves(weight * (target - start[leaves].sum(axis=1)))
    scaled = rest / diagonal
    towards, size = scaled.copy(), float(rest @ scaled)
    least = _ENOUGH * size
    for _ in range(_STEPS):
        if size <= least:
            break
        work.check()
        moved = onto_leaves(weight * towards[leaves].sum(axis=1)) + ridge * towards
        length = size / float(towards @ moved)
        change += length * towards
        rest -= length * moved
        scaled = rest / diagonal
        before, size = size, float(rest @ scaled)
        towards = scaled + (size / before) * towards
    return start + change


def joined(forests: Sequence[Forest]) -> Forest:
    """Forests of one sum each as one forest of as many sums, over the same columns."""
    nodes = np.cumsum([0, *(len(each.features) for each in forests)])
    leaves = np.cumsum([0, *(len(each.leaf_values) for each in forests)])

    def moved(children: Integers, place: int) -> Integers:
        return np.asarray(np.where(children < 0, children - leaves[place], children + nodes[place]))

    return Forest(
        num_features=max(each.num_features for each in forests),
        num_targets=len(forests),
        roots=np.concatenate([each.roots + nodes[place] for place, each in enumerate(forests)]),
        features=np.concatenate([each.features for each in forests]),
        thresholds=np.concatenate([each.thresholds for each in forests]),
        is_set=np.concatenate([each.is_set for each in forests]),
        members=np.concatenate([each.members for each in forests]),
        set_sizes=np.concatenate([each.set_sizes for each in forests]),
        missing_left=np.concatenate([each.missing_left for each in forests]),
        left=np.concatenate([moved(each.left, place) for place, each in enumerate(forests)]),
        right=np.concatenate([moved(each.right, place) for place, each in enumerate(forests)]),
        leaf_values=np.concatenate([each.leaf_values for each in forests]),
        leaf_targets=np.repeat(np.arange(len(forests)), np.diff(leaves)),
    )
