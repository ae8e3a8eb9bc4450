"""What each column of a row may be changed to: values that occur, within what the user says is possible."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor, TableInputs
from lepton.bundle.encoding import NUMBER_KINDS, TextEncoder, numeric_encoder
from lepton.core import BundleError, ColumnRecord, DataError, ErrorCode, Kind, SchemaError, UsageError, printable
from lepton.data import Dataset
from lepton.data.statistics import Baseline, ColumnStatistics
from lepton.evaluation.classification import Floats

__all__ = ["Choice", "Choices", "Occurring", "baseline_of", "choices_of", "occurring", "told"]

MAX_VALUES = 256
_MAX_CATEGORIES = 64
_MAX_ROWS = 20_000
_MAX_CELLS = 20_000_000
_MEMBERS = ("inputs.json", "outputs.json")
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - on the clock of the column
_OFTEN = 0.5


@dataclass(frozen=True, slots=True)
class Occurring:
    """The values of one column.

    Attributes:
        values: that occur, of numbers rising, of texts the most frequent first, as the graph takes them.
        spread: of numbers, what a step of 1 in distance is.
    """

    values: NDArray[Any]
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A column that may be changed.

    Attributes:
        column: as the model takes it.
        place: of the column in its tensor.
        is_text: whether that is `strings`.
        own: the row's value, as the graph takes it; NaN or "" where it is missing.
        values: what it may be changed to, without its own value; of numbers rising.
        distances: of each value from its own.
    """

    column: ColumnRecord
    place: int
    is_text: bool
    own: float | str
    values: NDArray[Any]
    distances: Floats


@dataclass(frozen=True, slots=True)
class Choices:
    """All columns that may be changed, and why the others may not.

    Attributes:
        columns: that may be changed.
        fixed: column → why it stays.
    """

    columns: tuple[Choice, ...]
    fixed: Mapping[str, str]


def baseline_of(predictor: Predictor) -> dict[str, ColumnStatistics]:
    """The statistics of the training rows that the bundle carries, by column; empty where it has none."""
    bundle = predictor.bundle
    try:
        members = {name: bundle.member(f"baseline/{name}") for name in _MEMBERS if f"baseline/{name}" in bundle.names}
        return {each.name: each for each in Baseline.from_members(members).inputs} if len(members) == 2 else {}
    except BundleError:  # of a form of its own: nothing is known, which is said where something is wanted
        return {}


def occurring(predictor: Predictor, inputs: TableInputs, data: Dataset | None, seed: int) -> dict[str, Occurring]:
    """The values of each column, from rows where there are some, and from the bundle's statistics for the others.

    Raises:
        SchemaError: a column of the rows is of another kind than the model's.
    """
    found: dict[str, Occurring] = {}
    for name, statistics in baseline_of(predictor).items():
        if (told_values := _of_statistics(statistics)) is not None:
            found[name] = told_values
    if data is None:
        return found
    names = [name for name in inputs.names if name in data.schema]
    if not names:
        return found
    most = min(_MAX_ROWS, max(_MAX_CELLS // max(len(names), 1), 2))
    if data.num_rows > most:
        _, data = data.split(most / data.num_rows, method="random", seed=seed)
    frame = data.frame(names)
    for column in inputs.columns:
        if column.name not in names or not frame.height:
            continue
        if column.kind in NUMBER_KINDS:
            numbers = numeric_encoder(column).series(frame[column.name]).to_numpy()
            found[column.name] = _of_numbers(np.sort(numbers[np.isfinite(numbers)]))
        else:
            encoder = TextEncoder(column, codec=inputs.codecs.get(column.name))
            texts, counts = np.unique(np.array(encoder.series(frame[column.name]).to_list(), str), return_counts=True)
            order = np.argsort(-counts, kind="stable")
            kept = [str(texts[place]) for place in order.tolist() if texts[place] != ""][:_MAX_CATEGORIES]
            found[column.name] = Occurring(np.array(kept, dtype=object))
    return found


def _of_numbers(rising: Floats) -> Occurring:
    values = np.unique(rising)
    if len(values) > MAX_VALUES:
        ranks = np.linspace(0, len(rising) - 1, MAX_VALUES).round().astype(np.int64)
        values = np.unique(rising[ranks])
    return Occurring(values, _spread(rising))


def _spread(rising: Floats) -> float:
    """The middle half of the values, as a deviation would be of a bell curve; the whole range where it is empty."""
    if not len(rising):
        return 1.0
    low, high = np.quantile(rising, [0.25, 0.75]) / 1.349
    if high - low > 0 and np.isfinite(high - low):
        return float(high - low)
    whole = float(rising[-1]) / 2 - float(rising[0]) / 2
    return whole if whole > 0 and np.isfinite(whole) else 1.0


def _of_statistics(statistics: ColumnStatistics) -> Occurring | None:
    """What a sketch of a column tells of its values; those of free texts are not kept."""
    top = [] if statistics.frequent is None else statistics.frequent.top()
    if statistics.kind is Kind.CATEGORY:
        return Occurring(np.array([str(value) for value, _ in top[:_MAX_CATEGORIES] if value != ""], dtype=object))
    if statistics.kind is Kind.BOOLEAN:
        return Occurring(np.array([0.0, 1.0]))
    if (
        statistics.numbers is None
        or statistics.kind in (Kind.TEXT, Kind.IDENTIFIER)
        or not statistics.numbers.moments.count
    ):
        return None
    sketch = statistics.numbers.sketch
    points = sketch.quantile(np.linspace(0, 1, MAX_VALUES // 2))
    frequent = np.array([float(value) for value, _ in top], dtype=np.float64)
    counted = sum(count for _, count in top)
    if len(frequent) and counted >= _OFTEN * statistics.present:
        if np.array_equal(frequent, np.rint(frequent)):
            points = np.rint(points)
        if counted >= statistics.present:
            points = frequent
    elif statistics.num_distinct < statistics.present and np.array_equal(sketch.values(), np.rint(sketch.values())):
        points = np.rint(points)
    values = np.unique(np.concatenate([points, frequent]))
    return Occurring(values[np.isfinite(values)], _spread(sketch.quantile(np.linspace(0, 1, 201))))


def choices_of(
    inputs: TableInputs,
    tensors: Mapping[str, NDArray[Any]],
    known: Mapping[str, Occurring],
    immutable: Sequence[str],
    ranges: Mapping[str, Any],
) -> Choices:
    """What may be changed of one row.

    Args:
        inputs: of the model.
        tensors: the row, packed.
        known: values of each column; columns without any stay.
        immutable: columns that stay.
        ranges: column → `(low, high)`, `"up"`, `"down"`, or the values that it may take.

    Raises:
        UsageError: unknown columns, a range that holds nothing or that is not one, one of a column that stays.
    """
    _check_names(inputs, [*immutable, *ranges])
    if both := [name for name in immutable if name in ranges]:
        raise UsageError(
            ErrorCode.USAGE,
            f"'{printable(both[0])}' is immutable and has a range",
            wanted="one of the two",
            fix="take it out of immutable=, or out of ranges=",
        )
    columns: list[Choice] = []
    fixed: dict[str, str] = {}
    places = {each.name: place for part in (inputs.strings, inputs.numbers) for place, each in enumerate(part)}
    for column in inputs.columns:
        is_text, place = column.kind not in NUMBER_KINDS, places[column.name]
        own = tensors["strings" if is_text else "numbers"][0, place]
        if column.name in immutable:
            fixed[column.name] = "immutable"
        elif column.kind in (Kind.TEXT, Kind.IDENTIFIER):
            fixed[column.name] = "a text of its own in each row"
        elif column.name not in known:
            fixed[column.name] = "nothing is known of its values"
        else:
            kept = known[column.name]
            values = kept.values[kept.values != own]
            if column.name in ranges:
                values = values[_allowed(inputs, column, ranges[column.name], own, values)]
            if not len(values):
                where = " in its range" if column.name in ranges else ""
                fixed[column.name] = f"no other value occurs{where}"
                continue
            columns.append(Choice(column, place, is_text, own, values, _distances(column, own, values, kept.spread)))
    return Choices(tuple(columns), fixed)


def _distances(column: ColumnRecord, own: Any, values: NDArray[Any], spread: float) -> Floats:
    if column.kind not in (Kind.NUMBER, Kind.DATETIME) or not np.isfinite(own):
        return np.ones(len(values))
    return np.asarray(np.abs(values / spread - own / spread), dtype=np.float64)


def _check_names(inputs: TableInputs, names: Sequence[str]) -> None:
    for name in names:
        if name not in inputs.names:
            close = difflib.get_close_matches(str(name), inputs.names, n=1)
            raise DataError(
                ErrorCode.UNKNOWN_COLUMN,
                f"the model takes no column '{printable(str(name))}'",
                wanted="names of its inputs: " + ", ".join(f"'{printable(each)}'" for each in inputs.names[:20]),
                fix=f"did you mean '{printable(close[0])}'?" if close else "",
            )


def _allowed(
    inputs: TableInputs, column: ColumnRecord, given: Any, own: Any, values: NDArray[Any]
) -> NDArray[np.bool_]:
    """Which values lie in a range."""
    if column.kind in (Kind.NUMBER, Kind.DATETIME):
        low, high = _ends(column, given, own)
        return np.asarray((values >= low) & (values <= high))
    if isinstance(given, str) or not isinstance(given, list | tuple | set | frozenset) or not len(given):
        raise _bad_range(column, given, "the values that it may take, as in ['red', 'blue']")
    try:
        if column.kind is Kind.BOOLEAN:
            allowed: list[Any] = [numeric_encoder(column).cell(value) for value in given]
        else:
            allowed = TextEncoder(column, codec=inputs.codecs.get(column.name)).cells(list(given))
    except Exception as error:  # an encoder refuses with what only it knows
        raise _bad_range(column, given, "the values that it may take") from error
    return np.array([value in allowed for value in values.tolist()], dtype=bool)


def _ends(column: ColumnRecord, given: Any, own: float) -> tuple[float, float]:
    if given in ("up", "down"):
        if not np.isfinite(own):
            return np.inf, -np.inf  # from what is missing no way leads up or down
        return (own, np.inf) if given == "up" else (-np.inf, own)
    wanted = "(low, high), of which one may be None for no end, 'up' or 'down'"
    if not isinstance(given, list | tuple) or len(given) != 2 or given[0] is given[1] is None:
        raise _bad_range(column, given, wanted)
    try:
        encoder = numeric_encoder(column)
        low, high = (
            open_end if end is None else float(encoder.cells([end])[0])
            for end, open_end in zip(given, (-np.inf, np.inf), strict=True)
        )
    except SchemaError as error:
        raise _bad_range(column, given, wanted) from error
    if np.isnan(low) or np.isnan(high):
        raise _bad_range(column, given, wanted)
    if low > high:
        raise _bad_range(column, given, "a low end that is not above the high one: nothing lies in it")
    return low, high


def _bad_range(column: ColumnRecord, given: Any, wanted: str) -> UsageError:
    shown = printable(repr(given), 80)
    return UsageError(ErrorCode.USAGE, f"got the range {shown} for '{printable(column.name)}'", wanted=wanted)


def told(column: ColumnRecord, value: Any) -> Any:
    """A value as the graph takes it, as a row holds it; None where it is missing."""
    if isinstance(value, str):
        return value or None
    if value != value:
        return None
    if column.kind is Kind.BOOLEAN:
        return bool(value)
    if column.kind is Kind.DATETIME:
        moment = _EPOCH + dt.timedelta(microseconds=int(value))
        return moment.replace(tzinfo=dt.UTC) if column.time_zone else moment
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)
