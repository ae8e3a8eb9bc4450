from __future__ import annotations

import numpy as np
import pytest
import torch

from lepton.core import DataError, LeptonError, SchemaError
from lepton.training.nets.rows import Rows, class_numbers
from lepton.training.nets.spec import NetSpec

GREY = NetSpec.of("image", (6, 5, 1), 3)
COLOUR = NetSpec.of("image", (6, 5, 3), 3)
BYTES = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "habit",
    [
        BYTES,
        BYTES.astype(np.int64),
        BYTES.astype(np.float64),
        (BYTES / 255).astype(np.float32),
        np.moveaxis(BYTES, -1, 1),
        torch.from_numpy(BYTES),
        BYTES.tolist(),
    ],
    ids=["uint8", "int64", "decimal to 255", "decimal to 1", "channels first", "tensor", "list"],
)
def test_pictures_of_any_habit_are_the_same(habit):
    taken = Rows(COLOUR).take(habit)
    assert taken.dtype in (np.uint8, np.float32)
    np.testing.assert_allclose(taken.astype(np.float64), BYTES, atol=1e-4)


def test_grey_pictures_need_no_channel():
    np.testing.assert_array_equal(Rows(GREY).take(BYTES[..., 0]), BYTES[..., :1])
    np.testing.assert_array_equal(Rows(GREY).take(BYTES[..., 0] > 100)[..., 0], (BYTES[..., 0] > 100) * 255)


def test_the_scale_of_decimal_pixels_is_learned_once():
    rows = Rows(GREY)
    rows.take(np.full((1, 6, 5), 200.0))
    assert rows.take(np.ones((1, 6, 5))).max() == 1  # a dark picture, not a white one
    rows = Rows(GREY)
    rows.take(np.ones((1, 6, 5)))
    with pytest.raises(DataError, match="one scale"):
        rows.take(np.full((1, 6, 5), 200.0))


@pytest.mark.parametrize(
    ("rows", "error", "told"),
    [
        (np.zeros((6, 5, 3)), SchemaError, r"x\[None\]"),
        (np.zeros((4, 5, 6, 3)), SchemaError, r"\[N, 6, 5, 3\]"),
        (np.zeros(4), SchemaError, "shape"),
        ([np.zeros((6, 5)).tolist(), [[0]]], LeptonError, "equally large"),
        (np.full((2, 6, 5, 3), -1.0), DataError, "inside the net"),
        (np.full((2, 6, 5, 3), 256), DataError, "256"),
        (np.array([["a"]]), SchemaError, "no array of numbers"),
    ],
)
def test_what_is_no_picture_is_refused(rows, error, told):
    with pytest.raises(error, match=told):
        Rows(COLOUR).take(rows)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_told(value):
    pictures = np.zeros((4, 6, 5, 3))
    pictures[2, 1, 1, 1] = value
    with pytest.raises(DataError, match="row 2"):
        Rows(COLOUR).take(pictures)


def test_series_may_have_missing_values_but_not_infinite_ones():
    rows = Rows(NetSpec.of("series", (None, 2), 3))
    series = np.zeros((3, 7, 2))
    series[1, 2, 1] = np.nan
    assert np.isnan(rows.take(series)).sum() == 1
    series[0, 0, 0] = np.inf
    with pytest.raises(DataError, match="row 0"):
        rows.take(series)
    with pytest.raises(SchemaError, match="swapaxes"):
        rows.take(np.zeros((3, 2, 7)))


def test_classes_are_read_as_numbers_or_one_hot():
    for y in ([2, 0], [[2], [0]], np.eye(3)[[2, 0]], torch.tensor([2, 0])):
        assert class_numbers(y).tolist() == [2, 0]
