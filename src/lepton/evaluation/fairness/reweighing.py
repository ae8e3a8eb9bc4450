"""Reweighing: weights for training under which the label does not depend on the group.

Source: Kamiran & Calders, "Data preprocessing techniques for classification without discrimination" (2012), section 4.
A row of group a with label y weighs P(a) · P(y) / P(a, y). It changes nobody's data and nobody's label, and is a step
that the caller takes and can show: nothing here happens by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lepton.core import DataError, ErrorCode, Role, UsageError, check_label, printable
from lepton.data import Dataset, read
from lepton.evaluation.fairness.groups import BOTH, names_of, parts_by, unknown_column
from lepton.evaluation.fairness.result import LAW
from lepton.evaluation.segments import MAX_VALUES
from lepton.report import plain_table

__all__ = ["Reweighing", "reweigh"]

COLUMN = "fairness_weight"


@dataclass(frozen=True, slots=True)
class Reweighing:
    """A table with a column of weights, and the record of what was done.

    Attributes:
        data: the table with one column more, whose role is weight.
        protected: columns whose groups were made independent of the label.
        target: column of the label.
        column: name of the column of weights.
        factors: (group, label, rows, factor) for each pair that occurs.
        effective_rows: rows that weigh as much together: (Σw)² / Σw² (Kish 1965).
        fingerprint: of the data before.
        notes: what limits it.
    """

    data: Dataset
    protected: tuple[str, ...]
    target: str
    column: str
    factors: tuple[tuple[str, str, int, float], ...]
    effective_rows: float
    fingerprint: str
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The record, JSON-ready: keep it beside the model."""
        return {
            "kind": "reweighing",
            "source": "Kamiran & Calders 2012",
            "protected": list(self.protected),
            "target": self.target,
            "column": self.column,
            "factors": [
                {"group": group, "label": label, "num_rows": num, "factor": factor}
                for group, label, num, factor in self.factors
            ],
            "effective_rows": self.effective_rows,
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        head = f"Weights in {printable(self.column)!r}: as if {', '.join(map(printable, self.protected))} said nothing "
        head += f"of {printable(self.target)!r}."
        rows = f"The rows weigh as much as {self.effective_rows:,.0f} equal ones."
        return "\n".join(
            [head, "", plain_table(("group", "label", "rows", "factor"), self.factors), "", rows, *self.notes]
        )


def reweigh(
    dataset: Dataset,
    protected: str | Sequence[str],
    *,
    target: str | None = None,
    edges: Mapping[str, Sequence[float]] | None = None,
    column: str = COLUMN,
) -> Reweighing:
    """Weights under which the label does not depend on the group, as a column of the table.

    Train on what comes out as on any table; the weights are used because of their role. Whether it helps is for
    `Model.fairness` to say, on rows that the model has not seen.

    Args:
        dataset: rows to train on; weights that it has already are multiplied.
        protected: one column, or several whose groups are crossed.
        target: column of the label; by default the one whose role is target.
        edges: column of numbers → rising places to cut it at; by default its quartiles.
        column: name of the new column.

    Raises:
        DataError: a column that is not there; no row with a label.
        UsageError: a target of numbers, a name that is taken, edges that cannot be meant.
    """
    names, aim = _columns(dataset, protected, target, column)
    frame = dataset.frame()
    weights = [each.name for each in dataset.schema.of_role(Role.WEIGHT)]
    before = frame[weights[0]].cast(pl.Float64).fill_null(0.0).to_numpy() if weights else np.ones(frame.height)
    group, groups = _groups(frame, names, edges or {})
    labels = frame[aim].drop_nulls().unique().sort().to_list()
    if frame[aim].dtype.is_numeric() and len(labels) > MAX_VALUES:
        raise UsageError(
            ErrorCode.USAGE,
            f"the target {printable(aim)!r} holds {len(labels):,} numbers",
            wanted="a target of labels: reweighing makes labels and groups independent",
        )
    if not labels:
        raise DataError(ErrorCode.TOO_FEW_ROWS, f"no row has a {printable(aim)!r}", wanted="rows with the target")
    label = frame[aim].replace_strict(labels, range(len(labels)), default=-1, return_dtype=pl.Int64)
    place = label.fill_null(-1).to_numpy()
    factors, counts = _factors(group, place, before, len(groups), len(labels))
    known = place >= 0
    found = np.where(known, before * factors[group, np.maximum(place, 0)], before)
    records = tuple(
        (name, str(each), int(counts[row, at]), float(factors[row, at]))
        for row, name in enumerate(groups)
        for at, each in enumerate(labels)
        if counts[row, at]
    )
    roles = {each.name: each.role for each in dataset.schema} | dict.fromkeys(weights, Role.IGNORED)
    data = read(
        frame.with_columns(pl.Series(column, found)),
        kinds={each.name: each.kind for each in dataset.schema} | {column: "number"},
        roles={**roles, column: Role.WEIGHT},
    )
    empty = [f"{name} with {each}" for row, name in enumerate(groups) for at, each in enumerate(labels)
             if not counts[row, at]]  # fmt: skip
    notes = [f"No row is {printable(', '.join(empty[:5]), 300)}: no weight can make up for it."] if empty else []
    notes += [f"{int((~known).sum()):,} rows without a target keep their weight."] if not known.all() else []
    used = found[found > 0]
    return Reweighing(
        data,
        names,
        aim,
        column,
        records,
        float(used.sum() ** 2 / (used**2).sum()) if len(used) else 0.0,
        dataset.fingerprint(),
        (*notes, LAW),
    )


def _columns(
    dataset: Dataset, protected: str | Sequence[str], target: str | None, column: str
) -> tuple[tuple[str, ...], str]:
    """The protected columns and the target."""
    names = names_of((protected,) if isinstance(protected, str) else protected)
    told = dataset.schema.of_role(Role.TARGET)
    aim = target or (told[0].name if len(told) == 1 else None)
    if aim is None:
        raise UsageError(ErrorCode.USAGE, "the data does not say which column is the target", fix="give target=")
    for name in (*names, aim):
        if name not in dataset.schema:
            raise unknown_column(name, dataset.schema.names, taken=True)
    if check_label(column, "name of the column") in dataset.schema:
        raise UsageError(ErrorCode.USAGE, f"the data has a column {column!r} already", fix="give another column=")
    if aim in names:
        came = f"the target {printable(aim)!r} is named as protected"
        raise UsageError(ErrorCode.USAGE, came, wanted="columns that say who belongs to which group")
    return names, aim


def _groups(
    frame: pl.DataFrame, names: Sequence[str], edges: Mapping[str, Sequence[float]]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[str]]:
    """Number of the group of each row [N], and what the groups are called."""
    group, called = np.zeros(frame.height, dtype=np.int64), [""]
    for name in names:
        parts = parts_by(frame[name], edges.get(name))
        own = np.zeros(frame.height, dtype=np.int64)
        for number, (_, rows) in enumerate(parts):
            own[rows] = number
        group = group * len(parts) + own
        called = [f"{first}{BOTH}{value}" if first else value for first in called for value, _ in parts]
    return group, called


def _factors(group: Any, label: Any, weight: Any, num_groups: int, num_labels: int) -> tuple[Any, Any]:
    """P(a) · P(y) / P(a, y) for each group and label, and the numbers of rows [groups, labels]."""
    known = label >= 0
    cell = group[known] * num_labels + label[known]
    size = num_groups * num_labels
    mass = np.bincount(cell, weights=weight[known], minlength=size).reshape(num_groups, num_labels)
    counts = np.bincount(cell, minlength=size).reshape(num_groups, num_labels)
    expected = mass.sum(axis=1, keepdims=True) * mass.sum(axis=0) / max(mass.sum(), 1e-300)
    factors = np.divide(expected, mass, out=np.ones_like(expected), where=mass > 0)
    return factors, counts
