"""The weak places of a model as text and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lepton.core import printable
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.segments import Segment
from lepton.evaluation.weak.calibration import CalibrationPart, Calibrations
from lepton.evaluation.weak.confident import Case, Confidence, Confident
from lepton.evaluation.weak.outliers import Outliers
from lepton.report import Block, Page, Points, Table, Text, bars, plain_table, show_number, show_share

if TYPE_CHECKING:
    from lepton.evaluation.weak.places import WeakPlaces

__all__ = ["page_of", "text_of"]

_SHOWN = 10
_CASES = ("row", "truth", "answer")
_CONFUSED = ("truth", "answer", "rows", "share of that truth", "such as rows")
_OUTSIDE = ("row", "score", "because of")
_COLUMNS = ("column", "rows far outside", "beyond least or greatest", "never seen value")
_PARTS = ("part", "rows", "calibration error", "interval or set holds the truth")


def text_of(places: WeakPlaces) -> str:
    """For people."""
    lines = [f"{printable(places.model)} on {places.num_rows:,} rows"]
    for heading, sentences, tables in _sections(places):
        lines += ["", heading, *(f"  {each}" for each in sentences)]
        lines += [plain_table(columns, [[_short(cell) for cell in row] for row in rows]) for columns, rows in tables]
    lines += ["", *places.notes] if places.notes else []
    return "\n".join(lines)


def page_of(places: WeakPlaces) -> Page:
    """A page with figures."""
    page = Page(f"Where {places.model} is weak", subtitle=f"{places.num_rows:,} rows")
    for note in places.notes:
        page.section("Note", Text(note, "warning"))
    if places.slices is not None:
        page.extend(places.slices.page())
    for heading, sentences, tables in _sections(places)[0 if places.slices is None else 1 :]:
        blocks: list[Block] = [Points(sentences)] if sentences else []
        if heading == _OUTLIERS and places.outliers.columns:
            told = [each for each in places.outliers.columns if each.num_rows][:_SHOWN]
            if told:
                names, rows = [each.column for each in told], [each.num_rows for each in told]
                blocks.append(bars(names, rows, title="Rows far outside of training, by column", x_label="rows"))
        page.section(heading, *blocks, *(Table(columns, rows) for columns, rows in tables))
    return page


_SLICES, _SEGMENTS, _CALIBRATION = "Weak parts", "Parts by column", "Calibration"
_CONFIDENCE, _CONFIDENT, _CONFUSIONS = "How sure it says it is", "Mistakes it was sure of", "Labels taken for others"
_FARTHEST = "Answers farthest from the truth"
_OUTLIERS = "Rows unlike the training's"

_Tables = list[tuple[Sequence[str], list[tuple[object, ...]]]]


def _sections(places: WeakPlaces) -> list[tuple[str, list[str], _Tables]]:
    """Headings, sentences and tables in the order in which they are told."""
    told: list[tuple[str, list[str], _Tables]] = []
    if places.slices is not None:
        told.append((_SLICES, [places.slices.text()], []))
    for column, parts in places.segments.items():
        told.append((f"{_SEGMENTS}: {printable(column, 60)}", [], [_segments(parts)]))
    if places.calibration is not None:
        told.append(_calibration(places.calibration))
    if places.confidence is not None:
        told.append((_CONFIDENCE, [_sure(places.confidence)], []))
    if places.confident is not None and (places.confident.cases or places.confident.wrong is not None):
        told.append(_confident(places.confident))
    if places.confused:
        rows: list[tuple[object, ...]] = [
            (
                str(each.truth),
                str(each.answer),
                each.num_rows,
                show_share(each.share),
                ", ".join(str(case.row) for case in each.examples),
            )
            for each in places.confused
        ]
        told.append((_CONFUSIONS, [], [(_CONFUSED, rows)]))
    told.append(_outliers(places.outliers))
    return told


def _segments(parts: Sequence[Segment]) -> tuple[Sequence[str], list[tuple[object, ...]]]:
    name = next((key for each in parts for key in each.metrics), "metric")
    rows: list[tuple[object, ...]] = [
        (each.value, each.num_rows, str(each.metrics[name]) if each.metrics else each.note) for each in parts
    ]
    return ("part", "rows", name), rows


def _calibration(found: Calibrations) -> tuple[str, list[str], _Tables]:
    sentences = []
    if found.error is not None:
        sentences.append(
            f"Expected calibration error, less what chance adds: {found.error}."
            if found.error.value is not None
            else f"The calibration cannot be told: {found.error.reason}."
        )
    if found.coverage is not None:
        sentences.append(found.coverage.text())
    if not sentences:
        sentences.append("The model gives neither probabilities nor intervals.")
    tables: _Tables = []
    if found.slices:
        tables.append(_parts("weak part", found.slices))
    tables += [_parts(column, parts) for column, parts in found.parts.items()]
    return _CALIBRATION, sentences, tables


def _parts(name: str, parts: Sequence[CalibrationPart]) -> tuple[Sequence[str], list[tuple[object, ...]]]:
    """A table of parts with the columns that say something."""
    rows = [(each.value, each.num_rows, _told(each.error), _told(each.coverage)) for each in parts]
    said = [place for place in range(len(_PARTS)) if place < 2 or any(row[place] for row in rows)]
    return [(name, *_PARTS[1:])[place] for place in said], [tuple(row[place] for place in said) for row in rows]


def _told(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return str(estimate) if estimate.value is not None else estimate.reason


def _sure(confidence: Confidence) -> str:
    return (
        f"If its probabilities hold, {show_share(confidence.mean)} of the answers are right; it is sure of "
        f"{show_share(confidence.sure)} of the rows (0.9 or more) and unsure of {show_share(confidence.unsure)} (under "
        "0.6)."
    )


def _confident(found: Confident) -> tuple[str, list[str], _Tables]:
    sentences = []
    if found.limit is not None and found.wrong is not None:
        expected = "" if found.expected is None else f"; {show_share(found.expected)} was to be expected"
        sentences.append(
            f"Of {found.num_sure:,} rows answered with {show_number(found.limit)} or more, a share of {found.wrong} is "
            f"wrong{expected}."
        )
    column = "sure" if found.limit is not None else "far"
    sentences.append(f"{column.capitalize()}: {found.measure}. Look at the truth of these rows too: it may be wrong.")
    if found.limit is None and found.num_sure:
        sentences.append(f"The truth lies outside of the stated interval in {found.num_sure:,} rows.")
    heading = _CONFIDENT if found.limit is not None else _FARTHEST
    return heading, sentences, [((*_CASES, column, "with"), [_case(e) for e in found.cases])] if found.cases else []


def _case(case: Case) -> tuple[object, ...]:
    values = ", ".join(f"{name}: {_cell(value)}" for name, value in case.values.items())
    return (str(case.row), _cell(case.truth), _cell(case.answer), show_number(case.sure), values)


def _cell(value: object) -> str:
    """A cell in few characters."""
    if value is None:
        return "–"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return show_number(value)
    return printable(str(value), 40)


def _outliers(found: Outliers) -> tuple[str, list[str], _Tables]:
    if found.reason:
        return _OUTLIERS, [f"Cannot be told: {found.reason}."], []
    first = (
        f"{found.num_outside:,} of {found.num_rows:,} rows ({show_share(found.share)}) lie outside; of rows like the "
        f"training's at most {show_share(found.expected)} would. {len(found.watched):,} columns were compared, each by "
        "itself."
    )
    sentences = [first]
    if found.left_out:
        names = "; ".join(f"{printable(name, 40)} ({reason})" for name, reason in list(found.left_out.items())[:5])
        sentences.append(f"Not compared: {names}.")
    tables: _Tables = []
    if found.columns:
        rows: list[tuple[object, ...]] = [
            (each.column, each.num_rows, each.num_beyond, each.num_unseen) for each in found.columns[:_SHOWN]
        ]
        tables.append((_COLUMNS, rows))
    if found.rows:
        strange: list[tuple[object, ...]] = [
            (str(each.row), show_number(each.score), ", ".join(f"{n}: {_cell(v)}" for n, v in each.values.items()))
            for each in found.rows
        ]
        tables.append((_OUTSIDE, strange))
    return _OUTLIERS, sentences, tables


def _short(cell: object) -> object:
    return printable(cell, 70) if isinstance(cell, str) else cell
