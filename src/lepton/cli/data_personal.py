"""`lepton data personal`: where a table holds data of persons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lepton.cli.options import Injected, ReadOptions, Workers
from lepton.cli.output import Result
from lepton.data.quality import find_personal

__all__ = ["personal"]


def personal(
    source: str,
    *,
    column: Annotated[tuple[str, ...], Parameter(name="--column")] = (),
    all_rows: bool = False,
    report: Path | None = None,
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Where a table holds personal data: e-mail, telephones, cards, identity numbers, names, addresses and more.

    Examples are masked. Not everything personal has a form: a person looks at the rest.

    Args:
        source: a table: a file, a glob in quotes, a URL, or sql: and a database.
        column: column to look at; may be given several times; by default all.
        all_rows: count over all rows instead of the first 20,000.
        report: HTML page to write.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    with context.work(workers=workers) as work:
        table = (reading or ReadOptions()).read(source, work)
        rows = {"rows": None} if all_rows else {}
        found = find_personal(table, columns=column, work=work, **rows)
    text = found.text()
    if report is not None:
        found.page().write(report)
        text += f"\n\nPage written: {report}"
    return Result(data=found.to_dict(), text=text)
