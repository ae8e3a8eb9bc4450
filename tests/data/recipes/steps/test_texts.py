"""Texts are made tidy, and left alone where nothing is certain."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle.codecs import repaired
from lepton.core import DataError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.texts import ChangeCase, Extract, NormaliseUnicode, RepairMojibake, Replace, Trim
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {"c": [" A  b", None, "Straße", "MÃ¼nchen"], "n": [1.0, 2.0, 3.0, None], "d": ["x", "", "é", "12 km"]}


@pytest.mark.parametrize(
    "step",
    [
        Trim(),
        Trim("c", inside=False),
        ChangeCase("c", "fold"),
        NormaliseUnicode(),
        NormaliseUnicode("c", "NFKC", plain=True),
        RepairMojibake(),
        Replace("c", "b", "c"),
        Extract("c", "([A-Z])", on_error="flag"),
    ],
)
def test_steps_on_texts_keep_the_contract(step):
    check_step(step, TABLE, unseen={"c": ["", "zz"], "n": [1.0, None], "d": [None, "y"]}, graph=False)


def test_what_a_codec_does_in_models_is_declared():
    table = table_of(TABLE)
    town = table.schema["c"]
    once = bound_on(Trim("c"), table).raw(town)
    assert bound_on(ChangeCase("c", "fold"), table).raw(once).tidying == ("trim", "squeeze", "fold")
    assert bound_on(Trim("c"), table).raw(table.schema["d"]) is None
    assert bound_on(Replace("c", "a", "b"), table).raw(town) is None


def _changed(step, texts):
    table = table_of({"c": texts})
    return bound_on(step, table).apply(pl.DataFrame({"c": texts})).frame["c"].to_list()


@pytest.mark.parametrize(
    ("step", "texts", "expected"),
    [
        (Trim(), [" a \t b\u00a0", "\ufeffa", "\u3000 "], ["a b", "a", None]),
        (Trim(inside=False), [" a  b "], ["a  b"]),
        (ChangeCase(to="lower"), ["ÀB"], ["àb"]),
        (ChangeCase(to="upper"), ["straße"], ["STRASSE"]),
        (ChangeCase(to="title"), ["new YORK"], ["New York"]),
        (ChangeCase(to="fold"), ["Straße"], ["strasse"]),
        (NormaliseUnicode(), ["e\u0301", "\uff21"], ["é", "\uff21"]),
        (NormaliseUnicode(form="NFKC"), ["\uff21\ufb01"], ["Afi"]),
        (NormaliseUnicode(plain=True), ["\u201cit\u2019s\u201d\u00a0\u2013\u200bx"], ['"it\'s" -x']),
        (RepairMojibake(), ["MÃ¼nchen", "München", "naïve", "â‚¬ 5", "Ã"], ["München", "München", "naïve", "€ 5", "Ã"]),
        (Replace("c", ".", ""), ["a.b", "ab", "."], ["ab", "ab", None]),
        (Replace("c", "(", "$0"), ["a(b"], ["a$0b"]),
        (Extract("c", "[0-9]+"), ["a12b3"], ["12"]),
        (Extract("c", r"\(([a-z]+)\)"), ["f(x)"], ["x"]),
    ],
)
def test_what_they_do(step, texts, expected):
    assert _changed(step, texts) == expected


def test_a_pattern_that_is_not_found_is_told():
    with pytest.raises(DataError, match=r"extract.*'c'.*abc"):
        Recipe().extract("c", "[0-9]+").fit_transform(table_of({"c": ["1", "abc"]})).frame()


@pytest.mark.parametrize(
    "step", [Extract("c", "("), Extract("c", "(?=a)"), Extract("c", ""), Extract("c", "a" * 1001), Replace("c")]
)
def test_patterns_that_cannot_be(step):
    with pytest.raises(UsageError):
        bound_on(step, table_of({"c": ["a"]}))


@given(st.text(max_size=30))
def test_what_was_garbled_is_repaired(text):
    try:
        garbled = text.encode().decode("cp1252")
    except UnicodeDecodeError:
        return
    known = repaired(text) == text and not any(ord(c) < 32 or 127 <= ord(c) < 160 or ord(c) >= 0xE000 for c in text)
    if known and garbled != text and all(c.isprintable() for c in text):
        assert repaired(garbled) == text


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=30))
def test_texts_of_which_the_bytes_are_not_utf8_stay(text):
    try:
        text.encode("cp1252").decode("utf-8")
    except UnicodeEncodeError:
        return
    except UnicodeDecodeError:
        assert repaired(text) == text


def test_the_table_that_came_in_is_not_written_into():
    table = table_of({"c": ["MÃ¼nchen", "x"]})
    frame = table.frame()
    bound_on(RepairMojibake("c"), table).apply(frame)
    assert frame["c"].to_list() == ["MÃ¼nchen", "x"]
