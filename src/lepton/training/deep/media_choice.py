"""Which network is kept: one that was judged on rows held out, and then one of all rows, where there is time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import machine
from lepton.core import Interrupted, Work
from lepton.evaluation import Estimate, Metric, metric as metric_named
from lepton.training.answers import probabilities_of
from lepton.training.base import Problem
from lepton.training.deep.text_choice import answers_baseline, held_out, judged
from lepton.training.leaderboard import Leaderboard, LeaderboardRow
from lepton.training.tasks import Target

if TYPE_CHECKING:
    from lepton.training.deep.media_net import FittedNet, MediaLearner

__all__ = ["MediaChoice"]

_TO_WRITE = 4.0  # seconds
_USED = 0.85  # of the time that is left
_FEW_PASSES = 10
_MOST_CONFUSED = 50


class MediaChoice:
    """Learns, judges, and learns again.

    Args:
        learner: of the rows.
        problem: the task.
        truth: positions of classes [N], 0 and 1 for each label [N, L], or numbers about 0 [N].
        metric: what is told of it.
        same: the first row that is equal to each.
        scale: factor and offset of numbers.
        work: time, seed, stop signal.

    Attributes:
        net: the network that is kept.
        confusion: true class → called class → rows held out; None for other tasks.
    """

    def __init__(
        self,
        learner: MediaLearner,
        problem: Problem,
        truth: NDArray[Any],
        metric: Metric,
        same: NDArray[np.int64],
        scale: tuple[float, float],
        work: Work,
    ) -> None:
        self._learner, self._problem, self._truth = learner, problem, truth
        self._metric, self._scale, self._work = metric, scale, work
        classes = truth if truth.dtype.kind == "i" and truth.ndim == 1 else None
        self._held = held_out(same, classes, work.seed_for("media", "held out"))
        self.notes: list[str] = []
        self.confusion: list[list[int]] | None = None
        self._answers: NDArray[np.float64] | None = None
        self._rows: list[LeaderboardRow] = []
        self.net = self._learned()

    def board(self, before: tuple[str, ...]) -> Leaderboard:
        """The network and what it is held against: the same answer for every row."""
        rows = sorted(self._rows, key=lambda row: self._order(row.metric))
        return Leaderboard(self._metric.name, self._metric.greater_is_better, tuple(rows), (*before, *self.notes))

    def report(self, board: Leaderboard, target: Target) -> dict[str, Any]:
        """What the report `training` of the model says."""
        several = target.task == "multilabel"
        return {
            **board.to_dict(),
            "task": target.task,
            "target": list(target.labels or ()) if several else target.column.name,
            "num_rows": self._problem.num_rows,
            "num_features": 1,
            "within": self._work.within,
            "seconds": self._work.elapsed,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpus": self._work.resources.cpus,
            "machine": machine(),
            **({} if self.confusion is None else {"confusion": self.confusion}),
        }

    def baseline(self, labels: Sequence[str] | Sequence[int] | None) -> dict[str, bytes]:
        """Statistics of the answers to the rows held out, as members of a bundle; `labels` as the graph gives them."""
        if self._answers is None:
            return {}
        return answers_baseline(self._problem, labels, self._answers, self._scale)

    def _order(self, value: float | None) -> float:
        if value is None or not np.isfinite(value):
            return np.inf
        return -value if self._metric.greater_is_better else value

    def _learned(self) -> FittedNet:
        learner, work = self._learner, self._work
        rows, held = np.flatnonzero(~self._held), np.flatnonzero(self._held)
        passes, again = self._planned(len(rows), len(self._held))
        work.report(0, 2 if again else 1, "networks", note=f"learning in {passes} passes")
        net = learner.fit(rows, passes, "held out", work)
        temperature = learner.calibrate(net, held)
        raw = learner.raw(net, held)
        self._judge(net, raw, held)
        if net.stopped:
            self.notes.append(f"stopped after {net.passes} of {passes} passes: {net.stopped}")
            return net
        if not again:
            self.notes.append(
                f"learned from {len(rows):,} rows in {passes} passes; with more time, all rows are learned again"
            )
            return net
        work.report(1, 2, "networks", note="learning all rows")
        try:
            whole = learner.fit(np.arange(len(self._held)), passes, "all", work)
        except Interrupted:
            return net
        if whole.stopped:  # cut off before its learning rate fell, it is the worse of the two
            self.notes.append("the network of all rows was not finished: that of the rows not held out is kept")
            return net
        whole.module.temperatures[-1] = temperature
        self.notes.append(f"judged on {len(held):,} rows held out; then all {len(self._held):,} were learned, as long")
        return whole

    def _planned(self, num_rows: int, all_rows: int) -> tuple[int, bool]:
        """How many passes there are to be, and whether there is time to learn all rows afterwards."""
        most = self._learner.most_passes(num_rows)
        remaining = self._work.remaining
        if remaining is None:
            return most, True
        a_row = self._learner.seconds_a_row()
        left = _USED * max((self._work.remaining or 0.0) - _TO_WRITE, 0.0)
        both = int(left / (a_row * (num_rows + all_rows)))
        if both >= min(_FEW_PASSES, most):
            return min(both, most), True
        return int(np.clip(left / (a_row * num_rows), 1, most)), False

    def _judge(self, net: FittedNet, raw: NDArray[np.float64], held: NDArray[np.int64]) -> None:
        truth, problem = self._truth[held], self._problem
        if problem.task == "binary":
            raw = raw[:, 1:] - raw[:, :1]
        if not len(held):
            self.notes.append("there are too few rows to hold any out: nothing is known of how good it is")
            self._rows.append(_row(self._learner.name, f"{net.passes} passes", None, net.seconds, True))
            return
        self._answers = raw
        seed = self._work.seed_for("media", "judged")
        estimate = judged(problem, self._metric, self._on_scale(truth), raw, seed, self._scale)
        self._rows.append(_row(self._learner.name, f"{net.passes} passes", estimate, net.seconds, True))
        constant = judged(problem, self._metric, self._on_scale(truth), self._constant(len(held)), seed, self._scale)
        self._rows.append(_row("baseline", "the same answer for all", constant, 0.0, False))
        if problem.task in ("binary", "multiclass"):
            accuracy = judged(problem, metric_named("accuracy", problem.task), truth, raw, seed)
            self.notes.append(f"accuracy {accuracy} on {len(held):,} rows held out")
            called = probabilities_of(problem, raw).argmax(axis=1)
            if problem.num_classes <= _MOST_CONFUSED:
                counts = np.zeros((problem.num_classes, problem.num_classes), dtype=int)
                np.add.at(counts, (truth, called), 1)
                self.confusion = counts.tolist()

    def _on_scale(self, truth: NDArray[Any]) -> NDArray[Any]:
        factor, offset = self._scale
        return truth * factor + offset if self._problem.task == "regression" else truth

    def _constant(self, count: int) -> NDArray[np.float64]:
        """Raw scores of the most usual answer."""
        known = self._truth[~self._held]
        if self._problem.task == "regression":
            return np.full((count, 1), float(known.mean()))
        if self._problem.task == "multilabel":
            shares = np.clip(known.mean(axis=0), 1e-3, 1 - 1e-3)
            return np.tile(np.log(shares / (1 - shares)), (count, 1))
        counts = np.bincount(known, minlength=self._problem.num_classes) + 1e-3
        logs = np.log(counts / counts.sum())
        scores = logs[1:] - logs[:1] if self._problem.task == "binary" else logs
        return np.tile(scores, (count, 1))


def _row(name: str, configuration: str, estimate: Estimate | None, seconds: float, chosen: bool) -> LeaderboardRow:
    value = (None, None, None) if estimate is None else (estimate.value, estimate.lower, estimate.upper)
    return LeaderboardRow(name, configuration, *value, 1, seconds, None, None, chosen)
