"""Rows as points whose distances say how alike they are to a model: its embedding, its own features, or its columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, TableInputs
from lepton.core import ErrorCode, UsageError
from lepton.data import Dataset
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.choices import baseline_of, occurring
from lepton.evaluation.explain.inner import InnerPoint

__all__ = ["WAYS", "Points", "way_of"]

WAYS = ("embedding", "features", "columns")

_SCALE_ROWS = 5_000
_CELLS = 2**22  # differences that are held at once
_MOST_WIDE = 4_096


def way_of(predictor: Predictor, by: str | None) -> str:
    """What distances are of: what is asked for, or the first that the model has of `WAYS`.

    Raises:
        UsageError: the model has not what is asked for.
    """
    has = [
        name
        for name, there in (
            ("embedding", any(output.name == "embedding" for output in predictor.manifest.outputs)),
            ("features", isinstance(predictor.inputs, TableInputs) and "features" in predictor.manifest.inner),
            ("columns", isinstance(predictor.inputs, TableInputs)),
        )
        if there
    ]
    if by is None and has:
        return has[0]
    if by not in has:
        came = "the model has no embedding" if by is None else f"got by={by!r}"
        raise UsageError(
            ErrorCode.USAGE,
            came,
            wanted=f"one of {', '.join(has)}" if has else "a model of tables, or with an embedding",
        )
    return by


class Points:
    """What rows are to a model.

    Args:
        predictor: the model.
        by: one of `WAYS`.
        data: whose rows say how far numbers and features are spread.

    Attributes:
        by: what distances are of.
        notes: limits.
    """

    def __init__(self, predictor: Predictor, by: str, data: Dataset) -> None:
        self.by = by
        self.notes: list[str] = []
        self._predictor = predictor
        self._inner = InnerPoint(predictor) if by == "features" else None
        self._scale: Floats = np.ones(1)
        if self._inner is not None:
            points = self._inner.run(predictor.tensors(_sampled(predictor, data)))
            if points.shape[1] > _MOST_WIDE:
                self.notes.append(f"The model's {points.shape[1]:,} features are too many to compare; columns are.")
                self.by, self._inner = "columns", None
            else:
                self._scale = _scale(points)
                if still := int((self._scale == np.inf).sum()):
                    self.notes.append(f"{still:,} of {points.shape[1]:,} features do not vary and count nothing.")
        if self.by == "columns" and isinstance(predictor.inputs, TableInputs):
            known = {} if baseline_of(predictor) else occurring(predictor, predictor.inputs, data, 0)
            known = known or occurring(predictor, predictor.inputs, None, 0)
            spreads = [
                known[column.name].spread if column.name in known else 1.0 for column in predictor.inputs.numbers
            ]
            self._scale = np.array(spreads, dtype=np.float64)

    def of(self, rows: Any) -> dict[str, NDArray[Any]]:
        """Points of rows: `numbers` float64 [N, D], and of columns `strings` object [N, m] besides."""
        if self.by == "embedding":
            vectors = np.asarray(self._predictor.outputs(rows)["embedding"], dtype=np.float64)
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            return {"numbers": vectors / np.where(lengths > 0, lengths, 1.0)[:, None]}
        tensors = self._predictor.tensors(rows)
        if self._inner is not None:
            return {"numbers": self._inner.run(tensors) / self._scale}
        return {**tensors, **({"numbers": tensors["numbers"] / self._scale} if "numbers" in tensors else {})}

    def distances(self, asked: Mapping[str, NDArray[Any]], others: Mapping[str, NDArray[Any]]) -> Floats:
        """Distances [M, N] of M points from N others."""
        width = sum(points.shape[1] for points in asked.values())
        num_rows, num_others = (len(next(iter(points.values()))) for points in (asked, others))
        sums = np.zeros((num_rows, num_others))
        step = max(_CELLS // max(width, 1), 1)
        for row in range(num_rows):
            for start in range(0, num_others, step):
                part = slice(start, start + step)
                if "numbers" in asked:
                    sums[row, part] += _squares(asked["numbers"][row], others["numbers"][part])
                if "strings" in asked:
                    sums[row, part] += (others["strings"][part] != asked["strings"][row]).sum(axis=1)
        return sums / 2 if self.by == "embedding" else np.sqrt(sums / max(width, 1))


def _squares(point: Floats, others: Floats) -> Floats:
    """Sums of squared differences; a value that one has and the other has not counts 1."""
    with np.errstate(invalid="ignore", over="ignore"):
        squares = (others - point) ** 2
    gone = np.isnan(others)
    squares[gone != np.isnan(point)] = 1.0
    squares[gone & np.isnan(point)] = 0.0
    squares[others == point] = 0.0  # infinities
    return np.asarray(np.minimum(squares, 1e300).sum(axis=1), dtype=np.float64)


def _sampled(predictor: Predictor, data: Dataset) -> pl.DataFrame:
    if data.num_rows > _SCALE_ROWS:
        _, data = data.split(_SCALE_ROWS / data.num_rows, method="random", seed=0)
    return data.frame([column.name for column in predictor.manifest.inputs])


def _scale(points: Floats) -> Floats:
    """Deviation of each column; infinite where there is none, so that it counts nothing."""
    with np.errstate(invalid="ignore", over="ignore"):
        deviations = points.std(axis=0) if len(points) > 1 else np.zeros(points.shape[1])
    return np.where((deviations > 0) & np.isfinite(deviations), deviations, np.inf)
