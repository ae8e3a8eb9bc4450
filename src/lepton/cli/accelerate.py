"""`lepton accelerate`: a model as quick as this machine can."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton import verbs
from lepton.cli.options import Injected, Output, Seed, Workers
from lepton.cli.output import Result
from lepton.core import ErrorCode, UsageError

__all__ = ["accelerate"]


def accelerate(
    model: Path,
    /,
    *,
    output: Output = None,
    table: Annotated[str | None, Parameter(name="--data")] = None,
    within: str = "60s",
    batch: str = "1",
    python: Path | None = None,
    report: Path | None = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Measure which settings make a model quicker on this machine, and keep them in its file.

    What is clearly quicker, and answers the same, is used wherever the file is opened on a machine of this type; where
    nothing is, the file stays as it is.

    Args:
        model: a .lepton file; its reports are written, the model itself stays.
        output: a file to write in its place; its graph may then be another one with the same answers.
        table: rows to measure with; by default such as the model's statistics and schema say.
        within: time allowed.
        batch: rows of a call; several sizes count alike: 1,32.
        python: interpreter of another environment, whose execution providers are measured too.
        report: HTML page to write.
        seed: of rows that are made.
        workers: threads to use at most.
        context: given by the command line.
    """
    with context.work(within, seed=seed, workers=workers) as work:
        quick = verbs.accelerate(model, table, batch=_sizes(batch), python=python, output=output, work=work)
    found = quick.acceleration
    if found is None:
        raise UsageError(ErrorCode.USAGE, "nothing was measured")
    text = found.text()
    path = output or model
    if found.won:
        text += f"\n\nKept in {path}."
    if report is not None:
        found.page().write(report)
        text += f"\n\nPage written: {report}"
    return Result(data=found.to_dict(), text=text, next=(f"lepton profile {path}",))


def _sizes(text: str) -> tuple[int, ...]:
    sizes = text.split(",")
    if not all(size.strip().isdecimal() for size in sizes):
        raise UsageError(ErrorCode.USAGE, f"got --batch {text!r}", wanted="whole numbers, such as 1 or 1,32")
    return tuple(map(int, sizes))
