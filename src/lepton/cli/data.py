"""`lepton data ...`: tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from lepton import data, verbs
from lepton.cli.options import Injected, ReadOptions, Workers
from lepton.cli.output import Result
from lepton.data.quality import find_personal

__all__ = ["describe"]


def describe(
    source: str,
    *,
    target: str | None = None,
    report: Path | None = None,
    samples: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=100))] = 8,
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """What a table holds, what was decided while reading it, and what looks suspicious.

    Args:
        source: a table: a file (book.xlsx#Sheet too), a glob in quotes, a URL, or sql: and a database.
        target: column that is to be predicted: adds each column's relation to it and leakage suspects.
        report: HTML page to write; of columns that hold personal data it shows counts and no values.
        samples: rows of the table that the page shows; 0 keeps them out.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    with context.work(workers=workers) as work:
        table = (reading or ReadOptions()).read(source, work)
        found = verbs.describe(table, target=target, work=work)
        personal = None if report is None else find_personal(table, work=work)
    text = found.text()
    if report is not None and personal is not None:
        private = {each.column for each in personal.findings}
        found.page(samples=samples, private=private).write(report)
        text += f"\n\nPage written: {report}"
    train = f"lepton train {data.safe_address(source)} --target {target or 'COLUMN'} --within 60s"
    return Result(data=found.to_dict(), text=text, next=(train,))
