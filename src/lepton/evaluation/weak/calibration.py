"""How far probabilities can be believed, and intervals of numbers: in all, and in each part of the rows.

The expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015) is the mean over bins of the distance between
what was predicted and what came true. As computed it is above 0 of a perfectly calibrated model too, the more so the
fewer the rows (Kumar, Liang and Ma, NeurIPS 2019), because chance moves every bin. Here that share of chance is taken
away: the error told is the one that would, with the chance that these rows have, give on average what was computed, and
the interval holds the errors that would give it in 95 % of cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor, stated_coverage
from lepton.core import Work
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import CONFIDENCE, Estimate, weightings
from lepton.evaluation.classification import Floats
from lepton.evaluation.coverage import Coverage, coverage_of
from lepton.evaluation.segments import MIN_ROWS, TOO_FEW, parts_of
from lepton.evaluation.weak.slices import Slice

__all__ = ["CalibrationPart", "Calibrations", "calibration_error", "calibration_parts", "calibrations", "part_of"]

NUM_BINS = 10
_RESAMPLES = 200
_DRAWS = 1_000
_MOST_STEPS = 30
_FEW_A_BIN = 10


@dataclass(frozen=True, slots=True)
class CalibrationPart:
    """How far what a model says of itself can be believed in one part of the rows.

    Attributes:
        value: the value, or the range, that its rows share.
        num_rows: how many.
        error: expected calibration error of the probabilities, less what chance adds; None for numbers.
        coverage: share of rows whose truth lies in the interval or set; None where the model gives none.
    """

    value: str
    num_rows: int
    error: Estimate | None
    coverage: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        raw: dict[str, Any] = {"value": self.value, "num_rows": self.num_rows}
        for name, each in (("error", self.error), ("coverage", self.coverage)):
            raw[name] = None if each is None else each.to_dict()
        return raw


@dataclass(frozen=True)
class Calibrations:
    """How far what a model says of itself can be believed.

    Attributes:
        error: expected calibration error less what chance adds; None for numbers.
        coverage: how often intervals or sets hold the truth; None where the model gives none.
        parts: column → its parts.
        slices: the same of each slice, in the order of the slices.
    """

    error: Estimate | None
    coverage: Coverage | None
    parts: dict[str, tuple[CalibrationPart, ...]]
    slices: tuple[CalibrationPart, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "error": None if self.error is None else self.error.to_dict(),
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
            "parts": {name: [each.to_dict() for each in parts] for name, parts in self.parts.items()},
            "slices": [each.to_dict() for each in self.slices],
        }


def calibration_error(answers: Answers, *, seed: int = 0) -> Estimate:
    """Expected calibration error of a classifier, less what chance adds, with its 95 % interval.

    Of two labels the probability of the second is looked at, of more that of the likeliest one.

    Args:
        answers: truth and answers of N rows.
        seed: of the resamples.

    Returns:
        A share from 0 to 1; without a value where there are no probabilities or fewer than 30 rows.
    """
    asked = _said_and_true(answers)
    if isinstance(asked, str):
        return Estimate(None, reason=asked)
    said, true = asked
    if len(said) < MIN_ROWS:
        return Estimate(None, reason=TOO_FEW)
    bins = max(1, min(NUM_BINS, len(said) // _FEW_A_BIN))
    edges = np.unique(np.quantile(said, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    _, number = np.unique(np.searchsorted(edges, said, side="left"), return_inverse=True)
    return _error(answers, said - true, number, seed)


def _said_and_true(answers: Answers) -> tuple[Floats, Floats] | str:
    """Probabilities [N] and 1 where they came true [N], or why there are none."""
    shares = answers.probabilities
    if shares is None or answers.y.ndim == 2:
        return "the model gives no probability of one label a row"
    if not np.isfinite(shares).all():
        return "probabilities that are not finite"
    if len(answers.labels) == 2:
        return shares[:, 1], (answers.y == 1).astype(np.float64)
    return shares.max(axis=1), (shares.argmax(axis=1) == answers.y).astype(np.float64)


def _error(answers: Answers, gap: Floats, number: NDArray[np.intp], seed: int) -> Estimate:
    """The error that fits gaps [N] in bins [N], by turning round what chance makes of it."""
    num_bins = int(number.max()) + 1
    weight = np.ones(len(gap)) if answers.weight is None else answers.weight
    totals = np.bincount(number, weights=weight, minlength=num_bins)
    if not (totals > 0).all():
        kept = totals[number] > 0
        _, again = np.unique(number[kept], return_inverse=True)
        return _error(answers.only(kept), gap[kept], again, seed)
    shares = totals / totals.sum()
    mean = np.bincount(number, weights=weight * gap, minlength=num_bins) / totals
    spread = _spread(answers, gap, number, num_bins, seed)
    draws = np.random.default_rng([seed, 252]).normal(size=(_DRAWS, num_bins)) * spread
    computed = float(shares @ np.abs(mean))

    def drawn(times: float) -> Floats:
        errors: Floats = np.abs(times * mean + draws) @ shares
        return errors

    if computed == 0:
        return Estimate(0.0, 0.0, float(np.quantile(drawn(0.0), CONFIDENCE)))
    tail = (1 - CONFIDENCE) / 2
    value, lower, upper = (
        computed * _times(middle, computed)
        for middle in (
            lambda times: float(drawn(times).mean()),
            lambda times: float(np.quantile(drawn(times), 1 - tail)),
            lambda times: float(np.quantile(drawn(times), tail)),
        )
    )
    return Estimate(min(value, 1.0), min(lower, 1.0), min(upper, 1.0))


def _spread(answers: Answers, gap: Floats, number: NDArray[np.intp], num_bins: int, seed: int) -> Floats:
    """Standard error of the mean gap of each bin [bins], over resamples of rows or groups."""
    found = []
    resamples = weightings(len(gap), _RESAMPLES, weight=answers.weight, groups=answers.groups, seed=seed)
    for block in resamples:
        for weights in block:
            totals = np.bincount(number, weights=weights, minlength=num_bins)
            sums = np.bincount(number, weights=weights * gap, minlength=num_bins)
            found.append(np.divide(sums, totals, out=np.zeros(num_bins), where=totals > 0))
    return np.asarray(np.std(found, axis=0))


def _times(rising: Callable[[float], float], wanted: float) -> float:
    """Where a rising function of a number of at least 0 reaches `wanted`, by halving; 0 where it starts above."""
    low, high = 0.0, 1.0
    if rising(low) >= wanted:
        return 0.0
    for _ in range(_MOST_STEPS):
        if rising(high) >= wanted:
            break
        high *= 2.0
    for _ in range(_MOST_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return high


def calibration_parts(
    answers: Answers, column: str, *, seed: int = 0, work: Work | None = None
) -> tuple[CalibrationPart, ...]:
    """The calibration of each part of the rows that `column`, one of `answers.columns`, makes.

    Args:
        answers: truth and answers, with the column.
        column: its values, or its quartiles, make the parts.
        seed: of the resamples.
        work: cancel and progress.
    """
    work = Work.of(work)
    found = []
    for value, rows in parts_of(answers.columns[column]):
        work.check()
        found.append(part_of(answers.only(rows), value, seed=seed))
    return tuple(found)


def part_of(answers: Answers, value: str, *, seed: int = 0) -> CalibrationPart:
    """The calibration of rows that are a part, under the name `value`."""
    few = Estimate(None, reason=TOO_FEW)
    error = calibration_error(answers, seed=seed) if answers.probabilities is not None and answers.y.ndim == 1 else None
    covered: Estimate | None = None
    if "lower" in answers.beside or "set" in answers.beside:
        coverage: Coverage | None = None
        if answers.num_rows >= MIN_ROWS:
            coverage = coverage_of(answers, None, seed=seed)
        covered = few if coverage is None else coverage.found
    return CalibrationPart(value, answers.num_rows, error, covered)


def calibrations(
    predictor: Predictor,
    answers: Answers,
    slices: Sequence[Slice],
    columns: Sequence[str],
    *,
    seed: int = 0,
    work: Work | None = None,
) -> Calibrations:
    """The calibration of a model in all, in each part that some columns make, and in slices that were found.

    Args:
        predictor: the model, which says what its intervals were made for.
        answers: its answers, with the columns.
        slices: parts of the rows that were found.
        columns: whose values, or quartiles, make parts.
        seed: of the resamples.
        work: cancel and progress.
    """
    work = Work.of(work)
    classes = answers.probabilities is not None and answers.y.ndim == 1
    beside = "lower" in answers.beside or "set" in answers.beside
    parts: dict[str, tuple[CalibrationPart, ...]] = {}
    if classes or beside:
        for name in columns:
            parts[name] = calibration_parts(answers, name, seed=seed, work=work)
    learned = predictor.manifest.lineage.get("dataset")
    behind = learned.get("num_rows") if isinstance(learned, dict) else None
    coverage = coverage_of(
        answers,
        stated_coverage(predictor.manifest),
        rows_behind=behind if isinstance(behind, int) and behind > 0 else None,
        seed=seed,
        work=work,
    )
    return Calibrations(
        calibration_error(answers, seed=seed) if classes else None,
        coverage,
        parts,
        tuple(part_of(answers.only(each.rows), each.text, seed=seed) for each in slices) if parts else (),
    )
