"""Keeps a sample of the rows and answers of models, off the path of requests.

A request pays for the decision whether it is kept, and, if so, for one entry in a queue. A thread makes statistics and
rows of a database of these. The sample is random and bounded, so what all of it costs does not grow with the load.
"""

from __future__ import annotations

import json
import logging
import math
import random
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import ErrorCode, LeptonError, UsageError, printable
from lepton.core.lazy import LazyModule
from lepton.serving.model_store import ModelState, ModelStore, ServedModel
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.call import Answers, Call
from lepton.serving.watching.columns import WatchedColumns
from lepton.serving.watching.drift import DriftReport, Window, judge
from lepton.serving.watching.notes import Notes
from lepton.serving.watching.promise import promised_of
from lepton.serving.watching.state import Answered, Batch, StateStore

if TYPE_CHECKING:
    from lepton.data.statistics import ColumnStatistics, columns
else:
    columns = LazyModule("lepton.data.statistics.columns")

__all__ = ["ModelWatch", "Recorder", "WatchOptions", "check_share"]

_logger = logging.getLogger("lepton.serving")
_TURN = 0.5
_SAMPLES_A_SECOND = 100.0
_SAMPLES_A_TURN = 100
_ROWS_A_SAMPLE = 16
_ROWS_KEPT = 1_000
_PENDING = 50_000
_PANES = 10
_SAVE_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What is kept.

    Attributes:
        window_rows: rows of a drift window, of those that are drawn.
        window_time: seconds after which a row is in no window any more.
        keep_answers: most answers that wait for their truth.
        keep_time: seconds that an answer waits for its truth.
        keep_rows: share of the kept answers whose rows are kept too; 0 keeps no row.
        webhook: address that alarms are posted to.
        command: that alarms are given to.
        volume: truths after which so many new ones are told too; 0 tells nothing.
    """

    window_rows: int = 10_000
    window_time: float = 86_400.0
    keep_answers: int = 100_000
    keep_time: float = 7 * 86_400.0
    keep_rows: float = 0.0
    webhook: str | None = None
    command: str | None = None
    volume: int = 0


def check_share(share: float) -> float:
    """The share, if it is one; `UsageError` BAD_SETTING otherwise."""
    if not 0.0 <= share <= 1.0:
        raise UsageError(ErrorCode.BAD_SETTING, f"got a share of {share:g} of the rows", wanted="0 to 1")
    return share


@dataclass(slots=True)
class _Sample:
    """Rows of one request; `request` is the id under which its answers are kept, "" where statistics are made of it."""

    watch: ModelWatch
    request: str
    tensors: Mapping[str, NDArray[Any]]
    answers: Answers
    at: float


@dataclass(slots=True)
class _Pane:
    """The part of a window that grows."""

    started: float
    rows: int = 0
    statistics: dict[str, ColumnStatistics] = field(default_factory=dict)
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    saved: float = 0.0
    saved_rows: int = 0


class ModelWatch:
    """What is watched of one version of a model."""

    def __init__(self, served: ServedModel, predictor: Predictor, recorder: Recorder) -> None:
        self.name, self.version, self.model_id = served.name, served.version, predictor.model_id
        self.key = f"{self.model_id}/{self.name}"
        self.predictor_inputs = predictor.inputs
        self._is_large = bool(predictor.manifest.tensors)  # pictures and sounds are not kept, and have no statistics
        self.task, self.answer = predictor.task, predictor.answer
        self.labels, self.label_names = predictor.labels, predictor.label_names
        self.columns = WatchedColumns(predictor)
        self.promised = promised_of(predictor)
        self.keeps_answers = self.task.name in {"binary", "multiclass", "regression"}
        self.seen = 0
        self._last_seen = 0
        self._skip = 1
        self._share = 1.0
        self._left = _SAMPLES_A_TURN  # until the next turn; bounds what a burst costs
        self._random = random.Random(secrets.randbits(64))  # noqa: S311 - a sample, not a secret
        self._recorder = recorder
        self._notes: Notes[ModelWatch] | None = None  # with probabilities
        self._plain_notes: Notes[ModelWatch] | None = None  # without
        self.pane = _Pane(recorder.clock())
        self.report: DriftReport | None = None
        self.fed = False  # truths came since they were last looked at

    @property
    def keeps_rows(self) -> bool:
        """Whether rows are kept beside answers, of some of them."""
        return self._recorder.options.keep_rows > 0.0

    def draws(self) -> bool:
        """Whether one more request, which is counted, is one of those that statistics are made of."""
        self.seen += 1
        self._skip -= 1
        if not self._skip <= 0 < self._left or self._recorder.pending >= _PENDING:
            return False
        self._left -= 1
        self._skip = self._next_skip()
        return True

    def observe(self, call: Call, request: Request) -> None:
        """Have the answers to a call kept, if it is one of those."""
        kept = {} if self._is_large else call.tensors
        if self.draws():
            call.respond = partial(self._sampled, kept, call.respond)
        if not (self.keeps_answers and "x-request-id" in request.headers) or self._recorder.pending >= _PENDING:
            return
        if self.keeps_rows or call.num_rows > _ROWS_KEPT:
            call.respond = partial(self._kept, kept, call.respond, request.id)
        else:  # as mostly
            call.respond = partial(self._noted, call.respond, request.id)

    def note(self, request: str, answers: Answers) -> None:
        """Keep the answers to a request of which nothing else is kept, if answers of this model are kept at all."""
        recorder = self._recorder
        predictions = answers.get(self.answer) if self.keeps_answers and recorder.pending < _PENDING else None
        if predictions is not None:
            shares = answers.get("probabilities")
            notes = self._plain_notes if shares is None else self._notes
            if notes is None:
                notes = recorder.new_notes(self, predictions, shares)
                if shares is None:
                    self._plain_notes = notes
                else:
                    self._notes = notes
            recorder.pending += len(predictions)
            notes.add(request, recorder.clock(), predictions, shares)

    def sample(self, tensors: Mapping[str, NDArray[Any]], answers: Answers) -> None:
        """Have statistics made of some of these rows and their answers, which nobody changes any more."""
        num_rows = len(next(iter(answers.values())))
        start = 0 if num_rows <= _ROWS_A_SAMPLE else self._random.randrange(num_rows - _ROWS_A_SAMPLE + 1)
        self._put("", tensors, answers, start, _ROWS_A_SAMPLE)

    def _noted(self, respond: Callable[[Answers], Response], request: str, answers: Answers) -> Response:
        self.note(request, answers)
        return respond(answers)

    def _sampled(
        self, tensors: Mapping[str, NDArray[Any]], respond: Callable[[Answers], Response], answers: Answers
    ) -> Response:
        self.sample(tensors, answers)
        return respond(answers)

    def _kept(
        self,
        tensors: Mapping[str, NDArray[Any]],
        respond: Callable[[Answers], Response],
        request: str,
        answers: Answers,
    ) -> Response:
        self._put(request, tensors, answers, 0, _ROWS_KEPT)
        return respond(answers)

    def _put(self, request: str, tensors: Mapping[str, NDArray[Any]], answers: Answers, start: int, size: int) -> None:
        part = slice(start, start + size)
        if len(next(iter(answers.values()))) > size:  # a part of an array keeps the whole of it
            tensors = {name: values[part].copy() for name, values in tensors.items()}
            answers = {name: values[part].copy() for name, values in answers.items()}
        self._recorder.put(_Sample(self, request, tensors, answers, self._recorder.clock()))

    def _next_skip(self) -> int:
        """Requests until the next that is drawn, each with the same chance."""
        if self._share >= 1.0:
            return 1
        return 1 + int(math.log(1.0 - self._random.random()) / math.log1p(-self._share))

    def adapt(self, seconds: float) -> None:
        """Draw so many that about 100 a second are."""
        came = (self.seen - self._last_seen) / seconds
        self._last_seen, self._left = self.seen, _SAMPLES_A_TURN
        share = min(1.0, _SAMPLES_A_SECOND / came) if came else 1.0
        if share > self._share:
            self._skip = min(self._skip, 1)
        self._share = share


class Recorder:
    """Watches the models of a store.

    Args:
        store: the models.
        state: what is kept.
        options: how much of it.

    Attributes:
        pending: rows that wait for the thread.
        listeners: called with a watch whose report is new, in the thread.
        fed_listeners: called with a watch of whose answers new truths are known, in the thread.
    """

    def __init__(self, store: ModelStore, state: StateStore, options: WatchOptions) -> None:
        self.state, self.options, self.clock = state, options, state.clock
        self.pending = 0
        self.listeners: list[Callable[[ModelWatch], None]] = []
        self.fed_listeners: list[Callable[[ModelWatch], None]] = []
        self._store = store
        self._queue: deque[_Sample] = deque()
        self._notes: list[Notes[ModelWatch]] = []
        self._watches: dict[str, ModelWatch] = {}
        self._work = threading.Lock()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lepton-watching", daemon=True)
        store.listeners.append(self._changed)

    def start(self) -> None:
        """Begin to take from the queue."""
        self._thread.start()

    def close(self) -> None:
        """Keep what is there, and end."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self.flush()
        with self._work:
            for watch in self._watches.values():
                self._save(watch)

    def new_notes(
        self, watch: ModelWatch, predictions: NDArray[Any], probabilities: NDArray[Any] | None
    ) -> Notes[ModelWatch]:
        """A queue of answers like these, of which nothing else is kept; from any thread."""
        notes = Notes(watch, predictions, probabilities)
        self._notes.append(notes)
        return notes

    def put(self, sample: _Sample) -> None:
        """Queue a sample; from any thread."""
        self.pending += len(next(iter(sample.answers.values())))
        self._queue.append(sample)

    def watch_of(self, served: ServedModel) -> ModelWatch | None:
        """What is watched of a version of a model; None where it is not open."""
        watch = served.watch
        return watch if isinstance(watch, ModelWatch) else None

    def flush(self) -> None:
        """Take all that waits; from any thread but the loop's."""
        with self._work:
            samples = []
            while self._queue:
                samples.append(self._queue.popleft())
            self.pending = 0
            kept = [answered for sample in samples if sample.request for answered in self._answered(sample)]
            if kept:
                self.state.put_answers(kept)
            self._put_noted()
            together: dict[tuple[ModelWatch, tuple[str, ...]], list[_Sample]] = {}
            for sample in samples:
                if not sample.request:
                    together.setdefault((sample.watch, tuple(sample.answers)), []).append(sample)
            for (watch, _), alike in together.items():
                self._add(watch, alike)

    def judge(self, watch: ModelWatch) -> DriftReport:
        """Compare what came of late, to all processes of the server, with training; not on the loop."""
        self.flush()
        with self._work:
            report = watch.report = judge(watch.columns.baseline, self._window(watch))
        for listener in self.listeners:
            listener(watch)
        return report

    def look_at_truths(self, watch: ModelWatch) -> None:
        """Have the truths looked at that came of late to this process, if any did."""
        if watch.fed:
            watch.fed = False
            for listener in self.fed_listeners:
                listener(watch)

    def scores(self) -> list[list[Any]]:
        """Model, column and stability index of each column, as last judged."""
        return [
            [watch.name, record.column, record.psi]
            for watch in tuple(self._watches.values())
            if watch.report is not None
            for record in watch.report.columns
            if record.psi is not None
        ]

    def _changed(self, name: str) -> None:
        """What a name stands for has changed."""
        for served in self._store.versions(name):
            if served.watch is None and served.state is ModelState.READY:
                served.watch = self._watch(served) or False
        alive = {s.watch.key for m in self._store for s in self._store.versions(m.name) if s.watch}
        for key in self._watches.keys() - alive:
            self._watches.pop(key, None)

    def _watch(self, served: ServedModel) -> ModelWatch | None:
        if served.parts:
            return None
        try:
            watch = ModelWatch(served, served.predictor, self)
        except LeptonError as error:
            _logger.warning("the model '%s' is not watched: %s", served.name, printable(str(error), 500))
            return None
        target = served.predictor.manifest.target
        if watch.keeps_answers:
            self.state.put_target(served.name, "target" if target is None else target.name)
        return self._watches.setdefault(watch.key, watch)

    def _run(self) -> None:
        saved = self.clock()
        while not self._ends.wait(_TURN):
            try:
                self.flush()
                for watch in tuple(self._watches.values()):
                    watch.adapt(_TURN)
                if self.clock() - saved >= _SAVE_EVERY:
                    saved = self.clock()
                    self._save_all()
            except LeptonError as error:
                _logger.error("what was watched could not be kept: %s", printable(str(error), 500))
            except Exception:
                _logger.exception("watching failed")

    def _save_all(self) -> None:
        """Save what grows, judge what has grown, and forget what is old."""
        for watch in tuple(self._watches.values()):
            with self._work:
                grown = watch.pane.rows > watch.pane.saved_rows
                self._save(watch)
            if grown or watch.report is None:
                self.judge(watch)
            self.look_at_truths(watch)
        now = self.clock()
        self.state.drop_panes(now - self.options.window_time)
        self.state.drop_answers(now - self.options.keep_time, self.options.keep_answers)

    def _add(self, watch: ModelWatch, samples: Sequence[_Sample]) -> None:
        """Add rows to the part of the window that grows, all at once, and begin another when it is full."""
        if not watch.columns.baseline:
            return
        tensors = _joined([sample.tensors for sample in samples])
        answers = _joined([sample.answers for sample in samples])
        num_rows, start = len(next(iter(answers.values()))), 0
        most = max(1, self.options.window_rows // _PANES)
        while start < num_rows:
            pane = watch.pane
            part = slice(start, start + most - pane.rows)
            watch.columns.update(
                pane.statistics,
                {name: values[part] for name, values in tensors.items()},
                {name: values[part] for name, values in answers.items()},
            )
            start += most - pane.rows
            pane.rows += min(most - pane.rows, num_rows - part.start)
            if pane.rows >= most or self.clock() - pane.started >= self.options.window_time / _PANES:
                self._save(watch)
                watch.pane = _Pane(self.clock())

    def _save(self, watch: ModelWatch) -> None:
        pane = watch.pane
        if pane.rows > pane.saved_rows:
            statistics = {name: column.to_dict() for name, column in pane.statistics.items()}
            self.state.put_pane(pane.name, watch.key, pane.started, pane.rows, statistics)
            pane.saved_rows = pane.rows

    def _window(self, watch: ModelWatch) -> Window:
        """The rows of late of all processes: the newest panes, as many as hold the rows of a window."""
        self._save(watch)
        merged: dict[str, ColumnStatistics] = {}
        rows, since, until = 0, None, None
        for _, started, ended, count, statistics in self.state.panes(
            watch.key, self.clock() - self.options.window_time
        ):
            if rows >= self.options.window_rows:
                break
            rows, since = rows + count, started if since is None else min(since, started)
            until = ended if until is None else max(until, ended)
            for name, raw in statistics.items():
                column = columns.ColumnStatistics.from_dict(raw)
                if name in merged:
                    merged[name].merge(column)
                else:
                    merged[name] = column
        return Window(rows, since, until, merged)

    def _put_noted(self) -> None:
        """Keep what was noted, in one piece for each model; those with probabilities apart from those without."""
        for notes in tuple(self._notes):
            noted = notes.take()
            if noted is not None:
                watch = noted.owner
                told = (noted.requests, noted.at, noted.counts, noted.predictions, noted.probabilities)
                self.state.put_batch(Batch(watch.name, watch.version, watch.model_id, *told))
            elif self._watches.get(notes.owner.key) is not notes.owner:  # its model is gone, and so are its requests
                self._notes.remove(notes)

    def _answered(self, sample: _Sample) -> Iterable[Answered]:
        """The rows of a sample as they are kept."""
        watch = sample.watch
        predictions = sample.answers.get(watch.answer)
        if predictions is None:
            return
        probabilities = sample.answers.get("probabilities")
        rows: list[dict[str, Any]] | None = None
        if self.options.keep_rows and random.random() < self.options.keep_rows:  # noqa: S311 - a sample, not a secret
            rows = watch.columns.rows(watch.predictor_inputs, sample.tensors)
        for row, prediction in enumerate(np.asarray(predictions).tolist()):
            answer: dict[str, Any] = {"prediction": prediction}
            if probabilities is not None:
                answer["probabilities"] = probabilities[row].tolist()
            kept = None if not rows else json.dumps(rows[row])
            yield Answered(
                watch.name, sample.request, row, watch.version, watch.model_id, sample.at, json.dumps(answer), kept
            )


def _joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
