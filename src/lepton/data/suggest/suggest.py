"""`suggest`: what a look at the rows says should be done, as a recipe, and what is left to a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lepton.core import Kind, Role, Work
from lepton.data.dataset import Dataset
from lepton.data.quality import find_personal
from lepton.data.recipes import Recipe
from lepton.data.recipes.faults import (
    Fault,
    find_missing_markers,
    find_mixed_dates,
    find_mojibake,
    find_number_texts,
    find_spellings,
)
from lepton.data.recipes.hashes import first_rows, row_hashes
from lepton.data.recipes.run import memory_limit
from lepton.data.suggest.groups import GROUP_ROWS, is_group
from lepton.data.suggest.outliers import far_values
from lepton.data.suggest.units import find_swapped_units
from lepton.report import Page, Table, Text, plain_table, show_share
from lepton.store import scratch_folder

__all__ = ["Suggestion", "Suggestions", "suggest"]

_SAMPLE_ROWS = 200_000
_FLAGGED = 0.05
"""Share of missing values from which a column that says where they are is suggested."""
_MOSTLY = 0.8
_TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER)
_NO_FEATURES = (Role.TARGET, Role.WEIGHT, Role.GROUP, Role.TIME, Role.IGNORED)


@dataclass(frozen=True)
class Suggestion:
    """One thing to do.

    Attributes:
        step: of a recipe, or the name of the fault where no step is suggested.
        parameters: of the step; None where it is left to a person.
        column: whose values; None for the whole table.
        rows: rows that it would touch; scaled up where only a sample was looked at.
        reason: the evidence, in a sentence.
        details: which cells are meant, ready for JSON: markers, spellings, formats, bounds, the kind of personal data.
    """

    step: str
    parameters: dict[str, Any] | None
    column: str | None
    rows: int
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def for_a_person(self) -> bool:
        """Whether no step is suggested."""
        return self.parameters is None


@dataclass(frozen=True)
class Suggestions:
    """What a look at a table suggests. Nothing was changed.

    Attributes:
        found: in the order in which they should be done.
        num_rows: of the table.
        seen: rows that were looked at for all but duplicates.
    """

    found: tuple[Suggestion, ...]
    num_rows: int
    seen: int

    @property
    def recipe(self) -> Recipe:
        """The suggested steps."""
        recipe = Recipe()
        for each in self.found:
            if each.parameters is not None:
                recipe = recipe.step(each.step, **each.parameters)
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "rows": self.num_rows,
            "seen": self.seen,
            "suggestions": [
                {
                    "step": e.step,
                    "parameters": e.parameters,
                    "column": e.column,
                    "rows": e.rows,
                    "reason": e.reason,
                    "details": dict(e.details),
                }
                for e in self.found
            ],
            "recipe": self.recipe.to_dict(),
        }

    def _rows(self, person: bool) -> list[tuple[object, ...]]:
        about = "" if self.seen == self.num_rows else "about "
        return [
            (e.step, e.column or "", f"{about if e.step != 'drop_duplicates' else ''}{e.rows:,}", e.reason)
            for e in self.found
            if e.for_a_person is person
        ]

    def text(self) -> str:
        """Tables for a terminal."""
        looked = "" if self.seen == self.num_rows else f", of which {self.seen:,} were looked at"
        parts = [f"{self.num_rows:,} rows{looked}"]
        if rows := self._rows(False):
            parts.append("Steps\n" + plain_table(("step", "column", "rows", "reason"), rows))
        if rows := self._rows(True):
            parts.append("For a person to decide\n" + plain_table(("what", "column", "rows", "reason"), rows))
        return "\n\n".join(parts if len(parts) > 1 else [*parts, "Nothing to clean was found."])

    def page(self) -> Page:
        """One HTML page."""
        page = Page("What would clean this table", f"{self.num_rows:,} rows, {self.seen:,} looked at")
        for title, person in (("Steps", False), ("For a person to decide", True)):
            rows = self._rows(person)
            nothing = Text("Nothing was found.")
            page.section(title, Table(("step", "column", "rows", "reason"), rows) if rows else nothing)
        return page

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


def suggest(table: Dataset, work: Work | None = None) -> Suggestions:
    """Which steps would clean `table`, with the evidence, and what is left to a person.

    Duplicates are counted over all rows; all else is looked for in up to 200,000 rows from all over the table.

    Args:
        table: the rows. Columns with the role target, weight, group, time or ignored are looked at, and not changed.
        work: cancel and progress.
    """
    work = Work.of(work)
    sample, num_rows, copies = _looked_at(table, work)
    scale = num_rows / max(sample.height, 1)
    found = [*_of_table(copies, num_rows), *_personal(table, num_rows, work)]
    for column in table.schema:
        work.check()
        values = sample[column.name]
        touchable = column.role not in _NO_FEATURES
        found += _of_column(column.kind, values, scale, touchable, sample.drop(column.name))
    order = {step: place for place, step in enumerate(_ORDER)}
    found.sort(key=lambda each: order.get(each.step, len(order)))
    return Suggestions(tuple(found), num_rows, sample.height)


_ORDER = (
    "drop", "drop_duplicates", "repair_mojibake", "trim", "mark_missing", "parse_dates", "parse_numbers",
    "merge_spellings", "flag_missing", "fill",
)  # fmt: skip


def _looked_at(table: Dataset, work: Work) -> tuple[pl.DataFrame, int, int]:
    """Rows from all over the table, how many there are, and how many are copies of earlier ones; one pass."""
    kept: list[pl.DataFrame] = []
    stride, num_rows, size = 1, 0, 0

    def hashes() -> Iterator[pl.DataFrame]:
        nonlocal stride, num_rows, size, kept
        for frame in table.batches(262_144):
            kept.append(frame.gather_every(stride, (-num_rows) % stride))
            yield row_hashes(frame, num_rows)
            num_rows += frame.height
            size += kept[-1].height
            while size > _SAMPLE_ROWS:
                kept = [pl.concat(kept).gather_every(2)]
                stride, size = 2 * stride, kept[0].height
            work.report(num_rows, unit="rows", note="looking")

    with scratch_folder(work.resources.scratch) as folder:
        first = first_rows(hashes(), memory_limit(work), folder, work)
    sample = pl.concat(kept) if kept else table.frame()
    return sample, num_rows, int(num_rows - first.sum())


def _of_table(copies: int, num_rows: int) -> Iterator[Suggestion]:
    if copies:
        reason = f"{show_share(copies / num_rows)} of the rows are equal to an earlier one in every column"
        yield Suggestion("drop_duplicates", {}, None, copies, reason)


def _personal(table: Dataset, num_rows: int, work: Work) -> Iterator[Suggestion]:
    """Personal data, of which nobody but a person can say whether it may stay."""
    seen = find_personal(table, work=work)
    for each in seen.findings:
        where = " inside its texts" if each.in_text else ""
        reason = f"{each.kind}{where} in {show_share(each.share)} of the cells: mask, pseudonymise or drop it?"
        rows = each.count * num_rows / max(seen.rows_seen, 1)
        details = {"kind": each.kind, "in_text": each.in_text, "confidence": each.confidence}
        yield _suggestion("personal_data", each.column, rows, reason, None, details)


def _of_column(
    kind: Kind, values: pl.Series, scale: float, touchable: bool, others: pl.DataFrame
) -> Iterator[Suggestion]:
    """What one column suggests; the others say whether values that look wrong are a group of their own."""
    name = values.name
    present = values.drop_nulls()
    if not len(present) or (present.n_unique() == 1 and len(present) == len(values)):
        what = "every row is missing" if not len(present) else "every row has the same value"
        yield _suggestion("drop", name, len(values) * scale, what, {"columns": [name]} if touchable else None)
        return
    parsed = False
    for find, step in _DETECTORS[kind in _TEXTS]:
        fault = find_swapped_units(values, others) if find is find_swapped_units else find(values)
        if fault is None or (parsed and step in ("parse_numbers", "merge_spellings")):
            continue
        if step == "mark_missing":  # what comes after looks at the rest
            values = _without(values, _markers(kind, fault))
        parsed = parsed or step in ("parse_dates", "parse_numbers")
        if step == "merge_spellings":
            yield from _spellings(values, fault, scale, touchable, others)
            continue
        is_date = kind is Kind.IDENTIFIER and step == "parse_dates"  # a date in every row names none
        parameters = _parameters(step, name, kind, fault) if step and (touchable or is_date) else None
        yield _suggestion(step or fault.kind, name, fault.rows * scale, fault.evidence, parameters, fault.details)
    if kind in _TEXTS and (padded := int((present != present.str.strip_chars()).sum())):
        yield _suggestion("trim", name, padded * scale, "spaces stand around values", _columns(name, touchable))
    missing = values.null_count() / len(values)
    if not missing:
        return
    if missing > _MOSTLY:
        words = f"{show_share(missing)} of the rows are missing: is the column of use?"
        yield _suggestion("mostly_missing", name, values.null_count() * scale, words, None)
    elif kind is Kind.NUMBER and not parsed and touchable:
        reason = f"{show_share(missing)} of the rows are missing"
        if missing >= _FLAGGED:
            yield _suggestion("flag_missing", name, values.null_count() * scale, reason, _columns(name, True))
        filled = {"columns": [name], "value": "median"}
        yield _suggestion("fill", name, values.null_count() * scale, f"{reason}; the median is typical", filled)


def _spellings(
    values: pl.Series, fault: Fault, scale: float, touchable: bool, others: pl.DataFrame
) -> Iterator[Suggestion]:
    """What differs by case or accents only can be merged; a slip of a letter may be a word of its own."""
    spellings: dict[str, dict[str, Any]] = fault.details["spellings"]
    slips = {value: each for value, each in spellings.items() if "letter" in str(each["why"])}
    sure = {value: each for value, each in spellings.items() if value not in slips}
    doubtful = {value: each for value, each in slips.items() if not _is_own_word(value, each, values, others)}
    for part, step in ((sure, "merge_spellings"), (doubtful, "slips")):
        if part:
            rows = sum(int(each["rows"]) for each in part.values()) * scale
            shown = ", ".join(f"{value!r} for {each['to']!r}" for value, each in list(part.items())[:5])
            parameters = {"columns": [values.name], "keep": sorted(slips)} if part is sure and touchable else None
            yield _suggestion(step, values.name, rows, shown, parameters, {"spellings": part})


def _is_own_word(value: str, each: Mapping[str, Any], values: pl.Series, others: pl.DataFrame) -> bool:
    """Whether the rows of what looks like a slip are unlike those of the word: islands lie elsewhere than inland."""
    return int(each["rows"]) >= GROUP_ROWS and is_group(
        values == value, (values == value) | (values == each["to"]), others
    )


def _suggestion(
    step: str,
    column: str,
    rows: float,
    reason: str,
    parameters: dict[str, Any] | None,
    details: Mapping[str, Any] | None = None,
) -> Suggestion:
    return Suggestion(step, parameters, column, round(rows), reason, details or {})


def _columns(name: str, touchable: bool) -> dict[str, Any] | None:
    return {"columns": [name]} if touchable else None


def _parameters(step: str, name: str, kind: Kind, fault: Fault) -> dict[str, Any]:
    if step == "mark_missing":
        return {"columns": [name], "values": _markers(kind, fault)}
    marked = step in ("parse_dates", "parse_numbers") and fault.details["unread"]
    return {"columns": [name], **({"on_error": "flag"} if marked else {})}


def _without(values: pl.Series, markers: list[Any]) -> pl.Series:
    """The values with nulls for the markers."""
    compared = values if isinstance(values.dtype, pl.String) else values.cast(pl.Float64)
    marked = compared.is_in(markers)
    return values.to_frame().select(pl.when(~marked).then(pl.col(values.name))).to_series()


def _markers(kind: Kind, fault: Fault) -> list[Any]:
    return [float(marker) if kind is Kind.NUMBER else marker for marker in fault.details["markers"]]


_DETECTORS: dict[bool, tuple[tuple[Callable[[pl.Series], Fault | None], str], ...]] = {
    True: (
        (find_mojibake, "repair_mojibake"),
        (find_missing_markers, "mark_missing"),
        (find_mixed_dates, "parse_dates"),
        (find_number_texts, "parse_numbers"),
        (find_spellings, "merge_spellings"),
    ),
    False: ((find_missing_markers, "mark_missing"), (find_swapped_units, ""), (far_values, "")),
}
"""For texts, and for all else: what looks, and the step that mends it; "" where a person must decide."""
