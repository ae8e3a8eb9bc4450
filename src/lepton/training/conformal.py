"""Conformal prediction: intervals and sets of labels that hold the truth as often as is asked.

What a row needs is read off answers to rows that the model had not learned from (cross-conformal prediction; Vovk,
Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005). It is a table of a few numbers, and is written
into the graph behind the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import DataError, ErrorCode, UsageError

__all__ = ["Conformal", "check_coverage", "conformal_classes", "conformal_numbers", "conformal_quantiles"]

Doubles = NDArray[np.float64]

_LEAST, _MOST = 0.5, 0.999
_LEVELS = 10
_ROWS_A_LEVEL = 50
_PARTS = 5
_PRIOR_ROWS = 10.0  # that the mean of a level is drawn to the mean of all by
_LEAST_GAIN = 0.01  # of the score of intervals, for which widths are told apart by level


@dataclass(frozen=True)
class Conformal:
    """What makes intervals or sets of predictions.

    Attributes:
        coverage: share of rows whose truth is to be inside.
        edges: predictions at which another half-width begins, rising [K]; () where one does for all.
        widths: half-width of each level of predictions [K + 1]; () for classes.
        least: probability from which on a label is in the set; for classes.
        shifts: what is added to each quantile, before they are put in order [Q]; () for other tasks.
        notes: what was done, for people.
    """

    coverage: float
    edges: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()
    least: float = 0.0
    shifts: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    def bounds(self, predicted: Doubles) -> tuple[Doubles, Doubles]:
        """Lower and upper ends [N] for predictions [N]."""
        half = np.array(self.widths)[_levels(predicted, np.array(self.edges))]
        return predicted - half, predicted + half

    def members(self, probabilities: Doubles, called: NDArray[np.int64]) -> NDArray[np.int64]:
        """1 for each label in the set [N, C]: those that are probable enough, and the one that is called."""
        inside = (probabilities >= self.least).astype(np.int64)
        inside[np.arange(len(called)), called] = 1
        return inside

    def emit_bounds(self, builder: GraphBuilder, predicted: str) -> tuple[str, str]:
        """`bounds` as nodes behind predictions [N]."""
        half = builder.constant(self.widths[0])
        if self.edges:
            column = builder.node("Unsqueeze", [predicted, builder.constant(np.array([1]))])
            above = builder.node("GreaterOrEqual", [column, builder.constant(np.array(self.edges))])
            counts = builder.node("Cast", [above], to=_INT64)
            level = builder.node("ReduceSum", [counts, builder.constant(np.array([1]))], keepdims=0)
            half = builder.node("Gather", [builder.constant(np.array(self.widths)), level])
        return builder.node("Sub", [predicted, half]), builder.node("Add", [predicted, half])

    def emit_members(self, builder: GraphBuilder, probabilities: str, called: str, num_classes: int) -> str:
        """`members` as nodes behind probabilities [N, C] and called classes [N]."""
        probable = builder.node("GreaterOrEqual", [probabilities, builder.constant(self.least)])
        column = builder.node("Unsqueeze", [called, builder.constant(np.array([1]))])
        own = builder.node("Equal", [column, builder.constant(np.arange(num_classes, dtype=np.int64))])
        return str(builder.node("Cast", [builder.node("Or", [probable, own])], to=_INT64))


_INT64 = 7  # onnx.TensorProto.INT64


def check_coverage(coverage: Any, task: str, num_rows: int) -> float:
    """The coverage that is asked for.

    Raises:
        UsageError: it is no share that can be meant, or the task has neither numbers nor classes.
        DataError: there are too few rows to tell.
    """
    if task not in {"regression", "binary", "multiclass"}:
        raise UsageError(
            ErrorCode.USAGE,
            f"got coverage={coverage!r} for the task {task!r}",
            wanted="regression, binary or multiclass",
            fix="quantiles=(0.05, 0.95) says how wide intervals are" if task == "quantile" else "leave it out",
        )
    is_number = isinstance(coverage, int | float) and not isinstance(coverage, bool)
    if not is_number or not _LEAST <= coverage <= _MOST:
        raise UsageError(
            ErrorCode.USAGE,
            f"got coverage={coverage!r}",
            wanted=f"a share from {_LEAST} to {_MOST}: of the rows whose truth is to be inside",
            fix=f"coverage={coverage / 100:g}" if is_number and 50 <= coverage < 100 else "coverage=0.9",
        )
    least = int(np.ceil(coverage / (1.0 - coverage)))
    if num_rows < least:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            f"there are {num_rows} rows to tell coverage={coverage:g} from",
            wanted=f"at least {least}",
            fix="ask for less, or give more rows",
        )
    return float(coverage)


def conformal_numbers(coverage: float, truth: Doubles, predicted: Doubles, weight: Doubles | None = None) -> Conformal:
    """Half-widths of intervals, one for all predictions, or one for each level of them where that scores better.

    Args:
        coverage: share of rows to be inside.
        truth: of rows that were not learned from [M].
        predicted: answers to them [M].
        weight: of the rows [M].
    """
    weight = np.ones(len(truth)) if weight is None else weight
    far = np.abs(truth - predicted)
    flat, notes = _quantile(far, weight, coverage)
    told = f"intervals hold the truth in {coverage:.4g} of rows like these"
    plain = Conformal(coverage, (), (flat,), notes=(f"{told}: the prediction ± {flat:.5g}", *notes))
    num_levels = min(_LEVELS, len(truth) // _ROWS_A_LEVEL)
    if num_levels < 2 or flat <= 0.0:
        return plain
    edges = np.unique(np.quantile(predicted, np.arange(1, num_levels) / num_levels))
    levels = _levels(predicted, edges)
    # The spread of a level is learned from other rows than those that say how many spreads are enough.
    part = np.arange(len(truth)) % _PARTS
    spread = np.empty(len(truth))
    for each in range(_PARTS):
        own = part == each
        spread[own] = _spreads(far[~own], levels[~own], weight[~own], len(edges) + 1)[levels[own]]
    factor, notes = _quantile(far / spread, weight, coverage)
    by_level, alike = (_score(half, far, weight, coverage) for half in (factor * spread, np.full(len(far), flat)))
    if by_level > (1.0 - _LEAST_GAIN) * alike:
        return plain
    widths = factor * _spreads(far, levels, weight, len(edges) + 1)
    told += f": the prediction ± {widths.min():.5g} to {widths.max():.5g}, by its level; errors differ too much for one"
    return Conformal(coverage, tuple(edges.tolist()), tuple(widths.tolist()), notes=(told, *notes))


def conformal_classes(
    coverage: float, truth: NDArray[np.int64], probabilities: Doubles, weight: Doubles | None = None
) -> Conformal:
    """The probability from which on labels are in the set (Sadinle, Lei and Wasserman 2019).

    Args:
        coverage: share of rows whose label is to be in the set.
        truth: classes of rows that were not learned from [M].
        probabilities: answers to them [M, C].
        weight: of the rows [M].
    """
    given = probabilities[np.arange(len(truth)), truth]
    weight = np.ones(len(truth)) if weight is None else weight
    lacking, notes = _quantile(-given, weight, coverage)
    told = (
        f"sets hold the label in {coverage:.4g} of rows like these: the label that is called, and those of a"
        f" probability from {-lacking:.4g}"
    )
    return Conformal(coverage, least=-lacking, notes=(told, *notes))


def conformal_quantiles(
    shares: tuple[float, ...], truth: Doubles, quantiles: Doubles, weight: Doubles | None = None
) -> Conformal:
    """What is added to each quantile so that its share of the truth lies below it (Romano, Patterson and Candès 2019).

    It is the number that makes the pinball loss of these rows least.

    Args:
        shares: of the quantiles [Q].
        truth: of rows that were not learned from [M].
        quantiles: answers to them [M, Q].
        weight: of the rows [M].
    """
    weight = np.ones(len(truth)) if weight is None else weight
    shifts = []
    for place, share in enumerate(shares):
        # The lower half is the upper one of the same rows seen from below: both err to the outside.
        sign = 1.0 if share >= 0.5 else -1.0
        far, _ = _quantile(sign * (truth - quantiles[:, place]), weight, max(share, 1.0 - share))
        shifts.append(sign * far)
    told = ", ".join(f"{share:g} by {shift:.4g}" for share, shift in zip(shares, shifts, strict=True))
    note = f"quantiles are shifted so that their shares hold on rows that were not learned from ({told})"
    return Conformal(round(shares[-1] - shares[0], 12), shifts=tuple(shifts), notes=(note,))


def _quantile(values: Doubles, weight: Doubles, share: float) -> tuple[float, tuple[str, ...]]:
    """The least value that at least (M + 1) / M times the share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(weight[order])
    wanted = share * passed[-1] * (1.0 + 1.0 / len(values))
    # Sums of weights are rounded; a place too high would be one row too many.
    place = int(np.searchsorted(passed, wanted * (1.0 - 1e-12)))
    if place >= len(values):
        return float(values[order[-1]]), ("fewer rows were scored than the coverage needs: the farthest was taken",)
    return float(values[order[place]]), ()


def _score(half: Doubles, far: Doubles, weight: Doubles, coverage: float) -> float:
    """The interval score (Gneiting and Raftery 2007): the width, and what lies outside, which is dear."""
    return float(np.average(half + np.maximum(far - half, 0.0) / (1.0 - coverage), weights=weight))


def _levels(predicted: Doubles, edges: Doubles) -> NDArray[np.int64]:
    return np.asarray((predicted[:, None] >= edges).sum(axis=1))


def _spreads(far: Doubles, levels: NDArray[np.int64], weight: Doubles, num_levels: int) -> Doubles:
    """Mean distance of each level, drawn a little to that of all."""
    sums = np.bincount(levels, weights=far * weight, minlength=num_levels)
    counts = np.bincount(levels, weights=weight, minlength=num_levels)
    mean = far @ weight / weight.sum()
    prior = _PRIOR_ROWS * weight.mean()
    return np.asarray(np.maximum((sums + prior * mean) / (counts + prior), np.finfo(np.float64).tiny))
