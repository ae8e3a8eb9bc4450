"""Plain JSON rows: `[{"column": value, …}, …]` in, predictions with their probabilities out."""

from __future__ import annotations

from typing import Any

from lepton.bundle import Predictor
from lepton.core import ErrorCode, SchemaError, ServingError, printable

__all__ = ["answer_rows"]

_SCALARS = frozenset({str, int, float, bool, type(None)})
# Rows wider than this are refused before anything is told about their single columns.
_SPARE_COLUMNS = 100


def answer_rows(name: str, predictor: Predictor, body: Any) -> dict[str, Any]:
    """The answer to rows.

    Args:
        name: of the model.
        predictor: the model.
        body: an array of objects, `{"rows": [...]}`, or one object, which is one row.

    Returns:
        `model_name`, `predictions` and, for a classifier, `probabilities` (an object from label to probability for each
        row); further outputs of the model under their own names.

    Raises:
        ServingError: a body of another shape.
        SchemaError: rows that are not the model's.
    """
    answers = predictor.outputs(_rows(body, len(predictor.inputs.names)))
    predictions = answers.pop(predictor.task.answer)
    if predictor.labels == (False, True):  # the graph of a boolean target answers 0 and 1
        predictions = predictions.astype(bool)
    out: dict[str, Any] = {"model_name": name, "predictions": predictions.tolist()}
    probabilities = answers.pop("probabilities", None)
    if probabilities is not None:
        labels = predictor.label_names
        out["probabilities"] = [dict(zip(labels, row, strict=True)) for row in probabilities.tolist()]
    out.update((output, values.tolist()) for output, values in answers.items())
    return out


def _rows(body: Any, num_columns: int) -> list[dict[str, Any]]:
    if isinstance(body, dict):
        rows = body["rows"] if isinstance(body.get("rows"), list) and len(body) == 1 else [body]
    else:
        rows = body
    if not isinstance(rows, list) or not rows:
        raise ServingError(
            ErrorCode.BAD_REQUEST, "the body holds no rows", wanted='[{"column": value, …}, …], one object for each row'
        )
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ServingError(ErrorCode.BAD_REQUEST, f"row {position} is no object", wanted='{"column": value, …}')
        if len(row) > 2 * num_columns + _SPARE_COLUMNS:
            raise SchemaError(
                ErrorCode.EXTRA_COLUMNS,
                f"row {position} has {len(row)} columns",
                wanted=f"the {num_columns} columns of the model",
                details={"row": position},
            )
        if not _SCALARS.issuperset(map(type, row.values())):
            column, value = next((c, v) for c, v in row.items() if type(v) not in _SCALARS)
            kind = "an array" if isinstance(value, list) else "an object"
            raise SchemaError(
                ErrorCode.WRONG_KIND,
                f"the column '{printable(column, 80)}' of row {position} is {kind}",
                wanted="a number, text, true, false or null",
                details={"column": column[:128], "row": position},
            )
    return rows
