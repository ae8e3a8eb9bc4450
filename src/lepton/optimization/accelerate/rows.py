"""Rows to measure with: of the caller's data, or made as the model's schema says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor, SeriesInputs, TensorInputs
from lepton.core import ErrorCode, UsageError
from lepton.serving.load import rows_like

__all__ = ["first_rows", "rows_to_measure", "take_rows"]

_MOST_TOKEN = 100


def rows_to_measure(predictor: Predictor, count: int, seed: int, rows: Any = None) -> dict[str, NDArray[Any]]:
    """Tensors of at most `count` rows.

    Args:
        predictor: the model.
        count: how many, at least 1.
        seed: of rows that are made: numbers by chance, for tables as the statistics in the bundle say.
        rows: of the caller, in any container that the model takes; None makes some.

    Raises:
        UsageError: no rows came.
        SchemaError: the rows do not fit.
    """
    if rows is None:
        return _made(predictor, count, seed)
    tensors = predictor.tensors(first_rows(rows, count))
    if not len(next(iter(tensors.values()))):
        raise UsageError(ErrorCode.USAGE, "got no rows to measure with", wanted="at least one row")
    ragged = [name for name, tensor in tensors.items() if tensor.dtype == object and tensor.ndim == 1]
    if ragged and isinstance(tensors[ragged[0]][0], np.ndarray):  # rows of unequal shape cannot be asked at once
        return {name: np.stack([tensor[0]]) if name in ragged else tensor[:1] for name, tensor in tensors.items()}
    return tensors


def take_rows(tensors: dict[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
    """The first `count` rows, repeated where there are fewer."""
    num_rows = len(next(iter(tensors.values())))
    places = np.arange(count) % num_rows
    return {name: np.ascontiguousarray(tensor[places]) for name, tensor in tensors.items()}


def first_rows(rows: Any, count: int) -> Any:
    """The first of them, in the container that they came in."""
    if isinstance(rows, Mapping):
        return {name: values[:count] if hasattr(values, "__len__") else values for name, values in rows.items()}
    return rows.slice(0, count) if hasattr(rows, "slice") else rows[:count]  # Polars and Arrow; all others


def _made(predictor: Predictor, count: int, seed: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    if isinstance(predictor.inputs, SeriesInputs):
        return {"series": random.normal(size=(count, predictor.inputs.length, predictor.inputs.width))}
    if not isinstance(predictor.inputs, TensorInputs):
        return predictor.tensors(rows_like(predictor.bundle, count, seed))
    example = predictor.inputs.example()
    made = {name: _like(tensor, name, count, random) for name, tensor in example.items()}
    try:
        predictor.run(made)
    except Exception:  # noqa: BLE001 - indices that a graph does not know: zeros are always among them
        made = {name: np.repeat(tensor, count, axis=0) for name, tensor in example.items()}
    return made


def _like(tensor: NDArray[Any], name: str, count: int, random: np.random.Generator) -> NDArray[Any]:
    shape = (count, *tensor.shape[1:])
    if tensor.dtype.kind == "f":
        return random.normal(size=shape).astype(tensor.dtype)
    if tensor.dtype == np.uint8:
        return random.integers(0, 256, shape, dtype=np.uint8)
    if tensor.dtype.kind in "iu" and name != "mask":
        return random.integers(0, _MOST_TOKEN, shape).astype(tensor.dtype)
    return np.repeat(tensor, count, axis=0)
