"""Describing a table: one pass, then an object for programs, terminals and pages."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from lepton.core import ColumnRecord, Role, Work
from lepton.data.describe.findings import Finding, column_findings, relation_findings, target_findings
from lepton.data.describe.gather import Gathered, Table, gather
from lepton.data.describe.page import description_page
from lepton.data.describe.records import ColumnDescription, TableDescription
from lepton.data.describe.relations import Relation, relation
from lepton.data.describe.text import description_text
from lepton.report import Page, show_number, show_share

__all__ = ["Description", "describe"]


class Description(TableDescription):
    """What a table holds. Made by `describe`; shown by `text`, `page`, or by a notebook."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the table, its findings and its columns, in order."""
        return {
            "format": 1,
            "rows": self.num_rows,
            "complete": self.complete,
            "missing_share": self.missing_share,
            "repeated_rows": self.repeated_rows,
            "repeated_exact": self.repeated_exact,
            "target": self.target,
            "findings": [finding.to_dict() for finding in self.findings],
            "columns": [column.to_dict() for column in self.columns],
        }

    def text(self, width: int | None = None) -> str:
        """Lines for a terminal of `width` characters (by default its own): the first 50 columns, the findings."""
        return description_text(self, width)

    def page(self, *, samples: int = 8, private: Collection[str] = ()) -> Page:
        """One page with pictures; of wide tables the first 50 columns.

        Args:
            samples: rows of the table that it shows, drawn at random; 0 keeps them out.
            private: columns of which it shows counts and no values, such as those that `find_personal` names.
        """
        return description_page(self, samples=samples, private=private)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


def describe(table: Table, target: str | None = None, work: Work | None = None) -> Description:
    """Describe a table in one pass, in bounded memory.

    Counts, shares, extremes and moments are of all rows; quantiles and distributions are within the sketch's rank error
    (0 up to 4,096 rows); relations to the target are measured on at most 20,000 rows drawn with the work's seed.

    Args:
        table: a `Dataset`.
        target: the column to relate the others to; by default the one of role target, if there is one.
        work: deadline, stop signal, progress, threads and seed. Past the deadline, what was seen so far is described
            and a finding says so.

    Raises:
        DataError: there is no column `target`, or reading fails.
        Interrupted: the work was asked to stop.
    """
    work = Work.of(work)
    schema = table.schema
    if target is not None:
        schema = schema.with_roles({target: Role.TARGET})
    targets = schema.of_role(Role.TARGET)
    aim = schema[target] if target is not None else next(iter(targets), None)
    gathered = gather(table, work)
    columns = tuple(
        ColumnDescription(record, statistics, _relation(record, aim, gathered))
        for record, statistics in zip(schema, gathered.statistics, strict=True)
    )
    findings = sorted(_findings(columns, aim, gathered), key=lambda f: f.level != "warning")
    return Description(
        columns=columns,
        findings=tuple(findings),
        num_rows=gathered.num_rows,
        repeated_rows=gathered.repeated,
        repeated_exact=gathered.repeated_exact,
        target=None if aim is None else aim.name,
        complete=gathered.complete,
        decisions=tuple(table.decisions),
        sample=gathered.sample,
        missing=gathered.missing,
    )


def _relation(record: ColumnRecord, target: ColumnRecord | None, gathered: Gathered) -> Relation | None:
    if target is None or record.name == target.name or record.role is Role.IGNORED:
        return None
    sample = gathered.sample
    return relation(sample[record.name], record.kind, sample[target.name], target.kind)


def _findings(
    columns: tuple[ColumnDescription, ...], target: ColumnRecord | None, gathered: Gathered
) -> Iterator[Finding]:
    if not gathered.complete:
        text = f"time was over after {show_number(gathered.num_rows)} rows: everything here speaks of those"
        yield Finding(None, "incomplete", "warning", text)
    if gathered.repeated and len(columns) > 1:
        about = "" if gathered.repeated_exact else "about "
        share = show_share(gathered.repeated / gathered.num_rows)
        text = f"{about}{show_number(gathered.repeated)} rows ({share}) repeat an earlier row in every column"
        yield Finding(None, "repeated-rows", "note", text)
    for column in columns:
        if target is not None and column.record.name == target.name:
            yield from target_findings(column.record, column.statistics)
        elif column.relation is not None:
            yield from relation_findings(column.record.name, column.relation)
        yield from column_findings(column.record, column.statistics)
