"""What quantiles, several labels and rankings ask of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Kind, Role, Schema, UsageError, check_label
from lepton.data import Dataset, read
from lepton.evaluation import flags_of_texts, labels_of_texts

__all__ = ["FURTHER", "QUANTILES", "check_quantiles", "check_relevance", "label_columns", "spelt_out"]

FURTHER = ("quantile", "multilabel", "ranking")
"""Tasks that a small portfolio learns, and other settings of its learners, tried in turn."""

QUANTILES = (0.1, 0.5, 0.9)
"""Shares that are learned where none are given."""

_MOST_QUANTILES = 21
_MOST_LABELS = 200
_MOST_RELEVANCE = 30  # LightGBM knows gains up to that of 2^31


def check_quantiles(asked: Any) -> tuple[float, ...]:
    """The shares of quantiles, rising.

    Raises:
        UsageError: they are no shares between 0 and 1, or one stands twice.
    """
    found = asked if isinstance(asked, Sequence | np.ndarray) and not isinstance(asked, str) else (asked,)
    known = all(isinstance(share, int | float) and not isinstance(share, bool) and 0.0 < share < 1.0 for share in found)
    if not known or not 1 <= len(found) <= _MOST_QUANTILES or len(set(found)) < len(found):
        raise UsageError(
            ErrorCode.USAGE,
            f"got quantiles={asked!r}",
            wanted=f"1 to {_MOST_QUANTILES} different shares between 0 and 1",
            fix="quantiles=(0.1, 0.5, 0.9)",
        )
    return tuple(sorted(float(share) for share in found))


def check_relevance(name: str, values: NDArray[np.float64], schema: Schema) -> None:
    """Raise `DataError` unless the target says how relevant rows are, and a column of which query they are."""
    if not schema.of_role(Role.GROUP):
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"nothing says which rows of {name!r} are ranked against each other",
            wanted="a column with the role group: the query of each row",
            fix="group= (--group): the column of queries",
        )
    bad = np.flatnonzero((values != np.floor(values)) | (values < 0) | (values > _MOST_RELEVANCE))
    if bad.size:
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"the target {name!r} holds {values[bad[0]]:g}",
            wanted=f"how relevant a row is: a whole number from 0 (not at all) to {_MOST_RELEVANCE}, such as 0 to 4",
            fix="cut it into a few grades",
        )


def spelt_out(dataset: Dataset, name: str) -> tuple[Dataset, tuple[str, ...]]:
    """A table whose column `name` holds the labels of a row in a text, with a boolean column for each label.

    Args:
        dataset: the table.
        name: of the column; it stays, with the role ignored. A missing text is a row without labels.

    Returns:
        The table, and the names of the new columns.

    Raises:
        DataError: a label is called as a column is, or cannot be a name; there are too many or too few; or a recipe
            has made the table.
    """
    column = dataset.schema[name]
    if column.kind not in {Kind.CATEGORY, Kind.TEXT}:
        return dataset, (name,)
    if dataset.lineage is not None:
        raise DataError(
            ErrorCode.NO_GRAPH_FORM,
            f"a recipe has made the table, and the labels of {name!r} stand in texts",
            wanted="a boolean column for each label",
            fix="make the columns before the recipe, and give target= their names",
        )
    frame = dataset.frame()
    texts = frame[name]
    labels = labels_of_texts(texts)
    _check_label_names(name, labels, frame.columns)
    flags = flags_of_texts(texts, labels)
    wide = frame.with_columns(pl.Series(label, flags[:, place] > 0) for place, label in enumerate(labels))
    kinds = {record.name: record.kind for record in dataset.schema}
    roles = {record.name: record.role for record in dataset.schema}
    return read(wide, kinds=kinds, roles={**roles, name: Role.IGNORED}), labels


def _check_label_names(name: str, labels: tuple[str, ...], columns: Sequence[str]) -> None:
    if not 2 <= len(labels) <= _MOST_LABELS:
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"the texts of {name!r} hold {len(labels)} labels",
            wanted=f"2 to {_MOST_LABELS}, with ; or | or , between those of a row",
            fix="leave rare labels out" if len(labels) > 2 else "task='binary' or 'multiclass' learns one label a row",
        )
    for label in labels:
        check_label(label, f"label of {name!r}")
        if label in columns:
            raise DataError(
                ErrorCode.BAD_TARGET, f"the label {label!r} of {name!r} is also a column", fix="rename the column"
            )


def label_columns(frame: pl.DataFrame, schema: Schema) -> tuple[str, ...]:
    """Names of the columns that are labels.

    Raises:
        DataError: there are fewer than two, or too many; one misses values.
    """
    names = tuple(column.name for column in schema.of_role(Role.TARGET))
    if not 2 <= len(names) <= _MOST_LABELS:
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"got {len(names)} columns of labels",
            wanted=f"2 to {_MOST_LABELS} for multilabel, each saying in which rows its label holds",
            fix='target=["first", "second"] (--target twice)' if len(names) < 2 else "leave rare labels out",
        )
    for name in names:
        if missing := frame[name].null_count():
            raise DataError(
                ErrorCode.BAD_TARGET,
                f"the label {name!r} is missing in {missing} of {frame.height} rows",
                wanted="yes or no for every label in every row",
                fix="fill what is missing, or leave those rows out",
            )
    return names
