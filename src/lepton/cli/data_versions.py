"""`lepton data append`, `versions` and `diff`: saved tables and what changed in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lepton import verbs
from lepton.cli.options import Injected, ReadOptions, Workers
from lepton.cli.output import Result
from lepton.core import DataError, ErrorCode, show_size
from lepton.data.recipes import Recipe
from lepton.data.versions.folder import damage, read_version
from lepton.report import plain_table

__all__ = ["append", "diff", "versions"]


def append(
    table: Path,
    source: str,
    *,
    clean: bool = False,
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Put rows behind those of a saved table, as a new version. What is there is not copied.

    Args:
        table: folder that `lepton data clean -o FOLDER` or table.save made.
        source: the rows: a file, a glob in quotes, a URL, or sql: and a database.
        clean: clean the rows first, by the recipe that cleaned the table, with what it learned then.
        reading: how to read the rows.
        workers: threads to use.
        context: given by the command line.
    """
    before = read_version(table)
    with context.work(workers=workers) as work:
        rows = (reading or ReadOptions()).read(source, work)
        if clean:
            if before.recipe is None:
                raise DataError(
                    ErrorCode.BAD_VERSION, f"no recipe made the table {table.name}", fix="append without --clean"
                )
            rows = Recipe.from_dict(before.recipe).transform(rows, work=work)
        rows.save(table, append=True, work=work)
    after = read_version(table)
    found = {"version": after.number, "rows": after.num_rows, "rows_added": after.num_rows - before.num_rows}
    text = f"{found['rows_added']:,} rows appended: version {after.number} of {table} has {after.num_rows:,}."
    if after.number == before.number:
        text = f"There were no rows to append: version {after.number} of {table} stays the newest."
    return Result(data=found, text=text, next=(f"lepton data diff '{table}#{before.number}' {table}",))


def versions(table: str, *, verify: bool = False, context: Injected) -> Result:
    """The versions of a saved table: number, time, rows, what made them.

    Args:
        table: Parquet file or folder that was saved with a manifest.
        verify: read every file whole, and hold it against its hash. Exit code 3 if one is not as it was written.
        context: given by the command line.
    """
    found = verbs.versions(table)
    rows = [
        (str(v.number), v.operation, v.created, f"{v.num_rows:,}", show_size(v.num_bytes), v.id[:12]) for v in found
    ]
    lines = [plain_table(("version", "what", "when", "rows", "size", "id"), rows)]
    for record in found[-1].records:
        by, told = ", ".join(map(str, record["columns"])), f" ({record['reference']})" if record["reference"] else ""
        lines.append(f"{record['time']}: {record['rows']:,} rows forgotten by {by}{told}")
    wrong = damage(table) if verify else ()
    if verify and not wrong:
        lines.append("Every file is as it was written.")
    error = None
    if wrong:
        came = f"{len(wrong)} files are not as they were written: " + "; ".join(wrong[:5])
        error = DataError(ErrorCode.BAD_VERSION, came, fix="restore them from a copy")
    data: dict[str, Any] = {"versions": [version.to_dict() for version in found]}
    if verify:
        data["damage"] = list(wrong)
    return Result(data=data, text="\n\n".join(lines), error=error)


def diff(
    old: str,
    new: str,
    *,
    key: tuple[str, ...] = (),
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """What differs between two tables: columns, rows and distributions.

    Args:
        old: a table: a file, a version as FOLDER#NUMBER, a glob in quotes, a URL, or sql: and a database.
        new: the other table.
        key: column that says which rows are the same; may be given several times. Without one, rows are the same where
            all their values are.
        reading: how to read the tables.
        workers: threads to use.
        context: given by the command line.
    """
    options = reading or ReadOptions()
    with context.work(workers=workers) as work:
        found = verbs.diff(options.read(old, work), options.read(new, work), key=key, work=work)
    notes = ("with --key COLUMN, changes are counted by column",) if found.added and found.removed and not key else ()
    return Result(data=found.to_dict(), text=found.text(), notes=notes)
