"""Personal data is found where it is, and not where numbers only look like it; nothing shows a value."""

from __future__ import annotations

import random
from datetime import date

import polars as pl
import pytest

from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.data.quality.personal import find_personal
from lepton.data.quality.personal.find import masked
from tests.data.quality.personal.planted import INNOCENT, PLANTED, telephone

ROWS = 200


def _column(maker, seed=1):
    draw = random.Random(seed)
    return [maker(draw) for _ in range(ROWS)]


def _kinds(values, name="c", **options):
    return {each.kind for each in find_personal(read({name: values}), **options).findings}


@pytest.mark.parametrize("kind", PLANTED)
def test_columns_of_each_kind_are_found_and_are_of_no_other_kind(kind):
    values = _column(PLANTED[kind])
    report = find_personal(read({"c": values, "n": list(range(ROWS))}))
    assert [each.kind for each in report.findings] == [kind]
    assert report.findings[0].share >= 0.95
    shown = repr(report.to_dict()) + report.text()
    assert not any(value in shown for value in values)


@pytest.mark.parametrize("kind", [k for k in PLANTED if k not in ("German tax identity number", "name of a person")])
def test_texts_that_hold_it_are_found(kind):
    values = [
        f"please note: {value}, thanks" if i % 4 == 0 else "nothing to see"
        for i, value in enumerate(_column(PLANTED[kind]))
    ]
    values = [f"{value} ({i} of many)" for i, value in enumerate(values)]
    found = {each.kind: each for each in find_personal(read({"c": values}, kinds={"c": "text"})).findings}
    assert kind in found
    assert found[kind].in_text
    assert found[kind].count >= 0.9 * ROWS / 4


@pytest.mark.parametrize("name", INNOCENT)
def test_what_only_looks_like_it_is_left_alone(name):
    assert _kinds(_column(INNOCENT[name])) == set()
    assert _kinds(_column(INNOCENT[name]), name) == set()


def test_whole_numbers_are_cards_only_with_their_check_digit():
    cards = [int(card.replace(" ", "")) for card in _column(PLANTED["card number"])]
    assert _kinds(cards) == {"card number"}
    assert _kinds([card + 1 for card in cards]) == set()


def test_names_of_columns_are_evidence():
    numbers = [int("4930" + str(10_000_000 + 37 * i)) for i in range(ROWS)]
    assert _kinds(numbers) == set()
    born = [date(1950 + i % 50, 1 + i % 12, 3) for i in range(ROWS)]
    assert _kinds(pl.Series(born), "date_of_birth") == {"date of birth"}
    assert _kinds(pl.Series(born), "ordered") == set()
    places = [48.123456 + i / 1000 for i in range(ROWS)]
    assert _kinds(places, "latitude") == {"geographic coordinates"}
    assert _kinds(places, "weight") == set()
    ssn = [f"{100 + i}{10 + i % 80}{1000 + i}" for i in range(ROWS)]
    assert _kinds(ssn, "SSN") == {"US social security number"}
    assert _kinds(ssn, "part") == set()
    chinese = ["王伟", "李娜", "张敏", "刘洋", "陈静"] * 40
    assert _kinds(chinese, "姓名") == {"name of a person"}


def test_counts_are_over_all_rows_where_asked():
    values = ["none"] * 300 + [telephone(random.Random(i)) for i in range(300)]
    first = find_personal(read({"c": values}), rows=300)
    assert (first.findings, first.rows_seen, first.complete) == ((), 300, False)
    everything = find_personal(read({"c": values}), rows=None)
    assert everything.findings[0].count == 300
    assert everything.complete


def test_columns_may_be_chosen():
    table = read({"a": _column(PLANTED["e-mail"]), "b": _column(PLANTED["IBAN"])})
    assert [each.column for each in find_personal(table, columns=["b"]).findings] == ["b"]
    with pytest.raises(DataError, match="no column 'x'"):
        find_personal(table, columns=["x"])
    with pytest.raises(UsageError, match="rows=0"):
        find_personal(table, rows=0)


def test_columns_without_values_have_nothing():
    assert find_personal(read({"c": [None, None], "d": ["", "x"]})).text() == "No personal data found in 2 rows."


def test_masking_hides_letters_and_digits_of_every_script():
    assert masked("Müller-7 王伟, +49") == "******-* **, +**"


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["adult-test", "bank-additional", "bikeshare", "california_housing", "german_credit", "iris"]
)
def test_shared_tables_hold_none(shared_data, name):
    assert find_personal(read(shared_data / "tabular" / f"{name}.csv"), rows=3_000).findings == ()
