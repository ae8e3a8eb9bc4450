"""Rows to measure with, of every kind of model and in every container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Predictor, open_model
from lepton.core import LeptonError
from lepton.optimization.accelerate.rows import rows_to_measure, take_rows

TABLE = {"first": [1.0, 2.0, 3.0], "second": [4.0, 5.0, 6.0], "third": [7.0, 8.0, 9.0]}


@pytest.fixture
def predictor(model: Path) -> Predictor:
    return open_model(model)


def test_rows_are_made_as_the_schema_says(predictor: Predictor) -> None:
    made = rows_to_measure(predictor, 5, 7)
    assert made["numbers"].shape == (5, 3)
    assert made["numbers"].tobytes() == rows_to_measure(predictor, 5, 7)["numbers"].tobytes()
    assert made["numbers"].tobytes() != rows_to_measure(predictor, 5, 8)["numbers"].tobytes()


@pytest.mark.parametrize(
    "rows",
    [TABLE, pl.DataFrame(TABLE), pl.DataFrame(TABLE).to_dicts(), np.array(list(TABLE.values())).T],
    ids=["columns", "polars", "dicts", "numpy"],
)
def test_rows_of_the_caller_are_the_first_of_them(predictor: Predictor, rows: Any) -> None:
    assert rows_to_measure(predictor, 2, 0, rows)["numbers"].tolist() == [[1, 4, 7], [2, 5, 8]]


def test_no_rows_are_refused(predictor: Predictor) -> None:
    with pytest.raises(LeptonError, match="no rows"):
        rows_to_measure(predictor, 2, 0, np.empty((0, 3)))


def test_rows_are_repeated_where_there_are_fewer() -> None:
    taken = take_rows({"x": np.array([[1.0], [2.0]])}, 5)
    assert taken["x"].ravel().tolist() == [1, 2, 1, 2, 1]
