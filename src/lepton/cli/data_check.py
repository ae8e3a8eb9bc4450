"""`lepton data check`: rules that a table must keep, and how far it has moved."""

from __future__ import annotations

from pathlib import Path

from lepton import data, verbs
from lepton.cli.options import Injected, ReadOptions, Tables, Workers, named_tables
from lepton.cli.output import Result
from lepton.core import DataError, ErrorCode, UsageError

__all__ = ["check"]


def check(
    source: str,
    *,
    rules: Path | None = None,
    against: str | None = None,
    table: Tables = (),
    failures: Path | None = None,
    personal: bool = False,
    report: Path | None = None,
    reading: ReadOptions | None = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Hold a table against rules and a baseline. Exit code 10 if a rule of severity error is broken.

    Args:
        source: a table: a file, a glob in quotes, a URL, or sql: and a database.
        rules: YAML file of the rules.
        against: table to compare columns and distributions with.
        table: NAME=FILE of another table that a rule such as exists_in uses; may be given several times.
        failures: .parquet, .csv, .jsonl or .arrow file for the rows that break rules.
        personal: look for personal data too; a report shows it in any case.
        report: HTML page to write, with pictures and some of the rows that break rules.
        reading: how to read the table.
        workers: threads to use.
        context: given by the command line.
    """
    if failures is not None and failures.suffix not in data.WRITERS:
        formats = ", ".join(data.WRITERS)
        raise UsageError(ErrorCode.USAGE, f"cannot tell the format of {failures.name!r}", wanted=f"a name in {formats}")
    options = reading or ReadOptions()
    with context.work(workers=workers) as work:
        rows = options.read(source, work)
        baseline = None if against is None else options.read(against, work)
        others, private = named_tables(table), personal or report is not None
        found = verbs.check(rows, rules or (), against=baseline, tables=others, personal=private, work=work)
    text = found.text()
    if failures is not None:
        data.write_frame(found.failures, failures)
        text += f"\n\nRows that break rules: {failures}"
    if report is not None:
        found.page().write(report)
        text += f"\n\nPage written: {report}"
    notes = tuple(f"the distribution of {column!r} has shifted" for column in found.shifted)
    broken = [each for each in found.results if not each.passed and each.severity == "error"]
    error = None
    if broken:
        came = f"{len(broken)} of {len(found.results)} rules are broken: " + "; ".join(e.rule for e in broken[:5])
        fix = "" if failures else "see the rows: --failures failing.parquet"
        error = DataError(ErrorCode.RULES_BROKEN, came, fix=fix)
    return Result(data=found.to_dict(), text=text, notes=notes, error=error)
