"""Tables that other libraries wrap: Hugging Face datasets and scikit-learn's bundled sets, known by their shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from lepton.core import DataError, ErrorCode, UsageError
from lepton.data.decisions import DecisionRecord

__all__ = ["adapter_of"]

Adapted = tuple[Any, tuple[DecisionRecord, ...]]
"""A table of a kind that is read without help, and what was decided on the way."""


def adapter_of(table: Any) -> Callable[[Any], Adapted] | None:
    """What turns `table` into one that is read without help; None where nothing is needed or known.

    Objects are known by what they have, so that neither library is imported here.
    """
    if isinstance(table, Mapping):
        if type(table).__name__ == "Bunch" and "data" in table:
            return _bunch
        return _several_splits if table and all(map(_is_hugging_face, table.values())) else None
    return _hugging_face if _is_hugging_face(table) else None


def _is_hugging_face(table: Any) -> bool:
    return isinstance(getattr(table, "features", None), Mapping) and hasattr(table, "info")


def _several_splits(table: Any) -> Adapted:
    names = ", ".join(repr(str(name)) for name in table)
    first = next(iter(table))
    raise UsageError(ErrorCode.USAGE, f"got a dataset of the splits {names}", wanted="one of them", fix=f"[{first!r}]")


def _hugging_face(table: Any) -> Adapted:
    if not hasattr(table, "to_polars"):
        raise UsageError(
            ErrorCode.USAGE,
            f"got a {type(table).__name__} that streams",
            wanted="a dataset that can be read again",
            fix="load it without streaming=True, or write it to Parquet first",
        )
    frame = table.to_polars()
    decisions = []
    for name, feature in table.features.items():
        labels = getattr(feature, "names", None)
        if labels and frame[name].dtype.is_integer():
            frame = frame.with_columns(_labelled(frame[name], labels))
            decisions.append(_decoded(name, labels))
    return frame, tuple(decisions)


def _bunch(table: Any) -> Adapted:
    target = table.get("target")
    names = table.get("target_names")
    frame = table.get("frame")
    columns: dict[str, Any]
    if frame is not None:
        columns = {str(name): frame[name] for name in frame.columns}
    else:
        columns = {**_features(table), **_targets(target, names)}
    labels = [str(name) for name in names] if names is not None and np.ndim(names) == 1 else []
    values = None if target is None or len(labels) < 2 else pl.Series("target", np.asarray(columns.get("target", [])))
    if values is None or not values.dtype.is_integer():
        return columns, ()
    columns["target"] = _labelled(values, labels)
    return columns, (_decoded("target", labels),)


def _features(table: Any) -> dict[str, Any]:
    data = table["data"]
    if hasattr(data, "columns"):
        return {str(name): data[name] for name in data.columns}
    if hasattr(data, "toarray"):
        raise DataError(
            ErrorCode.UNREADABLE,
            f"got a sparse matrix of {data.shape[1]:,} columns",
            wanted="a table",
            fix="read the texts themselves",
        )
    values = np.asarray(data)
    if values.ndim == 1:
        return {"text": values}
    if values.ndim != 2:
        raise DataError(ErrorCode.WRONG_SHAPE, f"got data of the shape {values.shape}", wanted="two dimensions")
    names = table.get("feature_names")
    if names is None:
        names = [f"column_{number}" for number in range(1, values.shape[1] + 1)]
    return {str(name): values[:, number] for number, name in enumerate(names)}


def _targets(target: Any, names: Any) -> dict[str, Any]:
    if target is None:
        return {}
    values = np.asarray(target)
    if values.ndim == 2 and names is not None and len(names) == values.shape[1]:
        return {str(name): values[:, number] for number, name in enumerate(names)}
    return {"target": values}


def _labelled(codes: pl.Series, labels: list[str]) -> pl.Series:
    """The labels that the codes stand for; a code without one (such as -1, for "not known") is missing."""
    return codes.replace_strict(dict(enumerate(labels)), default=None, return_dtype=pl.String).alias(codes.name)


def _decoded(name: str, labels: list[str]) -> DecisionRecord:
    shown = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
    return DecisionRecord(name, "labels", "names instead of codes", f"the set says what they mean: {shown}")
