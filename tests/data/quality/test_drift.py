"""How far tables have moved: what stays is stable, what moves is found, whatever the number of rows."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2

from lepton.data import read
from lepton.data.quality import compare_tables
from lepton.data.quality.drift import _chi_square_tail, _holm

KINDS = {"c": "category", "text": "text"}


def table(rows=2_000, seed=0, shift=0.0, share=0.5, **more):
    rng = np.random.default_rng(seed)
    columns = {"x": rng.normal(shift, 1, rows), "c": rng.choice(["a", "b"], rows, p=[share, 1 - share]), **more}
    return read(pl.DataFrame(columns), kinds={name: kind for name, kind in KINDS.items() if name in columns})


def verdicts(after, before):
    return {each.column: each.verdict for each in compare_tables(after, before)[1]}


@pytest.mark.parametrize("rows", [100, 2_000, 50_000])
def test_tables_from_one_source_are_stable(rows):
    for seed in range(1, 6):
        assert verdicts(table(rows, seed), table(rows, seed + 100)) == {"x": "stable", "c": "stable"}


def test_what_has_moved_is_found():
    assert verdicts(table(shift=0.4), table(seed=1)) == {"x": "moved", "c": "stable"}
    assert verdicts(table(shift=1.0), table(seed=1)) == {"x": "shifted", "c": "stable"}
    assert verdicts(table(share=0.9), table(seed=1)) == {"x": "stable", "c": "shifted"}


def test_a_difference_without_weight_is_stable_however_significant():
    (x, _) = compare_tables(table(50_000, shift=0.05), table(50_000, seed=1))[1]
    assert x.p_value is not None
    assert x.p_value < 0.001
    assert x.verdict == "stable"


def test_missing_values_are_a_drift_too():
    rng = np.random.default_rng(2)
    holes = pl.Series("x", np.where(rng.random(2_000) < 0.5, np.nan, rng.normal(size=2_000))).fill_nan(None)
    after = read(pl.DataFrame([holes, table(seed=3).frame()["c"]]), kinds={"c": "category"})
    (x, _) = compare_tables(after, table(seed=1))[1]
    assert x.verdict == "shifted"
    assert (x.missing_before, round(x.missing_after, 1)) == (0.0, 0.5)


def test_columns_that_came_went_or_changed_are_told():
    before = read({"a": [1, 2], "b": ["x", "y"], "gone": [1, 2]}, kinds={"b": "category"})
    after = read({"a": ["1", "z"], "b": ["x", "y"], "new": [1, 2]}, kinds={"a": "category", "b": "category"})
    changes, drift = compare_tables(after, before)
    assert [(c.column, c.what, c.before, c.after) for c in changes] == [
        ("a", "another kind", "number", "category"),
        ("gone", "removed", "number", ""),
        ("new", "added", "", "number"),
    ]
    assert [each.column for each in drift] == ["b"]
    assert drift[0].note == "there are 2 rows only"


def test_the_tail_of_chi_square_is_near_scipy_s():
    for degrees in (1, 3, 9, 50):
        for value in (0.5, 3.0, 20.0, 60.0):
            assert _chi_square_tail(value, degrees) == pytest.approx(chi2.sf(value, degrees), abs=0.01)


def test_p_values_are_corrected_by_holm():
    assert _holm({"a": 0.01, "b": 0.04, "c": None, "d": 0.03}) == {"a": 0.03, "b": 0.06, "c": None, "d": 0.06}
