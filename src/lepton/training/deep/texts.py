"""`train_texts`: from a table with a column of texts to a model file that takes a string."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import TensorRecord, machine
from lepton.core import Interrupted, MissingExtraError, Role, Work, check_name
from lepton.data import Dataset
from lepton.evaluation import Metric, metric as metric_named
from lepton.training.deep.text_choice import Candidate, answers_baseline, held_out, judged, mixed
from lepton.training.deep.text_linear import LinearScores
from lepton.training.deep.text_model import PieceLayers, TextModel
from lepton.training.deep.text_rows import Floats, PieceRows, TextKeys
from lepton.training.deep.text_task import TextTask
from lepton.training.leaderboard import Leaderboard
from lepton.training.nets.writing import write_net
from lepton.training.tables import TrainingResult

__all__ = ["train_texts"]

CODEC = "code-points/1"
TENSORS = (TensorRecord("tokens", "int64", (None, None)), TensorRecord("mask", "int64", (None, None)))

_STRENGTHS = (1.0, 3.0, 10.0)  # of linear scores; the larger is tried where the one before it was the better
_CELLS = 8_000_000  # coefficients of linear scores
_PIECES = (5_000, 200_000)
_EMBEDDED = 100_000
_TIME_FOR_NET = 0.35  # of what is left, at most, where both are learned twice
_LOOKS = 150_000  # at rows, of the network
_PASSES = (3, 10)
_LOADING = 6.0  # seconds that torch may take to load
_PIECES_A_SECOND = 1_000_000  # that the network learns from, about
_SPARE = 1.3


def train_texts(
    dataset: Dataset,
    *,
    text: str,
    target: str | Sequence[str],
    task: str | None = None,
    metric: str | Metric | Callable[..., float] | None = None,
    weight: str | None = None,
    class_weight: str | Mapping[Any, Any] | None = None,
    name: str | None = None,
    work: Work | None = None,
    output: Path,
) -> TrainingResult:
    """Learn `target` from a column of texts and write the best of linear n-grams, a network over them, and both.

    A part of the texts is held out to choose by; then the choice is learned again from all, as far as the time goes.

    Args:
        dataset: the table.
        text: its column of texts; others are not looked at.
        target: its column to learn: classes, numbers, or several labels in a text; or several columns of labels.
        task: `binary`, `multiclass`, `multilabel` or `regression`; None for what the target means.
        metric: what to choose by; None for the task's own.
        weight: a column of weights, or None.
        class_weight: `balanced`, or label → how much more its rows count in learning; None for rows as they are.
        name: of the model; None for the name of `output`.
        work: time, seed, stop signal. Stopped once something is learned, what is there is written.
        output: model file to write.

    Raises:
        DataError: a column that is not there or does not hold what it should; too few rows.
        UsageError: no such task or metric.
        Interrupted: stopped before anything was learned.
    """
    work = Work.of(work)
    name = check_name(name or Path(output).stem, "name of the model")
    asked = TextTask.of(dataset, text, target, task, weight, work).counted(class_weight)
    choice = _Choice(asked, metric_named(metric, asked.problem.task), work)
    choice.try_all()
    model = choice.final()
    classes = asked.problem.task
    board = choice.board()
    told = {
        **board.to_dict(),
        "task": classes,
        "target": list(asked.target.labels or ()) if classes == "multilabel" else asked.target.column.name,
        "num_rows": asked.problem.num_rows,
        "num_features": 1,
        "within": work.within,
        "seconds": work.elapsed,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": work.resources.cpus,
        "machine": machine(),
    }
    work.report(1, 1, "files", note="saving")
    model_id = write_net(
        output,
        name=name,
        net=lambda builder, values: _answered(model, builder, values),
        task=asked.problem.task,
        tensors=TENSORS,
        labels=asked.labels,
        column=asked.column,
        codecs={text: CODEC},
        target=None if classes == "multilabel" else replace(asked.target.column, role=Role.TARGET),
        embedding=model.embedding_size,
        baseline=answers_baseline(asked.problem, asked.labels, choice.best.raw, choice.scale),
        lineage={
            "dataset": {"fingerprint": dataset.fingerprint(), "num_rows": dataset.num_rows},
            "seed": work.seed,
            "learner": choice.best.name,
            "configuration": {"strength": choice.strength, "pieces": len(model.grams)},
            "metric": board.metric,
            "notes": list(asked.notes),
        },
        training={"kind": b"none"},
        reports={"training": told},
    )
    return TrainingResult(Path(output), model_id, board.rows, board.notes)


def _answered(model: TextModel, builder: Any, values: Any) -> Any:
    raw, embedding = model.write(builder, values)
    if model.binary:  # one score: that of the second class against the first
        raw = builder.node("Concat", [builder.node("Sub", [raw, raw]), raw], axis=1)
    return raw if embedding is None else (raw, embedding)


@dataclass(slots=True)
class _Parts:
    """What was learned from some rows."""

    linear: LinearScores | None = None
    layers: PieceLayers | None = None


class _Choice:
    """Learns from a part of the rows, compares on the rest, and learns what is chosen from all of them."""

    def __init__(self, asked: TextTask, metric: Metric, work: Work) -> None:
        self._asked, self._metric, self._work = asked, metric, work
        self._problem = asked.problem
        self._targets, self.scale = asked.targets()
        work.report(0, 3, "models", note="reading texts")
        self._keys = TextKeys(asked.texts, work)
        one_label = self._problem.task in ("binary", "multiclass")
        classes = asked.target.values.astype(np.int64) if one_label else None
        self._held = held_out(self._keys.same, classes, work.seed_for("texts", "held out"))
        self._most = int(np.clip(_CELLS // (self._targets.shape[1] + 1), *_PIECES))
        self.notes = list(asked.notes)
        self.candidates: list[Candidate] = []
        self.strength = _STRENGTHS[0]
        self._parts = _Parts()
        self._linear_seconds, self._net_seconds, self._learned_passes = 0.0, 0.0, 0

    @property
    def best(self) -> Candidate:
        """The best candidate; the simpler of two that are equal."""
        sign = -1.0 if self._metric.greater_is_better else 1.0

        def loss(candidate: Candidate) -> float:
            value = candidate.estimate.value
            return np.inf if value is None else sign * value

        return min(self.candidates, key=loss)

    def try_all(self) -> None:
        """Learn and judge the candidates, as far as the time goes."""
        known, held = np.flatnonzero(~self._held), np.flatnonzero(self._held)
        self._grams = self._keys.grams(known, most=self._most, seed=self._work.seed)
        rows = self._keys.rows(self._grams, self._work)
        learned, unseen = rows.take(known), rows.take(held)
        start = time.monotonic()
        scores = None
        for strength in _STRENGTHS:
            if scores is not None and self._is_short(2 * (time.monotonic() - start)):
                break
            self._work.report(len(self.candidates), 3, "models", note="n-grams")
            linear = self._linear(learned, known, strength)
            found = linear.scores(unseen)
            self._judge("n-grams", f"strength {strength:g}", (found, None), held, time.monotonic() - start)
            if scores is not None and self.best is not self.candidates[-1]:
                break
            scores, self.strength, self._parts.linear = found, strength, linear
        if self._work.stopped:
            return
        self._linear_seconds = time.monotonic() - start
        start = time.monotonic()
        passes = self._learned_passes = self._passes(learned)
        if passes < 1:
            self.notes.append("the network was left out: the time does not suffice to learn it")
            return
        try:
            layers = self._layers(learned, known, passes)
        except Interrupted:
            return
        if layers is None:
            return
        self._parts.layers = layers
        of_net = layers.scores(unseen)
        seconds = self._net_seconds = time.monotonic() - start
        self._judge("network", "of n-grams", (None, of_net), held, seconds)
        self._judge("both", f"strength {self.strength:g}", (scores, of_net), held, seconds)

    def _judge(self, name: str, configuration: str, parts: Sequence[Any], held: NDArray[Any], seconds: float) -> None:
        truth = self._asked.truth[held]
        aims = self._targets[held] if self._problem.task == "regression" else truth
        factors = mixed(self._problem, parts, aims, None if self._asked.weight is None else self._asked.weight[held])
        raw = factors[2] + sum(f * part for f, part in zip(factors, parts, strict=False) if part is not None)
        estimate = judged(self._problem, self._metric, truth, raw, self._work.seed, self.scale)
        self.candidates.append(Candidate(name, configuration, factors, raw, seconds, estimate))

    def _linear(self, rows: PieceRows, of: NDArray[Any], strength: float) -> LinearScores:
        weight = None if self._asked.weight is None else self._asked.weight[of]
        return LinearScores.fit(
            rows,
            self._targets[of],
            num_pieces=len(self._grams),
            strength=strength,
            work=self._work,
            weight=weight,
        )

    def _layers(self, rows: PieceRows, of: NDArray[Any], passes: int) -> PieceLayers | None:
        try:
            fit = importlib.import_module("lepton.training.deep.text_net_fit").fit_layers
        except MissingExtraError as error:
            self.notes.append(f"the network was left out: {error.came}")
            return None
        self._work.report(1, 3, "models", note="network")
        weight: Floats | None = None if self._asked.weight is None else self._asked.weight[of]
        num_pieces = min(self._grams.num_repeated, _EMBEDDED)
        found: PieceLayers = fit(
            rows,
            self._targets[of],
            self._problem.task,
            num_pieces=num_pieces,
            passes=passes,
            work=self._work,
            weight=weight,
        )
        return found

    def _passes(self, rows: PieceRows) -> int:
        """How often the network can look at the rows in the time."""
        usual = int(np.clip(_LOOKS // len(rows), *_PASSES))
        left = self._work.remaining
        if left is None:
            return usual
        seconds = (left - _LOADING) * _TIME_FOR_NET
        return min(usual, int(seconds * _PIECES_A_SECOND / max(len(rows.pieces), 1)))

    def _is_short(self, seconds: float) -> bool:
        left = self._work.remaining
        return self._work.stopped or (left is not None and left < _SPARE * seconds)

    def final(self) -> TextModel:
        """The chosen model, learned from all rows where the time suffices."""
        best, grams, parts = self.best, self._grams, self._parts
        try:
            if not self._is_short(self._linear_seconds + self._net_seconds):
                parts = self._again(best, anew=True)
            elif best.name != "network" and not self._is_short(self._linear_seconds):
                parts = self._again(best, anew=False)
            else:
                self.notes.append("the time did not suffice to learn from the rows held out as well")
        except Interrupted:
            self._grams = grams
        linear = None if best.name == "network" else parts.linear
        return TextModel(
            self._grams, linear, parts.layers, best.factors, self.scale, binary=self._problem.task == "binary"
        )

    def _again(self, best: Candidate, *, anew: bool) -> _Parts:
        """What is chosen, learned from all rows; unless `anew`, with the pieces and the network that are there."""
        everything = np.arange(len(self._asked.texts))
        if anew:
            self._grams = self._keys.grams(everything, most=self._most, seed=self._work.seed)
        rows = self._keys.rows(self._grams, self._work)
        parts = _Parts(layers=None if anew else self._parts.layers)
        if best.name != "network":
            parts.linear = self._linear(rows, everything, self.strength)
        if anew and self._parts.layers is not None:
            self._work.report(2, 3, "models", note="network, from all rows")
            parts.layers = self._layers(rows, everything, self._learned_passes)
        self._work.check()  # what was cut short is worse than what was learned from fewer rows
        return parts

    def board(self) -> Leaderboard:
        """Every candidate, best first."""
        sign = -1.0 if self._metric.greater_is_better else 1.0
        best = self.best
        rows = [candidate.row(candidate is best) for candidate in self.candidates]
        rows.sort(key=lambda row: np.inf if row.metric is None else sign * row.metric)
        return Leaderboard(self._metric.name, self._metric.greater_is_better, tuple(rows), tuple(self.notes))
