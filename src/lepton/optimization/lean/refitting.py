"""Leaves of trees that are grown already, fitted anew and all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import MissingExtraError, Work
from lepton.optimization.lean.forests import leaves_of, own_leaves
from lepton.optimization.lean.lessons import Lesson
from lepton.training.trees import Forest

__all__ = ["GROWN", "joined", "refitted"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

GROWN = 0.7
"""How far trees are grown towards the truth, from what the original says."""

_STEPS = 30
_ENOUGH = 1e-6
_SHARES = (0.3, 0.7)  # of the way to the truth
_RIDGES = (3.0, 30.0)  # rows of mean weight


def refitted(forest: Forest, lesson: Lesson, work: Work) -> Forest:
    """The trees with all their leaves fitted at once, drawn to what they were.

    Boosting fits one tree after the other and never comes back; with few trees that costs much more than it does with
    many. How far leaves go to the truth, and how strongly they are drawn back, is what serves rows best that they
    were not fitted to.

    Args:
        forest: trees; each adds to one sum. They have not seen the rows that the lesson holds back.
        lesson: what to come near to.
        work: checked at each step.
    """
    forest = own_leaves(forest)
    reached = leaves_of(forest, lesson.features)
    of_target = forest.leaf_targets[reached[0]]
    parts = [_Part(reached[:, of_target == place], forest.leaf_values) for place in range(forest.num_targets)]
    held = lesson.held
    choices = [(share, ridge) for share in (_SHARES if lesson.link.known else _SHARES[:1]) for ridge in _RIDGES]
    losses = []
    for share, ridge in choices:
        fits = _fits(parts, lesson, share, ridge, ~held, work)
        scores = np.stack([part.sums(values)[held] for part, values in zip(parts, fits, strict=True)], axis=1)
        losses.append(lesson.loss(scores))
    values = forest.leaf_values.copy()
    everything = np.ones(len(held), dtype=bool)
    best = choices[int(np.argmin(losses))]
    for part, fitted in zip(parts, _fits(parts, lesson, *best, everything, work), strict=True):
        values[part.numbers] = fitted
    return replace(forest, leaf_values=values)


def _fits(
    parts: Sequence[_Part], lesson: Lesson, share: float, ridge: float, rows: NDArray[np.bool_], work: Work
) -> list[Doubles]:
    target = lesson.target(share)
    return [
        part.solved(target[:, place], lesson.weight[:, place] * rows, ridge, work) for place, part in enumerate(parts)
    ]


class _Part:
    """The trees of one sum, as a matrix of rows and leaves.

    Args:
        reached: the leaf of each row in each tree [N, T].
        values: of all leaves.
    """

    def __init__(self, reached: Integers, values: Doubles) -> None:
        sparse = _sparse()
        self.numbers, leaves = np.unique(reached, return_inverse=True)
        self.start = values[self.numbers]
        num_rows, num_trees = reached.shape
        starts = np.arange(num_rows + 1) * num_trees
        shape = (num_rows, len(self.numbers))
        self._matrix = sparse.csr_matrix((np.ones(leaves.size), leaves.ravel(), starts), shape=shape)
        self._turned = self._matrix.T.tocsr()

    def sums(self, values: Doubles) -> Doubles:
        """Of rows [N], by values of leaves."""
        return np.asarray(self._matrix @ values)

    def solved(self, target: Doubles, weight: Doubles, ridge: float, work: Work) -> Doubles:
        """Values of least squares, by conjugate gradients that are preconditioned by the diagonal."""
        ridge *= float(weight.mean())
        diagonal = self._turned @ weight + ridge
        change = np.zeros(len(self.start))
        rest = self._turned @ (weight * (target - self.sums(self.start)))
        scaled = rest / diagonal
        towards, size = scaled.copy(), float(rest @ scaled)
        least = _ENOUGH * size
        for _ in range(_STEPS):
            if size <= least:
                break
            work.check()
            moved = self._turned @ (weight * self.sums(towards)) + ridge * towards
            length = size / float(towards @ moved)
            change += length * towards
            rest -= length * moved
            scaled = rest / diagonal
            before, size = size, float(rest @ scaled)
            towards = scaled + (size / before) * towards
        return self.start + change


def _sparse() -> Any:
    try:
        from scipy import sparse
    except ImportError:
        raise MissingExtraError("scipy", "train", "Fitting the leaves of trees") from None
    return sparse


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
