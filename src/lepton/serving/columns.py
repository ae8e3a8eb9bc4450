"""The columns of a served model as people fill them in: what each takes, and what may be told of the training data."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lepton.bundle import Predictor
from lepton.core import ColumnRecord, Kind

__all__ = ["ServedColumn", "served_columns"]

_BASELINE = "baseline/inputs.json"
_MAX_KNOWN = 200
_OTHERS = {
    Kind.CATEGORY: "a category; unknown ones are answered too",
    Kind.IMAGE: "the bytes of a JPEG or PNG file in base64, or the file as the body",
    Kind.AUDIO: "the bytes of a WAV or FLAC file in base64, or the file as the body",
    Kind.SERIES: "numbers, which go to …/infer as a tensor",
}


@dataclass(frozen=True, slots=True)
class ServedColumn:
    """One column.

    Attributes:
        name: as rows call it.
        kind: what its values are.
        takes: what a value is, in words.
        known: values of a category that at least 10 rows of training had, the most frequent first.
        example: an ordinary value, for a form to begin with; None where nothing is known.
    """

    name: str
    kind: Kind
    takes: str
    known: tuple[str, ...] = ()
    example: float | str | bool | None = None


def served_columns(predictor: Predictor) -> tuple[ServedColumn, ...]:
    """The columns of a model, in the table's order.

    Of the training data they tell what the baseline of the model does, which keeps no value that fewer than ten rows
    had; not the vocabulary, which holds every text of a category.
    """
    told = _baseline(predictor)
    return tuple(_column(record, told.get(record.name, {})) for record in predictor.manifest.inputs)


def _baseline(predictor: Predictor) -> Mapping[str, Any]:
    if _BASELINE not in predictor.bundle.names:
        return {}
    try:
        return {column["name"]: column for column in json.loads(predictor.bundle.member(_BASELINE))["columns"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}  # of another form: nothing is told, and the model answers all the same


def _column(record: ColumnRecord, told: Mapping[str, Any]) -> ServedColumn:
    known: tuple[str, ...] = ()
    example: float | str | bool | None = None
    try:
        if record.kind is Kind.CATEGORY:
            known = tuple(str(value) for value in told["frequent"]["values"][:_MAX_KNOWN])
            example = known[0] if known else None
        elif record.kind is Kind.BOOLEAN:
            example = True
        elif record.kind is Kind.NUMBER:
            example = float(f"{float(told['numbers']['moments']['mean']):.3g}")
        elif record.kind is Kind.DATETIME:
            example = _moment(float(told["numbers"]["moments"]["mean"]), record)
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    return ServedColumn(record.name, record.kind, _takes(record), known, example)


def _moment(microseconds: float, record: ColumnRecord) -> str:
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=microseconds // 86_400_000_000)
    return moment.strftime(record.datetime_format) if record.datetime_format else moment.date().isoformat()


def _takes(record: ColumnRecord) -> str:
    if record.kind is Kind.NUMBER:
        return "a number" + (f" in {record.unit}" if record.unit else "")
    if record.kind is Kind.BOOLEAN:
        return "true or false"
    if record.kind is Kind.DATETIME:
        form = f"written as {record.datetime_format}" if record.datetime_format else "in ISO 8601"
        return f"a date or time {form}" + (f", in the zone {record.time_zone}" if record.time_zone else "")
    return _OTHERS.get(record.kind, "a text")
