"""Pictures, sounds, texts and arrays of a request to a model that takes no table."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import TensorInputs
from lepton.core import ErrorCode, Kind, SchemaError, ServingError, printable
from lepton.serving.protocols.media import KIND_OF_FILE, Media
from lepton.serving.protocols.tensors import Tensor

__all__ = ["cell_tensors", "cells_of_rows", "file_cells"]

_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)


def file_cells(inputs: Any, media: Media, body: bytes) -> list[bytes]:
    """The one row that a body is, which is a file itself.

    Raises:
        ServingError: UNSUPPORTED_MEDIA_TYPE, the model takes no such files.
    """
    kind = KIND_OF_FILE[media.essence]
    if not isinstance(inputs, TensorInputs) or inputs.kind is not kind or not (inputs.decodes or kind is Kind.TEXT):
        taken = [name for name, of in KIND_OF_FILE.items() if isinstance(inputs, TensorInputs) and of is inputs.kind]
        raise ServingError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {media.essence}",
            wanted=", ".join(taken) if taken else "rows of a table: application/json",
        )
    if not body:
        raise ServingError(ErrorCode.BAD_REQUEST, "the body is empty", wanted="the bytes of a file")
    return [body]


def cells_of_rows(inputs: TensorInputs, rows: Any) -> list[Any]:
    """What stands in the model's column, of rows in JSON or a table: texts as they are, files taken out of base64.

    Raises:
        SchemaError: a row without the column, one that is no base64, a model that has no column.
    """
    if inputs.column is None or not (inputs.decodes or inputs.kind is Kind.TEXT):
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            "rows were sent to a model that takes tensors",
            wanted="; ".join(map(str, inputs.records)),
            fix="send them to …/infer, by the Open Inference Protocol",
        )
    name = inputs.column.name
    if isinstance(rows, pl.DataFrame):
        rows = rows.to_dicts()
    cells = []
    for position, row in enumerate(rows):
        if set(row) != {name}:
            raise SchemaError(
                ErrorCode.MISSING_COLUMNS if name not in row else ErrorCode.EXTRA_COLUMNS,
                f"row {position} has the columns [{', '.join(printable(str(c), 40) for c in list(row)[:5])}]",
                wanted=f"'{printable(name)}' alone",
                details={"row": position},
            )
        cells.append(_cell(inputs, row[name], position))
    return cells


def _cell(inputs: TensorInputs, value: Any, position: int) -> Any:
    if inputs.kind is Kind.TEXT or isinstance(value, bytes):
        return value
    try:
        if not isinstance(value, str):
            raise ValueError("no text")
        start = _DATA_URI.match(value)
        return base64.b64decode(value[start.end() :] if start else value, validate=True)
    except (binascii.Error, ValueError):
        raise SchemaError(
            ErrorCode.BAD_VALUE,
            f"row {position} (counted from 0) is no base64",
            wanted="the bytes of the file in base64, or as a data URI",
            fix="send a single file as it is: curl --data-binary @FILE -H 'content-type: image/jpeg'",
            details={"row": position},
        ) from None


def cell_tensors(inputs: TensorInputs, tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """What the graph takes: its tensors, or one of BYTES with a file or a text for each row.

    Raises:
        SchemaError: what does not fit the model.
    """
    first = next(iter(tensors.values()))
    if len(tensors) == 1 and first.datatype == "BYTES" and (inputs.decodes or inputs.kind is Kind.TEXT):
        if first.shape[1:] not in {(), (1,)}:
            raise SchemaError(
                ErrorCode.WRONG_SHAPE,
                f"the input '{printable(first.name)}' has the shape {list(first.shape)}",
                wanted="[N] or [N, 1]: a file or a text for each row",
            )
        return inputs.tensors([_cell(inputs, value, row) for row, value in enumerate(first.values)])
    known = {record.name for record in inputs.records}
    if unknown := [name for name in tensors if name not in known]:
        raise SchemaError(
            ErrorCode.WRONG_KIND,
            f"the input '{printable(unknown[0])}' is {tensors[unknown[0]].datatype}",
            wanted="BYTES for the column, or the graph's tensors: " + "; ".join(map(str, inputs.records)),
        )
    return inputs.of_tensors({name: _array(tensor) for name, tensor in tensors.items()})


def _array(tensor: Tensor) -> NDArray[Any]:
    if tensor.datatype == "BYTES":
        return tensor.texts()
    values = tensor.values
    if isinstance(values, list):
        if None in values and tensor.dtype.kind != "f":
            raise SchemaError(
                ErrorCode.BAD_VALUE, f"the input '{printable(tensor.name)}' holds null", wanted=tensor.datatype
            )
        values = np.asarray(values, dtype=np.float64 if tensor.dtype.kind == "f" else None).astype(tensor.dtype)
    return values.reshape(tensor.shape)
