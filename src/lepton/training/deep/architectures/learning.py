"""Rows to learn from, rows to choose by and rows to judge by; trainings and scores on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation import Estimate, Metric
from lepton.training.deep.architectures.subject import Subject
from lepton.training.deep.media_net import FittedNet
from lepton.training.deep.text_choice import held_out, judged
from lepton.training.nets.exits import Exits, choose_thresholds, fit_temperature
from lepton.training.nets.spec import NetSpec

__all__ = ["Learning", "Parts"]

_GIVEN_UP = 0.001  # share of the right answers that early exits may cost
_LEAST_FOR_EXITS = 50  # rows to choose by
_BATCH = 256

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """Which rows do what; none does two things.

    Attributes:
        learn: are learned in the search.
        choose: decide between designs, and calibrate.
        judge: say how good the chosen one is; they have no say before.
    """

    learn: Places
    choose: Places
    judge: Places

    @classmethod
    def of(cls, subject: Subject, seed: int) -> Parts:
        """A draw, by class, that keeps equal rows together; every class keeps rows to learn from."""
        classes = subject.truth if subject.problem.task in ("binary", "multiclass") else None
        choose = held_out(subject.same, classes, seed)
        judge = held_out(subject.same, classes, seed + 1) & ~choose
        for kind in () if classes is None else np.unique(classes):
            if not ((classes == kind) & ~choose & ~judge).any():
                judge &= classes != kind
        if not (~choose & ~judge).any():
            judge[:] = False
        return cls(*(np.flatnonzero(each) for each in (~choose & ~judge, choose, judge)))


class Learning:
    """Trains designs on a subject and scores them.

    Args:
        subject: rows and truth.
        metric: what is chosen by.
        work: threads, seed.

    Attributes:
        rows: which do what.
        paced: the design whose pace was measured.
        seconds_a_row: of a pass of that design; 0 until `measure_pace`.
    """

    def __init__(self, subject: Subject, metric: Metric, work: Work) -> None:
        self.subject, self.metric = subject, metric
        self._learner, self._seed = subject.learner(work), work.seed_for("architectures", "judged")
        self.rows = Parts.of(subject, work.seed_for("architectures", "parts"))
        self.seconds_a_row, self.paced = 0.0, self.family

    @property
    def family(self) -> NetSpec:
        """The member of width 1 for these rows."""
        return self._learner.spec

    @property
    def num_rows(self) -> int:
        """Of the subject."""
        return len(self.subject.truth)

    @property
    def values_to_choose(self) -> NDArray[np.generic]:
        """The rows that choose, as a network takes them."""
        return np.asarray(self.subject.values[self.rows.choose])

    @property
    def may_exit(self) -> bool:
        """Whether early exits are of use: for classes, with enough rows to set them by."""
        return self.subject.problem.task in ("binary", "multiclass") and len(self.rows.choose) >= _LEAST_FOR_EXITS

    def measure_pace(self, spec: NetSpec) -> None:
        """Measure how quickly rows are learned by a design here, and by how many threads they are learned quickest."""
        learner = self._learner.of(spec)
        learner.work = learner.work.part()
        learner.work.reporter = None  # of batches that are thrown away, nobody wants to hear
        self.seconds_a_row, self.paced = learner.seconds_a_row(), spec
        self._learner.threads = learner.threads

    def most_passes(self) -> int:
        """Over the rows, where there is time."""
        return self._learner.most_passes(len(self.rows.learn))

    def fit(self, spec: NetSpec, passes: int, seed: str, work: Work, *, rows: Places | None = None) -> FittedNet:
        """Train a design.

        Args:
            spec: what it looks like.
            passes: over the rows.
            seed: name of the training, which its seed is drawn from.
            work: time, seed, stop signal.
            rows: to learn from; by default those of the search.

        Raises:
            Interrupted: stopped before the first step.
            TrainingError: the loss became NaN.
        """
        return self._learner.of(spec).fit(self.rows.learn if rows is None else rows, passes, seed, work)

    def calibrate(self, net: FittedNet) -> None:
        """Set temperatures, and when rows leave early, by the rows that choose."""
        if not net.module.spec.exits:
            self._learner.calibrate(net, self.rows.choose)
            return
        rows, classes = self.values_to_choose, self.subject.truth[self.rows.choose]
        net.module.eval()
        with torch.inference_mode():
            parts = [
                net.module.all_logits(torch.from_numpy(rows[start : start + _BATCH]))
                for start in range(0, len(rows), _BATCH)
            ]
        logits = [torch.cat(heads).double().numpy() for heads in zip(*parts, strict=True)]
        temperatures = [fit_temperature(each, classes) for each in logits]
        net.module.temperatures.copy_(torch.tensor(temperatures, dtype=torch.float64))
        sure = [torch.softmax(torch.from_numpy(x / t), 1).numpy() for x, t in zip(logits, temperatures, strict=True)]
        thresholds = choose_thresholds(sure, classes, net.module.multiply_adds(), Exits(loss=_GIVEN_UP))
        net.module.thresholds.copy_(torch.tensor(thresholds, dtype=torch.float64))

    def score(self, net: FittedNet, rows: Places | None = None) -> Estimate:
        """The metric, with its interval, on the rows that choose, or on others."""
        places = self.rows.choose if rows is None else rows
        problem, scale = self.subject.problem, self.subject.scale
        raw = self._learner.of(net.module.spec).raw(net, places)
        truth = self.subject.truth[places]
        if problem.task == "binary":
            raw = raw[:, 1:] - raw[:, :1]
        if problem.task == "regression":
            truth = truth * scale[0] + scale[1]
        return judged(problem, self.metric, truth, raw, self._seed, scale)

    def loss(self, score: float | None) -> float:
        """Of a score: less is better; infinite where there is none."""
        if score is None or not np.isfinite(score):
            return float("inf")
        return -score if self.metric.greater_is_better else score
