"""Targets: what they mean, what is left out, and what is refused with a clear word."""

import numpy as np
import polars as pl
import pytest

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError
from lepton.training.tasks import Scale, prepare_target, prepare_weight


def target(values, kind, task=None, dtype=None):
    frame = pl.DataFrame({"y": pl.Series(values, dtype=dtype)})
    return prepare_target(frame, Schema((ColumnRecord("y", kind),)), "y", task)


@pytest.mark.parametrize(
    ("values", "kind", "task", "labels"),
    [
        ([1.5, 2.5, 3.25], Kind.NUMBER, "regression", None),
        (list(range(30)), Kind.NUMBER, "regression", None),
        ([0, 1] * 5, Kind.NUMBER, "binary", (0, 1)),
        ([0.0, 1.0, None] * 5, Kind.NUMBER, "binary", (0, 1)),
        ([3, 1, 2] * 5, Kind.NUMBER, "multiclass", (1, 2, 3)),
        ([3, 1, 2] * 2, Kind.NUMBER, "regression", None),
        (["b", "a"] * 5, Kind.CATEGORY, "binary", ("a", "b")),
        (["b", "a", "c"] * 5, Kind.CATEGORY, "multiclass", ("a", "b", "c")),
        ([True, False] * 5, Kind.BOOLEAN, "binary", ("false", "true")),
    ],
)
def test_the_task_follows_from_the_target(values, kind, task, labels):
    found = target(values, kind)
    assert (found.task, found.labels) == (task, labels)
    assert found.notes[0].startswith(f"task {task}: 'y'")


def test_the_task_can_be_overridden():
    assert target([0, 1] * 5, Kind.NUMBER, "regression").labels is None
    assert target(list(range(6)) * 2, Kind.NUMBER, "multiclass").labels == (0, 1, 2, 3, 4, 5)


def test_rows_without_a_target_are_left_out_and_counted():
    found = target(["a", None, "b", "a", "b"], Kind.CATEGORY)
    assert found.rows.tolist() == [0, 2, 3, 4]
    assert found.values.tolist() == [0, 1, 0, 1]
    assert "left out 1 of 5 rows, which have no target" in found.notes


def test_labels_are_put_in_nfc():
    found = target(["\u00e9", "e\u0301", "a", "a"], Kind.CATEGORY)
    assert found.labels == ("a", "\u00e9")
    assert found.values.tolist() == [1, 1, 0, 0]


def test_uneven_classes_are_said_aloud():
    found = target(["rare"] * 2 + ["common"] * 198, Kind.CATEGORY)
    assert any("'rare' has 1 %" in note and "nothing is reweighted" in note for note in found.notes)


@pytest.mark.parametrize(
    ("values", "kind", "task", "words"),
    [
        ([5.0] * 4, Kind.NUMBER, None, "is '5.0' in every row"),
        (["a"] * 4, Kind.CATEGORY, None, "is 'a' in every row"),
        ([None] * 4, Kind.CATEGORY, None, "every value of the target 'y' is missing"),
        ([1.0, float("inf"), 2.0], Kind.NUMBER, None, "is inf in row 1"),
        ([1.0, 1e200, 2.0], Kind.NUMBER, None, "is 1e.200 in row 1"),
        (["a", "a", "b"], Kind.CATEGORY, None, "1 of 2 classes of the target 'y' have one row only: 'b'"),
        ([str(i // 2) for i in range(2002)], Kind.CATEGORY, None, "has 1001 classes"),
        (["a", "b", "c"] * 2, Kind.CATEGORY, "binary", "has 3 classes"),
        (["a", "b"] * 2, Kind.CATEGORY, "regression", "Wanted: a number for regression"),
        ([0.5, 1.5] * 2, Kind.NUMBER, "binary", "holds fractions such as 0.5"),
        (["x1", "x2"] * 2, Kind.IDENTIFIER, None, "its values name rows"),
        (["a" * 200, "b"] * 2, Kind.CATEGORY, None, "cannot be a label"),
    ],
)
def test_targets_that_cannot_be_learned(values, kind, task, words):
    dtype = pl.String if values[0] is None else None
    with pytest.raises(DataError, match=words) as caught:
        target(values, kind, task, dtype)
    assert caught.value.code is ErrorCode.BAD_TARGET


def test_a_target_that_is_not_there_names_the_closest():
    frame = pl.DataFrame({"price": [1.0, 2.0]})
    with pytest.raises(DataError, match="did you mean 'price'") as caught:
        prepare_target(frame, Schema((ColumnRecord("price", Kind.NUMBER),)), "prise")
    assert caught.value.code is ErrorCode.UNKNOWN_COLUMN


def test_an_unknown_task_is_refused():
    with pytest.raises(UsageError, match="one of regression, binary, multiclass"):
        target([1.5, 2.5], Kind.NUMBER, "rank")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, -1.0, 2.0], "is -1.0 in row 1"),
        ([1.0, None, 2.0], "is nan in row 1"),
        ([1.0, float("inf"), 2.0], "is inf in row 1"),
        ([0.0, 0.0, 0.0], "is 0 in every row"),
    ],
)
def test_bad_weights(values, words):
    frame = pl.DataFrame({"w": values})
    schema = Schema((ColumnRecord("w", Kind.NUMBER, role=Role.WEIGHT),))
    with pytest.raises(DataError, match=words) as caught:
        prepare_weight(frame, schema, np.arange(3))
    assert caught.value.code is ErrorCode.BAD_VALUE


def test_weights_of_the_rows_that_are_kept():
    frame = pl.DataFrame({"w": [1, None, 3]})
    schema = Schema((ColumnRecord("w", Kind.NUMBER, role=Role.WEIGHT),))
    name, weight = prepare_weight(frame, schema, np.array([0, 2]))
    assert name == "w"
    assert weight is not None
    assert weight.tolist() == [1.0, 3.0]


def test_two_weights_are_refused():
    schema = Schema(tuple(ColumnRecord(n, Kind.NUMBER, role=Role.WEIGHT) for n in "vw"))
    with pytest.raises(DataError, match="at most one"):
        prepare_weight(pl.DataFrame({"v": [1.0], "w": [1.0]}), schema, np.arange(1))


@pytest.mark.parametrize("values", [[1e300, -1e300], [1e-300, 2e-300], [1e9, 1e9 + 1], [1.7e308, 1.7e308]])
def test_numbers_of_unusual_size_are_scaled(values):
    scale = Scale.of(np.array(values))
    assert not scale.is_identity
    scaled = (np.array(values) - scale.offset) / scale.factor
    assert np.abs(scaled).max() < 10


def test_usual_numbers_stay_as_they_are():
    assert Scale.of(np.array([0.0, 1e5, 3e5])).is_identity
