"""Plain rows, as JSON or as a table of another form: rows in, predictions with their probabilities out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import polars as pl

from lepton.bundle import Predictor, SeriesInputs, TableInputs, TensorInputs
from lepton.bundle.prepared import PreparedRun
from lepton.core import ErrorCode, SchemaError, ServingError, printable
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import JSON, Request, Response, json_response
from lepton.serving.protocols.call import Answers, Call
from lepton.serving.protocols.cells import cells_of_rows, file_cells
from lepton.serving.protocols.media import CSV, FILES, MULTIPART, TABLES, Media, media_of, wanted_media
from lepton.serving.protocols.multipart import read_file
from lepton.serving.protocols.tables import TableReader, write_table
from lepton.serving.strict_json import are_short, are_small, dump, parse

__all__ = ["RowForm", "RowReader"]

_PLAIN = frozenset({float, int})
_SCALARS = frozenset({str, int, float, bool, type(None)})
# Rows wider than this are refused before anything is told about their single columns.
_SPARE_COLUMNS = 100


class RowReader:
    """Reads requests with rows; safe to call from several threads.

    Args:
        tables: reads those that are no JSON.
    """

    def __init__(self, tables: TableReader | None = None) -> None:
        self._tables = tables or TableReader()

    def close(self) -> None:
        """End what reads tables."""
        self._tables.close()

    def read(self, served: ServedModel, request: Request) -> Call:
        """The call that a request with rows asks for.

        The body is JSON (an array of objects, `{"rows": [...]}`, with `"outputs": [...]` if some are wanted by name, or
        one object, which is one row), a table as CSV, Arrow or Parquet, or a form with one such file; for a model of
        pictures, sounds or texts such a file itself. The answer in JSON has `model_name`, `model_version`,
        `predictions` (of several labels an object from label to whether it holds) and, of a classifier, `probabilities`
        (an object from label to probability for each row) and, where it gives them, `sets` (the labels in the set of
        each row); further outputs of the model stand under their own names, `embedding` where it is asked for. In
        another form it is a table with a row for each row.

        Raises:
            ServingError: a body of another shape, or a model that is not ready.
            SchemaError: rows that are not the model's.
        """
        predictor = served.predictor
        given, wanted = request.headers.get("content-type"), wanted_media(request.headers)
        num_columns = len(predictor.inputs.names)
        outputs = served.row_outputs
        if given is None or given == JSON:
            body = parse(request.body)
            if isinstance(body, dict) and body.keys() == {"rows", "outputs"}:
                outputs, body = _outputs(body["outputs"], served), body["rows"]
            rows: Any = _rows(body, num_columns)
        else:
            rows = _form(media_of(given), request.body, predictor.inputs, self._tables)
        if isinstance(predictor.inputs, TensorInputs) and not _is_file(rows):
            rows = cells_of_rows(predictor.inputs, rows)
        if wanted == JSON:
            if served.row_form is None:
                served.row_form = RowForm.of(served, predictor) or False
            return Call(served, predictor.tensors(rows), outputs, partial(_respond, served))
        if isinstance(predictor.inputs, SeriesInputs):
            packed = predictor.inputs.pack_rows(predictor.inputs.read(rows))
            respond = partial(_respond_table, served, wanted, partial(predictor.inputs.frame, packed))
            return Call(served, {"series": packed.tensor}, outputs, respond)
        respond = partial(_respond_table, served, wanted, predictor.answer_columns)
        return Call(served, predictor.tensors(rows), outputs, respond)


class RowForm:
    """One row of numbers to a small model, in JSON: read without a look at each cell.

    Attributes:
        prepared: what runs the model; for the thread of the loop alone.
        respond_prepared: makes the response of its answers.
    """

    def __init__(self, served: ServedModel, of_row: Callable[[dict[str, Any]], Any], prepared: PreparedRun) -> None:
        self.prepared = prepared
        self.respond_prepared: Callable[[Answers], Response] = partial(_respond, served)
        if [*prepared.answers] == ["prediction"] and served.described.labels is None and not served.parameters:
            self.respond_prepared = self._respond_number
            fixed = dump({"model_name": served.name, "model_version": served.version, "predictions": []})
            self._before, self._behind = fixed.removesuffix(b"[]}"), b"}"
        self._of_row = of_row

    @classmethod
    def of(cls, served: ServedModel, predictor: Predictor) -> RowForm | None:
        """The form of a model whose columns are numbers and whose rows are quick; None of others."""
        of_row = predictor.inputs.of_row if isinstance(predictor.inputs, TableInputs) else None
        prepared = None if of_row is None else served.prepared_for(served.row_outputs)
        return None if of_row is None or prepared is None else cls(served, of_row, prepared)

    def take(self, body: bytes) -> bool:
        """Have the row of a body run next; False where it is not surely one row of numbers with each column once."""
        width = self.prepared.width
        # As many quotation marks as those around each name: none stands twice, and there is no text beside them.
        if body.count(b'"') != 2 * width or not are_short(body, 0, len(body)):
            return False
        try:
            row = orjson.loads(body)
            row = row[0] if type(row) is list and len(row) == 1 else row
            if type(row) is not dict or len(row) != width:
                return False
            values = self._of_row(row)
        except (orjson.JSONDecodeError, KeyError):
            return False
        return (
            _PLAIN.issuperset(map(type, values))
            and self.prepared.take(values)
            and are_small(values, self.prepared.values)
        )

    def _respond_number(self, answers: Answers) -> Response:
        return Response(200, b"%b%b%b" % (self._before, dump(answers["prediction"].tolist()), self._behind))


def _is_file(rows: Any) -> bool:
    return isinstance(rows, list) and isinstance(rows[0], bytes)


def _form(media: Media, body: bytes, inputs: Any, tables: TableReader) -> Any:
    """Rows of a body that says of what type it is."""
    num_columns = len(inputs.names)
    if media.essence == MULTIPART:
        media, body = read_file(body, media)
    if media.essence in FILES:
        return file_cells(inputs, media, body)
    if media.essence not in TABLES:
        return _rows(parse(body), num_columns)
    frame = tables.read(media, body, 2 * num_columns + _SPARE_COLUMNS)
    if not frame.height:
        raise ServingError(ErrorCode.BAD_REQUEST, "the body holds no rows", wanted="at least one")
    return frame


def _respond_table(
    served: ServedModel, wanted: str, table: Callable[[Answers], pl.DataFrame], answers: Answers
) -> Response:
    content_type = f"{CSV}; charset=utf-8" if wanted == CSV else wanted
    headers = (("x-model-version", served.version),)
    return Response(200, write_table(table(answers), wanted), content_type, headers)


def _respond(served: ServedModel, answers: Answers) -> Response:
    predictor = served.described
    left = dict(answers)
    out: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    predictions = left.pop(predictor.answer, None)
    if predictions is not None:
        if predictor.labels == (False, True):  # the graph of a boolean target answers 0 and 1
            predictions = predictions.astype(bool)
        given: list[Any] = predictions.tolist()
        if predictor.task.several:
            given = [dict(zip(predictor.label_names, map(bool, row), strict=True)) for row in given]
        out["predictions"] = given
    if served.parameters:
        out["parameters"] = served.parameters
    probabilities = left.pop("probabilities", None)
    if probabilities is not None:
        labels = predictor.label_names
        out["probabilities"] = [dict(zip(labels, row, strict=True)) for row in probabilities.tolist()]
    members = left.pop("set", None)
    if members is not None:
        out["sets"] = [[label for label, own in zip(predictor.label_names, row, strict=True) if own] for row in members]
    out.update((output, values.tolist()) for output, values in left.items())
    return json_response(out)


def _outputs(asked: object, served: ServedModel) -> list[str]:
    """The outputs that a request wants, in the order of the model."""
    if not isinstance(asked, list) or not asked or not all(name in served.output_names for name in asked):
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"the outputs are {printable(repr(asked), 80)}",
            wanted="names in an array, some of " + ", ".join(served.output_names),
        )
    return [name for name in served.output_names if name in asked]


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
