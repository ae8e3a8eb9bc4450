"""Features of tree models, plain numbers or categories that a library has turned into codes; and rows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ColumnRecord, Kind
from lepton.training.importers.base import Asked
from lepton.training.importers.rows import MADE_ROWS, TableSample, sample_table
from lepton.training.trees import Forest

__all__ = ["Coded", "sampled"]


@dataclass(frozen=True)
class Coded:
    """A feature of a tree model.

    Attributes:
        name: of the column.
        values: texts or numbers of a category, in the order of the library's codes; None for a plain number.
    """

    name: str
    values: tuple[str, ...] | tuple[float, ...] | None = None

    @property
    def column(self) -> ColumnRecord:
        """The column of the bundle."""
        texts = bool(self.values) and isinstance((self.values or ("",))[0], str)
        return ColumnRecord(self.name, Kind.CATEGORY, "string") if texts else ColumnRecord(self.name, Kind.NUMBER)


def sampled(asked: Asked, features: Sequence[Coded], forest: Forest) -> tuple[TableSample, NDArray[np.float64]]:
    """The rows to check with, and the matrix [N, F] of numbers and codes that the library takes for them.

    Where the user gives none, they are made: at the thresholds of the trees, beside them, and missing.
    """
    columns = [feature.column for feature in features]
    if asked.sample is not None:
        given = sample_table(asked.sample, [feature.name for feature in features], len(features))
        sample = TableSample.of(given.rows, columns)
        return sample, _matrix(sample, features)
    rng = np.random.default_rng(asked.work.seed_for("import"))
    matrix = _made_numbers(forest, rng, MADE_ROWS)
    rows: dict[str, list[Any]] = {}
    for place, feature in enumerate(features):
        if feature.values is None:
            rows[feature.name] = matrix[:, place].tolist()
        else:
            codes = rng.integers(-1, len(feature.values), MADE_ROWS)
            rows[feature.name] = [None if code < 0 else feature.values[code] for code in codes]
    sample = TableSample.of(rows, columns, made=True)
    return sample, _matrix(sample, features)


def _matrix(sample: TableSample, features: Sequence[Coded]) -> NDArray[np.float64]:
    """The columns with codes for categories, NaN for values that are none of them."""
    places = {c.name: p for group in (sample.inputs.numbers, sample.inputs.strings) for p, c in enumerate(group)}
    columns = []
    for feature in features:
        tensor = sample.tensors["numbers" if feature.column.kind is Kind.NUMBER else "strings"]
        column = tensor[:, places[feature.name]]
        if feature.values is not None:
            codes = {value: float(code) for code, value in enumerate(feature.values)}
            column = np.array([codes.get(value, np.nan) for value in column.tolist()])
        columns.append(column.astype(np.float64))
    return np.column_stack(columns)


def _made_numbers(forest: Forest, rng: np.random.Generator, num_rows: int) -> NDArray[np.float64]:
    """Rows [N, F] that try a forest where it decides: at thresholds, one ulp beside them, far off, and missing.

    Columns of categories get members of the sets, codes that are in none, and missing.
    """
    rows = np.zeros((num_rows, forest.num_features))
    sets = np.split(forest.members, np.cumsum(forest.set_sizes)[:-1])
    for feature in range(forest.num_features):
        nodes = np.flatnonzero(forest.features == feature)
        if forest.is_set[nodes].any():
            known = np.concatenate([sets[node] for node in nodes if forest.is_set[node]]).astype(np.float64)
            values = np.concatenate([known, [np.nan, known.max() + 1.0, 0.0]])
        else:
            at = forest.thresholds[nodes]
            at = at[np.isfinite(at)]
            values = np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), at * 1.5, -at])
            values = np.concatenate([values, [np.nan, 0.0, 1.0, -1.0, 1e6, -1e6]])
        rows[:, feature] = rng.choice(values, num_rows)
    return rows
