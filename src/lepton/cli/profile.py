"""`lepton profile`: where the time of a model goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton import verbs
from lepton.cli.options import Injected, Output, Seed, Workers
from lepton.cli.output import Result

__all__ = ["profile"]


def profile(
    model: Path,
    /,
    *,
    table: Annotated[str | None, Parameter(name="--data")] = None,
    batch: int = 1,
    output: Output = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Where the time of a call goes, by operator and node, beside what this machine can do.

    Args:
        model: a .lepton file.
        table: rows to measure with, whose encoding is timed too; by default such as the model's schema says.
        batch: rows of a call.
        output: HTML page to write, with pictures.
        seed: of rows that are made.
        workers: threads to use at most.
        context: given by the command line.
    """
    with context.work(seed=seed, workers=workers) as work:
        found = verbs.profile(model, table, batch=batch, work=work)
    text = found.text()
    if output is not None:
        found.page().write(output)
        text += f"\n\nPage written: {output}"
    following = () if output else (f"lepton profile {model} --output profile.html",)
    return Result(data=found.to_dict(), text=text, next=(*following, f"lepton accelerate {model}"))
