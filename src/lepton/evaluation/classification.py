"""Kernels of the classification metrics: each sorts or counts once and then scores many weightings of the rows.

Every public function here takes `(y, answer, labels)`, where `y` holds the true labels, and gives back a `Score`: a
function of weights [B, N] (B weightings of the N rows) that returns B values, NaN where the metric is undefined.
That form makes one implementation serve a plain value (B = 1), sample weights and the bootstrap (B = 1,000).

`labels` are the model's labels in the order of its probability columns; where there are two, the second is the
positive one. A `range` says that `y` (and predicted labels) already hold positions in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, SchemaError, UsageError

__all__ = [
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "confusion",
    "f1",
    "f1_macro",
    "f1_weighted",
    "label_positions",
    "log_loss",
    "matthews",
    "precision",
    "recall",
    "roc_auc",
]

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]
Labels = Sequence[Any]
Score = Callable[[Floats], Floats]

_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


def label_positions(values: Any, labels: Labels, what: str = "the target") -> Positions:
    """Position of each value in `labels`, int64 [N]; `DataError` where a value is none of them."""
    array = np.asarray(values)
    if isinstance(labels, range):
        return array.astype(np.int64, copy=False)
    lookup = {label: position for position, label in enumerate(labels)}
    positions = np.fromiter((lookup.get(value, -1) for value in array.tolist()), np.int64, count=len(array))
    if len(array) and positions.min() < 0:
        stranger = array[int(positions.argmin())]
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"{what} holds the label {stranger.item() if hasattr(stranger, 'item') else stranger!r}",
            wanted="one of " + ", ".join(map(repr, list(labels)[:20])),
        )
    return positions


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """`numerator / denominator`, NaN where the denominator is 0."""
    quotient: Floats = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def mean_of(rows: Floats) -> Score:
    """Weighted mean of one value a row."""
    return lambda weights: ratio(weights @ rows, weights.sum(axis=1))


def confusion(y: Any, answer: Any, labels: Labels) -> Callable[[Floats], Floats]:
    """A function of weights [N] that gives the weighted counts [C, C]: first the true label, then the predicted one."""
    width = len(labels)
    cell = label_positions(y, labels) * width + label_positions(answer, labels, "the prediction")

    def count(weight: Floats) -> Floats:
        counts = np.bincount(cell, weights=weight, minlength=width * width)
        return counts.reshape(width, width).astype(np.float64, copy=False)

    return count


def accuracy(y: Any, answer: Any, labels: Labels) -> Score:
    """Share of rows whose label is right."""
    right = label_positions(y, labels) == label_positions(answer, labels, "the prediction")
    return mean_of(right.astype(np.float64))


def _of_confusion(
    formula: Callable[[Floats, Floats, Floats], Floats], num_labels: int | None = None
) -> Callable[[Any, Any, Labels], Score]:
    """A metric from `formula(right, true, predicted)`: three [B, C] sums of weights, one column a label."""

    def prepare(y: Any, answer: Any, labels: Labels) -> Score:
        if num_labels not in {None, len(labels)}:
            raise UsageError(
                ErrorCode.USAGE, f"got {len(labels)} labels", wanted=f"{num_labels} labels for this metric"
            )
        count = confusion(y, answer, labels)

        def score(weights: Floats) -> Floats:
            # One weighting at a time: a thousand labels make a million counts.
            matrices = (count(row) for row in weights)
            sums = np.array([(each.diagonal(), each.sum(axis=1), each.sum(axis=0)) for each in matrices])
            return formula(sums[:, 0], sums[:, 1], sums[:, 2])

        return score

    return prepare


def _mean_where(values: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Mean over axis 1 of the values that count; NaN where none does."""
    return ratio(np.where(counted, values, 0.0).sum(axis=1), counted.sum(axis=1).astype(np.float64))


def _balanced_accuracy(right: Floats, true: Floats, predicted: Floats) -> Floats:
    return _mean_where(ratio(right, true), true > 0)


def _precision(right: Floats, true: Floats, predicted: Floats) -> Floats:
    return ratio(right[:, 1], predicted[:, 1])


def _recall(right: Floats, true: Floats, predicted: Floats) -> Floats:
    return ratio(right[:, 1], true[:, 1])


def _f1(right: Floats, true: Floats, predicted: Floats) -> Floats:
    return ratio(2 * right[:, 1], true[:, 1] + predicted[:, 1])


def _f1_macro(right: Floats, true: Floats, predicted: Floats) -> Floats:
    return _mean_where(ratio(2 * right, true + predicted), true + predicted > 0)


def _f1_weighted(right: Floats, true: Floats, predicted: Floats) -> Floats:
    each = np.where(true > 0, ratio(2 * right, true + predicted), 0.0)
    return ratio((true * each).sum(axis=1), true.sum(axis=1))


def _matthews(right: Floats, true: Floats, predicted: Floats) -> Floats:
    # Gorodkin (2004), "Comparing two K-category assignments by a K-category correlation coefficient".
    total = true.sum(axis=1)
    together = right.sum(axis=1) * total - (true * predicted).sum(axis=1)
    apart = (total**2 - (true**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
    # One predicted label carries no information: 0 by convention. One true label: nothing to correlate with.
    value = np.where((predicted > 0).sum(axis=1) > 1, ratio(together, np.sqrt(np.maximum(apart, 0.0))), 0.0)
    return np.where((true > 0).sum(axis=1) > 1, value, np.nan)


balanced_accuracy = _of_confusion(_balanced_accuracy)
precision = _of_confusion(_precision, num_labels=2)
recall = _of_confusion(_recall, num_labels=2)
f1 = _of_confusion(_f1, num_labels=2)
f1_macro = _of_confusion(_f1_macro)
f1_weighted = _of_confusion(_f1_weighted)
matthews = _of_confusion(_matthews)


def _probabilities(answer: Any, y: Positions, labels: Labels) -> Floats:
    array = np.asarray(answer, dtype=np.float64)
    if array.shape != (len(y), len(labels)):
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"probabilities have the shape {list(array.shape)}",
            wanted=f"{[len(y), len(labels)]}: one row for each of the {len(y)} targets, one column a label",
        )
    return array


def log_loss(y: Any, answer: Any, labels: Labels) -> Score:
    """Mean of -ln of the probability given to the true label, held within 2.2e-16 of 0 and 1."""
    true = label_positions(y, labels)
    given = _probabilities(answer, true, labels)[np.arange(len(true)), true]
    return mean_of(-np.log(np.clip(given, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)))


def brier(y: Any, answer: Any, labels: Labels) -> Score:
    """Mean of half the squared distance between the probabilities and the truth (Brier 1950, scaled to 0…1)."""
    true = label_positions(y, labels)
    distance = _probabilities(answer, true, labels).copy()
    distance[np.arange(len(true)), true] -= 1.0
    return mean_of((distance**2).sum(axis=1) / 2)


def _one_against_rest(kernel: Callable[[NDArray[np.bool_], Floats], Score]) -> Callable[[Any, Any, Labels], Score]:
    """A ranking metric of the positive label where there are two, else its mean over the labels that are present."""

    def prepare(y: Any, answer: Any, labels: Labels) -> Score:
        true = label_positions(y, labels)
        probabilities = _probabilities(answer, true, labels)
        if not np.isfinite(probabilities).all():
            return lambda weights: np.full(len(weights), np.nan)
        columns = (1,) if len(labels) == 2 else range(len(labels))
        scores = [kernel(true == column, probabilities[:, column]) for column in columns if (true == column).any()]

        def score(weights: Floats) -> Floats:
            values = np.stack([each(weights) for each in scores], axis=1) if scores else np.empty((len(weights), 0))
            return _mean_where(values, np.isfinite(values))

        return score

    return prepare


def _roc_auc(positive: NDArray[np.bool_], score: Floats) -> Score:
    # The area is the chance that a positive row is scored above a negative one, ties counting half (Hanley and
    # McNeil 1982): for each positive row, the weight of the negative rows below it and level with it.
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(score[negatives], kind="stable")]
    positives = np.flatnonzero(positive)
    positives = positives[np.argsort(score[positives], kind="stable")]
    below = np.searchsorted(score[negatives], score[positives], side="left")
    up_to = np.searchsorted(score[negatives], score[positives], side="right")

    def area(weights: Floats) -> Floats:
        passed = np.zeros((len(weights), len(negatives) + 1))
        np.cumsum(weights.take(negatives, axis=1), axis=1, out=passed[:, 1:])
        own = weights.take(positives, axis=1)
        half = np.einsum("bp,bp->b", own, passed.take(below, axis=1))
        half += np.einsum("bp,bp->b", own, passed.take(up_to, axis=1))
        return ratio(half / 2, own.sum(axis=1) * passed[:, -1])

    return area


def _average_precision(positive: NDArray[np.bool_], score: Floats) -> Score:
    # Precision among the rows scored at least as high as each positive row, averaged over the positive rows.
    falling = np.argsort(-score, kind="stable")
    positives = falling[positive[falling]]
    last_row = np.searchsorted(-score[falling], -score[positives], side="right") - 1
    last_hit = np.searchsorted(-score[positives], -score[positives], side="right") - 1

    def average(weights: Floats) -> Floats:
        own = weights.take(positives, axis=1)
        hits = np.cumsum(own, axis=1).take(last_hit, axis=1)
        rows = np.cumsum(weights.take(falling, axis=1), axis=1).take(last_row, axis=1)
        # Where no row has weight so far, the row's own weight is 0 and its precision is not counted.
        exact = np.divide(hits, rows, out=np.zeros_like(hits), where=rows > 0)
        return ratio(np.einsum("bp,bp->b", own, exact), own.sum(axis=1))

    return average


roc_auc = _one_against_rest(_roc_auc)
average_precision = _one_against_rest(_average_precision)
