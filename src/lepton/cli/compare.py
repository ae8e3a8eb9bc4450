"""`lepton compare`: is the second model better than the first, on the same rows?"""

from __future__ import annotations

from pathlib import Path

from lepton import verbs
from lepton.cli.options import Injected, ReadOptions, Seed, Workers
from lepton.cli.output import Result

__all__ = ["compare"]


def compare(
    first: Path,
    second: Path,
    source: str,
    *,
    metric: str | None = None,
    report: Path | None = None,
    reading: ReadOptions | None = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """The difference of two models on the same rows, with a paired interval.

    Args:
        first: a .lepton file, such as the one in use.
        second: a .lepton file, such as the one that would replace it.
        source: a table with the models' columns and their target.
        metric: what to compare by; by default the task's own.
        report: HTML page to write.
        reading: how to read the table.
        seed: of the bootstrap.
        workers: threads to use.
        context: given by the command line.
    """
    with context.work(seed=seed, workers=workers) as work:
        table = (reading or ReadOptions()).read(source, work)
        found = verbs.compare(first, second, table, metric=metric, seed=work.seed, work=work)
    text = found.text()
    if report is not None:
        found.page().write(report)
        text += f"\n\nPage written: {report}"
    return Result(data=found.to_dict(), text=text)
