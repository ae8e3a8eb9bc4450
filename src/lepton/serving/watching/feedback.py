"""What became true of rows that a model has answered, and how good its answers were."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from lepton.core import ErrorCode, SchemaError, ServingError, printable
from lepton.core.lazy import LazyModule
from lepton.serving.watching.columns import MOMENT
from lepton.serving.watching.recorder import ModelWatch
from lepton.serving.watching.state import Judged, StateStore

if TYPE_CHECKING:
    from lepton import evaluation
    from lepton.evaluation import answers as answered, segments
else:  # for servers that keep a state
    evaluation = LazyModule("lepton.evaluation")
    answered, segments = LazyModule("lepton.evaluation.answers"), LazyModule("lepton.evaluation.segments")

__all__ = ["Truth", "export_rows", "live_metrics", "read_truths", "take_truths"]

MAX_TRUTHS = 10_000
JUDGED_ROWS = 10_000
"""Rows, the latest, that the live metric is of."""
_MIN_ROWS = 30


@dataclass(frozen=True, slots=True)
class Truth:
    """What was true of one row of a request."""

    request: str
    row: int
    value: str | int | float | bool


def read_truths(body: Any) -> list[Truth]:
    """The truths of a request.

    Args:
        body: `{"id": …, "truth": …}` or a list of these; `truth` is a value, or one for each row of the request in a
            list, where null is not known yet.

    Raises:
        ServingError: a body of another shape, an id that stands twice.
    """
    entries = body if isinstance(body, list) else [body]
    out: list[Truth] = []
    for position, entry in enumerate(entries):
        if not (isinstance(entry, dict) and entry.keys() == {"id", "truth"} and isinstance(entry["id"], str)):
            raise ServingError(
                ErrorCode.BAD_REQUEST,
                f"entry {position} is no truth of a request",
                wanted='{"id": the x-request-id of the answer, "truth": its value, or a list with one for each row}',
            )
        values = entry["truth"] if isinstance(entry["truth"], list) else [entry["truth"]]
        if not all(value is None or isinstance(value, str | int | float | bool) for value in values):
            raise ServingError(
                ErrorCode.BAD_REQUEST, f"the truth of entry {position} is no value", wanted="a label or a number"
            )
        out += [Truth(entry["id"], row, value) for row, value in enumerate(values) if value is not None]
    if not out:
        raise ServingError(ErrorCode.BAD_REQUEST, "the body holds no truth", wanted='{"id": …, "truth": …}')
    if len(out) > MAX_TRUTHS:
        raise ServingError(ErrorCode.TOO_LARGE, f"the body holds {len(out)} truths", wanted=f"at most {MAX_TRUTHS}")
    if len({(truth.request, truth.row) for truth in out}) < len(out):
        raise ServingError(ErrorCode.BAD_REQUEST, "one row of a request has two truths", wanted="one")
    return out


def take_truths(watch: ModelWatch, truths: Sequence[Truth], state: StateStore) -> int:
    """Keep what was true; all of it, or none where any of it cannot be.

    The same truth may come again, which changes nothing.

    Args:
        watch: of the model.
        truths: of its answers.
        state: where they are kept.

    Returns:
        How many are new.

    Raises:
        ServingError: UNKNOWN_REQUEST, an answer that is not kept; DUPLICATE_FEEDBACK, another truth than before.
        SchemaError: a truth that the model could not have answered.
    """
    values = {(truth.request, truth.row): check_truth(watch, truth) for truth in truths}
    new: list[tuple[str, int, Any]] = []
    state.unpack(watch.name, {truth.request for truth in truths})
    for request in dict.fromkeys(truth.request for truth in truths):
        kept = state.rows_of(watch.name, request)
        for row in [row for each, row in values if each == request]:
            if row not in kept:
                raise _unknown(watch, request, row, len(kept))
            before, value = kept[row][1], values[request, row]
            if before is None:
                new.append((request, row, value))
            elif before != value:
                raise ServingError(
                    ErrorCode.DUPLICATE_FEEDBACK,
                    f"row {row} of the request '{printable(request, 128)}' has a truth already: {before!r}",
                    wanted="the same, or none",
                    details={"id": request[:128], "row": row},
                )
    if new:
        state.put_truths(watch.name, new)
    return len(new)


def _unknown(watch: ModelWatch, request: str, row: int, known: int) -> ServingError:
    if known:
        came = f"the request '{printable(request, 128)}' has {known} rows that are kept, and no row {row}"
    else:
        came = f"no answer of '{watch.name}' is kept under the id '{printable(request, 128)}'"
    return ServingError(
        ErrorCode.UNKNOWN_REQUEST,
        came,
        wanted="the x-request-id that the request was sent with",
        fix="answers are kept where the request brings an id, for a bounded time",
        details={"id": request[:128], "row": row},
    )


def check_truth(watch: ModelWatch, truth: Truth) -> Any:
    """The truth as the model would have answered it: a label, or a number.

    Raises:
        SchemaError: WRONG_KIND or BAD_VALUE.
    """
    value = truth.value
    where = f"the truth of row {truth.row} of the request '{printable(truth.request, 128)}'"
    if watch.labels is None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SchemaError(ErrorCode.WRONG_KIND, f"{where} is {printable(repr(value), 80)}", wanted="a number")
        if not math.isfinite(value):
            raise SchemaError(ErrorCode.BAD_VALUE, f"{where} is not finite", wanted="a number")
        return float(value)
    for label in watch.labels:
        if value == label and isinstance(value, bool) == isinstance(label, bool):
            return label
    raise SchemaError(
        ErrorCode.BAD_VALUE,
        f"{where} is {printable(repr(value), 80)}",
        wanted="one of " + ", ".join(map(repr, list(watch.labels)[:20])),
    )


def live_metrics(watch: ModelWatch, judged: Sequence[Judged], segment: str | None = None) -> dict[str, Any]:
    """How good the answers were of which the truth is known.

    Args:
        watch: of the model.
        judged: of its answers.
        segment: column by which the metrics are given for parts of the rows too, where rows are kept.

    Raises:
        ServingError: a column that is not kept.
    """
    since = min((each.judged for each in judged), default=None)
    out: dict[str, Any] = {
        "model_name": watch.name,
        "task": watch.task.name,
        "rows": len(judged),
        "since": None if since is None else dt.datetime.fromtimestamp(since, dt.UTC).isoformat(timespec="seconds"),
        "metrics": {},
    }
    if len(judged) < _MIN_ROWS:
        return out | {"note": f"too few to say (under {_MIN_ROWS} rows)"}
    answers = _answers(watch, judged)
    estimates = answers.estimates(_metrics(watch, answers))
    out["metrics"] = {name: each.to_dict() for name, each in estimates.items()}
    out["against_training"] = against_training(watch, judged)
    if segment is not None:
        parts = _segments(watch, judged, segment)
        out["segments"] = {"column": segment, "parts": [part.to_dict() for part in parts]}
    return out


def against_training(watch: ModelWatch, judged: Sequence[Judged]) -> dict[str, Any] | None:
    """How good the answers were, held against what the model promised of itself.

    Args:
        watch: of the model.
        judged: of the answers; those of other versions are left out.

    Returns:
        `metric`, `promised` and `live` with their intervals, `rows`, and `decayed`: whether the whole interval of the
        live metric is worse than the whole of the promised one. None where too little is known.
    """
    promised = watch.promised
    own = [each for each in judged if each.model_id == watch.model_id]
    if promised is None or len(own) < _MIN_ROWS:
        return None
    answers = _answers(watch, own)
    live = answers.estimates([each for each in _metrics(watch, answers) if each.name == promised.metric])
    found = live.get(promised.metric)
    if found is None or found.lower is None or found.upper is None:
        return None
    worse = found.upper < promised.lower if promised.greater_is_better else found.lower > promised.upper
    return {
        "metric": promised.metric,
        "promised": {"value": promised.value, "lower": promised.lower, "upper": promised.upper},
        "live": found.to_dict(),
        "rows": len(own),
        "decayed": bool(worse),
    }


def _segments(watch: ModelWatch, judged: Sequence[Judged], column: str) -> tuple[segments.Segment, ...]:
    with_rows = [each for each in judged if each.input is not None and column in each.input]
    if not with_rows:
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"no row with the column '{printable(column, 80)}' is kept",
            wanted="a column of the model, of rows that are kept",
            fix="--state-rows SHARE keeps rows beside their answers",
        )
    answers = _answers(watch, with_rows, column)
    return segments.segments_of(answers, column, _metrics(watch, answers)[:1])


def _answers(watch: ModelWatch, judged: Sequence[Judged], column: str | None = None) -> answered.Answers:
    """Truth and answers as metrics take them."""
    columns = pl.DataFrame()
    if column is not None:
        columns = pl.DataFrame({column: [(each.input or {})[column] for each in judged]}, strict=False)
    if watch.labels is None:
        y = np.array([each.truth for each in judged], dtype=np.float64)
        predicted = np.array([each.answer["prediction"] for each in judged], dtype=np.float64)
        return answered.Answers(watch.task.name, "", (), y, predicted, None, None, None, columns)
    places = {label: position for position, label in enumerate(watch.labels)}
    y = np.array([places[each.truth] for each in judged])
    given = [each.answer["prediction"] for each in judged]
    predicted = np.array([places[bool(value) if watch.labels == (False, True) else value] for value in given])
    shares = [each.answer.get("probabilities") for each in judged]
    known = None if any(share is None for share in shares) else np.array(shares, dtype=np.float64)
    return answered.Answers(watch.task.name, "", watch.labels, y, predicted, known, None, None, columns)


def _metrics(watch: ModelWatch, answers: answered.Answers) -> tuple[evaluation.Metric, ...]:
    """The metrics of the task that these answers have what is needed for, its default first."""
    without = answers.probabilities is None
    return tuple(
        each for each in evaluation.metrics_of(watch.task.name) if not (without and each.needs == "probabilities")
    )


def export_rows(judged: Sequence[Judged], target: str) -> pl.DataFrame:
    """Rows that are kept with what was true of them, oldest first, as a table to train on.

    Args:
        judged: latest first.
        target: name of the column of the truth.
    """
    rows: list[Mapping[str, Any]] = [
        {**each.input, target: each.truth} for each in reversed(judged) if each.input is not None
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.with_columns(_moments(table[name]) for name, dtype in table.schema.items() if dtype == pl.String)


def _moments(column: pl.Series) -> pl.Series:
    """A column of texts, or of the moments that all of them are."""
    moments = column.str.strptime(pl.Datetime("us"), MOMENT, strict=False)
    if moments.null_count() == len(column):
        moments = column.str.strptime(pl.Datetime("us", "UTC"), MOMENT + "%:z", strict=False)
    return moments if moments.null_count() == column.null_count() < len(column) else column
