"""Descriptions as one page with pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from lepton.core import Kind, printable
from lepton.data.describe.findings import Finding
from lepton.data.describe.pictures import association_blocks, missing_blocks, sample_blocks
from lepton.data.describe.records import ColumnDescription, TableDescription
from lepton.data.describe.veil import veiled
from lepton.data.media.gallery import galleries
from lepton.report import (
    Block,
    Facts,
    Figure,
    Page,
    Points,
    Table,
    Text,
    bars,
    histogram,
    lines,
    plural,
    scatter,
    show_number,
    show_share,
    small_histogram,
)

__all__ = ["MAX_COLUMNS", "description_page"]

MAX_COLUMNS = 50
_MAX_FINDINGS = 50
_MAX_DECISIONS = 200
_RELATED = 5
_CLASSES = 6
_NUMERIC = frozenset({Kind.NUMBER, Kind.DATETIME})


def description_page(description: TableDescription, *, samples: int = 8, private: Collection[str] = ()) -> Page:
    """The page: what stands out, what is missing, what goes together, the columns, some rows, how they were read.

    Args:
        description: of the table.
        samples: rows to show.
        private: columns whose values are not shown.
    """
    names = [column.record.name for column in description.columns]
    hidden = [name for name in names if name in private and name != description.target]
    description = veiled(description, hidden)
    shown = description.columns[:MAX_COLUMNS]
    page = Page("What the table holds", description.summary_text())
    page.section("At a glance", *_overview(description, hidden))
    if description.target is not None:
        page.section(f"The target, {description.target}", *_target(description))
    page.section("Columns", *_columns(description, shown, hidden))
    if missing := missing_blocks(description):
        page.section("What is missing", *missing)
    if together := association_blocks(description):
        page.section("What goes together", *together)
    page.section("Distributions", *(figure for c in shown if (figure := _distribution(c)) is not None))
    records = [column.record for column in shown if column.record.name not in hidden]
    if pictures := galleries(description.sample, records, description.references, description.target):
        page.section("Some of the files", *pictures)
    if rows := sample_blocks(description, samples):
        page.section("Some of the rows", *rows)
    if description.decisions:
        page.section("How it was read", *_decisions(description))
    return page


def _overview(description: TableDescription, hidden: Sequence[str]) -> list[Block]:
    warnings = [f for f in description.findings if f.level == "warning"]
    notes = [f for f in description.findings if f.level == "note"]
    blocks: list[Block] = [Text(_lead(description, len(warnings), len(notes)), tone="lead")]
    if warnings:
        blocks.append(Text("\n".join(_sentences(warnings)), tone="warning"))
    if notes:
        blocks.append(Points(_sentences(notes)))
    if hidden:
        named = ", ".join(printable(name, 60) for name in hidden[:10]) + (", ..." if len(hidden) > 10 else "")
        blocks.append(Text(f"Values of {plural(len(hidden), 'column')} are not shown: {named}.", tone="note"))
    kinds = [column.record.kind for column in description.columns]
    facts: dict[str, object] = {"rows": description.num_rows, "columns": len(description.columns)}
    facts |= {f"of kind {kind}": kinds.count(kind) for kind in sorted(set(kinds))}
    facts["cells missing"] = show_share(description.missing_share)
    about = "" if description.repeated_exact else "about "
    facts["repeated rows"] = about + show_number(description.repeated_rows)
    return [*blocks, Facts(facts)]


def _lead(description: TableDescription, warnings: int, notes: int) -> str:
    """What somebody should know who reads no further."""
    if not description.num_rows:
        return "The table has no rows."
    most = max(description.columns, key=lambda c: c.missing_share, default=None)
    parts = [f"{plural(description.num_rows, 'row')} and {plural(len(description.columns), 'column')}."]
    if most is None or not most.missing_share:
        parts.append("Nothing is missing.")
    else:
        share = show_share(most.missing_share)
        parts.append(
            f"{show_share(description.missing_share)} of the cells are missing, most of {most.record.name} ({share})."
        )
    if description.target is not None and description.related:
        closest = ", ".join(column.record.name for column in description.related[:3])
        parts.append(f"What goes most with {description.target}: {closest}.")
    if warnings:
        parts.append(f"{plural(warnings, 'thing')} would likely mislead a model.")
    elif notes:
        parts.append("Nothing would likely mislead a model; this is worth a look:")
    else:
        parts.append("Nothing stands out.")
    return " ".join(parts)


def _sentences(findings: Sequence[Finding]) -> list[str]:
    out = [f"{f.column}: {f.text}" if f.column is not None else f.text for f in findings[:_MAX_FINDINGS]]
    return [*out, f"and {len(findings) - _MAX_FINDINGS:,} more"] if len(findings) > _MAX_FINDINGS else out


def _columns(description: TableDescription, shown: Sequence[ColumnDescription], hidden: Sequence[str]) -> list[Block]:
    rows = []
    for column in shown:
        picture = column.histogram(16)
        counts = picture.counts if picture is not None else _top_counts(column)
        exact = "" if column.statistics.distinct.is_exact else "about "
        row: list[object] = [
            column.record.name,
            str(column.record.kind),
            show_share(column.missing_share),
            exact + show_number(column.statistics.num_distinct),
            small_histogram(counts, alt=f"Distribution of {column.record.name}"),
            "not shown" if column.record.name in hidden else column.values_text(),
        ]
        rows.append([*row, column.relation_text()] if description.target is not None else row)
    heads = ["column", "kind", "missing", "distinct", "distribution", "values"]
    align = "llrrll"
    if description.target is not None:
        heads, align = [*heads, "with the target"], align + "r"
    count = len(description.columns)
    first = f"The first {len(shown)} of {count:,}" if count > len(shown) else f"All {count:,}"
    blocks: list[Block] = [Table(heads, rows, caption=f"{first} columns", align=align)]
    errors = [c.statistics.numbers.sketch.rank_error for c in description.columns if c.statistics.numbers is not None]
    if errors and max(errors) > 0:
        blocks.append(Text(f"Medians and distributions are within {show_share(max(errors))} of the rows.", tone="note"))
    return blocks


def _top_counts(column: ColumnDescription) -> list[float]:
    frequent = column.statistics.frequent
    return [] if frequent is None else [float(count) for _, count in frequent.top(16)]


def _distribution(column: ColumnDescription) -> Figure | None:
    name, statistics = column.record.name, column.statistics
    if column.record.kind in {Kind.CATEGORY, Kind.BOOLEAN} and statistics.frequent is not None:
        top = statistics.frequent.top(10)
        other = statistics.frequent.rows - sum(count for _, count in top)
        labels, counts = [str(value) for value, _ in top], [count for _, count in top]
        if other:
            labels, counts = [*labels, "all others"], [*counts, other]
        return bars(labels, counts, title=name, x_label="rows") if counts else None
    found = column.histogram()
    if found is None:
        return None
    lengths = column.record.kind in {Kind.TEXT, Kind.IDENTIFIER}
    outside = f"{found.outside:,} rows lie outside of what is drawn." if found.outside > 0 else ""
    return histogram(
        found.edges,
        found.counts,
        title=name,
        x_label="characters" if lengths else (column.record.unit or ""),
        dates=column.record.kind is Kind.DATETIME,
        caption=outside,
    )


def _target(description: TableDescription) -> list[Block]:
    target = description[description.target or ""]
    related = description.related
    if not related:
        return [Text("No column could be measured against it.", tone="note")]
    first = related[:15]
    strongest = bars(
        [c.record.name for c in first],
        [round(c.relation.strength, 3) if c.relation is not None else 0.0 for c in first],
        title="How closely each column goes with it",
        x_label="0: not at all, 1: entirely",
    )
    measures = sorted({c.relation.measure for c in related if c.relation is not None})
    num_rows = max(c.relation.num_rows for c in related if c.relation is not None)
    note = (
        f"Measured on {num_rows:,} rows drawn at random ({', '.join(measures)}); each column alone, "
        "so what matters only together with others is not seen here."
    )
    memorised = {f.column for f in description.findings if f.what == "identifier"}
    drawn = [c for c in related if c.record.name not in memorised][:_RELATED]
    pictures = [picture for c in drawn if (picture := _against(description.sample, c, target)) is not None]
    return [strongest, *pictures, Text(note, tone="note")]


def _against(sample: pl.DataFrame, column: ColumnDescription, target: ColumnDescription) -> Figure | None:
    """A column against the target on the sample; None for pairs that have no picture."""
    both = sample.select(column.record.name, target.record.name).drop_nulls()
    x, y = both[column.record.name], both[target.record.name]
    title = f"{target.record.name} by {column.record.name}"
    numeric = (column.record.kind in _NUMERIC, target.record.kind in _NUMERIC)
    if Kind.DATETIME in {column.record.kind, target.record.kind} or not len(both):
        return None
    if numeric == (True, True):
        return scatter(x.to_numpy(), y.to_numpy(), title=title, x_label=x.name, y_label=y.name)
    if numeric == (False, True):
        return _means(x.cast(pl.String), y.cast(pl.Float64), title)
    if numeric == (True, False):
        picture = column.histogram(30)
        return None if picture is None else _densities(x.cast(pl.Float64), y.cast(pl.String), picture.edges, title)
    most = str(target.statistics.frequent.top(1)[0][0]) if target.statistics.frequent is not None else ""
    return _means(
        x.cast(pl.String), (y.cast(pl.String) == most).cast(pl.Float64), f"Share of {y.name} = {most} by {x.name}"
    )


def _means(groups: pl.Series, values: pl.Series, title: str) -> Figure:
    """Mean of `values` in the most frequent groups, with 95 % intervals from their standard errors."""
    table = (
        pl.DataFrame({"group": groups, "value": values})
        .filter(pl.col("value").is_finite())
        .group_by("group")
        .agg(pl.len().alias("rows"), pl.col("value").mean().alias("mean"), pl.col("value").std().alias("deviation"))
        .sort("rows", "group", descending=[True, False])
        .head(10)
    )
    means = table["mean"].to_numpy()
    half = 1.96 * table["deviation"].fill_null(float("nan")).to_numpy() / np.sqrt(table["rows"].to_numpy())
    labels = table["group"].to_list()
    return bars(
        labels, means, lower=means - half, upper=means + half, title=title, x_label="mean, with its 95 % interval"
    )


def _densities(values: pl.Series, groups: pl.Series, edges: npt.NDArray[np.float64], title: str) -> Figure:
    """How the values of each of the most frequent classes are distributed between `edges`."""
    classes = groups.alias("class").value_counts(name="rows").sort("rows", "class", descending=[True, False])
    centres = (edges[:-1] + edges[1:]) / 2
    series = {}
    for name, rows in classes.head(_CLASSES).iter_rows():
        counts, _ = np.histogram(values.filter(groups == name).to_numpy(), edges)
        series[str(name)] = (centres, 100 * counts / rows)
    return lines(series, title=title, x_label=values.name, y_label="% of the class")


def _decisions(description: TableDescription) -> list[Block]:
    heads = ["column", "about", "decided", "because", "to override"]
    kept = description.decisions[:_MAX_DECISIONS]
    rows = [[d.column if d.column is not None else "(table)", d.what, d.decided, d.evidence, d.override] for d in kept]
    count = len(description.decisions)
    first = f"The first {len(kept)} of {count:,} decisions" if count > len(kept) else "Every decision"
    return [Table(heads, rows, caption=f"{first} that reading took by itself", align="lllll")]
