"""The search for the settings with which a model is quickest here: group by group, and the winner measured anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from lepton.bundle import Bundle, Predictor, open_model
from lepton.bundle.machines import machine_type
from lepton.bundle.settings import RuntimeSettings
from lepton.core import ErrorCode, LeptonError, UsageError, Work
from lepton.optimization.accelerate.answers import Answers, answers_of, what_differs
from lepton.optimization.accelerate.candidates import Group, groups
from lepton.optimization.accelerate.profiling import measure_profile
from lepton.optimization.accelerate.providers import elsewhere, present_providers, why_not
from lepton.optimization.accelerate.race import ALPHA, Standing, race
from lepton.optimization.accelerate.result import Acceleration, Trial
from lepton.optimization.accelerate.rows import rows_to_measure, take_rows
from lepton.optimization.accelerate.timing import Calls, block_calls

__all__ = ["find_settings"]

_CHECKED_ROWS = 16
_MOST_BYTES = 1 << 28  # of models that are open at a time; sessions take a multiple of them
_MOST_BATCH = 65_536
_SEARCHED = 0.65  # of the time; the rest is for measuring the winner anew
Tensors = dict[str, NDArray[Any]]
Rewritten = tuple[Bundle, tuple[str, ...]]
Try = tuple[str, RuntimeSettings]


def find_settings(
    bundle: Bundle,
    rows: Any = None,
    *,
    rewritten: Rewritten | None = None,
    batch: Sequence[int] = (1,),
    python: str | Path | None = None,
    work: Work,
) -> Acceleration:
    """Try what may make a model quicker on this machine; see `Acceleration`.

    Args:
        bundle: the model; nothing is written.
        rows: to measure with, in any container that the model takes; None makes some.
        rewritten: the same with another graph, which is gone on with if it is clearly quicker.
        batch: rows of a call; several sizes count alike.
        python: interpreter of another environment, whose execution providers are tried too.
        work: time, cancel, resources and seed. When the time is over, what is not decided has not won.

    Raises:
        UsageError: a batch that cannot be.
        Interrupted: it was asked to stop.
    """
    if not batch or not all(1 <= size <= _MOST_BATCH for size in batch):
        raise UsageError(ErrorCode.USAGE, f"got batch={list(batch)}", wanted=f"sizes from 1 to {_MOST_BATCH}")
    return _Search(bundle, rows, batch, work).run(rewritten, python)


class _Search:
    def __init__(self, bundle: Bundle, rows: Any, batch: Sequence[int], work: Work) -> None:
        self.bundle, self.work = bundle, work
        self.resources = work.resources
        self.base = open_model(bundle, resources=self.resources, settings=RuntimeSettings())
        made = rows_to_measure(self.base, max(_CHECKED_ROWS, *batch), work.seed_for("rows"), rows)
        self.feeds = [take_rows(made, size) for size in batch]
        self.checked = take_rows(made, min(_CHECKED_ROWS, len(next(iter(made.values())))))
        self.wanted = answers_of(self.base.run, self.checked)
        self.counts = [block_calls(_call(self.base, feed)) for feed in self.feeds]
        self.trials: list[Trial] = []
        self.done = 0
        self.original = bundle
        self.rewrites: tuple[str, ...] = ()

    def run(self, rewritten: Rewritten | None, python: str | Path | None) -> Acceleration:
        work, single = self.work, all(len(next(iter(feed.values()))) == 1 for feed in self.feeds)
        profile = measure_profile(self.base, self.feeds[0], resources=self.resources, work=work)
        told = () if python is None else self._elsewhere(python)  # first, since there may be no such Python
        settings, contestant = RuntimeSettings(), self.contestant("the defaults", self.base)
        if rewritten is not None:
            contestant = self._rewritten(rewritten, contestant)
        for group in groups(self.resources, single=single):
            work.report(self.done, None, "tries", note=group.name)
            settings, contestant = self._best(settings, contestant, group)
        settings, contestant = self._best(settings, contestant, self._providers())
        gain: Standing | None = None
        plain: Mapping[str, float] = {}
        if settings != RuntimeSettings() or self.rewrites:
            work.report(self.done, None, "tries", note="measuring the winner anew")
            found = race(self.contestant("the defaults", self.base), [contestant], stopped=self._is_over)
            gain = next((each for each in found if each.is_quicker), None)
            self.trials += [Trial("all of it, measured anew", each) for each in found]
            if gain is None:
                settings, self.rewrites, self.bundle = RuntimeSettings(), (), self.original
            else:
                plain = self._plain(contestant)
        self._check_cancel()
        return Acceleration(
            self.bundle.model_id,
            machine_type(),
            tuple(len(next(iter(feed.values()))) for feed in self.feeds),
            settings,
            gain,
            plain,
            tuple(self.trials),
            profile,
            self.rewrites,
            told,
        )

    def contestant(self, name: str, predictor: Predictor) -> Calls:
        """A model in a race."""
        return Calls(name, [_call(predictor, feed) for feed in self.feeds], self.counts)

    def _rewritten(self, rewritten: Rewritten, current: Calls) -> Calls:
        """The model with the other graph, if that is clearly quicker; from then on, it is what is tried."""
        self.bundle, changes = rewritten
        _, best = self._raced(RuntimeSettings(), current, [("another graph: " + "; ".join(changes), RuntimeSettings())])
        if best is current:
            self.bundle = self.original
        else:
            self.rewrites = changes
        return best

    def _best(self, settings: RuntimeSettings, current: Calls, group: Group) -> tuple[RuntimeSettings, Calls]:
        """The quickest of a group, if that is clear; else what there was. Of large models few are open at a time."""
        tries = group.settings(settings)
        size = sum(member.size for member in self.bundle.manifest.members.values())
        at_once = max(1, _MOST_BYTES // max(size, 1))
        parts = [tries[start : start + at_once] for start in range(0, len(tries), at_once)]
        for part in parts:
            settings, current = self._raced(settings, current, part, ALPHA / len(parts))
        return settings, current

    def _raced(
        self, settings: RuntimeSettings, current: Calls, tries: Sequence[Try], alpha: float = ALPHA
    ) -> tuple[RuntimeSettings, Calls]:
        """The quickest of some, if that is clear; else what there was."""
        tried = self._open(tries)
        if not tried:
            return settings, current
        found = race(current, [each for _, each in tried], alpha=alpha, stopped=self._is_searched)
        self.trials += [Trial(each.name, each) for each in found]
        self.done += len(found)
        winners = {each.name: each.speedup for each in found if each.is_quicker}
        if not winners:
            return settings, current
        name = max(winners, key=lambda each: winners[each])
        return next((chosen, each) for chosen, each in tried if each.name == name)

    def _open(self, tries: Sequence[Try]) -> list[tuple[RuntimeSettings, Calls]]:
        """What can be opened and answers as the model does with the defaults."""
        opened = []
        for name, settings in tries:
            if self._is_searched():
                self.trials.append(Trial(name, None, "no time left"))
                continue
            try:
                predictor = open_model(self.bundle, resources=self.resources, settings=settings)
                problem = what_differs(answers_of(predictor.run, self.checked), self.wanted)
            except LeptonError as error:
                problem = error.came
            if problem:
                self.trials.append(Trial(name, None, problem))
                continue
            opened.append((settings, self.contestant(name, predictor)))
        return opened

    def _providers(self) -> Group:
        """Those that are present and answer as the CPU does."""
        working = []
        for name in present_providers():
            problem = "no time left" if self._is_searched() else self._why_not(name)
            if problem:
                self.trials.append(Trial(name, None, problem))
            else:
                working.append((name, {"provider": name}))
        return Group("providers", working)

    def _why_not(self, provider: str) -> str:
        alone = Answers(self.wanted.together, self.wanted.together)
        return why_not(provider, self.bundle, self.checked, alone, self.resources)

    def _elsewhere(self, python: str | Path) -> tuple[Trial, ...]:
        batch = min(len(next(iter(each.values()))) for each in (self.feeds[0], self.checked))
        feed = take_rows(self.checked, batch)
        return elsewhere(
            python,
            self.bundle,
            self.checked,
            self.wanted,
            Calls("the defaults", [_call(self.base, feed)], self.counts[:1]),
            calls=self.counts[0],
            batch=batch,
            resources=self.resources,
            stopped=self._is_searched,
        )

    def _plain(self, winner: Calls) -> dict[str, float]:
        """Seconds of plain onnxruntime with its default options, on one and on two threads."""
        plain = []
        for threads in sorted({1, min(2, self.resources.cpus)}):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = threads, 4
            session = onnxruntime.InferenceSession(self.original.graph, options, providers=["CPUExecutionProvider"])
            name = "onnxruntime with one thread" if threads == 1 else f"onnxruntime with {threads} threads"
            plain.append(Calls(name, [_plain_call(session, feed) for feed in self.feeds], self.counts))
        found = race(winner, plain, looks=(9,), stopped=self._is_over)
        return {each.name: each.seconds for each in found}

    def _is_searched(self) -> bool:
        self._check_cancel()
        within = self.work.within
        return within is not None and self.work.elapsed > _SEARCHED * within

    def _is_over(self) -> bool:
        self._check_cancel()
        return self.work.stopped

    def _check_cancel(self) -> None:
        if self.work.cancel.is_set():
            self.work.check()


def _call(predictor: Predictor, feed: Tensors) -> Callable[[], object]:
    run = predictor.run
    return lambda: run(feed)


def _plain_call(session: Any, feed: Tensors) -> Callable[[], object]:
    feeds = {each.name: feed[each.name] for each in session.get_inputs()}
    return lambda: session.run(None, feeds)
