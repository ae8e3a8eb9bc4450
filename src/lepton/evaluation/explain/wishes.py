"""Which answer is wanted in place of the one that a row has: a label, a probability in a range, a number in a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, printable
from lepton.evaluation.classification import Floats, label_positions
from lepton.evaluation.explain.base import Question, question_of
from lepton.report import show_number

__all__ = ["Judged", "Wish", "wish_of"]

Range = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Judged:
    """How near N answers are to the one that is wanted.

    Attributes:
        met: bool [N], whether it is the wanted one.
        gap: [N], what is to be made smaller; 0 at least where a range is wanted.
        value: [N], the number that is told of an answer.
    """

    met: NDArray[np.bool_]
    gap: Floats
    value: Floats


@dataclass(frozen=True, slots=True)
class Wish:
    """A wanted answer.

    Attributes:
        title: it in words.
        of_value: what the number beside an answer is, as in "the probability of 'yes'".
        outputs: of the graph that say it.
        labels: what the graph's labels are called; empty where it answers numbers.
        places: positions of the labels that are wanted; empty where a range is.
        question: the number that is to be in the range, or that grows as labels come near.
        within: the range.
    """

    title: str
    of_value: str
    outputs: tuple[str, ...]
    labels: tuple[str, ...]
    places: tuple[int, ...]
    question: Question
    within: Range = (None, None)

    def judge(self, given: Mapping[str, NDArray[Any]]) -> Judged:
        """How near the outputs of N rows are."""
        numbers = np.asarray(given[self.question.output], dtype=np.float64)
        numbers = numbers.reshape(len(numbers), -1)
        if self.places:
            value = numbers[:, list(self.places)].max(axis=1)
            if len(self.places) == len(self.labels) - 1:  # any but one
                own = next(place for place in range(len(self.labels)) if place not in self.places)
                value = 1 - numbers[:, own]
            known = self.question.predictor.manifest.labels or ()
            met = np.isin(label_positions(given["prediction"], known, "the prediction"), self.places)
            return Judged(met, np.where(np.isnan(value), np.inf, 1 - value), value)
        value = numbers[:, self.question.places[0]] if self.question.places else numbers[:, 0]
        low, high = self.within
        gap = np.zeros(len(value))
        if low is not None:
            gap = np.maximum(gap, low - value)
        if high is not None:
            gap = np.maximum(gap, value - high)
        gap = np.where(np.isnan(value), np.inf, gap)
        return Judged(gap <= 0, gap, value)

    def answers(self, given: Mapping[str, NDArray[Any]]) -> list[Any]:
        """What the model answers each row: labels, or numbers."""
        if self.labels and "prediction" in given and not self.question.predictor.task.several:
            known = self.question.predictor.manifest.labels or ()
            positions = label_positions(given["prediction"], known, "the prediction")
            own = self.question.predictor.labels or ()
            return [own[position] if position >= 0 else None for position in positions.tolist()]
        return [float(value) if np.isfinite(value) else None for value in self.judge(given).value.tolist()]


def wish_of(predictor: Predictor, wanted: Any, answer: int | None) -> Wish:
    """What is wanted, from how a user says it.

    Args:
        predictor: an opened model.
        wanted: None for any other label; a label, or a list of labels of which each will do; `{label: 0.7}` for a
            probability of at least that, `{label: (low, high)}` for one in a range; of numbers `(low, high)`, either
            of which may be None.
        answer: position of the label that the row has now; None of numbers.

    Raises:
        UsageError: it cannot be said of this model; an unknown label; a range with nothing in it.
    """
    if not predictor.task.classifies:
        return _of_number(predictor, wanted)
    if isinstance(wanted, Mapping):
        return _of_probability(predictor, wanted)
    if predictor.task.several:
        raise UsageError(
            ErrorCode.USAGE,
            f"got wanted={wanted!r} for a model of several labels",
            wanted="the one label that should come or go, as in wanted={'red': 0.5} or {'red': (None, 0.5)}",
        )
    names = predictor.label_names
    if wanted is None:
        if len(names) < 2 or answer is None:
            raise UsageError(ErrorCode.USAGE, "the model knows one label", wanted="a model that can answer otherwise")
        places = tuple(place for place in range(len(names)) if place != answer)
        title = f"any other answer than '{printable(names[answer])}'"
        question = question_of(predictor, (predictor.labels or ())[answer])
        of_value = f"the probability of another label than '{printable(names[answer])}'"
        if len(names) == 2:
            title = f"the answer '{printable(names[places[0]])}'"
            of_value = f"the probability of '{printable(names[places[0]])}'"
        return Wish(title, of_value, ("prediction", "probabilities"), names, places, question)
    each = list(wanted) if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
    if not each:
        raise UsageError(ErrorCode.USAGE, "got no label in wanted=", wanted="at least one")
    questions = [question_of(predictor, label) for label in each]
    places = tuple(sorted({question.places[0] for question in questions}))
    shown = " or ".join(f"'{printable(names[place])}'" for place in places)
    return Wish(
        f"the answer {shown}", f"the probability of {shown}", ("prediction", "probabilities"), names, places,
        questions[0],
    )  # fmt: skip


def _of_probability(predictor: Predictor, wanted: Mapping[Any, Any]) -> Wish:
    if len(wanted) != 1:
        raise UsageError(ErrorCode.USAGE, f"got {len(wanted)} labels in wanted=", wanted="one label and its range")
    label, ends = next(iter(wanted.items()))
    within = _range((ends, None) if _is_number(ends) else ends)
    question = question_of(predictor, label)
    if (within[0] is not None and within[0] > 1) or (within[1] is not None and within[1] < 0):
        raise UsageError(ErrorCode.USAGE, f"got the range {ends!r}", wanted="probabilities in 0 to 1")
    outputs = ("prediction", "probabilities")
    names = predictor.label_names
    return Wish(f"{question.title} {_shown(within)}", question.title, outputs, names, (), question, within)


def _of_number(predictor: Predictor, wanted: Any) -> Wish:
    question = question_of(predictor)
    if wanted is None or not isinstance(wanted, Sequence) or isinstance(wanted, str | bytes):
        raise UsageError(
            ErrorCode.USAGE,
            f"got wanted={wanted!r} for a model that answers numbers",
            wanted="the range that the number should be in",
            fix="wanted=(200, None) for at least 200, (None, 200) for at most that, or both ends",
        )
    within = _range(wanted)
    title = f"{question.title} {_shown(within)}"
    return Wish(title, question.title, (question.output,), (), (), question, within)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _range(ends: Any) -> Range:
    fits = isinstance(ends, list | tuple) and len(ends) == 2 and all(end is None or _is_number(end) for end in ends)
    if not fits or (ends[0] is None and ends[1] is None) or any(end is not None and end != end for end in ends):
        raise UsageError(
            ErrorCode.USAGE, f"got the range {ends!r}", wanted="(low, high), of which one may be None for no end"
        )
    low, high = (None if end is None else float(end) for end in ends)
    if low is not None and high is not None and low > high:
        raise UsageError(ErrorCode.USAGE, f"got the range {ends!r}, in which nothing lies", wanted="low before high")
    return low, high


def _shown(within: Range) -> str:
    low, high = within
    if low is None:
        return f"of at most {show_number(high)}"
    return f"of at least {show_number(low)}" if high is None else f"from {show_number(low)} to {show_number(high)}"
