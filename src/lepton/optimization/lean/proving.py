"""Which drafts are shown to the rows of the proof, at which level, and which of them is taken.

Where the least size and time are wanted, looks go from a draft that is sure to hold to bolder ones, and end with the
first that does not hold. The order is settled before the first look, so each may spend the whole level of the first:
a claim that is wrong needs the first wrong one of that order to pass (Maurer, Hothorn and Lehmacher 1995). Where
already the first fails, two milder ones have the rest of the level, as have second and third choices where a size or
a time is to be reached.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lepton.bundle import Predictor, bundle_size, measure_latency, open_model
from lepton.core import BudgetVerdict, Work
from lepton.optimization.lean.base import Draft
from lepton.optimization.lean.data import Material, parts_among
from lepton.optimization.lean.goal import Candidate, Goal
from lepton.optimization.lean.loop import Search
from lepton.optimization.lean.proof import LEVEL, LOOKS, Loss, Part, loss_of, parts_lost
from lepton.optimization.lean.route import MOST, route
from lepton.optimization.lean.workdir import DraftFolder

__all__ = ["Proof", "Proven", "reserve_of"]

_CALLS, _BLOCKS = 1_000, 7
_FEWEST_CALLS = 50
_MILDER = 0.8
_LOOKING = 0.05  # of the time allowed, for the looks behind the first
_MEASURING = 0.2  # of the time allowed, for timing the final file


@dataclass
class Proven:
    """A candidate on the rows of the proof, timed.

    Attributes:
        candidate: that was looked at.
        path: its file, as it is saved.
        loss: on the rows of the proof.
        parts: the same of classes and segments.
        size: bytes as `max_size` counts them.
        latency: measured in turns with the original.
        verdicts: of the budgets.
        gains: whether it is smaller or faster than the original.
    """

    candidate: Candidate
    path: Path
    loss: Loss
    parts: tuple[Part, ...]
    size: int
    latency: Any
    verdicts: tuple[BudgetVerdict, ...]
    gains: bool

    @property
    def kept(self) -> bool:
        """Whether it is what was asked for."""
        return self.gains and all(each.kept for each in self.verdicts)

    @property
    def missed(self) -> float:
        """By how much the budgets were missed, as shares of them."""
        shares = [
            math.inf if each.measured is None else each.measured / each.limit - 1
            for each in self.verdicts
            if not each.kept
        ]
        return sum(shares) + (0.0 if self.gains else 1.0)

    def parts_told(self) -> list[dict[str, Any]]:
        """The losses of parts as reports tell them."""
        told = [(part, part.loss.to_dict()) for part in self.parts]
        return [
            {
                "column": part.column,
                "part": part.value,
                "rows": part.loss.num_rows,
                "value_lost": loss["value"],
                "upper": loss["upper"],
                "interval": loss["interval"],
            }
            for part, loss in told
        ]


@dataclass
class _Seen:
    """What the rows of the proof say of a candidate."""

    candidate: Candidate
    path: Path
    lean: Predictor
    loss: Loss
    parts: tuple[Part, ...]
    verdicts: tuple[BudgetVerdict, ...]

    @property
    def holds(self) -> bool:
        return all(each.kept for each in self.verdicts)


def reserve_of(p50: float, num_rows: int, work: Work) -> float:
    """Seconds that proof and timing take at the end: of a look, and of two more where they take little."""
    look = _look_of(p50, num_rows, work)
    more = 2 * look if work.within is None else min(2 * look, _LOOKING * work.within)
    return 0.5 + 1.2 * _timing(p50, work) + look + more


def _look_of(p50: float, num_rows: int, work: Work) -> float:
    return 0.5 + 1.5 * p50 * num_rows / max(work.resources.cpus, 1)


def _timing(p50: float, work: Work) -> float:
    return _BLOCKS * _calls(p50, work) * 2 * p50


def _calls(p50: float, work: Work) -> int:
    """Calls of a block of the final timing: 1,000, fewer where the time allowed does not hold them."""
    if work.within is None:
        return _CALLS
    return max(_FEWEST_CALLS, min(_CALLS, int(_MEASURING * work.within / (_BLOCKS * 2 * p50))))


class Proof:
    """Looks at the rows of the proof, as few as may be.

    Args:
        original: opened.
        material: the rows.
        goal: the budgets.
        segments: columns whose values have a limit of their own.
        scratch: folder for files.
        work: time, progress and seed.
        p50: seconds of a call of the original.
    """

    def __init__(
        self,
        original: Predictor,
        material: Material,
        goal: Goal,
        segments: Sequence[str],
        scratch: Path,
        work: Work,
        p50: float,
    ) -> None:
        self._original, self._material, self._goal = original, material, goal
        self._segments, self._scratch, self._work, self._p50 = segments, scratch, work, p50
        self._looks = 0

    def best_of(self, search: Search, folder: DraftFolder) -> tuple[Proven | None, int]:
        """The boldest candidate that was proven to keep everything, else the one that misses least; and the looks."""
        ranked, looked = search.ranked(), []
        if self._goal.max_loss is not None and not self._goal.has_target:
            held, failed = self._climbed(route(ranked, self._goal, self._affordable()), folder)
            for seen in reversed(held):
                looked.append(self._timed(seen))
                if looked[-1].kept:
                    return looked[-1], self._looks
            if failed is not None and not held:
                looked.append(self._timed(failed))
                others = [failed.candidate, *(each for each in ranked if each is not failed.candidate)]
                ranked = self._left(others, looked[-1], last=False) or self._made(search, looked[-1])
        for place in range(len(looked), len(LOOKS)):
            if not ranked or (place > 1 and self._is_late()):
                break
            looked.append(self._timed(self._look(ranked[0], folder, LEVEL * LOOKS[place])))
            if looked[-1].kept:
                break
            ranked = self._left(ranked, looked[-1], last=place + 2 == len(LOOKS)) or self._made(search, looked[-1])
        kept = [each for each in looked if each.kept]
        return (kept[0] if kept else min(looked, key=lambda each: each.missed, default=None)), self._looks

    def _climbed(self, way: Sequence[Candidate], folder: DraftFolder) -> tuple[list[_Seen], _Seen | None]:
        """Those of the way that hold, and the first that does not, which ends it."""
        held: list[_Seen] = []
        took = 0.0
        for candidate in way:
            remaining = self._work.remaining
            if held and remaining is not None and remaining < took + _timing(self._p50, self._work):
                break
            begin = time.monotonic()
            seen = self._look(candidate, folder, LEVEL * LOOKS[0])
            took = time.monotonic() - begin
            if not seen.holds:
                return held, seen
            held.append(seen)
        return held, None

    def _affordable(self) -> int:
        """Looks that there is time for, before the first of them."""
        remaining = self._work.remaining
        if remaining is None:
            return MOST
        look = _look_of(self._p50, len(self._material.prove), self._work)
        return max(1, min(MOST, int((remaining - _timing(self._p50, self._work)) / look)))

    def _left(self, ranked: Sequence[Candidate], proven: Proven, *, last: bool) -> list[Candidate]:
        """What is worth a look behind one that missed: milder ones where it lost too much; at last the mildest."""
        rest = [each for each in ranked[1:] if self._goal.has_target or self._goal.gains(each.size, each.pace)]
        losses = [each for each in proven.verdicts if each.name.startswith("max_loss")]
        if all(each.kept for each in losses):
            return rest
        milder = [each for each in rest if _change(each) < _MILDER * _change(proven.candidate)]
        return sorted(milder, key=_change) if last else milder

    def _made(self, search: Search, proven: Proven) -> list[Candidate]:
        """A milder draft that is made now, where there was none and too much was lost."""
        if all(each.kept for each in proven.verdicts if each.name.startswith("max_loss")):
            return []
        made = search.milder(proven.candidate, self._work.part())
        return [] if made is None or made.path is None or self._goal.too_costly(made) else [made]

    def _is_late(self) -> bool:
        return self._work.remaining is not None and self._work.remaining < 0

    def _look(self, candidate: Candidate, folder: DraftFolder, level: float) -> _Seen:
        self._looks += 1
        self._work.report(self._looks, unit="looks", note=f"proving {candidate.text}")
        draft, path = folder.draft(candidate), self._scratch / f"proven-{self._looks}.lepton"
        _with_lineage(draft, self._original).write(path)
        lean = open_model(path, resources=self._work.resources)
        prove, metric = self._material.prove, self._material.metric
        answers, seed = prove.judged(lean), self._work.seed_for("proof")
        loss = loss_of(prove.answers, answers, metric, level=level, seed=seed)
        found = parts_lost(prove.answers, answers, metric, parts_among(prove, self._segments), level=level, seed=seed)
        return _Seen(candidate, path, lean, loss, found, _verdicts(self._goal, loss, found))

    def _timed(self, seen: _Seen) -> Proven:
        goal = self._goal
        record = measure_latency(
            seen.lean, self._material.sample, self._original, blocks=_BLOCKS, calls=_calls(self._p50, self._work)
        )
        size = bundle_size(seen.path)
        before = record.reference or record
        paces = [own / other for own, other in zip(record.block_p50, before.block_p50, strict=True)]
        verdicts = (*seen.verdicts, *_costs(goal, size, record.p99))
        gains = goal.has_target or goal.gains(size, sorted(paces)[len(paces) // 2])
        return Proven(seen.candidate, seen.path, seen.loss, seen.parts, size, record, verdicts, gains)


def _change(candidate: Candidate) -> float:
    """How far a draft is from the original on the rows of the search: what its loss can be on others."""
    loss = candidate.loss
    return loss.upper if loss.changed is None else loss.changed


def _with_lineage(draft: Draft, original: Predictor) -> Draft:
    steps = [{"step": step, "setting": setting.text, "values": dict(setting.values)} for step, setting in draft.steps]
    lineage = {**draft.manifest.lineage, "parents": [original.model_id], "compressed": steps}
    return replace(draft, manifest=replace(draft.manifest, lineage=lineage))


def _verdicts(goal: Goal, loss: Loss, parts: Sequence[Part]) -> tuple[BudgetVerdict, ...]:
    """Of what is lost."""
    found = []
    if goal.max_loss is not None:
        upper = loss.upper if math.isfinite(loss.upper) else None
        found.append(BudgetVerdict("max_loss", goal.max_loss, upper, loss.within(goal.max_loss)))
    if goal.max_loss_any_segment is not None:
        worst = max((each.loss.upper for each in parts), default=math.inf)
        kept = worst <= goal.max_loss_any_segment
        measured = worst if math.isfinite(worst) else None
        found.append(BudgetVerdict("max_loss_any_segment", goal.max_loss_any_segment, measured, kept))
    return tuple(found)


def _costs(goal: Goal, size: int, p99: float) -> tuple[BudgetVerdict, ...]:
    """Of size and time."""
    found = []
    if goal.max_size is not None:
        found.append(BudgetVerdict("max_size", goal.max_size, size, size <= goal.max_size))
    if goal.max_latency is not None:
        found.append(BudgetVerdict("max_latency", goal.max_latency, p99, p99 <= goal.max_latency))
    return tuple(found)
