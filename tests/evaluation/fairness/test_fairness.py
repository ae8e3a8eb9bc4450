"""Measures of groups: counted by hand, the same as fairlearn's, and silent where nothing can be concluded."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.bundle import open_model, write_bundle
from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.fairness import fairness, fairness_of
from tests.evaluation.fairness.data import counted, lenders
from tests.evaluation.models import binary_model, linear_model

# (true positive, false positive, false negative, true negative)
CELLS = {"a": (40, 10, 10, 40), "b": (20, 10, 20, 50), "c": (30, 30, 10, 30)}


def measures(answers: Answers, **options: object) -> dict[str, float | None]:
    found = fairness(answers, ["group"], **options)  # type: ignore[arg-type]
    return {name: each.value for name, each in found.columns["group"].measures.items()}


def test_measures_are_those_that_are_counted():
    told = measures(counted(CELLS))
    assert told["selection_rate_difference"] == pytest.approx(0.6 - 0.3, abs=1e-12)
    assert told["selection_rate_ratio"] == pytest.approx(0.3 / 0.6, abs=1e-12)
    assert told["equal_opportunity_difference"] == pytest.approx(0.8 - 0.5, abs=1e-12)
    assert told["equal_opportunity_ratio"] == pytest.approx(0.5 / 0.8, abs=1e-12)
    assert told["equalised_odds_difference"] == pytest.approx(30 / 60 - 10 / 60, abs=1e-12)  # of false positives
    assert told["equalised_odds_ratio"] == pytest.approx((10 / 60) / (30 / 60), abs=1e-12)
    assert told["predictive_parity_difference"] == pytest.approx(40 / 50 - 30 / 60, abs=1e-12)
    assert told["predictive_parity_ratio"] == pytest.approx(30 / 60 / (40 / 50), abs=1e-12)


def test_figures_are_those_of_fairlearn():
    """fairlearn 0.12 gave these for the same rows with weights 1, 2 and 3 in turn (`bench/trust_fairness.py`)."""
    answers = counted(CELLS)
    weight = np.resize([1.0, 2.0, 3.0], answers.num_rows)
    told = measures(replace(answers, weight=weight))
    assert told["selection_rate_difference"] == pytest.approx(FAIRLEARN[0], abs=1e-12)
    assert told["selection_rate_ratio"] == pytest.approx(FAIRLEARN[1], abs=1e-12)
    assert told["equal_opportunity_difference"] == pytest.approx(FAIRLEARN[2], abs=1e-12)
    assert told["equal_opportunity_ratio"] == pytest.approx(FAIRLEARN[3], abs=1e-12)
    assert told["equalised_odds_difference"] == pytest.approx(FAIRLEARN[4], abs=1e-12)
    assert told["equalised_odds_ratio"] == pytest.approx(FAIRLEARN[5], abs=1e-12)
    assert told["predictive_parity_difference"] == pytest.approx(FAIRLEARN[6], abs=1e-12)


FAIRLEARN = (
    0.2970149253731343,
    0.5025000000000001,
    0.29000000000000004,
    0.6329113924050632,
    0.3389830508474576,
    0.3220338983050847,
    0.297979797979798,
)


def test_groups_have_rates_intervals_and_sizes():
    found = fairness(counted(CELLS), ["group"]).columns["group"]
    a, b, _ = found.groups
    assert (a.name, a.num_rows, b.num_rows) == ("a", 100, 100)
    assert a.measures["selection_rate"].value == pytest.approx(0.5)
    assert a.measures["false_positive_rate"].value == pytest.approx(0.2)
    lower, upper = a.measures["selection_rate"].lower, a.measures["selection_rate"].upper
    assert lower is not None
    assert upper is not None
    assert 0.38 < lower < 0.5 < upper < 0.62
    assert found.shown("selection_rate_difference")
    assert found.shown("selection_rate_ratio")
    assert found.conclusive


def test_groups_alike_show_no_difference():
    found = fairness(counted({"a": (40, 10, 10, 40), "b": (41, 10, 9, 40)}), ["group"]).columns["group"]
    assert not any(found.shown(name) for name in found.measures)
    assert found.measures["selection_rate_difference"].lower == 0


def test_three_people_are_nothing_to_conclude_from():
    found = fairness(counted({**CELLS, "d": (3, 0, 0, 0)}), ["group"]).columns["group"]
    small = found.groups[-1]
    assert (small.name, small.num_rows, small.measures) == ("d", 3, {})
    assert "nothing can be concluded" in small.note
    assert any("'d'" in note for note in found.notes)
    assert found.measures["selection_rate_difference"].value == pytest.approx(0.3)  # as without them
    lonely = fairness(counted({"a": CELLS["a"], "d": (3, 0, 0, 0)}), ["group"]).columns["group"]
    assert not lonely.conclusive
    assert {each.value for each in lonely.measures.values()} == {None}
    assert all("nothing can be concluded" in each.reason for each in lonely.measures.values())


def test_rates_that_cannot_be_told_say_why():
    found = fairness(counted({"a": CELLS["a"], "b": (0, 20, 0, 20)}), ["group"]).columns["group"]
    assert found.groups[1].measures["true_positive_rate"].value is None
    assert "favourable in truth" in found.groups[1].measures["true_positive_rate"].reason
    assert found.measures["equal_opportunity_difference"].value is None
    assert any("true positive rate" in note for note in found.notes)


def test_a_certain_rate_is_not_certain():
    """Resampling 40 rows that are all alike gives no width; Wilson's interval does."""
    found = fairness(counted({"a": (40, 0, 0, 0), "b": (38, 0, 2, 0)}), ["group"]).columns["group"]
    rate = found.groups[0].measures["selection_rate"]
    assert (rate.value, rate.upper) == (1.0, 1.0)
    assert rate.lower == pytest.approx(40 / (40 + 3.8414588), abs=1e-6)
    assert not found.shown("selection_rate_difference")


def test_weights_count():
    answers = counted({"a": (40, 0, 0, 40), "b": (40, 0, 0, 40)})
    weight = np.where((answers.columns["group"] == "a").to_numpy() & (answers.predicted == 1), 3.0, 1.0)
    assert measures(replace(answers, weight=weight))["selection_rate_difference"] == pytest.approx(0.75 - 0.5)


def test_rows_of_one_group_are_drawn_together():
    answers = counted(CELLS)
    clusters = np.arange(answers.num_rows) // 25
    narrow = fairness(answers, ["group"]).columns["group"].measures["selection_rate_difference"]
    wide = fairness(replace(answers, groups=clusters), ["group"]).columns["group"].measures["selection_rate_difference"]
    assert narrow.lower is not None
    assert wide.lower is not None
    assert wide.lower < narrow.lower


def test_the_same_seed_gives_the_same():
    one, again, other = (fairness(counted(CELLS), ["group"], seed=seed).to_dict() for seed in (1, 1, 2))
    assert one == again
    assert one != other


cell = st.integers(0, 30)


@given(st.lists(st.tuples(cell, cell, cell, cell).filter(lambda each: sum(each) >= 30), min_size=2, max_size=4))
@settings(max_examples=8)
def test_measures_do_not_mind_the_names_and_keep_their_bounds(groups):
    names = "abcd"[: len(groups)]
    one = fairness(counted(dict(zip(names, groups, strict=True))), ["group"]).columns["group"]
    other = fairness(counted(dict(zip(names, groups[::-1], strict=True))), ["group"]).columns["group"]
    for name, found in one.measures.items():
        assert found.value == pytest.approx(other.measures[name].value)
        if found.lower is not None and found.upper is not None and found.value is not None:
            assert 0 <= found.lower <= found.value + 1e-12
            assert found.value <= found.upper + 1e-12
    rates = [each.measures["selection_rate"].value for each in one.groups if each.measures]
    assert one.measures["selection_rate_difference"].value == pytest.approx(np.ptp(np.array(rates, dtype=np.float64)))
    odds, opportunity = (one.measures[f"{each}_difference"].value for each in ("equalised_odds", "equal_opportunity"))
    assert odds is None or opportunity is None or odds >= opportunity - 1e-12
    json.dumps(one.to_dict(), allow_nan=False)


def test_a_model_and_a_column_that_it_does_not_take(tmp_path):
    model = binary_model(tmp_path, 2.0)
    table = read(lenders().drop("zip"), kinds={"age": "number"})
    found = fairness_of(model, table, ["group", "age"], edges={"age": [30, 60]}, intersections=True)
    assert list(found.columns) == ["group", "age", "group × age"]
    assert [each.name for each in found.columns["age"].groups] == ["under 30", "30 to under 60", "60 and over"]
    assert len(found.columns["group × age"].groups) == 6
    assert found.columns["group"].shown("selection_rate_difference")
    assert not found.columns["group"].shown("calibration_difference")  # x alone decides, and the model knows it
    assert not found.columns["age"].shown("selection_rate_difference")
    assert found.columns["group"].groups[0].calibration is not None
    assert any("does not take 'group', 'age'" in note for note in found.notes)
    page = found.page().html()
    assert "selection rate" in page
    assert "Calibration within groups" in page
    assert "group × age" in found.text()


def test_by_default_the_columns_that_are_declared(tmp_path):
    table = read(lenders(), roles={"group": "protected"})
    assert list(fairness_of(binary_model(tmp_path, 2.0), table).columns) == ["group"]
    plain = binary_model(tmp_path, 2.0)
    with pytest.raises(UsageError, match="0 protected columns"):
        fairness_of(plain, read(lenders()))
    manifest = replace(plain.manifest, lineage={"roles": {"group": "protected", "gone": "protected", "w": "weight"}})
    write_bundle(tmp_path / "told.lepton", manifest=manifest, graph=plain.bundle.graph)
    assert list(fairness_of(open_model(tmp_path / "told.lepton"), read(lenders())).columns) == ["group"]


def test_without_truth_only_what_needs_none(tmp_path):
    found = fairness_of(binary_model(tmp_path, 2.0), read(lenders().drop("bought")), ["group"])
    told = found.columns["group"].measures
    assert told["selection_rate_difference"].value is not None
    assert "what was true" in told["equal_opportunity_difference"].reason
    assert list(found.columns["group"].groups[0].measures) == ["selection_rate"]
    assert any("no truth" in note for note in found.notes)


def test_the_first_label_may_be_the_good_one(tmp_path):
    model, table = binary_model(tmp_path, 2.0), read(lenders())
    yes, no = (fairness_of(model, table, ["group"], favourable=label).columns["group"] for label in ("yes", "no"))
    rates = [each.groups[0].measures["selection_rate"].value for each in (yes, no)]
    assert sum(each for each in rates if each is not None) == pytest.approx(1)
    assert [each.measures["selection_rate_difference"].value for each in (yes, no)] == pytest.approx(
        [yes.measures["selection_rate_difference"].value] * 2
    )


def test_of_many_labels_one_against_the_rest(tmp_path):
    rng = np.random.default_rng(0)
    x, group = rng.normal(size=600), rng.choice(["a", "b"], 600)
    table = read({"x": x, "group": group, "kind": rng.choice(["u", "v", "w"], 600)})
    model = linear_model(tmp_path, {"x": [1.0, 0.0, -1.0]}, labels=("u", "v", "w"), target="kind")
    with pytest.raises(UsageError, match="3 labels"):
        fairness_of(model, table, ["group"])
    with pytest.raises(UsageError, match="no label 'q'"):
        fairness_of(model, table, ["group"], favourable="q")
    found = fairness_of(model, table, ["group"], favourable="u")
    rates = {each.name: each.measures["selection_rate"].value for each in found.columns["group"].groups}
    assert rates["a"] == pytest.approx(float((x[group == "a"] > 0).mean()))
    assert any("against the rest" in note for note in found.notes)


def test_errors_of_numbers_by_group(tmp_path):
    rng = np.random.default_rng(0)
    x, group = rng.normal(size=500), np.repeat(["a", "b"], 250)
    price = 3 * x + np.where(group == "b", 1.0, 0.0)
    found = fairness_of(linear_model(tmp_path, {"x": 3.0}), read({"x": x, "group": group, "price": price}), ["group"])
    told = found.columns["group"].measures
    assert told["mean_error_difference"].value == pytest.approx(1.0)
    assert told["mean_absolute_error_difference"].value == pytest.approx(1.0)
    assert found.columns["group"].shown("mean_error_difference")
    assert found.favourable is None
    with pytest.raises(UsageError, match="answers numbers"):
        fairness_of(linear_model(tmp_path, {"x": 3.0}), read({"x": x, "group": group, "price": price}), ["group"],
                    favourable="yes")  # fmt: skip


@pytest.mark.parametrize(
    ("protected", "said"),
    [
        (["grop"], "did you mean 'group'"),
        (["GROUP"], "did you mean 'group'"),
        (["bought"], "named as protected"),
        ([3], "names of columns"),
        (["x\u202e"], "u202e"),
    ],
)
def test_columns_that_cannot_be_meant(tmp_path, protected, said):
    with pytest.raises((DataError, UsageError)) as caught:
        fairness_of(binary_model(tmp_path, 2.0), read(lenders(60)), protected)
    assert said in str(caught.value)


def test_a_column_that_the_model_takes_and_the_data_lacks(tmp_path):
    model = linear_model(tmp_path, {"x": [0.0, 2.0], "sex": [0.0, 1.0]}, labels=("no", "yes"), target="bought")
    with pytest.raises(DataError, match="the data has no column 'sex'"):
        fairness_of(model, read(lenders(60)), ["sex"])


@pytest.mark.parametrize(
    "options",
    [
        {"within": 1},
        {"within": True},
        {"within": 30.5},
        {"edges": {"x": [1]}},
        {"edges": {"group": [1]}},
        {"favourable": "maybe"},
    ],
)
def test_options_that_cannot_be_meant(options):
    with pytest.raises(UsageError):
        fairness(counted(CELLS), ["group"], **options)


def test_edges_that_look_alike_and_a_column_called_rows(tmp_path):
    table = read(lenders(400).with_columns(rows=1000.0 + pl.int_range(pl.len()) / 100_000), kinds={"rows": "number"})
    edges = {"rows": [1000.001, 1000.002, 1000.003]}
    found = fairness_of(binary_model(tmp_path, 2.0), table, ["rows"], edges=edges).columns["rows"]
    assert len({each.name for each in found.groups}) == 4
    texts = read(lenders(400).with_columns(rows=pl.col("group")))
    assert len(fairness_of(binary_model(tmp_path, 2.0), texts, ["rows"]).columns["rows"].groups) == 2


def test_hostile_names_are_shown_and_nothing_else(tmp_path):
    nasty = "<script>alert(1)</script>\u202e"
    frame = lenders(300).with_columns(
        pl.when(pl.col("group") == "a").then(pl.lit(nasty)).otherwise(pl.col("group")).alias("group")
    )
    found = fairness_of(binary_model(tmp_path, 2.0), read(frame), ["group"])
    assert "<script>alert" not in found.page().html()
    assert "\u202e" not in found.page().html() + found.text()


def test_answers_that_are_not_finite_are_refused(tmp_path):
    model = linear_model(tmp_path, {"x": 1.0}, offset=np.inf)
    table = read({"x": [1.0, 2.0] * 40, "group": ["a", "b"] * 40, "price": [1.0, 2.0] * 40})
    with pytest.raises(DataError, match="finite"):
        fairness_of(model, table, ["group"])


def test_a_task_that_has_no_groups_to_compare():
    answers = replace(counted(CELLS), task="ranking")
    with pytest.raises(UsageError, match="ranking"):
        fairness(answers, ["group"])


@pytest.mark.parametrize(
    "change",
    [
        pl.lit("a").alias("group"),
        pl.lit(None, dtype=pl.String).alias("group"),
        pl.when(pl.col("age") < 50).then(None).otherwise(pl.col("group")).alias("group"),
        (pl.col("group") == "a").cast(pl.Float64).alias("weight"),
        pl.lit(9.0).alias("x"),
        (pl.date(2000, 1, 1) + pl.duration(days=pl.col("age"))).alias("group"),
        (pl.int_range(pl.len()).cast(pl.String) + "x").alias("group"),
    ],
    ids=["one group", "nobody says", "some say", "weightless", "constant answers", "dates", "each alone"],
)
def test_odd_tables_are_told_of_without_a_picture_that_looks_sure(tmp_path, change):
    frame = lenders(150).with_columns(change)
    table = read(frame, roles={"weight": "weight"} if "weight" in frame.columns else None)
    found = fairness_of(binary_model(tmp_path, 2.0), table, ["group"])
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.page().html()
    assert found.text()
    large = [each for each in found.columns["group"].groups if each.num_rows >= 30]
    if len(large) < 2 or "weight" in frame.columns:
        assert found.columns["group"].measures["selection_rate_difference"].value is None


def test_gathered_answers_are_enough(tmp_path):
    model, table = binary_model(tmp_path, 2.0), read(lenders())
    answers = gather(model, table, columns=["group"])
    one = fairness(answers, ["group"]).columns["group"]
    assert one == fairness_of(model, table, ["group"]).columns["group"]
