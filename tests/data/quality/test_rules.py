"""Rules as they are written: in Python, in YAML, by strangers."""

import pytest

from lepton.core import ErrorCode, UsageError
from lepton.data import read
from lepton.data.quality import RULES, Severity, load_rules
from lepton.data.quality.rules import Fresh, InRange, Matches, OneOf, rules_of


def test_every_rule_can_be_loaded_and_says_what_it_is():
    for name in RULES.names():
        rule = RULES.load(name)
        assert rule.name == name
        assert rule.__doc__


def test_rules_come_from_yaml(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "lepton: rules/1\n"
        "rules:\n"
        "- in_range: {columns: [age], least: 0, most: 120}\n"
        "- one_of: {columns: kind, values: [a, no], severity: warn, allowed: 0.1}\n"
        "- has_kind: {columns: [age], kind: number}\n"
    )
    first, second, third = load_rules(path)
    assert first == InRange(("age",), 0, 120)
    assert second == OneOf(("kind",), ("a", "no"), severity=Severity.WARN, allowed=0.1)
    assert str(first) == "in_range(columns=['age'], least=0, most=120)"
    assert third.name == "has_kind"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("rules", "no list"),
        ({"lepton": "recipe/1", "rules": []}, "no rules"),
        ({"lepton": "rules/1", "rules": [], "run": "id"}, "no rules"),
        ([{"in_rang": {"columns": ["a"]}}], "did you mean 'in_range'"),
        ([{"in_range": {"column": "a"}}], "no parameter 'column'"),
        ([{"in_range": {"columns": ["a"], "least": []}}], "least"),
        ([{"in_range": {}}], "lacks columns"),
        ([{"matches": {"columns": ["a"], "pattern": "(["}}], "pattern"),
        ([{"matches": {"columns": ["a"], "pattern": "a" * 2_000}}], "2,000 characters"),
        ([{"matches": {"columns": ["a"], "pattern": "(?=a)"}}], "pattern"),
        ([{"holds": {"expression": "__import__('os')"}}], "rule 1"),
        ([{"fresh": {"column": "t", "within": "soon"}}], "within='soon'"),
        ([{"fresh": {"column": "t", "within": "1d", "now": "later"}}], "a time such as"),
        ([{"unique": {"columns": ["a"], "severity": "fatal"}}], "severity"),
        ([{"unique": {"columns": ["a"], "allowed": 2.0}}], "allowed"),
        ([{"exists_in": {"columns": ["a", "b"], "table": "t", "key": ["a"]}}], "2 columns against 1"),
        (["unique"], "rule 1"),
        ([{"unique": {"columns": ["a"]}, "row_count": {}}], "rule 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(data, words):
    with pytest.raises(UsageError, match=words.replace("(", r"\(")) as caught:
        rules_of(data)
    assert caught.value.code is ErrorCode.BAD_RULE


def test_durations_have_days():
    assert Fresh("t", "2d").seconds == 172_800
    assert Fresh("t", "36h").seconds == 129_600


def test_a_pattern_is_of_the_whole_text():
    table = read({"zip": ["12345", "1234", "x12345"]}, kinds={"zip": "category"})
    broken = table.frame().select(Matches(("zip",), "[0-9]{5}").broken(table.schema)).to_series()
    assert broken.to_list() == [False, True, True]
