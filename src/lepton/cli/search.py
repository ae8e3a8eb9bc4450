"""`lepton search`: from pictures or sounds to the best network that answers in time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lepton.cli.options import Injected, Output, ReadOptions, Seed, Workers
from lepton.cli.output import Result
from lepton.cli.train import default_model_file, time_verdict
from lepton.core import show_duration
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton import verbs
else:
    verbs = LazyModule("lepton.verbs")  # who asks for help does not wait for it

__all__ = ["search"]


def search(
    source: str,
    *,
    target: tuple[str, ...] = (),
    max_latency: str | None = None,
    within: str | None = None,
    max_size: str | None = None,
    output: Output = None,
    image: str | None = None,
    audio: str | None = None,
    task: str | None = None,
    metric: str | None = None,
    weight: str | None = None,
    workdir: Path | None = None,
    resume: Annotated[bool, Parameter(name="--continue", negative="")] = False,
    max_trials: int | None = None,
    reading: ReadOptions | None = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Search for a network for pictures or sounds that answers in time on this machine.

    Designs are measured before they are trained; those within the limits learn briefly, the better ones longer, and
    the best learns all rows.

    Args:
        source: a folder of pictures or sounds, one folder for each class; or a table with a column of them.
        target: column to predict; by default the folder that a file lies in.
        max_latency: slowest answer to one row, at the 99th percentile, on one thread: 2ms.
        within: time allowed, reading and saving included: 10m, the default; 30m, 2h.
        max_size: largest file, without what training and reports keep in it: 200KB, 1MB.
        output: model file to write; by default the table's name with .lepton, in this folder.
        image: column of pictures to learn from: paths, data URIs or base64.
        audio: column of sounds to learn from, as of pictures.
        task: binary, multiclass, multilabel or regression; by default what the target says.
        metric: what to choose by; by default accuracy of classes, else the task's own.
        weight: column of sample weights.
        workdir: folder in which the search is kept, for --continue, with the model files of what was trained longest.
        resume: go on with the search in --workdir, of the same rows: what was tried is not tried again.
        max_trials: end the search after so many trainings, those of earlier parts included.
        reading: how to read the table.
        seed: decides everything that is drawn.
        workers: threads to use.
        context: given by the command line.
    """
    limit = verbs.DEFAULT_SEARCH if within is None and max_trials is None else within
    with context.work(limit, seed=seed, workers=workers) as work:
        table = (reading or ReadOptions()).read(source, work)
        path = output or default_model_file(source)
        replaced = path.exists()
        model = verbs.search(
            table,
            target=target[0] if len(target) == 1 else target or None,
            max_latency=max_latency,
            max_size=max_size,
            image=image,
            audio=audio,
            task=task,
            metric=metric,
            weight=weight,
            workdir=workdir,
            resume=resume,
            max_trials=max_trials,
            output=path,
            work=work,
        )
        error = time_verdict(work, path)
        spent = work.elapsed
    board = model.leaderboard()
    found = model.reports()["search"]
    return Result(
        data={
            "model": str(path),
            **model.facts(),
            "seconds": spent,
            "metric": board.metric,
            "leaderboard": board.to_dict()["rows"],
            "judged": found["judged"],
            "trials": len(found["trials"]),
        },
        text=f"{board.pareto().text()}\n\nSaved {path} ({model.facts()['size']}) after {show_duration(spent)}.",
        notes=(*((f"{path} was there and has been replaced",) if replaced else ()), *board.notes),
        next=(f"lepton predict {path} NEW -o out.parquet", f"lepton serve {path}"),
        error=error,
    )
