"""The search: which step to try next, on which draft, how strongly, until nothing is left or the time is over.

What is quick comes first, so that there always is something: cleaning, then every step that learns nothing, on the
best drafts so far. Then steps that learn, whose drafts are taken up by the quick steps in turn. How strongly a step
is applied is found by halving its settings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from lepton.bundle import Predictor, bundle_size, measure_latency, open_model
from lepton.core import Interrupted, LeptonError, StoreError, Work, printable
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.data import parts_among
from lepton.optimization.lean.goal import Candidate, Goal
from lepton.optimization.lean.proof import LEVEL, LOOKS, Loss, loss_of, parts_lost
from lepton.optimization.lean.workdir import DraftFolder

__all__ = ["Search"]

_FRONT = 3
_KEPT = 12
_SURE = (0.8, 0.95, 0.99)  # chances of holding
_LONGEST = 6  # steps one after the other
_SLICE = 0.35  # of the time that is left for one try of a step that learns
_LAST_SLICE = 0.85
_LEAST_SLICE = 5.0
_HURRIED = 0.7  # of its part: who took more would have learned more in a longer one
_QUICK = 0.25  # of the time, after which what learns has its turn
_BLOCKS, _BLOCK_SECONDS = 5, 0.02


class Search:
    """One search.

    Args:
        subject: what is compressed, and the rows.
        original: opened.
        sample: rows to time calls with.
        goal: what is wanted.
        steps: that may be used.
        folder: where drafts are kept.
        num_proof: rows of the proof.
        work: its time is that of the search alone.
        segments: columns whose values have a limit of their own.
    """

    def __init__(
        self,
        subject: Subject,
        original: Predictor,
        sample: Any,
        goal: Goal,
        steps: Sequence[Step],
        folder: DraftFolder,
        num_proof: int,
        work: Work,
        segments: Sequence[str] = (),
    ) -> None:
        self.subject, self.goal, self.folder, self.work = subject, goal, folder, work
        self.steps, self._segments = tuple(steps), tuple(segments)
        self.refused: dict[str, str] = {}
        self.failed: list[dict[str, str]] = []
        self._hurried: list[tuple[Candidate, Candidate, Step]] = []  # what came of it, from what, by which step
        self.ended = "nothing was left to try"
        self._original, self._sample, self._num_proof = original, sample, num_proof
        self._calls = _calls_for(original, sample)
        self._spent = {False: 0.0, True: 0.0}  # seconds of steps that learn nothing, and of those that do
        answers = subject.choose.answers
        self.original = Candidate(0, (), goal.original_size, 1.0, self._loss(answers))
        self.candidates: list[Candidate] = [self.original, *folder.candidates()]
        noted = folder.noted()
        self._done = {(int(number), str(step)) for number, step in noted.get("done", ())}
        self.refused |= noted.get("refused", {})
        self.failed += noted.get("failed", [])

    def run(self) -> None:
        """Search until nothing is left to try, the time is over, or the work is asked to stop.

        Raises:
            StoreError: the disk refuses.
        """
        try:
            while (pair := self._next()) is not None or self._again():
                if pair is None:
                    continue
                begin = time.monotonic()
                self._settle(*pair)
                self._spent[pair[1].learns] += time.monotonic() - begin
                self._done.add((pair[0].number, pair[1].name))
                self._write_down()
                self._tidy()
        except Interrupted:
            self.ended = "it was asked to stop" if self.work.cancel.is_set() else "the time was over"
        except KeyboardInterrupt:
            self.work.cancel.set()
            self.ended = "it was asked to stop"

    def ranked(self) -> list[Candidate]:
        """What was tried beside the original, whose model files are there, best first."""
        there = [each for each in self.candidates if each.path is not None and self._is_other(each)]
        return sorted(there, key=self.goal.rank)

    def milder(self, candidate: Candidate, work: Work) -> Candidate | None:
        """The same with its last step half as strong, or the step before where that is as mild as can be.

        Args:
            candidate: that has lost too much.
            work: its time is what this may take.
        """
        self.work = work
        known = {step.name: step for step in self.steps}
        for last in range(len(candidate.steps) - 1, -1, -1):
            name, setting = candidate.steps[last]
            before = candidate.steps[:last]
            node = next((n for n in self.candidates if n.steps == before and (n.path or n is self.original)), None)
            if node is None or name not in known:
                continue
            draft = self.subject.original if node is self.original else self.folder.draft(node)
            try:
                settings = known[name].settings(self.subject, draft)
                place = next((place for place, each in enumerate(settings) if each.text == setting.text), 0)
                if place > 0:
                    return self._try(draft, known[name], settings[place // 2])
            except Interrupted:
                return None
        return None

    def _is_other(self, candidate: Candidate) -> bool:
        return self.goal.has_target or candidate.size < self.original.size or candidate.pace < 1

    def front(self) -> set[int]:
        """Numbers of the candidates that no other beats in size, time and loss."""
        points = {each.number: (each.size, each.pace, _value(each.loss)) for each in self.candidates}
        return {
            number
            for number, own in points.items()
            if not any(all(a <= b for a, b in zip(other, own, strict=True)) and other != own
                       for other in points.values())
        }  # fmt: skip

    # --- what next ----------------------------------------------------------------------------------------------------

    def _next(self) -> tuple[Candidate, Step] | None:
        """The draft to go on from and the step to try: cleaning first, what learns last."""
        base = self._base()
        for step in self.steps:
            if step.stage is Stage.CLEAN and self._is_open(base, step):
                return base, step
        best = [each for each in self.ranked() if each is not base][:_FRONT]
        pairs = [
            (node, step)
            for node in (*best, *self._learned(), base)
            for step in self.steps
            if step.stage is not Stage.CLEAN and self._is_open(node, step)
        ]
        surer = [(node, step) for node in self._surer() for step in self.steps if self._is_open(node, step)]
        pairs += [pair for pair in surer if pair[1].brief]
        quick, learned = self._spent[False], self._spent[True]
        if self.work.within is not None and quick > _QUICK * self.work.within and quick > learned / 2:
            pairs.sort(key=lambda pair: (not pair[1].brief, not pair[1].learns))
        else:
            pairs.sort(key=lambda pair: (not pair[1].brief, pair[1].learns))
        pairs += surer
        return pairs[0] if pairs else None

    def _learned(self) -> list[Candidate]:
        """The best draft of each choice of steps that learn, fresh from them: quick steps may make more of it."""
        learning = {step.name for step in self.steps if step.learns}
        found: dict[frozenset[str], Candidate] = {}
        for each in self.ranked():
            names = [name for name, _ in each.steps]
            if names and names[-1] in learning and not self.goal.lost_too_much(each):
                found.setdefault(frozenset(learning.intersection(names)), each)
        return list(found.values())

    def _surer(self) -> list[Candidate]:
        """The smallest drafts that are likely to hold, and very likely: what is there if the best fails its proof."""
        there = sorted(self.ranked(), key=self.goal.cost)
        surer = [next((each for each in there if self.goal.chance(each) >= least), None) for least in _SURE]
        return [each for each in surer if each is not None]

    def _base(self) -> Candidate:
        """The original, as clean as it became."""
        clean = {step.name for step in self.steps if step.stage is Stage.CLEAN}
        cleaned = [each for each in self.ranked() if all(name in clean for name, _ in each.steps)]
        kept = [each for each in cleaned if not self.goal.lost_too_much(each)]
        return max(kept, key=lambda each: len(each.steps)) if kept else self.original

    def _is_open(self, node: Candidate, step: Step) -> bool:
        if (node.number, step.name) in self._done or len(node.steps) >= _LONGEST:
            return False
        if node is not self.original and node.path is None:
            return False
        names = [name for name, _ in node.steps]
        if step.instead_of.intersection(names):
            return False
        stages = [each.stage for each in self.steps if each.name in names]
        last = max(stages, default=Stage.CLEAN)
        # Fewer bits are taken once: half floats as bytes are those bytes.
        return step.name not in names and step.stage >= last and not step.stage == last == Stage.PRECISION

    # --- one step -----------------------------------------------------------------------------------------------------

    def _settle(self, node: Candidate, step: Step) -> None:
        """Find how strongly a step may be applied to a draft."""
        draft = self.subject.original if node is self.original else self.folder.draft(node)
        try:
            reason = step.refuses(self.subject, draft)
            settings = () if reason is not None else tuple(step.settings(self.subject, draft))
        except LeptonError as error:
            reason, settings = error.came, ()
        if reason is not None:
            self.refused.setdefault(step.name, reason)
            return
        low, high = 0, len(settings) - 1
        mildest: tuple[int, Candidate] | None = None
        while low <= high:
            middle = (low + high) // 2
            candidate = self._try(draft, step, settings[middle])
            if candidate is None:
                return
            if step.learns and self.goal.lost_too_much(candidate) and self._was_hurried(candidate):
                self._hurried.append((candidate, node, step))
            if mildest is None or middle < mildest[0]:
                mildest = middle, candidate
            if self.goal.wants_stronger(candidate):
                low = middle + 1
            else:
                high = middle - 1
        # Where even the mildest that was tried may fail its proof, one that hardly can is made too.
        while mildest and mildest[0] and not step.learns and self.goal.is_unsure(mildest[1]):
            place = mildest[0] // 2
            milder = self._try(draft, step, settings[place])
            mildest = None if milder is None else (place, milder)

    def _was_hurried(self, candidate: Candidate) -> bool:
        remaining = self.work.remaining
        return remaining is not None and candidate.seconds > _HURRIED * _SLICE * (remaining + candidate.seconds)

    def _again(self) -> bool:
        """Give what lost least of all that was hurried nearly all the time that is left, where that is more by far."""
        remaining = self.work.remaining or 0.0
        there = [each for each in self._hurried if each[1] is self.original or each[1].path is not None]
        longer = [each for each in there if 1.5 * each[0].seconds < _LAST_SLICE * remaining]
        if not longer:
            return False
        hurried = min(longer, key=lambda each: self.goal.lost_too_much(each[0]))
        self._hurried.remove(hurried)
        candidate, node, step = hurried
        draft = self.subject.original if node is self.original else self.folder.draft(node)
        self._try(draft, step, candidate.steps[-1][1], _LAST_SLICE)
        return True

    def _try(self, draft: Draft, step: Step, setting: Setting, share: float = _SLICE) -> Candidate | None:
        """One draft, judged; None where the step could not, which is told."""
        self.work.check()
        self._report(f"{step.name}: {setting.text}")
        begin, remaining = time.monotonic(), self.work.remaining
        seconds = None if not step.learns or remaining is None else max(share * remaining, _LEAST_SLICE)
        try:
            made = step.apply(self.subject, draft, setting, self.work.part(seconds))
            if made.graph == draft.graph and made.assets == draft.assets:
                return self._gave_up(step, setting, "it changes nothing")
            return self._judged(made, begin)
        except Interrupted as error:
            if self.work.stopped:
                raise
            if share < _LAST_SLICE:  # what cannot be done in its part may take nearly all
                return self._try(draft, step, setting, _LAST_SLICE)
            return self._gave_up(step, setting, error.came)
        except StoreError:
            raise
        except LeptonError as error:
            return self._gave_up(step, setting, error.came)
        except Exception as error:  # noqa: BLE001 - a step works with libraries whose errors have no common class
            return self._gave_up(step, setting, f"{type(error).__name__}: {error}")

    def _gave_up(self, step: Step, setting: Setting, reason: str) -> Candidate | None:
        self.failed.append({"step": step.name, "setting": setting.text, "reason": printable(reason, 300)})
        return None

    def _judged(self, draft: Draft, begin: float) -> Candidate:
        number = self.candidates[-1].number + 1
        path = self.folder.place(number)
        draft.write(path)
        predictor = open_model(path, resources=self.work.resources)
        answers = self.subject.choose.judged(predictor)
        candidate = Candidate(
            number,
            draft.steps,
            bundle_size(path),
            self._pace(predictor),
            self._loss(answers),
            self._worst_part(answers),
            time.monotonic() - begin,
            path,
        )
        self.folder.keep(candidate)
        self.candidates.append(candidate)
        return candidate

    def _loss(self, answers: Any) -> Loss:
        return loss_of(
            self.subject.choose.answers,
            answers,
            self.subject.metric,
            level=LEVEL * LOOKS[0],
            as_of=self._num_proof,
            quick=True,
            seed=self.work.seed_for("loss"),
        )

    def _worst_part(self, answers: Any) -> float | None:
        if self.goal.max_loss_any_segment is None:
            return None
        choose = self.subject.choose
        parts = parts_lost(choose.answers, answers, self.subject.metric, parts_among(choose, self._segments))
        return max((_value(each.loss) for each in parts), default=None)

    def _pace(self, predictor: Predictor) -> float:
        record = measure_latency(predictor, self._sample, self._original, blocks=_BLOCKS, calls=self._calls)
        reference = record.reference
        return 1.0 if reference is None else min(record.block_p50) / min(reference.block_p50)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _report(self, note: str) -> None:
        best = next((each for each in self.ranked() if not any(self.goal.rank(each)[:1])), None)
        told = ""
        if best is not None:
            told = f"{self.original.size / best.size:.1f}× smaller, {1 / best.pace:.1f}× faster"
            told += f", loss {_value(best.loss):.4f}"
        self.work.report(len(self.candidates) - 1, unit="drafts", best=told, note=note)

    def _write_down(self) -> None:
        done = [list(pair) for pair in sorted(self._done)]
        self.folder.note({"done": done, "refused": self.refused, "failed": self.failed})

    def _tidy(self) -> None:
        """Keep the model files of the best drafts, and of the clean one, alone."""
        needed = {each.number for each in (self._base(), *self._learned(), *self._surer())}
        for candidate in self.ranked()[_KEPT:]:
            if candidate.number not in needed:
                self.folder.drop(candidate)


def _value(loss: Loss) -> float:
    return math.inf if loss.value is None else loss.value


def _calls_for(predictor: Predictor, sample: Any) -> int:
    """Calls of a block, so that slow models are not timed for long."""
    first = measure_latency(predictor, sample, blocks=1, calls=3)
    return max(5, min(100, round(_BLOCK_SECONDS / max(first.p50, 1e-7))))
