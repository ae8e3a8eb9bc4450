"""Rules against the models that are there."""

from __future__ import annotations

from typing import Any

import pytest

from lepton.core import ErrorCode, ServingError, UsageError
from lepton.serving import ModelState, ModelStore
from lepton.serving.model_store import ServedModel
from lepton.serving.traffic.plan import Plan
from lepton.serving.traffic.rules import Target, rules_of

EVERYTHING: dict[str, Any] = {
    "aliases": {"champion": "a@1", "best": "champion", "newest": "a"},
    "splits": {"a": {"shares": {"a@1": 0.5, "a@3": 0.5}, "shadow": {"to": "b"}}},
    "pipelines": {"cost_of_width": ["area", "cost"]},
    "ensembles": {"outer": {"of": ["inner", "b"], "by": "mean"}, "inner": {"of": ["best", "a@3"], "by": "mean"}},
    "cache": {"a": {"rows": 10, "seconds": 60}},
}


def test_names_lead_to_models(models: ModelStore) -> None:
    plan = Plan(rules_of(EVERYTHING), models)
    assert plan.resolved(Target("best")) is models.version("a", "1")
    assert plan.resolved(Target("newest")) is models.version("a", "3")
    assert plan.resolved(Target("newest", "1")) is models.version("a", "1")
    assert plan.resolved(Target("champion", "1")) is models.version("a", "1")
    assert plan.resolved(Target("cost_of_width", "1.1")).name == "cost_of_width"
    assert plan.resolved(Target("outer")).predictor.predict([{"x0": 1.0}]) == [6.0]  # ((1 + 3) / 2 + 10) / 2
    for target in (Target("champion", "3"), Target("cost_of_width", "2"), Target("none"), Target("a", "2")):
        with pytest.raises(ServingError) as unknown:
            plan.resolved(target)
        assert unknown.value.code is ErrorCode.UNKNOWN_MODEL


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"aliases": {"x": "none"}}, "aliases.x names 'none': there is no model 'none'"),
        ({"aliases": {"x": "a@2"}}, "the model 'a' has no version '2'"),
        ({"aliases": {"b": "a"}}, "the alias 'b' has the name of a model"),
        ({"pipelines": {"b": ["area", "cost"]}}, "the pipeline 'b' has the name of a model"),
        ({"splits": {"new": {}}}, "splits.new names 'new'"),
        ({"splits": {"a": {"shadow": {"to": "none"}}}}, "splits.a names 'none'"),
        ({"splits": {"a": {"headers": [{"name": "x", "equals": "y", "to": "none"}]}}}, "splits.a names 'none'"),
        ({"splits": {"x": {"shares": {"a": 0.5, "area": 0.5}}}}, "take other columns"),
        ({"splits": {"x": {"shares": {"a": 0.5, "low": 0.5}}}}, "answer another task"),
        ({"pipelines": {"x": ["area", "none"]}}, "the parts of 'x' names 'none'"),
        ({"pipelines": {"x": ["area", "sold"]}}, "'x' cannot be made: 'sold' takes none of the columns"),
        ({"cache": {"none": {"rows": 1, "seconds": 1}}}, "cache names 'none'"),
    ],
)
def test_what_is_not_there_or_does_not_fit_is_refused(models: ModelStore, raw: Any, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        Plan(rules_of(raw), models)
    assert refused.value.code is ErrorCode.BAD_TRAFFIC
    assert said in str(refused.value)


def test_what_stays_the_same_in_a_file_goes_on(models: ModelStore) -> None:
    before = Plan(rules_of(EVERYTHING), models)
    before.splits["a"].roll_back(Target("a", "3"), "it was bad")
    shadow = {"aliases": {}, "ensembles": {"inner": EVERYTHING["ensembles"]["inner"] | {"of": ["a@1", "a@3"]}}}
    after = Plan(rules_of(EVERYTHING | shadow), models, before)
    assert after.splits["a"] is before.splits["a"]
    assert after.shadows["a"] is before.shadows["a"]
    assert after.caches["a"] is before.caches["a"]
    assert after.combined["cost_of_width"] is before.combined["cost_of_width"]
    changed = {"splits": {"a": {"shares": {"a@1": 0.6, "a@3": 0.4}}}, "cache": {"a": {"rows": 11, "seconds": 60}}}
    anew = Plan(rules_of(EVERYTHING | changed), models, before)
    assert not anew.splits["a"].rolled_back
    assert not anew.shadows
    assert anew.caches["a"] is not before.caches["a"]


def test_a_combination_follows_its_parts(models: ModelStore) -> None:
    store = ModelStore.empty()
    first, third, other = models.version("a", "1"), models.version("a", "3"), models["b"]
    store.change("a", come=[first])
    store.change("b", come=[other])
    plan = Plan(rules_of({"ensembles": {"both": {"of": ["a", "b"], "by": "mean"}}}), store)
    made = plan.combined["both"]
    plan.combine()
    assert plan.combined["both"] is made
    store.change("a", come=[third])
    assert plan.combined["both"] is made  # until it is told
    plan.combine()
    assert plan.combined["both"].parameters == {"parts": "a@3,b@1"}
    gone = ServedModel("b", other.source, "1", ModelState.UNLOADED, "it was unloaded")
    store.change("b", gone=[other], come=[gone])
    plan.combine()
    assert plan.combined["both"].state is ModelState.FAILED
    store.change("b", gone=[gone])
    plan.combine()
    assert "there is no model 'b'" in plan.combined["both"].reason
    store.change("b", come=[other])
    plan.combine()
    assert str(plan.combined["both"].state) == "ready"
