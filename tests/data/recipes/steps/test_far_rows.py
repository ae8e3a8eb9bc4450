"""Steps on far rows keep the contract of steps, and find what was planted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.far_rows import DropOutliers, FlagOutliers
from tests.data.recipes.step_contract import bound_on, check_step, table_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=60).round(3)
TABLE = {
    "x": [*X.tolist(), 3.0, None],
    "y": [*(2 * X).round(3).tolist(), -6.0, 0.0],
    "i": [*RNG.integers(0, 9, 61).tolist(), 700],
    "s": ["a", "b"] * 31,
    "flat": [1.0] * 62,
}
UNSEEN = {
    "x": [1e300, -np.inf, None, 0.0],
    "y": [0.0, np.inf, None, 0.1],
    "i": [4, 4, None, 4],
    "s": ["a"] * 4,
    "flat": [1.0, 1.0, None, 2.0],
}


@pytest.mark.parametrize(
    "step",
    [
        FlagOutliers(),
        FlagOutliers(["x", "y"], share=0.05, seed=3, column="far"),
        FlagOutliers(["x", "y"], score=0.6),
        FlagOutliers(method="z"),
        FlagOutliers("flat", "z"),
        FlagOutliers("flat"),
        DropOutliers(share=0.1),
        DropOutliers(["i", "x"], "z", z=5),
    ],
)
def test_the_contract_is_kept(step, tmp_path):
    check_step(step, TABLE, unseen=UNSEEN, scratch=tmp_path)


def test_a_row_is_found_that_is_far_in_no_column_alone():
    marked = Recipe((FlagOutliers(["x", "y"], share=0.04),)).fit_transform(table_of(TABLE)).frame()
    assert marked["is outlier"][60]
    assert 1 <= marked["is outlier"].sum() <= 2
    left = Recipe((DropOutliers(["x", "y"], share=0.04),)).fit_transform(table_of(TABLE)).frame()
    assert left.equals(marked.filter(~pl.col("is outlier")).drop("is outlier"))


def test_robust_deviations_are_those_of_the_step_outliers():
    marked = Recipe().flag_outliers(method="z").outliers("i", action="missing").fit_transform(table_of(TABLE)).frame()
    assert marked["is outlier"].arg_true().to_list() == [61]
    assert marked["i"].is_null().arg_true().to_list() == [61]


def test_no_more_than_the_share_is_far_and_ties_do_not_count():
    values = {"n": [float(i % 10) for i in range(5_000)]}
    assert not Recipe((FlagOutliers(),)).fit_transform(table_of(values)).frame()["is outlier"].any()
    many = {"n": RNG.normal(size=5_000)}
    assert Recipe((FlagOutliers(share=0.02),)).fit_transform(table_of(many)).frame()["is outlier"].sum() == 100


def test_a_fitted_forest_is_a_file_of_bounded_size(tmp_path):
    table = table_of({f"n{i}": RNG.normal(size=3_000) for i in range(10)})
    fitted = Recipe().flag_outliers().fit(table)
    path = fitted.save(tmp_path / "recipe.yaml")
    assert path.stat().st_size < 1_000_000
    again = Recipe.load(path)
    assert again.transform(table).frame().equals(fitted.transform(table).frame())


def test_columns_that_are_not_features_are_left_out():
    table = table_of({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 900.0]}).with_roles({"b": "target"})
    assert FlagOutliers().reads(table.schema) == ("a",)


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda: FlagOutliers("s"), DataError, "of kind category"),
        (lambda: FlagOutliers(share=0.6), UsageError, "share=0.6"),
        (lambda: DropOutliers(share=0), UsageError, "share=0"),
        (lambda: DropOutliers(score=1), UsageError, "score=1"),
        (lambda: DropOutliers(z=-1), UsageError, "z=-1"),
        (lambda: DropOutliers(method="knn"), UsageError, "method"),
        (lambda: FlagOutliers(column="s"), DataError, "'s' already"),
        (lambda: FlagOutliers(column=""), UsageError, "column"),
    ],
)
def test_what_cannot_be_is_refused(step, error, words):
    with pytest.raises(error, match=words):
        bound_on(step(), table_of(TABLE))
    with pytest.raises(DataError, match="no column of numbers"):
        bound_on(FlagOutliers(), table_of({"s": ["a"]}))


@pytest.mark.parametrize("change", [{"trees": ["9<1 1 1"]}, {"trees": 3}, {"fills": {}}, {"limit": None}])
def test_a_forest_that_somebody_has_changed_is_refused(change):
    fitted = Recipe((FlagOutliers("x"),)).fit(table_of(TABLE)).to_dict()
    fitted["learned"][0].update(change)
    with pytest.raises(UsageError, match=r"step 1 \(flag_outliers\)"):
        Recipe.from_dict(fitted).transform(table_of(TABLE)).frame()
