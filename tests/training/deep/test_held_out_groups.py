"""Rows of one group are judged on together: slices of a study, frames of a video."""

from __future__ import annotations

import numpy as np
import polars as pl

from lepton.training.deep import run
from lepton.training.deep.text_choice import held_out


def test_a_group_is_held_out_as_a_whole():
    groups = pl.Series([str(number // 5) for number in range(100)])
    same = run._together(np.arange(100), groups)
    out = held_out(same, None, seed=1)
    assert 0 < out.sum() < 50
    assert all(out[start : start + 5].all() or not out[start : start + 5].any() for start in range(0, 100, 5))


def test_equal_rows_stay_together_and_rows_without_a_group_are_alone():
    same = run._together(np.array([0, 1, 2, 0]), pl.Series(["a", None, None, None]))
    assert same.tolist() == [0, 1, 2, 0]
