"""Samples of rows that pass by: fair, and the same however the rows are cut."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lepton.data.recipes.sampling import RowSample

ROWS = pl.DataFrame({"n": range(10_000), "other": range(10_000)})


def _sample(cut: int, seed: int = 0, rows: int = 500) -> RowSample:
    made = RowSample(["n"], rows, seed)
    for part in ROWS.iter_slices(cut):
        made.update(part)
    return made


@pytest.mark.parametrize("cut", [1, 7, 500, 10_000])
def test_the_cut_does_not_matter(cut):
    frame = _sample(cut).frame()
    assert frame.columns == ["n"]
    assert frame.height == 500
    assert frame["n"].is_sorted()
    assert frame.equals(_sample(3_000).frame())


def test_every_row_is_as_likely():
    means = [float(_sample(2_500, seed).frame()["n"].mean()) for seed in range(20)]
    assert len(set(means)) == 20
    assert np.mean(means) == pytest.approx(4999.5, abs=100)


def test_few_rows_are_all_kept_also_when_merged():
    first, second, whole = (RowSample(["n"], 500, 0) for _ in range(3))
    first.update(ROWS[:300])
    second.update(ROWS[300:900])
    whole.update(ROWS[:900])
    first.merge(second)
    assert first.frame().equals(whole.frame())
    assert RowSample(["n"], 5, 0).frame().height == 0


def test_merged_samples_are_fair():
    first, second = _sample(1_000), RowSample(["n"], 500, 0)
    second.update(ROWS[:2_500] + 10_000)
    first.merge(second)
    assert first.seen == 12_500
    frame = first.frame()
    assert frame.height == 500
    assert 60 < (frame["n"] >= 10_000).sum() < 140
