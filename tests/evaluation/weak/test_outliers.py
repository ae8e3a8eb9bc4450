from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, Kind, UsageError
from lepton.evaluation.weak import outlier_scores, outliers
from lepton.evaluation.weak.outliers import LIMIT
from tests.evaluation.weak.made import columns, model_with

KINDS = {
    "age": Kind.NUMBER,
    "income": Kind.NUMBER,
    "town": Kind.CATEGORY,
    "new": Kind.BOOLEAN,
    "since": Kind.DATETIME,
}
TRAINED = columns(5_000)
MODEL = model_with(TRAINED, KINDS)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_like_the_training_seldom_pass(seed: int) -> None:
    scores = outlier_scores(MODEL, columns(5_000, seed))
    assert (scores > LIMIT).mean() <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / 5_000)


def test_copies_of_one_column_pass_no_more_often() -> None:
    names = [f"c{i}" for i in range(20)]
    trained, other = (pl.DataFrame(dict.fromkeys(names, columns(4_000, seed)["income"])) for seed in (0, 1))
    model = model_with(trained, dict.fromkeys(names, Kind.NUMBER))
    assert (outlier_scores(model, other) > LIMIT).mean() <= 0.015


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("age", 5_000.0),
        ("age", -1e9),
        ("income", 1e12),
        ("income", float("inf")),
        ("town", "Atlantis"),
        ("since", date(2400, 1, 1)),
        ("new", None),
        ("town", None),
    ],
)
def test_one_strange_cell_makes_a_row_strange(column: str, value: object) -> None:
    frame = columns(50, 4)
    strange = frame.with_columns(pl.Series(column, [value, *frame[column].to_list()[1:]], dtype=frame.schema[column]))
    found = outliers(MODEL, strange)
    assert found.rows[0].row == 0
    assert column in found.rows[0].values
    assert outlier_scores(MODEL, strange)[0] > LIMIT
    assert column in {each.column for each in found.columns}
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_unit_error_is_stranger_than_the_edge() -> None:
    heights = pl.DataFrame({"height": np.random.default_rng(0).normal(175, 9, 3_000)})
    model = model_with(heights, {"height": Kind.NUMBER})
    least, metres = outlier_scores(model, pl.DataFrame({"height": [float(heights["height"].to_numpy().min()), 1.75]}))
    assert metres > LIMIT
    assert metres > least


@settings(max_examples=15)
@given(st.lists(st.floats(allow_nan=True), min_size=2, max_size=20))
def test_farther_out_is_never_less_strange(values: list[float]) -> None:
    frame = pl.DataFrame({"age": values})
    scores = outlier_scores(model_with(TRAINED, {"age": Kind.NUMBER}), frame)
    assert np.isfinite(scores).all()
    there = sorted((value, score) for value, score in zip(values, scores, strict=True) if value >= 60)
    assert all(a[1] <= b[1] + 1e-9 for a, b in itertools.pairwise(there))


def test_a_rare_category_is_not_stranger_than_its_share() -> None:
    trained = pl.DataFrame({"c": ["a"] * 900 + ["b"] * 90 + [f"r{i}" for i in range(10)]})
    model = model_with(trained, {"c": Kind.CATEGORY})
    a, b, rare, new = outlier_scores(model, pl.DataFrame({"c": ["a", "b", "r3", "unheard"]}))
    assert a == pytest.approx(0, abs=1e-3)
    assert b == pytest.approx(1, abs=0.01)
    assert rare == new  # the statistics keep no values of few rows, so a rare one cannot be told from a new one
    assert new < LIMIT


def test_types_of_the_rows_may_differ() -> None:
    trained = pl.DataFrame({"n": np.arange(1_000.0), "c": [str(i % 3) for i in range(1_000)], "b": [True, False] * 500})
    model = model_with(trained, {"n": Kind.NUMBER, "c": Kind.CATEGORY, "b": Kind.BOOLEAN})
    frame = pl.DataFrame({"n": [500, 510], "c": [1.0, None], "b": [1, 0]})
    scores = outlier_scores(model, frame)
    assert scores[0] < 0.5
    assert scores[1] > LIMIT


def test_texts_are_told_by_their_length() -> None:
    trained = pl.DataFrame({"t": ["x" * (20 + i % 30) for i in range(2_000)]})
    model = model_with(trained, {"t": Kind.TEXT})
    usual, long = outlier_scores(model, pl.DataFrame({"t": ["y" * 33, "y" * 90_000]}))
    assert usual < LIMIT < long


def test_what_cannot_be_compared_is_said() -> None:
    bare = model_with(pl.DataFrame(), {"age": Kind.NUMBER})
    with pytest.raises(UsageError, match="no statistics"):
        outlier_scores(bare, columns(10))
    assert "no statistics" in outliers(bare, columns(10)).reason
    with pytest.raises(DataError, match="'x'"):
        outlier_scores(MODEL, pl.DataFrame({"x": [1]}))
    found = outliers(MODEL, columns(10).drop("age"))
    assert found.left_out == {"age": "the rows do not have it"}
    assert "age" not in found.watched
    assert outliers(MODEL, columns(10).head(0)).reason == "there are no rows"


def test_a_constant_column_and_zones() -> None:
    trained = pl.DataFrame({"k": [3.0] * 500, "since": [datetime(2020, 1, 1, tzinfo=UTC)] * 500})
    model = model_with(trained, {"k": Kind.NUMBER, "since": Kind.DATETIME})
    frame = pl.DataFrame({"k": [3.0, 4.0, 300.0], "since": [datetime(2020, 1, 1, tzinfo=UTC)] * 3})
    scores = outlier_scores(model, frame)
    assert scores[0] <= 0 < scores[1] <= scores[2]


def test_many_rows_at_the_least_number_are_not_strange() -> None:
    area = np.random.default_rng(0).normal(110, 35, 600).clip(25)
    model = model_with(pl.DataFrame({"area": area}), {"area": Kind.NUMBER})
    assert outlier_scores(model, pl.DataFrame({"area": [25.0, float(area.max())]})).max() < LIMIT
