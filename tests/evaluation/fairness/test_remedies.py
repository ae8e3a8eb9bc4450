"""Weights and thresholds by group: what they promise holds, they are recorded, and nothing of them is silent."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from lepton.bundle import read_bundle
from lepton.core import DataError, Role, UsageError
from lepton.data import read
from lepton.evaluation.answers import gather
from lepton.evaluation.fairness import choose_thresholds, keep_mitigation, proxies_of, reweigh, thresholds_of
from tests.evaluation.fairness.data import lenders
from tests.evaluation.models import binary_model, linear_model


def test_reweighed_labels_do_not_depend_on_the_group():
    table = read(lenders())
    found = reweigh(table, "group", target="bought")
    frame = found.data.frame()
    shares = frame.group_by("group").agg(
        (pl.col("fairness_weight") * (pl.col("bought") == "yes")).sum() / pl.col("fairness_weight").sum()
    )["fairness_weight"]
    assert shares.to_list() == pytest.approx([(frame["bought"] == "yes").mean()] * 2)
    assert frame["fairness_weight"].sum() == pytest.approx(table.num_rows)
    assert found.data.schema["fairness_weight"].role is Role.WEIGHT
    assert [c.name for c in found.data.schema][:-1] == list(table.schema.names)
    assert frame.drop("fairness_weight").equals(table.frame())


def test_a_factor_is_that_of_the_source():
    frame = pl.DataFrame(
        {"group": ["a"] * 40 + ["b"] * 60, "y": ["yes"] * 30 + ["no"] * 10 + ["yes"] * 20 + ["no"] * 40}
    )
    factors = {(g, y): (n, f) for g, y, n, f in reweigh(read(frame), ["group"], target="y").factors}
    assert factors["a", "yes"][0] == 30
    assert factors["a", "yes"][1] == pytest.approx(0.4 * 0.5 / 0.3)
    assert factors["b", "no"][1] == pytest.approx(0.6 * 0.5 / 0.4)


def test_weights_that_are_there_are_multiplied():
    frame = lenders(400).with_columns(w=pl.lit(2.0))
    table = read(frame, roles={"w": "weight", "bought": "target"})
    found = reweigh(table, ["group", "age"], edges={"age": [50]})
    assert found.data.schema["w"].role is Role.IGNORED
    assert found.data.frame()["fairness_weight"].sum() == pytest.approx(800)
    assert {group for group, *_ in found.factors} == {f"{g} × {a}" for g in "ab" for a in ("under 50", "50 and over")}


def test_rows_without_a_target_keep_their_weight_and_empty_cells_are_said():
    frame = pl.DataFrame({"group": ["a"] * 30 + ["b"] * 30, "y": ["yes", "no"] * 15 + ["yes"] * 29 + [None]})
    found = reweigh(read(frame), "group", target="y")
    assert found.data.frame()["fairness_weight"][-1] == 1.0
    assert any("b with no" in note for note in found.notes)
    assert any("1 rows without a target" in note for note in found.notes)
    assert "law" in found.text()
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("protected", "options", "said"),
    [
        ("grop", {"target": "bought"}, "did you mean 'group'"),
        ("group", {}, "give target="),
        ("group", {"target": "x"}, "a target of labels"),
        ("bought", {"target": "bought"}, "named as protected"),
        ("group", {"target": "bought", "column": "age"}, "already"),
        ("group", {"target": "bought", "column": "a\u202eb"}, "hidden"),
    ],
)
def test_reweighing_that_cannot_be_meant(protected, options, said):
    with pytest.raises((DataError, UsageError)) as caught:
        reweigh(read(lenders(100)), protected, **options)
    assert said in str(caught.value)


def test_thresholds_make_groups_alike_on_other_rows(tmp_path):
    answers = gather(binary_model(tmp_path, 2.0), read(lenders(3_000)), columns=["group"])
    found = choose_thresholds(answers, "group")
    before, after = (each["equal_opportunity_difference"].value for each in (found.before, found.after))
    assert before is not None
    assert after is not None
    assert before > 0.15
    assert after < 0.08
    assert found.thresholds["b"] < found.thresholds["a"]
    assert found.num_rows == (1_500, 1_500)
    assert found.cost_change.value is not None
    assert found.cost_change.lower is not None
    assert found.cost_before.value is not None
    assert found.cost_after.value == pytest.approx(found.cost_before.value + found.cost_change.value)


def test_equal_shares_and_the_cheapest(tmp_path):
    answers = gather(binary_model(tmp_path, 2.0), read(lenders(3_000)), columns=["group"])
    alike = choose_thresholds(answers, "group", aim="selection_rate")
    assert (alike.after["selection_rate_difference"].value or 0) < 0.08
    cheap = choose_thresholds(answers, "group", aim="cost", costs={"false_positive": 3, "false_negative": 1})
    for threshold in cheap.thresholds.values():  # the probabilities are exact, so the best is 3 / 4 in each group
        assert threshold == pytest.approx(0.75, abs=0.12)
    assert (cheap.cost_after.value or 0) < (alike.cost_after.value or 0) * 3


def test_thresholds_are_applied_to_other_rows(tmp_path):
    model, table = binary_model(tmp_path, 2.0), read(lenders(1_000))
    found = thresholds_of(model, table, "group")
    assert found == choose_thresholds(gather(model, table, columns=["group"]), "group")
    rows = pl.DataFrame({"x": [0.0, 0.0, 0.0], "group": ["a", "b", "never seen"]})
    told = found.answers(model, rows)
    limits = [found.thresholds["a"], found.thresholds["b"], found.common]
    assert told["prediction"].to_list() == ["yes" if limit <= 0.5 else "no" for limit in limits]
    with pytest.raises(UsageError, match="3 rows"):
        found.favours([0.5], rows["group"])
    with pytest.raises(DataError, match="group"):
        found.answers(model, rows.drop("group"))


def test_numbers_fall_into_the_groups_they_were_chosen_for(tmp_path):
    model, table = binary_model(tmp_path, 2.0), read(lenders(2_000))
    found = choose_thresholds(gather(model, table, columns=["age"]), "age", edges=[40])
    assert set(found.thresholds) == {"under 40", "40 and over"}
    given = found.favours([found.thresholds["under 40"]] * 2, pl.Series("age", [39, None]))
    assert given[0]
    quartiles = choose_thresholds(gather(model, table, columns=["age"]), "age")
    few = quartiles.favours(np.full(2, 1.0), pl.Series("age", [20, 80]))  # two rows have no quartiles of their own
    assert few.tolist() == [True, True]
    assert quartiles.edges is not None
    assert len(quartiles.edges) == 3


def test_values_keep_their_thresholds_whatever_else_is_there(tmp_path):
    """Numbers of few values are ranges, texts are taken as they are, and "missing" is a text like others."""
    frame = lenders(2_000).with_columns(
        code=pl.when(pl.col("group") == "a").then(0).otherwise(1),
        rows=pl.when(pl.col("group") == "a").then(pl.lit("missing")).otherwise(pl.col("group")),
    )
    model = binary_model(tmp_path, 2.0)
    coded = thresholds_of(model, read(frame, kinds={"code": "number"}), "code")
    assert list(coded.thresholds) == ["under 1", "1 and over"]
    only = coded.favours([coded.thresholds["1 and over"]] * 2, pl.Series("code", [1, 1]))
    assert only.all()
    named = thresholds_of(model, read(frame), "rows")
    assert set(named.thresholds) == {"missing", "b"}
    limits = [named.thresholds["missing"], named.common]
    given = named.favours(limits, pl.Series("rows", ["missing", None]))
    assert given.all()
    assert not named.favours(np.array(limits) - 1e-6, pl.Series("rows", ["missing", None])).any()


def test_labels_of_numbers_and_the_first_as_the_good_one(tmp_path):
    frame = lenders(1_000).with_columns(bought=(pl.col("bought") == "yes").cast(pl.Int64))
    model = binary_model(tmp_path, 2.0, labels=(0, 1))
    answers = gather(model, read(frame), columns=["group"])
    found = choose_thresholds(answers, "group", favourable=0)
    assert found.favourable == 0
    assert set(found.answers(model, frame)["prediction"].to_list()) == {0, 1}


@pytest.mark.parametrize(
    ("column", "options", "said"),
    [
        ("group", {"aim": "equalised_odds"}, "at random"),
        ("group", {"aim": "justice"}, "equal_opportunity"),
        ("grop", {}, "did you mean 'group'"),
        ("group", {"costs": {"false_positive": -1}}, "costs"),
        ("group", {"within": 100_000}, "at least two"),
    ],
)
def test_thresholds_that_cannot_be_meant(tmp_path, column, options, said):
    answers = gather(binary_model(tmp_path, 2.0), read(lenders(400)), columns=["group"])
    with pytest.raises((DataError, UsageError)) as caught:
        choose_thresholds(answers, column, **options)
    assert said in str(caught.value)


def test_thresholds_need_two_labels(tmp_path):
    table = read({"x": [1.0, 2.0] * 50, "group": ["a", "b"] * 50, "price": [1.0, 2.0] * 50})
    answers = gather(linear_model(tmp_path, {"x": 1.0}), table, columns=["group"])
    with pytest.raises(UsageError, match="two labels"):
        choose_thresholds(answers, "group")


def test_what_was_done_is_kept_in_the_file_and_said(tmp_path):
    model, table = binary_model(tmp_path, 2.0), read(lenders(600))
    chosen = choose_thresholds(gather(model, table, columns=["group"]), "group")
    path = model.bundle.path
    keep_mitigation(path, reweigh(table, "group", target="bought"))
    keep_mitigation(path, chosen)
    bundle = read_bundle(path)
    assert bundle.model_id == model.model_id
    assert [each["kind"] for each in bundle.reports["mitigation"]["steps"]] == ["reweighing", "thresholds"]
    assert "answers as before" in chosen.text()
    assert "law" in chosen.text()
    with pytest.raises(UsageError, match="0 steps"):
        keep_mitigation(path)


def test_inputs_that_tell_a_group_are_named():
    table = read(lenders())
    schema = table.schema
    found = proxies_of(table.frame(), [schema["group"]], [schema[name] for name in ("x", "age", "zip")])
    assert [each.column for each in found] == ["zip", "x"]
    assert found[0].association > 0.7
    alone = proxies_of(table.frame(), [schema["group"]], [schema["age"]])
    assert alone == ()


def test_a_proxy_is_found_among_many_inputs():
    rng = np.random.default_rng(0)
    frame = lenders(300).with_columns(pl.Series(f"n{number:02}", rng.normal(size=300)) for number in range(70))
    schema = read(frame).schema
    inputs = [schema[name] for name in (*(f"n{number:02}" for number in range(70)), "zip")]
    assert [each.column for each in proxies_of(frame, [schema["group"]], inputs)] == ["zip"]
