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

__all__ = ["GROWN", "Sums", "best_fits", "indicators", "joined", "refitted", "sparse"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

GROWN = 0.7
"""How far trees are grown towards the truth, from what the original says."""

_STEPS = 30
_ENOUGH = 1e-6
_SHARES = (0.2, 0.5, 0.8)  # of the way to the truth
_FAVOUR = 0.025  # of squared errors, by which rows that the original has learned speak for what it says of them
_RIDGES = (3.0, 30.0)  # rows of mean weight


def refitted(forest: Forest, lesson: Lesson, work: Work) -> Forest:
    """The trees with all their leaves fitted at once, drawn to what they were.

    Boosting fits one tree after the other and never comes back; with few trees that costs much more than it does with
    many.

    Args:
        forest: trees; each adds to one sum. They have not seen the rows that the lesson holds back.
        lesson: what to come near to.
        work: checked at each step.
    """
    forest = own_leaves(forest)
    reached = leaves_of(forest, lesson.features)
    of_target = forest.leaf_targets[reached[0]]
    numbers, sums = [], []
    for place in range(forest.num_targets):
        own, leaves = np.unique(reached[:, of_target == place], return_inverse=True)
        numbers.append(own)
        sums.append(Sums(indicators(leaves.reshape(len(reached), -1), len(own)), forest.leaf_values[own]))
    values = forest.leaf_values.copy()
    for own, fitted in zip(numbers, best_fits(sums, lesson, _RIDGES, work), strict=True):
        values[own] = fitted
    return replace(forest, leaf_values=values)


def indicators(places: Integers, width: int) -> Any:
    """A sparse matrix [N, width] of ones at `places` [N, T]."""
    count, each = places.shape
    starts = np.arange(count + 1) * each
    return sparse().csr_matrix((np.ones(places.size), places.ravel(), starts), shape=(count, width))


def best_fits(sums: Sequence[Sums], lesson: Lesson, ridges: Sequence[float], work: Work) -> list[Doubles]:
    """What each column of scores is fitted with.

    How far it goes to the truth, and how strongly it is drawn back, is what serves rows best that it was not fitted to.

    Args:
        sums: one for each column of scores.
        lesson: what to come near to.
        ridges: to choose from, in rows of mean weight.
        work: checked at each step.
    """
    held = lesson.held
    choices = [(share, ridge) for share in (_SHARES if lesson.link.known else _SHARES[:1]) for ridge in ridges]
    losses = []
    for choice in choices:
        fits = _fits(sums, lesson, *choice, ~held, work)
        scores = [each.of(values)[held] for each, values in zip(sums, fits, strict=True)]
        losses.append(lesson.loss(np.stack(scores, axis=1)))
    favour = _FAVOUR if lesson.link.task == "regression" else 0.0
    near = [number for number, loss in enumerate(losses) if loss <= (1.0 + favour) * min(losses)]
    best = max(near, key=lambda number: (choices[number][0], -losses[number]))
    return _fits(sums, lesson, *choices[best], np.ones(len(held), dtype=bool), work)


def _fits(
    sums: Sequence[Sums], lesson: Lesson, share: float, ridge: float, rows: NDArray[np.bool_], work: Work
) -> list[Doubles]:
    target = lesson.target(share)
    return [
        each.solved(target[:, place], lesson.weight[:, place] * rows, ridge, work) for place, each in enumerate(sums)
    ]


class Sums:
    """Scores that are a sparse matrix times values.

    Args:
        matrix: [N, V].
        start: values to draw to [V].
    """

    def __init__(self, matrix: Any, start: Doubles) -> None:
        self.start = start
        self._matrix, self._turned = matrix, matrix.T.tocsr()

    def of(self, values: Doubles) -> Doubles:
        """Scores of rows [N], by values."""
        return np.asarray(self._matrix @ values)

    def solved(self, target: Doubles, weight: Doubles, ridge: float, work: Work) -> Doubles:
        """Values of least squares, by conjugate gradients that are preconditioned by the diagonal."""
        ridge *= float(weight.mean())
        diagonal = self._turned.power(2) @ weight + ridge
        change = np.zeros(len(self.start))
        rest = self._turned @ (weight * (target - self.of(self.start)))
        scaled = rest / diagonal
        towards, size = scaled.copy(), float(rest @ scaled)
        least = _ENOUGH * size
        for _ in range(_STEPS):
            if size <= least:
                break
            work.check()
            moved = self._turned @ (weight * self.of(towards)) + ridge * towards
            length = size / float(towards @ moved)
            change += length * towards
            rest -= length * moved
            scaled = rest / diagonal
            before, size = size, float(rest @ scaled)
            towards = scaled + (size / before) * towards
        return self.start + change


def sparse() -> Any:
    """`scipy.sparse`."""
    try:
        import scipy.sparse
    except ImportError:
        raise MissingExtraError("scipy", "train", "Fitting a smaller model") from None
    return scipy.sparse


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
