"""Rows as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, SchemaError
from lepton.data import read
from lepton.evaluation.explain import frame_of, takes_files
from tests.evaluation.models import linear_model


def test_any_container(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 1.0, "b": 1.0})
    wanted = pl.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]})
    table = wanted.with_columns(more=pl.lit("x"))
    for rows in (wanted, table, read(table), np.array([[1.0, 2.0], [3.0, 4.0]]), wanted.to_dicts(), wanted.to_dict()):
        assert frame_of(model, rows).equals(wanted)
    assert frame_of(model, {"a": 1.0, "b": 2.0}).equals(wanted.head(1))
    assert not takes_files(model)


def test_rows_that_are_none(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 1.0, "b": 1.0})
    with pytest.raises(DataError, match="no rows to explain"):
        frame_of(model, pl.DataFrame({"a": [], "b": []}))
    with pytest.raises(SchemaError, match="'b'"):
        frame_of(model, {"a": 1.0})
