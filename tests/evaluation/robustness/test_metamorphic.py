"""Rules over models with planted breaches: found in the data, found by searching, and none found where none is."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.core import ErrorCode, UsageError, Work
from lepton.data import read
from lepton.evaluation.robustness import Metamorphic, MetamorphicRule, RuleResult, metamorphic
from tests.evaluation.models import linear_model
from tests.evaluation.robustness.models import applicants, credit_model, pictures, sounds, text_model

RAISE: dict[str, Any] = {"change": {"income": "+10%"}, "answer": "not_increasing", "label": "default"}


def only(found: Metamorphic) -> RuleResult:
    (result,) = found.results
    return result


def test_a_rule_that_holds_is_broken_nowhere(tmp_path):
    found = metamorphic(credit_model(tmp_path), applicants(), [RAISE], search=400)
    result = only(found)
    assert found.passed
    assert result.passed is True
    assert (result.num_rows, result.num_broken, result.num_found, result.searched) == (300, 0, 0, 400)
    assert result.share.upper is not None
    assert 0 < result.share.upper < 0.02
    assert "no row breaks it" in str(found)


def test_a_breach_outside_the_data_is_found_by_searching(tmp_path):
    """Nobody under 25 earns more than 80; the model's risk jumps where one earns more than 90."""
    model = credit_model(tmp_path, trap=8.0)
    result = only(metamorphic(model, applicants(), [RAISE], search=1_000))
    assert result.num_broken == 0
    assert result.num_found > 0
    assert result.passed is False
    for each in result.examples:
        assert each.row is None
        assert each.before["age"] < 25
        assert each.before["income"] <= 90 < each.after["income"]
        assert float(each.answers[0]) < float(each.answers[1])
    assert only(metamorphic(model, applicants(), [RAISE], search=0)).passed is True
    kept = {**RAISE, "where": "age >= 25"}
    assert only(metamorphic(model, applicants(), [kept], search=1_000)).passed is True


def test_a_breach_in_the_data_is_counted_and_shown(tmp_path):
    model = credit_model(tmp_path, of_sex=4.0)
    data = applicants()
    rules = [
        {"change": {"sex": "other"}, "answer": "same", "name": "the same person with another sex"},
        {"change": {"sex": "other"}, "answer": "within 0.001", "label": "paid", "where": "sex == 'f'"},
        {"change": {"sex": "m"}, "answer": "not_increasing"},
    ]
    found = metamorphic(model, data, rules, search=50)
    other, women, male = found.results
    income, sex = data.frame()["income"].to_numpy(), data.frame()["sex"].to_numpy()
    differ = ((-0.1 * (income - 50) > 0) != (-0.1 * (income - 50) + 4 > 0)).sum()
    assert other.num_broken == differ
    assert women.num_rows == women.num_broken == (sex == "f").sum()
    assert male.num_rows == (sex == "f").sum()  # of the others nothing is changed
    assert male.num_broken == 0
    worst = other.examples[0]
    assert worst.row is not None
    assert set(worst.answers) == {"paid", "default"}
    assert {worst.before["sex"], worst.after["sex"]} == {"f", "m"}
    assert [each.excess for each in women.examples[:5]] == sorted((e.excess for e in women.examples[:5]), reverse=True)
    json.dumps(found.to_dict(), allow_nan=False)
    page = found.page().html()
    assert "the same person with another sex" in page
    assert "<svg" in page
    assert not found.passed


def test_numbers_and_texts(tmp_path):
    model = linear_model(tmp_path, {"a": 2.0, "b": 0.0})
    frame = pl.DataFrame({"a": np.linspace(1, 9, 40), "b": np.ones(40), "price": np.ones(40), "beside": ["x"] * 40})
    rules: list[Any] = [
        {"change": {"a": "+1"}, "answer": "within 2"},
        {"change": {"a": "+1.01"}, "answer": "within 2"},
        {"change": {"a": "+10%"}, "answer": "within 10%"},
        {"change": {"b": "noise 5%"}, "answer": "same", "where": "a > 100"},
        {"change": {"beside": "y"}, "answer": "same"},
        MetamorphicRule("not_decreasing", {"a": "+1"}),
    ]
    found = metamorphic(model, read(frame), rules, search=20)
    assert [each.num_broken for each in found.results] == [0, 40, 0, 0, 0, 0]
    nobody, beside = found.results[3:5]
    assert nobody.passed is None
    assert "no row fits" in nobody.share.reason
    assert "does not take what is changed" in beside.note
    assert not found.passed
    texts = read(pl.DataFrame({"said": ["I do not know", "Fine"] * 5}), kinds={"said": "text"})
    case, said = metamorphic(
        text_model(tmp_path),
        texts,
        [{"transform": "case 4", "answer": "same"}, {"change": {"said": "paraphrase 1"}, "answer": "same"}],
        search=20,
    ).results
    assert (case.num_rows, case.num_broken) == (10, 0)
    assert (said.num_rows, said.num_broken) == (5, 5)


def test_pictures_and_sounds(tmp_path):
    model, data = pictures(tmp_path)
    rules = [
        {"transform": "rotate 5", "answer": "same"},
        {"transform": "brightness 0.1", "answer": "within 0.11"},
        {"transform": "brightness 0.5", "answer": "same", "where": "label == 'dark'"},
        {"transform": "noise 0.01", "answer": "not_decreasing", "label": "light"},
    ]
    turned, lighter, bright, noise = metamorphic(model, data, rules).results
    assert turned.passed is None  # a plain picture is turned into itself
    assert (lighter.num_rows, lighter.num_broken, lighter.num_found) == (12, 0, 0)
    assert 18 <= lighter.searched <= 24  # a drawn amount may be less than a pixel
    assert (bright.num_rows, bright.num_broken) == (6, 6)
    assert bright.examples[0].answers == ("dark", "light")
    assert bright.examples[0].after["brightness"] > 0.2
    assert noise.num_broken > 0
    model, data = sounds(tmp_path)
    louder, softer = metamorphic(
        model,
        data,
        [{"transform": "volume 3", "answer": "within 400%"}, {"transform": "volume 3", "answer": "within 10%"}],
    ).results
    assert louder.num_broken == 0
    assert softer.num_broken == 6


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"change": {"incme": "+10%"}, "answer": "not_increasing"}, "did you mean 'income'"),
        ({"change": {"note": "+10%"}, "answer": "same"}, "numbers alone can be moved"),
        ({"change": {"income": "+0%"}, "answer": "same"}, "changes nothing"),
        ({"change": {"income": "x1"}, "answer": "same"}, "changes nothing"),
        ({"change": {"age": 30}, "answer": "same", "where": "age == 30"}, "changes nothing in any of the"),
        ({"change": {"income": "+1"}, "answer": "same", "label": "maybe"}, "the model has no label 'maybe'"),
        ({"change": {"income": "+1"}, "answer": "same", "where": "wage > 3"}, "no column 'wage'"),
        ({"change": {"income": "+1"}, "answer": "same", "where": "income + 1"}, "a condition"),
        ({"change": {"income": "+1"}, "answer": "same", "where": "income >"}, "cannot be read"),
        ({"transform": "rotate 5", "answer": "same"}, "there is no transform 'rotate'"),
    ],
)
def test_impossible_rules_are_refused_by_number(tmp_path, rule, said):
    data = applicants(40).frame().with_columns(age=pl.Series([30.0] * 20 + [40.0] * 20))
    with pytest.raises(UsageError) as caught:
        metamorphic(credit_model(tmp_path), read(data, kinds={"note": "text"}), [RAISE, rule], search=0)
    assert caught.value.code is ErrorCode.BAD_RULE
    assert "ule 2" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"income": "+10%"}, ("+10%", "not_decreasing")),
        ({"income": "+10%"}, ("-5", "not_increasing")),
        ({"income": "x1.5"}, ("x1.5", "not_decreasing")),
    ],
)
def test_rules_that_contradict_each_other_are_refused(tmp_path, first, second):
    rules = [
        {"change": first, "answer": "not_increasing"},
        {"change": {"income": second[0]}, "answer": second[1]},
    ]
    with pytest.raises(UsageError, match="rules 1 and 2 contradict each other"):
        metamorphic(credit_model(tmp_path), applicants(20), rules)
    rules[1]["where"] = "age > 30"  # of other rows another thing may hold
    metamorphic(credit_model(tmp_path), applicants(20), rules, search=0)


def test_rules_for_another_kind_of_model(tmp_path):
    model = linear_model(tmp_path, {"a": 1.0})
    data = read({"a": [1.0, 2.0], "price": [1.0, 2.0]})
    for rule, said in (
        ({"transform": "rotate 5", "answer": "same"}, "a model without texts"),
        ({"change": {"a": "+1"}, "answer": "same", "label": "yes"}, "answers no labels"),
    ):
        with pytest.raises(UsageError, match=said):
            metamorphic(model, data, [rule])
    photos, table = pictures(tmp_path)
    with pytest.raises(UsageError, match="transform: one of blur"):
        metamorphic(photos, table, [{"change": {"photo": "other"}, "answer": "same"}])


def test_the_seed_decides_and_time_ends_the_search(tmp_path):
    model = credit_model(tmp_path, trap=8.0)
    first, again = (metamorphic(model, applicants(), [RAISE], search=300, seed=4).to_dict() for _ in range(2))
    assert first == again
    cancel = threading.Event()
    work = Work(cancel=cancel)
    work.check = cancel.set  # type: ignore[method-assign]
    found = metamorphic(model, applicants(), [RAISE, {**RAISE, "where": "age > 30"}], work=work)
    assert found.results[0].searched == 0
    assert "ended with its time" in found.results[0].note
    assert "no time" in found.results[1].note
    assert not found.passed
