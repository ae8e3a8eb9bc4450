"""`lepton data person` and `forget`: what a person may ask of who keeps data about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton import data, verbs
from lepton.cli.options import Injected, ReadOptions, Workers
from lepton.cli.output import Result
from lepton.core import ErrorCode, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.expressions import parse

__all__ = ["forget", "person"]


def person(
    source: str,
    *,
    where: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Write the rows of one person to a file, as they are, to be handed out.

    Args:
        source: a table: a file, a saved table, a glob in quotes, a URL, or sql: and a database.
        where: an expression that is true for the rows, such as "person_id = 17".
        output: .jsonl, .csv, .parquet or .arrow file to write, whole or not at all.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    if output.suffix not in data.WRITERS:
        formats = ", ".join(data.WRITERS)
        raise UsageError(ErrorCode.USAGE, f"cannot tell the format of {output.name!r}", wanted=f"a name in {formats}")
    parse(where)  # a mistake is told as one in the condition, not in a step
    with context.work(workers=workers) as work:
        rows = Recipe().filter(where).fit_transform((reading or ReadOptions()).read(source, work), work=work)
        data.write_rows(rows.lazy(), output)
        count = rows.num_rows
    found = {"rows": count, "columns": list(rows.schema.names), "output": str(output)}
    text = f"{count:,} rows written: {output}" if count else f"No row fits: {output} holds the names of the columns."
    return Result(data=found, text=text)


def forget(
    table: str,
    *,
    where: str,
    reference: str = "",
    among: Path | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Remove the rows of one person from a saved table and all its versions, and list what was made from it.

    Args:
        table: Parquet file, or folder that was saved with versions.
        where: an expression that is true for the rows, such as "person_id = 17".
        reference: what asked for it, for the record: a ticket, never a name.
        among: folder to search for what was made from the table; by default the one in which it lies.
        workers: threads to use.
        context: given by the command line.
    """
    with context.work(workers=workers) as work:
        found = verbs.forget(table, where, reference=reference, among=among, work=work)
    notes = ("backups and copies elsewhere are out of reach",) if found.rows else ()
    return Result(data=found.to_dict(), text=found.text(), notes=notes)
