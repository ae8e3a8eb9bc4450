"""`lepton evaluate`: how good a model is on a table that holds the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton import verbs
from lepton.cli.options import Injected, ReadOptions, Seed, Workers
from lepton.cli.output import Result

__all__ = ["evaluate"]


def evaluate(
    model: Path,
    source: str,
    *,
    segment: tuple[str, ...] = (),
    false_positive: Annotated[float | None, Parameter(name="--cost-false-positive")] = None,
    false_negative: Annotated[float | None, Parameter(name="--cost-false-negative")] = None,
    weight: str | None = None,
    report: Path | None = None,
    reading: ReadOptions | None = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Metrics with 95 % intervals, for all rows and by segment.

    Args:
        model: a .lepton file.
        source: a table with the model's columns and its target.
        segment: column whose values get metrics of their own; may be given several times.
        false_positive: cost of a false alarm; with the other cost, finds the cheapest threshold (binary tasks).
        false_negative: cost of a miss.
        weight: column of sample weights.
        report: HTML page to write.
        reading: how to read the table.
        seed: of the bootstrap.
        workers: threads to use.
        context: given by the command line.
    """
    costs = {"false_positive": false_positive, "false_negative": false_negative}
    given = {name: cost for name, cost in costs.items() if cost is not None}
    with context.work(seed=seed, workers=workers) as work:
        table = (reading or ReadOptions()).read(source, work)
        found = verbs.evaluate(
            model, table, segments=segment, costs=given or None, weight=weight, seed=work.seed, work=work
        )
    text = found.text()
    if report is not None:
        found.page().write(report)
        text += f"\n\nPage written: {report}"
    following = () if report else (f"lepton evaluate {model} {source} --report report.html",)
    return Result(data=found.to_dict(), text=text, next=(*following, f"lepton serve {model}"))
