"""`lepton data clean`: a recipe on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton import data
from lepton.cli.options import Injected, ReadOptions, Seed, Tables, Workers, named_tables
from lepton.cli.output import Result
from lepton.core import ErrorCode, UsageError
from lepton.data.recipes import Recipe

__all__ = ["clean"]


def clean(
    source: str,
    *,
    recipe: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    fitted: Path | None = None,
    table: Tables = (),
    report: Path | None = None,
    seed: Seed = None,
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Clean a table by a recipe, and say what was changed.

    A recipe that has learned already is repeated as it is; another one learns from this table first.

    Args:
        source: a table: a file, a glob in quotes, a URL, or sql: and a database.
        recipe: YAML file of the steps.
        output: .parquet, .csv, .jsonl or .arrow file to write, whole or not at all; or a folder, for a new version.
        fitted: YAML file for the recipe with what it learned, to clean tomorrow's table in the same way.
        table: NAME=FILE of another table that a step such as join uses; may be given several times.
        report: HTML page of the changes to write.
        seed: of steps that draw.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    if output.suffix and output.suffix not in data.WRITERS and not output.is_dir():
        formats = ", ".join(data.WRITERS)
        wanted = f"a name in {formats}, or a folder for its versions"
        raise UsageError(ErrorCode.USAGE, f"cannot tell the format of {output.name!r}", wanted=wanted)
    steps = Recipe.load(recipe)
    options = reading or ReadOptions()
    with context.work(seed=seed, workers=workers) as work:
        rows = options.read(source, work)
        use = steps.transform if steps.is_fitted else steps.fit_transform
        cleaned = use(rows, tables=named_tables(table), work=work)
        cleaned.save(output, work=work)
        changes = cleaned.changes()
    lineage = cleaned.lineage
    text = f"{changes.text()}\n\nTable written: {output}"
    if fitted is not None and lineage is not None:
        lineage.recipe.save(fitted)
        text += f"\nRecipe with what it learned: {fitted}"
    if report is not None:
        changes.page().write(report)
        text += f"\nPage written: {report}"
    found = {**changes.to_dict(), "output": str(output), "columns": cleaned.schema.to_dict()}
    return Result(data=found, text=text, next=(f"lepton data describe {output}",))
