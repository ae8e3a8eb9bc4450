from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import Interrupted, LeptonError, UsageError, Work
from lepton.evaluation.weak import find_slices
from tests.evaluation.weak.made import columns, labelled, numbered


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def _part(frame: pl.DataFrame, *conditions: pl.Expr) -> np.ndarray:
    return frame.select(pl.all_horizontal(conditions).fill_null(False))[:, 0].to_numpy()


@pytest.mark.parametrize(
    "conditions",
    [
        [pl.col("town") == "Ålesund"],
        [pl.col("age").is_null()],
        [pl.col("age").is_between(40, 60), pl.col("new")],
        [pl.col("income") > 30_000, pl.col("town") == "Oslo", ~pl.col("new")],
        [pl.col("since") < pl.date(2017, 1, 1)],
    ],
)
def test_a_planted_part_is_found(conditions: list[pl.Expr]) -> None:
    frame = columns(3_000)
    part = _part(frame, *conditions)
    found = find_slices(labelled(3_000, part=part)).found
    assert max(_overlap(each.rows, part) for each in found) > 0.6
    best = max(found, key=lambda each: _overlap(each.rows, part))
    assert best.loss.lower is not None
    assert best.loss.lower > 0
    assert best.p_value <= 0.05
    assert best.num_rows == best.rows.sum()
    assert best.value.value is not None
    assert best.rest is not None
    assert best.value.value > best.rest


def test_a_part_is_told_once_and_in_few_conditions() -> None:
    frame = columns(2_000)
    part = _part(frame, pl.col("town") == "Oslo")
    found = find_slices(labelled(2_000, part=part, wrong=(0.05, 0.4))).found
    assert [each.text for each in found] == ["town is Oslo"]


def test_a_part_in_a_part_is_told_where_it_is_worse() -> None:
    frame = columns(3_000)
    outer, inner = _part(frame, pl.col("town") == "Oslo"), _part(frame, pl.col("town") == "Oslo", pl.col("new"))
    answers = labelled(3_000, part=outer, wrong=(0.05, 0.3))
    struck = inner & (np.random.default_rng(5).random(3_000) < 0.6)
    answers = replace(answers, y=np.where(struck, 1 - answers.predicted, answers.y))
    found = find_slices(answers).found
    assert {"town", "new"} in [{each.column for each in part.conditions} for part in found]
    assert any(_overlap(each.rows, inner) > 0.9 for each in found)


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_numbers_with_larger_errors_are_found(metric: str) -> None:
    part = _part(columns(3_000), pl.col("new"), pl.col("income") > 22_000)
    found = find_slices(numbered(3_000, part=part, times=2.5), metric=metric)
    assert max(_overlap(each.rows, part) for each in found.found) > 0.6
    assert found.loss == ("squared error" if metric == "rmse" else "absolute error")


def test_where_nothing_is_weak_little_is_told() -> None:
    alarms = sum(bool(find_slices(labelled(300, seed=seed), seed=seed).found) for seed in range(3))
    alarms += sum(bool(find_slices(numbered(300, seed=seed), seed=seed).found) for seed in range(3))
    assert alarms <= 1


def test_the_rows_that_decide_were_not_searched() -> None:
    # Losses that one half alone carries: the search finds the part there, and the other half does not agree.
    frame = pl.DataFrame({"x": np.arange(2_000.0)})
    answers = labelled(2_000, frame=frame, wrong=(0.2, 0.2))
    assert find_slices(answers).found == ()


def test_several_labels_and_weights() -> None:
    frame = columns(3_000)
    part = _part(frame, pl.col("town") == "Bergen")
    weight = np.random.default_rng(0).random(3_000) + 0.5
    found = find_slices(labelled(3_000, part=part, num_labels=4, weight=weight)).found
    assert max(_overlap(each.rows, part) for each in found) > 0.9


def test_rows_of_weight_zero_say_nothing() -> None:
    frame = columns(2_000)
    part = _part(frame, pl.col("town") == "Bergen")
    assert not find_slices(labelled(2_000, part=part, weight=np.where(part, 0.0, 1.0))).found


def test_people_are_drawn_whole() -> None:
    # Twelve people, of whom two are hard: no column can tell more than who they are.
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(24), 100)
    frame = pl.DataFrame({"height": random.normal(size=24)[person], "x": random.normal(size=2_400)})
    hard = np.isin(person, [0, 1, 2])
    alone = find_slices(labelled(2_400, frame=frame, part=hard, wrong=(0.1, 0.7)))
    together = find_slices(labelled(2_400, frame=frame, part=hard, wrong=(0.1, 0.7), groups=person))
    assert alone.found
    assert not together.found


def test_three_people() -> None:
    frame = pl.DataFrame({"who": ["a"] * 100 + ["b"] * 100 + ["c"] * 3, "x": np.arange(203.0)})
    found = find_slices(labelled(203, frame=frame))
    assert any("fewer than 30 rows" in note and "who (1 values)" in note for note in found.notes)
    grouped = find_slices(labelled(203, frame=frame, groups=np.array([0] * 100 + [1] * 100 + [2] * 3)))
    assert not grouped.found
    assert any("3 groups" in note and "nothing can" in note for note in grouped.notes)


def test_ten_rows() -> None:
    found = find_slices(labelled(10))
    assert found.found == ()
    assert "nothing can be concluded" in found.text()


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_all_right_or_all_wrong(wrong: float) -> None:
    found = find_slices(labelled(500, wrong=(wrong, wrong)), metric="accuracy")
    assert found.found == ()
    assert any("same loss" in note for note in found.notes)
    json.dumps(found.to_dict(), allow_nan=False)


def test_no_column_one_column_and_many() -> None:
    none = find_slices(labelled(200, frame=pl.DataFrame()))
    assert any("No column" in note for note in none.notes)
    assert none.num_columns == 0
    random = np.random.default_rng(0)
    one = find_slices(labelled(400, frame=pl.DataFrame({"x": random.normal(size=400)})))
    assert one.num_columns == 1
    wide = pl.DataFrame(random.normal(size=(120, 200)), schema=[f"c{i}" for i in range(200)])
    assert find_slices(labelled(120, frame=wide), max_conditions=1).num_columns == 200


def test_answers_that_are_not_finite() -> None:
    answers = numbered(400)
    answers.predicted[:5] = np.nan
    found = find_slices(answers)
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.value.value is None


def test_the_same_seed_gives_the_same() -> None:
    answers = labelled(1_500, part=_part(columns(1_500), pl.col("new")))
    assert find_slices(answers, seed=3).to_dict() == find_slices(answers, seed=3).to_dict()


def test_hostile_names_are_shown_as_text() -> None:
    frame = pl.DataFrame({"<script>\u202e": ["<b>"] * 500 + ["ok"] * 500})
    found = find_slices(labelled(1_000, frame=frame, part=np.arange(1_000) < 500, wrong=(0.1, 0.6)))
    assert len(found.found) == 1
    html = found.page().html()
    assert "<script" not in html
    assert "<b>" not in html
    assert "\u202e" not in found.text()


def test_a_page_draws_the_losses() -> None:
    found = find_slices(labelled(2_000, part=_part(columns(2_000), pl.col("new"))))
    assert "<svg" in found.page().html()
    assert "new is yes" in found.text()
    assert found.to_dict()["found"][0]["conditions"][0]["column"] == "new"


@pytest.mark.parametrize(
    "options",
    [{"max_conditions": 4}, {"min_rows": 1}, {"level": 0.0}, {"most": 0}, {"columns": "age"}, {"metric": "rmse"}],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        find_slices(labelled(100), **options)  # type: ignore[arg-type]


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(LeptonError, match="'agee'"):
        find_slices(labelled(100), columns=["agee"])


def test_it_can_be_stopped() -> None:
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        find_slices(labelled(500), work=work)


@settings(max_examples=5)
@given(st.integers(20, 300), st.integers(0, 1_000))
def test_what_is_told_holds_for_the_rows_it_names(num_rows: int, seed: int) -> None:
    frame = columns(num_rows, seed)
    answers = labelled(num_rows, seed=seed, part=frame["new"].to_numpy(), wrong=(0.0, 0.9))
    for each in find_slices(answers, seed=seed).found:
        held = np.logical_and.reduce([condition.rows(answers.columns) for condition in each.conditions])
        assert (held == each.rows).all()
        assert each.num_rows >= 30
        assert 1 <= len(each.conditions) <= 3
