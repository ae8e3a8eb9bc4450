"""Whether two answers stand to each other as a rule says, and by how much they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, printable
from lepton.evaluation.classification import Floats
from lepton.evaluation.robustness.asking import Replies
from lepton.evaluation.robustness.base import unknown_name
from lepton.evaluation.robustness.rules import MetamorphicRule

__all__ = ["Expectation", "expectation_of"]

_TOLERANCE = 1e-6
"""What single precision leaves of a difference that is none: of a probability, or as a share of a number."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a rule wants of the answers of one model.

    Attributes:
        form: `not_decreasing`, `not_increasing`, `same` or `within`.
        limit: how far answers may move.
        relative: whether that is a share of the answer.
        place: column of the probabilities that is meant; None for numbers, and for whole answers.
        of_labels: whether the label that is answered is compared, and no number.
        labels: as the model calls them.
    """

    form: str
    limit: float
    relative: bool
    place: int | None
    of_labels: bool
    labels: tuple[str, ...]

    def numbers(self, replies: Replies) -> Floats:
        """What is compared [N, K]."""
        if replies.probabilities is None:
            return replies.predicted.astype(np.float64).reshape(len(replies.predicted), -1)
        return replies.probabilities if self.place is None else replies.probabilities[:, [self.place]]

    def shown(self, replies: Replies, row: int) -> str | float:
        """One answer, for people."""
        if self.place is not None or not self.labels:
            return float(self.numbers(replies)[row, 0])
        if replies.predicted.ndim == 2:
            return ", ".join(name for name, own in zip(self.labels, replies.predicted[row], strict=True) if own) or "–"
        return self.labels[int(replies.predicted[row])]

    def excess(self, before: Replies, after: Replies) -> Floats:
        """By how much each row breaks the rule [N]: above 0 it does, and below it is the nearer the greater."""
        if self.of_labels:
            return self._of_labels(before, after)
        first, second = self.numbers(before), self.numbers(after)
        jitter = _TOLERANCE * (1.0 if before.probabilities is not None else np.maximum(np.abs(first), _TOLERANCE))
        apart = {"not_decreasing": first - second, "not_increasing": second - first}.get(
            self.form, np.abs(second - first)
        )
        allowed = self.limit * np.abs(first) if self.relative else self.limit
        over: Floats = (apart - allowed - jitter).max(axis=1)
        return over

    def _of_labels(self, before: Replies, after: Replies) -> Floats:
        """The lead of another label over the one that was answered first."""
        if after.probabilities is None or before.predicted.ndim == 2:
            moved = before.predicted != after.predicted
            changed: NDArray[np.bool_] = moved.any(axis=1) if moved.ndim == 2 else moved
            return np.where(changed, 1.0, -1.0)
        rows = np.arange(len(before.predicted))
        own = after.probabilities[rows, before.predicted]
        others = after.probabilities.copy()
        others[rows, before.predicted] = -np.inf
        lead = np.abs(others.max(axis=1) - own)
        lead_or_least: Floats = np.maximum(lead, np.finfo(np.float64).tiny)
        return np.where(before.predicted != after.predicted, lead_or_least, -lead_or_least)


def expectation_of(rule: MetamorphicRule, predictor: Predictor) -> Expectation:
    """What `rule` wants of this model's answers.

    Raises:
        UsageError: a label that the model has not, or none where one is needed; an order of answers that have none.
    """
    task, names = predictor.task, predictor.label_names
    if not task.classifies:
        if rule.label is not None:
            raise _bad(f"got label: {printable(str(rule.label), 60)!r} for a model that answers no labels", "no label")
        of_clusters = task.name == "clustering"
        if of_clusters and rule.form != "same":
            raise _bad(f"got answer: {rule.answer!r} for clusters, which have no order", "answer: same")
        return Expectation(rule.form, rule.limit, rule.relative, None, of_clusters, ())
    place = None
    if rule.label is not None:
        place = _place(rule, names)
    elif task.name == "binary" and rule.form != "same":
        place = 1
    if place is None and rule.form in ("not_decreasing", "not_increasing"):
        raise _bad(
            f"got answer: {rule.answer} without a label for a model of {len(names)} labels",
            "label: whose probability is meant, one of " + ", ".join(printable(name, 40) for name in names[:20]),
        )
    of_labels = rule.form == "same" and place is None
    return Expectation(rule.form, rule.limit, rule.relative, place, of_labels, names)


def _place(rule: MetamorphicRule, names: tuple[str, ...]) -> int:
    label = str(rule.label).lower() if isinstance(rule.label, bool) else str(rule.label)
    if label not in names:
        raise unknown_name("the model has no label", label, names, ErrorCode.BAD_RULE)
    return names.index(label)


def _bad(came: str, wanted: str) -> UsageError:
    return UsageError(ErrorCode.BAD_RULE, came, wanted=wanted)
