"""The statistics that a model carries of the data it was trained on: what later rows are compared with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lepton.core import BundleError, ErrorCode, Kind, Role, Schema
from lepton.data.statistics.columns import ColumnStatistics

__all__ = ["Baseline", "output_columns"]

_MAX_OUTPUT_COLUMNS = 32
_MEMBERS = ("inputs.json", "outputs.json")


@dataclass(frozen=True, slots=True)
class Baseline:
    """Summaries of a model's input columns on its training rows, and of its outputs on validation rows.

    Attributes:
        inputs: one summary for each feature, in the schema's order.
        outputs: one for each output; `probabilities[2]` is the column of the third class, and beyond 32 columns only
            the largest of each row is kept, as `probabilities[max]`.
    """

    inputs: tuple[ColumnStatistics, ...]
    outputs: tuple[ColumnStatistics, ...] = ()

    @classmethod
    def of(cls, frame: pl.DataFrame, schema: Schema, outputs: Mapping[str, npt.ArrayLike]) -> Baseline:
        """Statistics of the features in `frame` and of the model's answers.

        Args:
            frame: training rows, typed as `schema` says.
            schema: its columns; those of role feature are described.
            outputs: name of the output → array [n] or [n, k] on validation rows.
        """
        inputs = []
        for column in schema.of_role(Role.FEATURE):
            statistics = ColumnStatistics(column.name, column.kind)
            statistics.update(frame[column.name])
            inputs.append(statistics)
        answers = [column for name, values in outputs.items() for column in output_columns(name, np.asarray(values))]
        return cls.summarising(inputs, answers)

    @classmethod
    def summarising(cls, inputs: Iterable[ColumnStatistics], outputs: Iterable[ColumnStatistics] = ()) -> Baseline:
        """A baseline from statistics that were gathered in batches."""
        return cls(tuple(c.summary() for c in inputs), tuple(c.summary() for c in outputs))

    def to_members(self) -> dict[str, bytes]:
        """Members of a bundle's `baseline/`: about 2 kB for a number, at most 64 kB for any column."""
        parts = zip(_MEMBERS, (self.inputs, self.outputs), strict=True)
        return {name: _to_json({"format": 1, "columns": [c.to_dict() for c in columns]}) for name, columns in parts}

    @classmethod
    def from_members(cls, members: Mapping[str, bytes]) -> Baseline:
        """Read what `to_members` wrote; `BundleError` on anything else."""
        try:
            return cls(*(_columns(members[name]) for name in _MEMBERS))
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise BundleError(
                ErrorCode.BUNDLE_DAMAGED,
                f"the baseline cannot be read ({type(error).__name__}: {error})",
                wanted=f"the members {' and '.join(_MEMBERS)} as training writes them",
            ) from None


def _columns(data: bytes) -> tuple[ColumnStatistics, ...]:
    raw = json.loads(data)
    if raw["format"] != 1:
        raise ValueError(f"format {raw['format']!r}, wanted 1")
    return tuple(ColumnStatistics.from_dict(column) for column in raw["columns"])


def _to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode()


def output_columns(name: str, values: npt.NDArray[Any]) -> list[ColumnStatistics]:
    """Statistics of an output [n] or [n, k]; see `Baseline`."""
    if values.ndim == 2 and values.shape[1] > _MAX_OUTPUT_COLUMNS:
        parts = {f"{name}[max]": values.max(axis=1)}
    elif values.ndim == 2:
        parts = {f"{name}[{position}]": values[:, position] for position in range(values.shape[1])}
    else:
        parts = {name: values}
    out = []
    for label, part in parts.items():
        numeric = part.dtype.kind == "f"
        column = ColumnStatistics(label, Kind.NUMBER if numeric else Kind.CATEGORY)
        column.update(pl.Series(part.astype(np.float64)) if numeric else pl.Series([str(v) for v in part.tolist()]))
        out.append(column)
    return out
