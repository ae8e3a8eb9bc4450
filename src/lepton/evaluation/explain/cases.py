"""Similar cases: the rows of a table that are nearest to others, by what the model makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, SeriesInputs, TableInputs, TensorInputs
from lepton.bundle.containers import read_rows
from lepton.bundle.neighbours import Index
from lepton.core import DataError, ErrorCode, UsageError, Work, printable
from lepton.data import Dataset
from lepton.data.media.decoded import decoded_batches, files_column
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.points import Points, way_of
from lepton.report import Page, Table, Text, plain_table, show_number, show_value

__all__ = ["Case", "Cases", "similar_cases"]

_STEP = 8_192
_SHOWN_COLUMNS = 8
_SHOWN_LETTERS = 60
_WAYS = {
    "embedding": "the angle between the model's embeddings, 0 for the same direction",
    "features": "the model's own features in units of their spread; the root of the mean square",
    "columns": "numbers in units of their spread, other values the same or not; the root of the mean square",
    "index": "the angle between the embeddings of an index",
}


@dataclass(frozen=True)
class Case:
    """One similar row.

    Attributes:
        position: of the row in the data, or in the index, counted from 0.
        distance: 0 for a row that the model cannot tell apart; what it is in is said by `Cases.by`.
        row: what the data holds of it; empty of an index without data.
        answer: what the model answers it; None of an index without data.
    """

    position: int
    distance: float
    row: Mapping[str, Any]
    answer: Any

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        row = {name: _plain(value) for name, value in self.row.items()}
        return {"position": self.position, "distance": self.distance, "answer": _plain(self.answer), "row": row}


@dataclass(frozen=True)
class Cases:
    """For each row that was asked about, the nearest of a table; made by `similar_cases`.

    Attributes:
        model: its name.
        by: what distances are of: `embedding`, `features`, `columns` or `index`.
        asked: the rows that were asked about.
        answers: what the model answers them.
        cases: for each of them its nearest, the nearest first.
        num_rows: rows that were searched, all of them.
        notes: limits, if there are any.
    """

    model: str
    by: str
    asked: tuple[Mapping[str, Any], ...]
    answers: tuple[Any, ...]
    cases: tuple[tuple[Case, ...], ...]
    num_rows: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "by": self.by,
            "asked": [{name: _plain(value) for name, value in row.items()} for row in self.asked],
            "answers": [_plain(answer) for answer in self.answers],
            "cases": [[each.to_dict() for each in found] for found in self.cases],
            "num_rows": self.num_rows,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page().html()

    def text(self) -> str:
        """For people."""
        lines = []
        for number, (answer, found) in enumerate(zip(self.answers, self.cases, strict=True)):
            names = _names(found)
            heading = ("row", "distance", "answer", *names)
            told = f"Row {number}, answered {_shown(answer)}; nearest of {self.num_rows:,} rows:"
            lines += [told, "", plain_table(heading, _table_rows(found, names)), ""]
        return "\n".join([*lines, *self._notes()])

    def page(self) -> Page:
        """A page with the rows beside their nearest."""
        page = Page(f"Similar cases for {self.model}", subtitle=f"searched among {self.num_rows:,} rows")
        for number, (row, answer, found) in enumerate(zip(self.asked, self.answers, self.cases, strict=True)):
            names = _names(found)
            rows = [("asked", None, _shown(answer), *(_shown(row.get(name)) for name in names))]
            table = Table(("row", "distance", "answer", *names), [*rows, *_table_rows(found, names)])
            page.section(f"Row {number}", table)
        for note in self._notes():
            page.section("Note", Text(note, tone="note"))
        return page

    def _notes(self) -> list[str]:
        return [f"Distance: {_WAYS[self.by]}.", *self.notes]


def similar_cases(
    predictor: Predictor,
    rows: Any,
    data: Dataset | None = None,
    *,
    k: int = 5,
    by: str | None = None,
    index: Index | None = None,
    work: Work | None = None,
) -> Cases:
    """The rows of `data` that are nearest to each of `rows`; nothing is missed, all of them are compared.

    Args:
        predictor: an opened model.
        rows: what is asked about, as `Model.predict` takes rows.
        data: rows to search, of any size.
        k: how many of each; all, where there are fewer.
        by: what distance is of: the model's `embedding`, its inner point `features`, or its scaled `columns`; by
            default the first of them that the model has.
        index: of embeddings, from `Model.index`, searched in place of `data`; with `data`, the rows it was made of.
        work: cancel and progress.

    Raises:
        UsageError: `k` is no whole number above 0; a model of series; the model has not what `by` names; an index of
            other rows than `data`.
        DataError: the data has no rows.
        SchemaError: rows do not fit the model.
    """
    work = Work.of(work)
    _check_count(k)
    if isinstance(predictor.inputs, SeriesInputs):
        raise UsageError(ErrorCode.USAGE, "got a model for forecasts", wanted="a model that answers row by row")
    if data is not None and not data.num_rows:
        raise DataError(ErrorCode.EMPTY_DATA, "the data has no rows", wanted="rows to search")
    if index is not None:
        found, told, notes, num_rows = *_in_index(predictor, rows, data, k, index, work), len(index)
    elif data is not None:
        found, told, notes = _in_data(predictor, rows, data, k, by, work)
        num_rows = data.num_rows
    else:
        raise UsageError(ErrorCode.USAGE, "got no rows to search", wanted="data= or index=")
    if num_rows < k:
        notes.append(f"{k:,} were asked for, and there are {num_rows:,}.")
    positions = list(told)
    answers = dict(zip(positions, _answers(predictor, [told[each].cell for each in positions]), strict=True))
    cases = [
        tuple(
            Case(place, distance, told[place].row if place in told else {}, answers.get(place))
            for place, distance in zip(*each, strict=True)
        )
        for each in zip(found.positions.tolist(), found.distances.tolist(), strict=True)
    ]
    asked = _asked(predictor, rows, len(cases))
    own = _answers(predictor, rows) if cases else []
    return Cases(predictor.manifest.name, found.by, asked, tuple(own), tuple(cases), num_rows, tuple(notes))


def _check_count(k: Any) -> None:
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
        raise UsageError(ErrorCode.USAGE, f"got k={k!r}", wanted="a whole number of at least 1")


class _Found(NamedTuple):
    """Positions and distances [M, k] of the nearest."""

    by: str
    positions: NDArray[np.int64]
    distances: Floats


class _Told(NamedTuple):
    """A row of the data, and what the model is asked of it."""

    row: Mapping[str, Any]
    cell: Any


def _in_data(
    predictor: Predictor, rows: Any, data: Dataset, k: int, by: str | None, work: Work
) -> tuple[_Found, dict[int, _Told], list[str]]:
    """The nearest rows of a table, in one pass."""
    points = Points(predictor, way_of(predictor, by), data)
    asked = points.of(rows)
    num_asked = len(next(iter(asked.values())))
    best, near = np.empty((num_asked, 0), dtype=np.int64), np.empty((num_asked, 0))
    told: dict[int, _Told] = {}
    done, unreadable = 0, 0
    for frame, cells, num_rows in _batches(predictor, data, work):
        work.check()
        unreadable += num_rows - frame.height
        if frame.height:
            positions = frame["\0row"].to_numpy()
            distances = np.concatenate([near, points.distances(asked, points.of(cells))], axis=1)
            places = np.concatenate([best, np.broadcast_to(positions, (num_asked, len(positions)))], axis=1)
            order = np.argsort(distances, axis=1, kind="stable")[:, :k]
            best, near = np.take_along_axis(places, order, 1), np.take_along_axis(distances, order, 1)
            kept = set(best.ravel().tolist())
            told = {place: row for place, row in told.items() if place in kept}
            for at in np.flatnonzero(np.isin(positions, best)).tolist():
                told[int(positions[at])] = _Told(
                    frame.drop("\0row").row(at, named=True),
                    cells.row(at, named=True) if isinstance(cells, pl.DataFrame) else cells[at],
                )
        done += num_rows
        work.report(done, data.num_rows, "rows", note="comparing")
    notes = list(points.notes)
    if unreadable:
        notes.append(f"{unreadable:,} rows whose file cannot be read were passed over.")
    return _Found(points.by, best, near), told, notes


def _in_index(
    predictor: Predictor, rows: Any, data: Dataset | None, k: int, index: Index, work: Work
) -> tuple[_Found, dict[int, _Told], list[str]]:
    """The nearest rows of an index, and what the data holds of them."""
    if index.model_id != predictor.model_id:
        raise UsageError(
            ErrorCode.USAGE,
            f"the index is of the model {printable(index.model_id[:12])}, and this one is {predictor.model_id[:12]}",
            wanted="an index of this model",
            fix="model.index(rows)",
        )
    if data is not None and data.num_rows != len(index):
        raise UsageError(
            ErrorCode.USAGE,
            f"the index has {len(index):,} rows, and the data {data.num_rows:,}",
            wanted="the rows that the index was made of",
        )
    found = index.nearest(rows, k)
    told: dict[int, _Told] = {}
    for frame, cells, _ in _batches(predictor, data, work) if data is not None else ():
        for at in np.flatnonzero(np.isin(frame["\0row"].to_numpy(), found.ids)).tolist():
            told[int(frame["\0row"][at])] = _Told(
                frame.drop("\0row").row(at, named=True),
                cells.row(at, named=True) if isinstance(cells, pl.DataFrame) else cells[at],
            )
    return _Found("index", found.ids, found.distances), told, []


def _batches(predictor: Predictor, data: Dataset, work: Work) -> Iterator[tuple[pl.DataFrame, Any, int]]:
    """Rows that can be read with their positions, what the model is asked of them, and how many there were."""
    inputs, names, start = predictor.inputs, list(data.schema.names), 0
    if isinstance(inputs, TensorInputs) and inputs.decodes:
        for rows in decoded_batches(data, inputs, names, work):
            frame = rows.frame.with_row_index("\0row", start).cast({"\0row": pl.Int64})
            start += rows.frame.height
            yield frame.filter(pl.Series(rows.readable)), rows.arrays, rows.frame.height
        return
    if isinstance(inputs, TensorInputs) and inputs.column is None:
        raise UsageError(
            ErrorCode.USAGE, "got a model of plain tensors", wanted="an index of them: model.index(arrays)"
        )
    for batch in data.batches(rows=_STEP):
        frame = batch.with_row_index("\0row", start).cast({"\0row": pl.Int64})
        start += batch.height
        yield frame, _cells(inputs, data, batch), batch.height


def _cells(inputs: Any, data: Dataset, batch: pl.DataFrame) -> Any:
    if isinstance(inputs, TensorInputs):
        return batch[files_column(data, inputs)].to_list()
    return batch.select([data.schema[name].name for name in inputs.names])


def _answers(predictor: Predictor, rows: Any) -> list[Any]:
    """What the model answers, a value for each row; of several labels those that hold."""
    if isinstance(rows, list) and not rows:
        return []
    given = predictor.predict(rows)
    if hasattr(given, "to_dicts"):
        given = given.to_dicts()
    each = list(given.tolist() if isinstance(given, np.ndarray) else given)
    return [", ".join(name for name, holds in row.items() if holds) if isinstance(row, dict) else row for row in each]


def _asked(predictor: Predictor, rows: Any, count: int) -> tuple[Mapping[str, Any], ...]:
    """The rows that were asked about, as far as they can be told."""
    if not isinstance(predictor.inputs, TableInputs):
        cells = [rows] if isinstance(rows, str | bytes) else rows
        shown = cells if isinstance(cells, list | tuple) and all(isinstance(cell, str) for cell in cells) else None
        return tuple({predictor.inputs.names[0]: cell} for cell in shown) if shown else ({},) * count
    read = read_rows(rows, predictor.inputs.names)
    return tuple({name: read.columns[name][row] for name in predictor.inputs.names} for row in range(read.num_rows))


def _names(found: Sequence[Case]) -> list[str]:
    return list(found[0].row)[:_SHOWN_COLUMNS] if found else []


def _table_rows(found: Sequence[Case], names: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        (
            f"{each.position:,}",
            show_number(each.distance),
            _shown(each.answer),
            *(_shown(each.row.get(n)) for n in names),
        )
        for each in found
    ]


def _shown(value: Any) -> str:
    return printable(show_value(_plain(value)), _SHOWN_LETTERS)


def _plain(value: Any) -> Any:
    """As JSON holds it: numbers, booleans and texts as they are, bytes counted, all else as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return value if value is None or isinstance(value, str | bool | int) else str(value)
