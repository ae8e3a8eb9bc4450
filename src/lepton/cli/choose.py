"""`lepton choose`: another model from the search of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lepton.cli.options import Injected, Output, ReadOptions, Workers
from lepton.cli.output import Result
from lepton.core import show_duration
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton import verbs
else:
    verbs = LazyModule("lepton.verbs")  # who asks for help does not wait for it

__all__ = ["choose"]


def choose(
    model: Path,
    source: str,
    *,
    max_size: str | None = None,
    max_latency: str | None = None,
    metric: str | None = None,
    workdir: Path | None = None,
    output: Output = None,
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Choose another model from a search that was made: smaller, quicker, or by another metric.

    Args:
        model: model file that the search gave.
        source: the table of the training, read as it was then.
        max_size: largest file, without what training and reports keep in it: 200KB, 1MB.
        max_latency: slowest answer to one row, at the 99th percentile, on one thread: 1ms.
        metric: what to choose by; by default what the search chose by.
        workdir: folder of the search; by default the one that Lepton's cache knows for the model.
        output: model file to write; by default the model's name with -chosen.lepton, in this folder.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    path = output or Path(f"{model.stem}-chosen.lepton")
    with context.work(workers=workers) as work:
        table = (reading or ReadOptions()).read(source, work)
        replaced = path.exists()
        chosen = verbs.load(model).choose(
            table,
            max_size=max_size,
            max_latency=max_latency,
            metric=metric,
            workdir=workdir,
            output=path,
            work=work,
        )
        spent = work.elapsed
    board = chosen.leaderboard()
    notes = (f"{path} was there and has been replaced",) if replaced else ()
    return Result(
        data={
            "model": str(path),
            **chosen.facts(),
            "seconds": spent,
            "metric": board.metric,
            "limits": chosen.reports()["training"]["limits"],
            "leaderboard": board.to_dict()["rows"],
        },
        text=f"{board.text()}\n\nSaved {path} ({chosen.facts()['size']}) after {show_duration(spent)}.",
        notes=notes + tuple(board.notes),
        next=(f"lepton evaluate {path} TEST.csv", f"lepton compare {model} {path} TEST.csv"),
    )
