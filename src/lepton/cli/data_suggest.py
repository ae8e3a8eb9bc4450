"""`lepton data suggest`: a recipe from a look at the rows."""

from __future__ import annotations

from pathlib import Path

from lepton import data, verbs
from lepton.cli.options import Injected, Output, ReadOptions, Workers
from lepton.cli.output import Result

__all__ = ["suggest"]


def suggest(
    source: str,
    *,
    target: str | None = None,
    output: Output = None,
    report: Path | None = None,
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Which steps would clean a table, each with its reason and its count. Nothing is changed.

    Args:
        source: a table: a file, a glob in quotes, a URL, or sql: and a database.
        target: column that is to be predicted: it is looked at, and no step changes it.
        output: YAML file for the recipe of the suggested steps.
        report: HTML page to write.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    with context.work(workers=workers) as work:
        found = verbs.suggest((reading or ReadOptions()).read(source, work), target, work=work)
    text = found.text()
    following: tuple[str, ...] = ()
    if output is not None:
        found.recipe.save(output)
        text += f"\n\nRecipe written: {output}"
        following = (f"lepton data clean {data.safe_address(source)} --recipe {output} -o clean.parquet",)
    if report is not None:
        found.page().write(report)
        text += f"\n\nPage written: {report}"
    return Result(data=found.to_dict(), text=text, next=following)
