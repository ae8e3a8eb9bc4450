"""Steps on personal data keep the contract, hide what they should, and take no key from a recipe."""

# ruff: noqa: DTZ001 - dates without a zone, as tables have them

from __future__ import annotations

from datetime import datetime

import pytest

from lepton.core import LeptonError, SecurityError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.personal import KEY_FILE_VARIABLE, KEY_VARIABLE, Generalise, Mask, Pseudonymise
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {
    "n": [37.0, None, -2.5, 40.0],
    "i": [4930123456, 1, None, 0],
    "s": ["4111 1111 1111 1234", None, "ab", "Zoë-9"],
    "d": [datetime(2020, 5, 17, 3), None, datetime(1969, 12, 31), datetime(2000, 1, 1)],
}
KEY = "0123456789abcdef-of-a-test"


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)


def _values(step, name):
    table = table_of(TABLE)
    return bound_on(step, table).apply(table.frame()).frame[name].to_list()


def test_mask_keeps_the_contract():
    check_step(Mask(("s", "i")), TABLE, graph=False)


def test_mask_shows_the_end_only():
    assert _values(Mask("s"), "s") == ["**** **** **** 1234", None, "**", "***-*"]
    assert _values(Mask("s", keep=0, character="$"), "s") == ["$$$$ $$$$ $$$$ $$$$", None, "$$", "$$$-$"]
    assert _values(Mask("i", keep=3), "i") == ["*******456", "*", None, "*"]


def test_pseudonymise_keeps_the_contract(key):
    check_step(Pseudonymise(("s", "i")), TABLE, graph=False)


def test_pseudonyms_depend_on_the_key_alone(key, monkeypatch, tmp_path):
    first = _values(Pseudonymise("s"), "s")
    assert first == _values(Pseudonymise("s"), "s")
    assert first[1] is None
    assert len({*first}) == 4
    assert all(len(name) == 32 for name in first if name)
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    monkeypatch.delenv(KEY_VARIABLE)
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(path))
    assert _values(Pseudonymise("s"), "s") == first
    path.write_text("another key of 32 characters ...")
    assert not {*_values(Pseudonymise("s"), "s")} & {*first} - {None}


def test_whole_numbers_have_the_pseudonym_of_their_text(key):
    table = table_of({"a": [17.0], "b": [17], "c": ["17"]})
    row = bound_on(Pseudonymise(("a", "b", "c")), table).apply(table.frame()).frame.row(0)
    assert len(set(row)) == 1


def test_nothing_of_the_key_is_in_the_recipe(key, tmp_path):
    fitted = Recipe().pseudonymise("s").fit(table_of(TABLE))
    fitted.save(tmp_path / "recipe.yaml")
    assert KEY not in (tmp_path / "recipe.yaml").read_text()


@pytest.mark.parametrize("given", [None, "short", "x" * 5000])
def test_without_a_good_key_nothing_is_pseudonymised(monkeypatch, given):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if given:
        monkeypatch.setenv(KEY_VARIABLE, given)
    with pytest.raises(SecurityError, match="key") as caught:
        _values(Pseudonymise("s"), "s")
    assert given is None or given not in str(caught.value)


def test_a_key_that_others_may_read_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o644)
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(path))
    with pytest.raises(SecurityError, match="0644"):
        _values(Pseudonymise("s"), "s")


@pytest.mark.parametrize(
    ("step", "name", "expected"),
    [
        (Generalise("n", "band"), "n", ["30 to 40", None, "-10 to 0", "40 to 50"]),
        (Generalise("n", "band", 2.5), "n", ["35 to 37.5", None, "-2.5 to 0", "40 to 42.5"]),
        (Generalise("s", "prefix", keep=2), "s", ["41", None, "ab", "Zo"]),
        (Generalise("i", "prefix", keep=2), "i", ["49", "1", None, "0"]),
        (
            Generalise("d", "month"),
            "d",
            [datetime(2020, 5, 1), None, datetime(1969, 12, 1), datetime(2000, 1, 1)],
        ),
        (Generalise("d", "year"), "d", [datetime(2020, 1, 1), None, datetime(1969, 1, 1), datetime(2000, 1, 1)]),
    ],
)
def test_generalise_makes_values_coarser(step, name, expected):
    check_step(step, TABLE, graph=False)
    assert _values(step, name) == expected


@pytest.mark.parametrize(
    "step",
    [
        Mask(()),
        Mask("s", keep=-1),
        Mask("s", character="ab"),
        Mask("s", character="x"),
        Mask("d"),
        Pseudonymise(()),
        Pseudonymise("d"),
        Pseudonymise("gone"),
        Generalise("n", "band", 0.0),
        Generalise("n", "month"),
        Generalise("s", "prefix", keep=-1),
    ],
)
def test_what_cannot_be_is_refused(step):
    with pytest.raises(LeptonError):
        step.bind(table_of(TABLE).schema, {})


def test_a_recipe_cannot_bring_a_key():
    with pytest.raises(UsageError, match="no parameter 'key'"):
        Recipe().step("pseudonymise", "s", key=KEY)


def test_what_is_hidden_is_in_no_examples_before_or_after():
    rows = {"mail": [" ann@mail.example", "bo@mail.example"], "town": [" Ulm", "Bonn"]}
    recipe = Recipe().trim(["mail", "town"]).rename({"mail": "contact"}).mask("contact", 0)
    changes = recipe.fit_transform(table_of(rows, kinds={"mail": "text", "town": "text"})).changes()
    assert "ann@" not in str(changes.to_dict())
    assert "ann@" not in changes.page().html()
    assert [record.examples != () for record in changes.records if record.what == "cells"] == [False, True, False]
