"""Rules of release as they are written: refused before anything runs, or exactly what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, LeptonError, UsageError
from lepton.evaluation.verify import RULES, ReleaseRules, Rule, load_rules, rules_of
from lepton.evaluation.verify.rules_file import Size
from lepton.evaluation.verify.rules_quality import MetricRule

WRITTEN = """
lepton: release-rules/1
valid_for: 90d
rules:
- metric: {metric: accuracy, least: 0.9, why: "as the contract says"}
- size: {most: 1MB}
- finite_answers
- licence: {one_of: CC0-1.0, if_unknown: pass}
"""


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "release.yaml"
    path.write_text(WRITTEN)
    found = load_rules(path)
    assert found.valid_for == 90 * 86_400
    assert [rule.name for rule in found] == ["metric", "size", "finite_answers", "licence"]
    assert found[0] == MetricRule(metric="accuracy", least=0.9, why="as the contract says")
    assert str(found[1]) == "size(most='1MB')"
    assert found[3].params() == {"if_unknown": "pass", "one_of": ["CC0-1.0"]}
    assert found[1:2] == (Size(most="1MB"),)


def test_rules_of_python_and_of_data_stand_side_by_side() -> None:
    found = rules_of([Size(most=10), {"size": {"most": 10}}])
    assert found[0] == found[1]
    assert rules_of(found) is found
    assert rules_of(Size(most=10)) == ReleaseRules((Size(most=10),))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([], "1 to 1,000"),
        ("size", "list of rules"),
        (7, "list of rules"),
        ([7], "rule 1"),
        ([{"size": {"most": 1}, "rows": {"least": 1}}], "rule 1"),
        ([{"sise": {"most": 1}}], "did you mean 'size'"),
        ([{"size": {}}], "lacks most"),
        ([{"size": {"least": 1}}], "has no parameter 'least'"),
        ([{"size": {"most": "huge"}}], "size: got most='huge'"),
        ([{"size": [1]}], "no mapping"),
        ([{"size": {"most": True}}], "most=True"),
        ([{"rows": {"least": "many"}}], "least='many'"),
        ([{"metric": {"metric": "accuracy"}}], "neither least nor most"),
        ([{"metric": {"least": 0.9, "most": 0.8}}], "least=0.9 is more than most=0.8"),
        ([{"metric": {"least": float("nan")}}], "least=nan"),
        ([{"metric": {"least": 0.9, "by": "luck"}}], "by='luck'"),
        ([{"metric": {"least": 0.9, "if_unknown": "maybe"}}], "if_unknown='maybe'"),
        ([{"coverage": {"least": 90.0}}], "a share"),
        ([{"age": {"within": "soon"}}], "duration"),
        ([{"age": {"within": "90d", "now": "yesterday"}}], "a time such as"),
        ([{"runtime": {}}], "nothing is asked"),
        ([{"runtime": {"onnxruntime": "new"}}], "a version such as"),
        ([{"runtime": {"least_opset": 20, "most_opset": 10}}], "is more than"),
        ([{"signed": {}}], "no key is given"),
        ([{"signed": {"keys": "me"}}], "not a public key"),
        ([{"licence": {"one_of": []}}], "no licence is allowed"),
        ([{"weak_slices": {"most_loss": 0.1, "max_conditions": 7}}], "1 to 3 conditions"),
        ([{"robustness": {"test": "noise", "most_loss": 0.1, "strength": 9}}], "strength of 1 to 5"),
        ([{"metamorphic": {"answer": "same"}}], "changes nothing"),
        ([{"metamorphic": {"answer": "sane", "change": {"x": "+1"}}}], "did you mean"),
        ({"rules": [{"size": {"most": 1}}]}, "no rules of release"),
        ({"lepton": "rules/1", "rules": []}, "no rules of release"),
        ({"lepton": "release-rules/1", "rules": [{"size": {"most": 1}}], "until": "2030"}, "no rules of release"),
        ({"lepton": "release-rules/1", "rules": [{"size": {"most": 1}}], "valid_for": "long"}, "valid_for='long'"),
        ({"lepton": "release-rules/1", "rules": [{"size": {"most": 1}}], "valid_for": "99999d"}, "100 years"),
    ],
)
def test_what_cannot_be_meant_is_refused(written: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        rules_of(written)
    assert said in str(caught.value)
    assert caught.value.code is ErrorCode.BAD_RULE


@pytest.mark.parametrize("text", ["- size: {most: 1MB}\n- !!python/object:os.system {}", "rules: [", "&a [*a]", ""])
def test_files_that_are_no_plain_rules_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "release.yaml"
    path.write_text(text)
    with pytest.raises(LeptonError):
        load_rules(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.yaml"):
        load_rules(tmp_path / "nothing.yaml")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(RULES.names()), st.dictionaries(st.sampled_from(["least", "most", "column", "by"]), PLAIN))
def test_any_plain_data_is_a_rule_or_refused(name: str, parameters: dict[str, Any]) -> None:
    try:
        (rule,) = rules_of([{name: parameters}])
    except UsageError as error:
        code = error.code
    else:
        assert rules_of([{name: rule.params()}])[0] == rule
        return
    assert code is ErrorCode.BAD_RULE


def test_every_rule_is_what_it_is_called() -> None:
    for name in RULES.names():
        kind = RULES.load(name)
        assert issubclass(kind, Rule)
        assert kind.name == name
        assert "Attributes:" in (kind.__doc__ or "") or not kind.__annotations__.keys() - {"name"}
