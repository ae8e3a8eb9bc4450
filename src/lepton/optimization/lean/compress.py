"""From a model and rows to a smaller model with its proof, or to a refusal that says by how much it missed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lepton.bundle import Predictor, add_report, bundle_size, machine, measure_latency, open_model
from lepton.core import BudgetError, BudgetVerdict, ErrorCode, Interrupted, UsageError, Work, printable
from lepton.data import Dataset
from lepton.optimization.lean.base import Draft, Step, Subject
from lepton.optimization.lean.data import Arrays, Material, Wish, material_of, parts_among
from lepton.optimization.lean.goal import Candidate, Goal
from lepton.optimization.lean.loop import Search
from lepton.optimization.lean.proof import LEVEL, LOOKS, Loss, Part, loss_of, parts_lost
from lepton.optimization.lean.registry import steps as all_steps
from lepton.optimization.lean.report import REPORT, Compression
from lepton.optimization.lean.workdir import DraftFolder, fingerprint_of
from lepton.store import open_read, replace_file, scratch_folder

__all__ = ["Outcome", "Request", "chosen_steps", "compress"]

_CALLS, _BLOCKS = 1_000, 7
_FEWEST_CALLS = 50
_MILDER = 0.8
_MOST_REASONS = 8
_MEASURING = 0.2  # of the time allowed, for timing the final file


@dataclass(frozen=True)
class Request:
    """What is asked beside the model and the rows.

    Attributes:
        goal: the budgets.
        wish: how rows are judged.
        steps: names of the steps that may be used; None for all.
        workdir: folder that keeps the search, or None.
        resume: whether to go on with what is in it.
    """

    goal: Goal
    wish: Wish
    steps: Sequence[str] | None = None
    workdir: Path | None = None
    resume: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes:
        path: the model file.
        compression: the report.
        verdicts: of the budgets, on the final file.
        missed: what is to be raised of a budget that was not kept, or None.
    """

    path: Path
    compression: Compression
    verdicts: tuple[BudgetVerdict, ...]
    missed: BudgetError | None


@dataclass
class _Proven:
    """A candidate on the rows of the proof."""

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


def compress(
    original: Predictor,
    data: Dataset | Arrays,
    request: Request,
    *,
    output: Path,
    is_kept: bool = True,
    proof: Dataset | Arrays | None = None,
    work: Work | None = None,
) -> Outcome:
    """Make a model smaller within budgets, prove it on rows that the search did not see, and save it.

    Args:
        original: the model, which stays as it is.
        data: rows that it was not trained on: they are learned from, chosen by and proven with.
        request: budgets, metric, steps and folder.
        output: where the result is saved; what does not keep the budgets too, as the best there is.
        is_kept: whether the file lasts, so that a refusal may name it.
        proof: rows to prove with, in place of a part of `data`.
        work: time, cancel, progress, resources and seed.

    Raises:
        DataError: rows that cannot be used, or too few of them.
        UsageError: a step, metric or budget that cannot be meant; an output that is the original itself.
        BudgetError: no step gave anything to save.
        StoreError: the disk refuses; nothing half written is left.
    """
    work = Work.of(work)
    if output.exists() and output.samefile(original.bundle.path):
        raise UsageError(ErrorCode.USAGE, "got the original's own file as output", wanted="another file")
    steps = chosen_steps(request.steps)
    material = material_of(original, data, proof, request.wish, work)
    subject = Subject(Draft.of(original.bundle), material.learn, material.choose, material.metric)
    first = measure_latency(original, material.sample, calls=100, blocks=3)
    goal = replace(request.goal, original_size=bundle_size(original.bundle.path), original_latency=first.p99)
    with contextlib.ExitStack() as stack:
        place = request.workdir or stack.enter_context(scratch_folder())
        folder = DraftFolder(place, _asked(original, material, request, work), resume=request.resume)
        reserve = _reserve(first.p50, material, work)
        searching = work.part(None if work.remaining is None else max(work.remaining - reserve, 0.1))
        search = Search(
            subject,
            original,
            material.sample,
            goal,
            steps,
            folder,
            len(material.prove),
            searching,
            request.wish.segments,
        )
        search.run()
        scratch = stack.enter_context(scratch_folder())
        proving = _Proof(original, material, goal, request.wish.segments, scratch, work, first.p50)
        proven, looks = proving.best_of(search, folder)
        if proven is None:
            raise _nothing(search)
        told = _told(original, material, request, search, proven, looks, work)
        add_report(proven.path, REPORT, told)
        with replace_file(output) as copied, open_read(proven.path) as source:
            while piece := source.read(2**20):
                copied.write(piece)
    open_model(output, resources=work.resources)  # what was saved opens
    missed = None if proven.kept else _missed(proven, search, output if is_kept else None)
    return Outcome(output, Compression(told), proven.verdicts, missed)


def chosen_steps(names: Sequence[str] | None) -> tuple[Step, ...]:
    """The steps of those names, or all.

    Raises:
        UsageError: a name that is none, or no name.
    """
    known = all_steps()
    if names is None:
        return known
    there = [step.name for step in known]
    if unknown := [name for name in names if name not in there]:
        raise UsageError(ErrorCode.USAGE, f"got the step {unknown[0]!r}", wanted="one of " + ", ".join(there))
    if not names:
        raise UsageError(ErrorCode.USAGE, "got no steps", wanted="one of " + ", ".join(there))
    return tuple(step for step in known if step.name in names)


def _asked(original: Predictor, material: Material, request: Request, work: Work) -> dict[str, Any]:
    goal = request.goal
    return {
        "model_id": original.model_id,
        "rows": [fingerprint_of(each) for each in (material.learn, material.choose)],
        "metric": material.metric.name,
        "budgets": {"max_loss": goal.max_loss, "max_size": goal.max_size, "max_latency": goal.max_latency,
                    "max_loss_any_segment": goal.max_loss_any_segment},
        "segments": list(request.wish.segments),
        "seed": work.seed,
    }  # fmt: skip


def _calls(p50: float, work: Work) -> int:
    """Calls of a block of the final timing: 1,000, fewer where the time allowed does not hold them."""
    if work.within is None:
        return _CALLS
    return max(_FEWEST_CALLS, min(_CALLS, int(_MEASURING * work.within / (_BLOCKS * 2 * p50))))


def _reserve(p50: float, material: Material, work: Work) -> float:
    """Seconds that proof and timing take at the end."""
    timing = _BLOCKS * _calls(p50, work) * 2 * p50
    return 1.0 + 1.2 * timing + 1.5 * p50 * len(material.prove) / max(work.resources.cpus, 1)


class _Proof:
    """Looks at the rows of the proof, as few as may be."""

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

    def best_of(self, search: Search, folder: DraftFolder) -> tuple[_Proven | None, int]:
        """The first of at most three candidates that keeps everything, else the one that misses least."""
        ranked, looked = search.ranked(), []
        for place, share in enumerate(LOOKS):
            if not ranked:
                break
            proven = self._look(ranked[0], folder, LEVEL * share, place)
            looked.append(proven)
            if proven.kept or (place > 0 and self._is_late()):
                break
            ranked = self._left(ranked, proven, last=place + 2 == len(LOOKS)) or self._made(search, proven)
        kept = [each for each in looked if each.kept]
        return (kept[0] if kept else min(looked, key=lambda each: each.missed, default=None)), len(looked)

    def _left(self, ranked: list[Candidate], proven: _Proven, *, last: bool) -> list[Candidate]:
        """What is worth a look behind one that missed: milder ones where it lost too much; at last the mildest."""
        rest = [each for each in ranked[1:] if self._goal.has_target or self._goal.gains(each.size, each.pace)]
        losses = [each for each in proven.verdicts if each.name.startswith("max_loss")]
        if all(each.kept for each in losses):
            return rest
        milder = [each for each in rest if _change(each) < _MILDER * _change(proven.candidate)]
        return sorted(milder, key=_change) if last else milder

    def _made(self, search: Search, proven: _Proven) -> list[Candidate]:
        """A milder draft that is made now, where there was none and too much was lost."""
        if all(each.kept for each in proven.verdicts if each.name.startswith("max_loss")):
            return []
        made = search.milder(proven.candidate, self._work.part())
        return [] if made is None or made.path is None or self._goal.too_costly(made) else [made]

    def _is_late(self) -> bool:
        return self._work.remaining is not None and self._work.remaining < 0

    def _look(self, candidate: Candidate, folder: DraftFolder, level: float, place: int) -> _Proven:
        self._work.report(place + 1, len(LOOKS), "looks", note=f"proving {candidate.text}")
        draft, path = folder.draft(candidate), self._scratch / f"proven-{place}.lepton"
        _with_lineage(draft, self._original).write(path)
        lean = open_model(path, resources=self._work.resources)
        prove, metric, goal = self._material.prove, self._material.metric, self._goal
        answers, seed = prove.judged(lean), self._work.seed_for("proof")
        loss = loss_of(prove.answers, answers, metric, level=level, seed=seed)
        found = parts_lost(prove.answers, answers, metric, parts_among(prove, self._segments), level=level, seed=seed)
        record = measure_latency(
            lean, self._material.sample, self._original, blocks=_BLOCKS, calls=_calls(self._p50, self._work)
        )
        size = bundle_size(path)
        before = record.reference or record
        paces = [own / other for own, other in zip(record.block_p50, before.block_p50, strict=True)]
        verdicts = _verdicts(goal, loss, found, size, record.p99)
        gains = goal.has_target or goal.gains(size, sorted(paces)[len(paces) // 2])
        return _Proven(candidate, path, loss, found, size, record, verdicts, gains)


def _change(candidate: Candidate) -> float:
    """How far a draft is from the original on the rows of the search: what its loss can be on others."""
    loss = candidate.loss
    return loss.upper if loss.changed is None else loss.changed


def _with_lineage(draft: Draft, original: Predictor) -> Draft:
    steps = [{"step": step, "setting": setting.text, "values": dict(setting.values)} for step, setting in draft.steps]
    lineage = {**draft.manifest.lineage, "parents": [original.model_id], "compressed": steps}
    return replace(draft, manifest=replace(draft.manifest, lineage=lineage))


def _verdicts(goal: Goal, loss: Loss, parts: Sequence[Part], size: int, p99: float) -> tuple[BudgetVerdict, ...]:
    found = []
    if goal.max_loss is not None:
        upper = loss.upper if math.isfinite(loss.upper) else None
        found.append(BudgetVerdict("max_loss", goal.max_loss, upper, loss.within(goal.max_loss)))
    if goal.max_size is not None:
        found.append(BudgetVerdict("max_size", goal.max_size, size, size <= goal.max_size))
    if goal.max_latency is not None:
        found.append(BudgetVerdict("max_latency", goal.max_latency, p99, p99 <= goal.max_latency))
    if goal.max_loss_any_segment is not None:
        worst = max((each.loss.upper for each in parts), default=math.inf)
        kept = worst <= goal.max_loss_any_segment
        measured = worst if math.isfinite(worst) else None
        found.append(BudgetVerdict("max_loss_any_segment", goal.max_loss_any_segment, measured, kept))
    return tuple(found)


def _told(
    original: Predictor,
    material: Material,
    request: Request,
    search: Search,
    proven: _Proven,
    looks: int,
    work: Work,
) -> dict[str, Any]:
    front, record = search.front(), proven.latency
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "original": {
            "model_id": original.model_id,
            "name": original.manifest.name,
            "size": search.goal.original_size,
            "p50": record.reference.p50,
            "p99": record.reference.p99,
        },
        "size": proven.size,
        "p50": record.p50,
        "p99": record.p99,
        "calls": record.calls,
        "metric": material.metric.name,
        "greater_is_better": material.metric.greater_is_better,
        "target": request.wish.target,
        "weight": request.wish.weight,
        "segments": list(request.wish.segments),
        "labelled": material.prove.labelled,
        "loss": proven.loss.to_dict(),
        "parts": [_part_dict(each) for each in proven.parts],
        "verdicts": [
            {"name": each.name, "limit": each.limit, "measured": each.measured, "kept": each.kept}
            for each in proven.verdicts
        ],
        "kept": proven.kept,
        "steps_text": proven.candidate.text,
        "drafts": [_draft_dict(each, front, proven.candidate) for each in search.candidates],
        "refused": dict(search.refused),
        "failed": list(search.failed),
        "ended": search.ended,
        "looks": looks,
        "rows": {"learn": len(material.learn), "choose": len(material.choose), "prove": len(material.prove)},
        "seed": work.seed,
        "seconds": round(work.elapsed, 1),
        "notes": list(material.notes),
    }


def _part_dict(part: Part) -> dict[str, Any]:
    told = part.loss.to_dict()
    return {
        "column": part.column,
        "part": part.value,
        "rows": part.loss.num_rows,
        "value_lost": told["value"],
        "upper": told["upper"],
        "interval": told["interval"],
    }


def _draft_dict(candidate: Candidate, front: set[int], chosen: Candidate) -> dict[str, Any]:
    told = candidate.loss.to_dict()
    return {
        "number": candidate.number,
        "steps": candidate.text,
        "size": candidate.size,
        "pace": candidate.pace,
        "loss": told["value"],
        "upper": told["upper"],
        "seconds": round(candidate.seconds, 2),
        "front": candidate.number in front,
        "chosen": candidate is chosen,
    }


def _nothing(search: Search) -> Exception:
    if search.work.cancel.is_set():
        return Interrupted(ErrorCode.INTERRUPTED, "it was asked to stop before anything smaller was found")
    return BudgetError(
        ErrorCode.BUDGET_MISSED,
        f"nothing smaller was found, of {len(search.candidates) - 1} drafts, and nothing is saved; {search.ended}",
        wanted="a model that a step makes smaller or faster",
        fix="allow more time; " + ("; ".join(_reasons(search)) or "no step was there to try"),
        details={"refused": dict(search.refused), "failed": list(search.failed)},
    )


def _reasons(search: Search) -> list[str]:
    reasons = [f"{name}: {reason}" for name, reason in search.refused.items()]
    return [*reasons, *(f"{each['step']}: {each['reason']}" for each in search.failed)][:_MOST_REASONS]


def _missed(proven: _Proven, search: Search, output: Path | None) -> BudgetError:
    told, details = [], {}
    for each in proven.verdicts:
        if not each.kept:
            measured = "unknown" if each.measured is None else f"{each.measured:.6g}"
            told.append(f"{each.name} is {each.limit:g}, the best that was found has {measured}")
            details[each.name] = {"limit": each.limit, "measured": each.measured}
    saved = "give output= to keep the best" if output is None else f"the best is saved in {printable(output.name)}"
    fix = f"{saved}; allow more loss, size or time"
    limit = next((each.limit for each in proven.verdicts if each.name == "max_loss" and not each.kept), None)
    if limit is not None and (needed := proven.loss.rows_needed(limit)) is not None:
        fix += f", or give more rows: about {needed:,} to prove with, of which there are {proven.loss.num_rows:,}"
        details["rows_needed"] = {"limit": proven.loss.num_rows, "measured": needed}
    if not told:
        told.append(f"the best that was found is not clearly smaller or faster than the original; {search.ended}")
        fix += "; " + "; ".join(_reasons(search))
    return BudgetError(
        ErrorCode.BUDGET_MISSED, "; ".join(told), wanted="a model that keeps its budgets", fix=fix, details=details
    )
