"""`lepton compress`: a model as small and fast as its budgets allow, with proof; and the proof made again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from lepton.cli.context import Context
from lepton.cli.options import Injected, Output, ReadOptions, Seed, Workers
from lepton.cli.output import Result
from lepton.cli.train import time_verdict
from lepton.core import BudgetError, ErrorCode, UsageError, show_duration
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton import verbs
    from lepton.optimization.lean import asking
else:
    # who asks for help does not wait for them
    verbs, asking = LazyModule("lepton.verbs"), LazyModule("lepton.optimization.lean.asking")

__all__ = ["compress"]


def compress(
    model: Path,
    *,
    data: str,
    max_loss: float | None = None,
    max_size: str | None = None,
    max_latency: str | None = None,
    within: str | None = None,
    output: Output = None,
    metric: str | None = None,
    target: str | None = None,
    weight: str | None = None,
    segment: tuple[str, ...] = (),
    max_loss_any_segment: float | None = None,
    step: tuple[str, ...] = (),
    proof: str | None = None,
    workdir: Path | None = None,
    resume: Annotated[bool, Parameter(name="--continue", negative="")] = False,
    recheck: Annotated[bool, Parameter(negative="")] = False,
    original: Path | None = None,
    report: Path | None = None,
    reading: ReadOptions | None = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Make a model smaller and faster within budgets, and prove on rows that the search did not see what it lost.

    Exit code 5 if a budget cannot be kept: the best that was found is saved all the same.

    Args:
        model: a .lepton file; it stays as it is.
        data: rows that the model was not trained on, with its target where there is one.
        max_loss: most that may be lost, 0.005 being half a point of accuracy or R²; 0.005 without any budget.
        max_size: largest file, without what training and reports keep in it: 200KB, 1MB.
        max_latency: slowest answer to one row, at the 99th percentile, on one thread: 3ms.
        within: time allowed, reading and saving included: 5m, the default; 30m, 2h.
        output: model file to write; by default the model's name with -lean.lepton, in this folder.
        metric: what a loss is told in; by default accuracy of classes, R² of numbers, else the task's own.
        target: column of the truth, where it is another one than in training.
        weight: column of sample weights.
        segment: column whose values are judged on their own, beside the classes; may be given several times.
        max_loss_any_segment: most that any class, or any value of a segment, may lose.
        step: name of a step that may be used; may be given several times; by default all.
        proof: rows that the model was not trained on, to choose by and to prove with; the data may then be those of
            the training. By default the data serves for all.
        workdir: folder in which the search is kept, for --continue.
        resume: go on with the search in --workdir, of the same model and rows.
        recheck: measure again, on the data, what the model file claims of its compression.
        original: for --recheck, the model that it was made of, so that losses are of the same rows.
        report: HTML page to write.
        reading: how to read the tables.
        seed: reaches everything random.
        workers: threads to use.
        context: given by the command line.
    """
    if recheck:
        return _rechecked(model, data, original, reading, context, seed, workers)
    if original is not None:
        raise UsageError(ErrorCode.USAGE, "got --original", wanted="it with --recheck")
    path = output or Path(f"{model.stem}-lean.lepton")
    with context.work(within or verbs.DEFAULT_COMPRESSION, seed=seed, workers=workers) as work:
        options = reading or ReadOptions()
        replaced = path.exists()
        lean = verbs.compress(
            model,
            options.read(data, work),
            max_loss=max_loss,
            max_size=max_size,
            max_latency=max_latency,
            metric=metric,
            target=target,
            weight=weight,
            segments=segment,
            max_loss_any_segment=max_loss_any_segment,
            steps=step or None,
            proof=None if proof is None else options.read(proof, work),
            workdir=workdir,
            resume=resume,
            output=path,
            work=work,
        )
        error = time_verdict(work, path)
        spent = work.elapsed
    found: Any = lean.compression
    text = f"{found.text()}\n\nSaved {path} ({lean.facts()['size']}) after {show_duration(spent)}."
    if report is not None:
        found.page().write(report)
        text += f"\nPage written: {report}"
    notes = (*((f"{path} was there and has been replaced",) if replaced else ()), *found.report["notes"])
    return Result(
        data={"model": str(path), **lean.facts(), "seconds": spent, "compression": found.to_dict()},
        text=text,
        notes=notes,
        next=(f"lepton compare {model} {path} TEST.csv", f"lepton compress {path} --recheck --data NEW.csv"),
        error=error,
    )


def _rechecked(
    model: Path,
    data: str,
    original: Path | None,
    reading: ReadOptions | None,
    context: Context,
    seed: int | None,
    workers: int | None,
) -> Result:
    with context.work(seed=seed, workers=workers) as work:
        lean = verbs.load(model)
        before = None if original is None else verbs.load(original).predictor
        table = verbs.rows_for(lean, (reading or ReadOptions()).read(data, work))
        found = asking.recheck(lean.predictor, table, original=before, work=work)
    error = None
    if found.broken:
        broken = [each for each in found.claims if each.broken]
        told = ", ".join(f"{each.name} of {each.limit:g} (measured {each.measured})" for each in broken)
        error = BudgetError(ErrorCode.BUDGET_MISSED, f"the model breaks {told}", wanted="a model that keeps its claims")
    return Result(data=found.to_dict(), text=found.text(), notes=found.notes, error=error)
