"""Planted faults are found with their rows, and clean columns are left in peace."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from lepton.data.recipes.faults import (
    find_missing_markers,
    find_mixed_dates,
    find_mojibake,
    find_number_texts,
    find_spellings,
    find_units,
)

ROWS = 400
HEIGHTS = pl.Series(np.random.default_rng(0).normal(170, 9, ROWS).round(1))
AGES = pl.Series(np.random.default_rng(1).integers(18, 90, ROWS))
TOWNS = pl.Series(["Hamburg", "Berlin", "Köln", "Leipzig"] * (ROWS // 4))
FINDERS = (
    find_missing_markers,
    find_mixed_dates,
    find_mojibake,
    find_number_texts,
    find_spellings,
    find_units,
)
DAYS = pl.Series([dt.date(2020, 1, 1) + dt.timedelta(days=day) for day in range(ROWS)])


@pytest.mark.parametrize("finder", FINDERS)
@pytest.mark.parametrize(
    "column",
    [
        HEIGHTS,
        AGES,
        TOWNS,
        DAYS.dt.to_string("%d/%m/%Y"),
        DAYS.dt.to_string("%B %d, %Y"),
        pl.Series(["A11", "A12", "B7", "B12"] * 50),
        pl.Series([0.0, 99.0, 100.0, 7.0] * 50),
        pl.Series([None] * 5, dtype=pl.String),
        pl.Series([], dtype=pl.Float64),
        pl.Series(["", "NA"]),
        pl.Series([1.0, 1.0, 1.0] * 20),
    ],
)
def test_nothing_is_found_in_clean_columns(finder, column):
    assert finder(column) is None


@pytest.mark.parametrize("marker", [-999, -1, 999, 99999])
def test_numbers_that_mean_missing(marker):
    found = find_missing_markers(AGES.clone().scatter([3, 7, 99], marker))
    assert found.rows == 3
    assert found.details["markers"] == [f"{marker:g}"]


@pytest.mark.parametrize("marker", ["NA", "?", " n/a ", "none", "-"])
def test_texts_that_mean_missing(marker):
    found = find_missing_markers(TOWNS.clone().scatter([3, 7], marker))
    assert (found.rows, found.details["markers"]) == (2, [marker])


def test_none_that_is_a_value():
    assert find_missing_markers(TOWNS.replace("Berlin", "none")) is None


def test_mixed_dates():
    texts = DAYS.dt.to_string("%d/%m/%Y").clone().scatter([5, 6], ["2020-01-06", "7 Jan 2020"])
    found = find_mixed_dates(texts)
    assert found.rows == 2
    assert set(found.details["formats"]) == {"%d/%m/%Y", "%Y-%m-%d", "%d %b %Y"}


def test_numbers_in_text_and_units():
    found = find_number_texts(pl.Series(["$1,200.50", "$3", None] * 10))
    assert (found.rows, found.details["format"]) == (20, "1,234.5")
    mixed = pl.Series(["1.5 km", "2 km", "700 m"] * 10)
    assert find_units(mixed).rows == 10
    assert find_units(mixed).details["unit"] == "km"
    assert find_units(pl.Series(["1.5 km", "2 km"])) is None


@pytest.mark.parametrize("marker", ["N / A", "n a", "#N/A N/A", "-NaN", "not available", "gone"])
def test_texts_among_numbers_that_mean_missing(marker):
    texts = AGES.cast(pl.String).scatter([3, 7, 99], marker)
    found = find_missing_markers(texts)
    assert (found.rows, found.details["markers"]) == (3, [marker])


def test_words_with_digits_among_numbers_mean_something():
    assert find_missing_markers(AGES.cast(pl.String).scatter([3, 7, 99], "<5")) is None


def test_spellings():
    found = find_spellings(TOWNS.clone().scatter([0, 1], ["Hambrug", "BERLIN"]))
    assert found.rows == 2
    assert {value: each["to"] for value, each in found.details["spellings"].items()} == {
        "Hambrug": "Hamburg",
        "BERLIN": "Berlin",
    }


def test_mojibake():
    found = find_mojibake(TOWNS.clone().scatter([2], "KÃ¶ln"))
    assert (found.rows, found.details["example"]) == (1, ["KÃ¶ln", "Köln"])
