"""Rules as they are written: what is accepted, what is said of it, and what is refused with which words."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, Kind, UsageError
from lepton.evaluation.robustness import MetamorphicRule
from lepton.evaluation.robustness.changes import read_change, read_transform
from lepton.evaluation.robustness.metamorphic_result import share_of
from lepton.evaluation.robustness.pictures import PICTURES
from lepton.evaluation.robustness.rules import rules_of

NEW_YEAR = dt.datetime.fromisoformat("2020-01-01")
NUMBERS = pl.Series("x", [-10.0, 0.0, 20.0, None])


def applied(written, kind=Kind.NUMBER, series=NUMBERS, variant=0):
    known = series.drop_nulls().unique().sort()
    change = read_change("x", written, kind)
    return change.apply(series, variant, known, 10.0, np.random.default_rng(0)).to_list()


@pytest.mark.parametrize(
    ("written", "became"),
    [
        ("+10%", [-9.0, 0.0, 22.0, None]),  # a raise is one, below 0 too
        ("-50 %", [-15.0, 0.0, 10.0, None]),
        ("+5", [-5.0, 5.0, 25.0, None]),
        ("-2.5", [-12.5, -2.5, 17.5, None]),
        ("x2", [-20.0, 0.0, 40.0, None]),
        ("* 0.001", [-0.01, 0.0, 0.02, None]),
        (7, [7.0] * 4),
        ([1, 2], [1.0] * 4),
        ({"to": None}, [None] * 4),
        ("missing", [None] * 4),
        ("other", [0.0, 20.0, -10.0, 0.0]),
    ],
)
def test_changes_of_numbers(written, became):
    assert applied(written) == pytest.approx(became)


def test_other_changes():
    towns = pl.Series("x", ["Oslo", "Bergen", None])
    assert applied("other", Kind.CATEGORY, towns) == ["Bergen", "Oslo", "Oslo"]
    assert applied("Oslo", Kind.CATEGORY, towns) == ["Oslo"] * 3
    assert applied({"values": ["a", "b"]}, Kind.CATEGORY, towns, variant=1) == ["b"] * 3
    assert applied("other", Kind.BOOLEAN, pl.Series("x", [True, False])) == [False, True]
    days = pl.Series("x", [NEW_YEAR])
    assert applied("+30 days", Kind.DATETIME, days) == [NEW_YEAR + dt.timedelta(days=30)]
    assert applied("2024-02-29", Kind.DATETIME, days) == [dt.datetime.fromisoformat("2024-02-29")]
    texts = pl.Series("x", ["I do not know", None])
    assert applied("paraphrase 1", Kind.TEXT, texts) == ["I don't know", None]
    noise = np.array(applied("noise 1%", series=pl.Series("x", [5.0] * 2_000)))
    assert noise.std() == pytest.approx(0.1, rel=0.1)


@given(st.floats(0.1, 99), st.floats(-1e6, 1e6))
def test_a_raise_never_lowers(percent, value):
    (raised,) = applied(f"+{percent:.3f}%", series=pl.Series("x", [value]))
    (cut,) = applied(f"-{percent:.3f}%", series=pl.Series("x", [value]))
    assert cut <= value <= raised


@pytest.mark.parametrize(
    ("written", "kind", "said"),
    [
        ("+10%", Kind.TEXT, "numbers alone can be moved"),
        ("+10%", Kind.CATEGORY, "of kind category"),
        ("+10%", Kind.DATETIME, "+30 days"),
        ("+3 days", Kind.NUMBER, "+10%"),
        ("a lot", Kind.NUMBER, "+10%"),
        ("+1.2.3", Kind.NUMBER, "a number"),
        (True, Kind.NUMBER, "values of kind number"),
        ("yes", Kind.BOOLEAN, "other"),
        ([], Kind.CATEGORY, "a list of values"),
        ({"by": 3}, Kind.NUMBER, "to: a value"),
        ("soon", Kind.DATETIME, "kind datetime"),
        ("", Kind.NUMBER, "text"),
    ],
)
def test_changes_that_do_not_fit_are_refused(written, kind, said):
    with pytest.raises(UsageError) as caught:
        read_change("x", written, kind)
    assert caught.value.code is ErrorCode.BAD_RULE
    assert said in str(caught.value)


def test_transforms_have_a_name_and_an_amount():
    assert read_transform("", "rotate 5", PICTURES).amount == 5
    assert read_transform("", "rotate", PICTURES).amount == 2
    for written, said in (("rotat 5", "did you mean 'rotate'"), ("rotate 5 6", "a name and an amount"),
                          ("rotate x", "a number"), ("blur 7", "an amount from 0 to 0.5")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            read_transform("", written, PICTURES)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"answer": "same"}, "the rule changes nothing"),
        ({"answer": "same", "change": {"a": 1}, "transform": "blur"}, "both change and transform"),
        ({"answer": "not_rising", "change": {"a": 1}}, "there is no answer 'not_rising'"),
        ({"answer": "within -1", "change": {"a": 1}}, "at least 0"),
        ({"answer": "within 1e999", "change": {"a": 1}}, "at least 0"),
        ({"answer": "within 1.2.3", "change": {"a": 1}}, "at least 0"),
        ({"change": {"a": 1}}, "what the answer must do"),
        ({"anser": "same", "change": {"a": 1}}, "did you mean 'answer'"),
        ({"answer": "same", "change": ["a"]}, "columns with what is done"),
        ({"answer": 3, "change": {"a": 1}}, "got answer"),
        ("income up", "got the rule"),
    ],
)
def test_rules_that_are_none_are_refused_by_number(written, said):
    good = {"answer": "same", "change": {"a": 1}}
    with pytest.raises(UsageError) as caught:
        rules_of([good, written])
    assert str(caught.value).startswith("rule 2: ") or str(caught.value).startswith("Rule 2: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("written", [[], {}, "rules", None, [{"answer": "same", "change": {"a": 1}}] * 1_001])
def test_a_list_of_rules_is_wanted(written):
    with pytest.raises(UsageError):
        rules_of(written)


def test_rules_say_what_they_mean_and_come_back():
    rule = MetamorphicRule.of({"change": {"a": "+10%", "b": "other"}, "answer": {"within": 0.01}, "where": "a > 3"})
    assert str(rule) == (
        "when 'a' is changed by +10% and 'b' has another value that occurs, "
        "the answer must stay within 0.01, where a > 3"
    )
    assert (rule.form, rule.limit, rule.relative) == ("within", 0.01, False)
    assert MetamorphicRule.of(rule.to_dict()) == rule
    assert MetamorphicRule("within 5%", {"a": 1}).relative
    assert "\u202e" not in str(MetamorphicRule("same", {"a\u202e": 1}, name="x\u202e"))


@given(st.integers(1, 5_000), st.integers(0, 5_000))
def test_shares_have_intervals_that_hold_them(rows, broken):
    found = share_of(min(broken, rows), rows)
    assert found.value is not None
    assert found.lower is not None
    assert found.upper is not None
    assert 0 <= found.lower <= found.value <= found.upper <= 1
    assert found.lower < found.upper
