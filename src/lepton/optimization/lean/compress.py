"""From a model and rows to a smaller model with its proof, or to a refusal that says by how much it missed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lepton.bundle import Predictor, add_report, bundle_size, machine, measure_latency, open_model
from lepton.core import BudgetError, BudgetVerdict, ErrorCode, Interrupted, UsageError, Work, printable
from lepton.data import Dataset
from lepton.optimization.lean.base import Draft, Step, Subject
from lepton.optimization.lean.data import Arrays, Material, Wish, material_of
from lepton.optimization.lean.goal import Candidate, Goal
from lepton.optimization.lean.loop import Search
from lepton.optimization.lean.proving import Proof, Proven, reserve_of
from lepton.optimization.lean.registry import steps as all_steps
from lepton.optimization.lean.report import REPORT, Compression
from lepton.optimization.lean.workdir import DraftFolder, fingerprint_of
from lepton.store import open_read, replace_file, scratch_folder

__all__ = ["Outcome", "Request", "chosen_steps", "compress"]

_MOST_REASONS = 8


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
    goal = replace(
        request.goal,
        original_size=bundle_size(original.bundle.path),
        original_latency=first.p99,
        drawn=len(material.prove) / len(material.choose),
    )
    with contextlib.ExitStack() as stack:
        place = request.workdir or stack.enter_context(scratch_folder())
        folder = DraftFolder(place, _asked(original, material, request, work), resume=request.resume)
        reserve = reserve_of(first.p50, len(material.prove), work)
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
        proving = Proof(original, material, goal, request.wish.segments, scratch, work, first.p50)
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


def _told(
    original: Predictor,
    material: Material,
    request: Request,
    search: Search,
    proven: Proven,
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
        "parts": proven.parts_told(),
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


def _missed(proven: Proven, search: Search, output: Path | None) -> BudgetError:
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
