"""Texts are read as dates, numbers and booleans in the way of their column, or not at all."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import TableInputs
from lepton.bundle.codecs import DatetimeParser
from lepton.core import DataError, Kind, SchemaError, UsageError
from lepton.data.dates import fast_moments
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.parsing import ParseBooleans, ParseDates, ParseNumbers
from tests.data.recipes.step_contract import bound_on, check_step, table_of


def _applied(step, values, later=None):
    bound = bound_on(step, table_of({"c": values}))
    frame = pl.DataFrame({"c": values if later is None else later}, schema={"c": pl.String})
    return bound, bound.apply(frame)


def _days(*days):
    return [None if day is None else dt.datetime.fromisoformat(day) for day in days]


def test_steps_that_parse_keep_the_contract():
    dates = {"c": ["31/12/2020", "05/06/2020", None, "2020-01-02"], "n": [1.0, 2.0, None, 4.0]}
    check_step(ParseDates("c", on_error="flag"), dates, unseen={"c": ["x", ""], "n": [1.0, None]}, graph=False)
    numbers = {"c": ["1,234.50 km", "3 m", None, "7 km"]}
    check_step(ParseNumbers("c", on_error="drop"), numbers, unseen={"c": ["x", "3", "1.234,5 m"]}, graph=False)
    check_step(ParseBooleans("c"), {"c": ["ja", "NEIN", None]}, unseen={"c": ["vielleicht"]}, graph=False)
    check_step(ParseDates("c", "%d.%m.%y", time_zone="Europe/Berlin"), {"c": ["01.02.20", None]}, graph=False)


@pytest.mark.parametrize(
    ("texts", "expected", "formats", "ambiguous"),
    [
        (["2020-01-02", None, " 2021-03-04"], ["2020-01-02", None, "2021-03-04"], ["%Y-%m-%d"], 0),
        (["05/06/2020", "31/12/2020"], ["2020-06-05", "2020-12-31"], ["%d/%m/%Y"], 0),
        (["05/06/2020", "12/31/2020"], ["2020-05-06", "2020-12-31"], ["%m/%d/%Y"], 0),
        (["05/06/2020"], ["2020-06-05"], ["%d/%m/%Y"], 1),
        (["05/06/2020", "12/31/2020", "2020-02-01"], ["2020-05-06", "2020-12-31", "2020-02-01"],
         ["%m/%d/%Y", "%Y-%m-%d"], 0),
        (["1 Jan 2020", "2020-01-02 10:30"], ["2020-01-01", "2020-01-02T10:30"], ["%Y-%m-%d %H:%M", "%d %b %Y"], 0),
    ],
)  # fmt: skip
def test_dates_are_learned(texts, expected, formats, ambiguous):
    step = ParseDates("c")
    bound, applied = _applied(step, texts)
    assert applied.frame["c"].to_list() == _days(*expected)
    assert not applied.bad["c"].any()
    learner = step.learner(table_of({"c": texts}).schema, 1000)
    learner.update(pl.DataFrame({"c": texts}))
    found = learner.finish()["formats"]["c"]
    assert set(found["formats"]) == set(formats)
    assert found["ambiguous"] == ambiguous
    assert bound.schema["c"].kind is Kind.DATETIME


def test_the_order_of_day_and_month_that_more_rows_prove_is_tried_first():
    texts = ["13/01/2020", "01/14/2020", "15/01/2020", "05/06/2020"]
    _, applied = _applied(ParseDates("c"), texts)
    assert applied.frame["c"].to_list() == _days("2020-01-13", "2020-01-14", "2020-01-15", "2020-06-05")


def test_a_day_that_is_not_there_is_told_with_its_row():
    with pytest.raises(DataError, match=r"parse_dates.*'c'.*31/02/2020"):
        Recipe().parse_dates("c").fit_transform(table_of({"c": ["01/02/2020", "31/02/2020"]})).frame()


def test_offsets_and_zones():
    _, applied = _applied(ParseDates("c"), ["2020-01-01T10:00:00+02:00", "2020-01-01T10:00:00Z"])
    assert applied.frame["c"].dt.hour().to_list() == [8, 10]
    _, applied = _applied(ParseDates("c", time_zone="Europe/Berlin"), ["2020-07-01 10:00:00"])
    assert applied.frame["c"].dt.convert_time_zone("UTC").dt.hour().to_list() == [8]


_TEMPLATES = ("%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y", "%d/%m/%y", "%Y%m%d")


@given(
    st.sampled_from([None, *_TEMPLATES, "%d.%m.%Y %H:%M:%S%.f"]),
    st.lists(
        st.tuples(st.datetimes(), st.sampled_from(_TEMPLATES)).map(lambda pair: pair[0].strftime(pair[1]))
        | st.text("0123456789-/.: T", max_size=20),
        max_size=8,
    ),
)
def test_what_is_read_quickly_is_what_the_codec_reads(datetime_format, texts):
    column = pl.Series("c", texts, dtype=pl.String).str.strip_chars()
    quick = fast_moments(column, datetime_format, None)
    slow = DatetimeParser(datetime_format).parse_series(column)
    for text, one, other in zip(texts, quick, slow, strict=True):
        assert one is None or one == other, text


@pytest.mark.parametrize(
    ("texts", "expected", "written", "unit"),
    [
        (["1,234.5", "2", None], [1234.5, 2.0, None], "1,234.5", None),
        (["1.234,5", "2"], [1234.5, 2.0], "1.234,5", None),
        (["1.234.567", "2.345"], [1234567.0, 2345.0], "1.234,5", None),
        (["0.123", "1.234"], [0.123, 1.234], "1234.5", None),
        (["1 234,5", "2,0"], [1234.5, 2.0], "1 234,5", None),
        (["$1,234.50", "$5"], [1234.5, 5.0], "1,234.5", "$"),
        (["12,5 %", "57 %"], [0.125, 0.57], "1234,5", None),
        (["3 km", "4km", "3500 m"], [3.0, 4.0, 3.5], "1234.5", "km"),
        (["3 kg", "500 g", "1 lb"], [3.0, 0.5, 0.45359237], "1234.5", "kg"),
        (["5 m2", "6 m2"], [5.0, 6.0], "1234.5", "m2"),
        (["3k", "4M", "7"], [3e3, 4e6, 7.0], "1234.5", None),
        (["5 apples", "7"], [5.0, 7.0], "1234.5", "apples"),
    ],
)
def test_numbers_are_learned(texts, expected, written, unit):
    bound, applied = _applied(ParseNumbers("c"), texts)
    assert applied.frame["c"].to_list() == pytest.approx(expected)
    assert not applied.bad["c"].any()
    assert bound.records[0].number_format == written
    assert bound.schema["c"].unit == unit


@pytest.mark.parametrize(
    ("learned", "later"),
    [
        (["1,234.5", "12.5"], ["1.234,5", "12,5", "x", "12.5 km"]),
        (["1.234,5"], ["12.5", "1,234.5"]),
        (["3 km", "3000 m"], ["3", "3 ft", "3 kg"]),
        (["50 %"], ["0.5"]),
        (["$5", "$7"], ["€5"]),
    ],
)
def test_texts_that_are_written_otherwise_are_bad_and_never_other_numbers(learned, later):
    _, applied = _applied(ParseNumbers("c"), learned, later)
    assert applied.frame["c"].to_list() == [None] * len(later)
    assert applied.bad["c"].all()


def test_what_cannot_be_told_is_said_and_can_be_decided():
    step = ParseNumbers("c")
    learner = step.learner(table_of({"c": ["1.234"]}).schema, 1000)
    learner.update(pl.DataFrame({"c": ["1.234", "5"]}))
    assert learner.finish()["numbers"]["c"]["ambiguous"] == 1
    assert _applied(step, ["1.234"])[1].frame["c"].to_list() == [1.234]
    assert _applied(ParseNumbers("c", decimal=","), ["1.234"])[1].frame["c"].to_list() == [1234.0]


def test_units_can_be_chosen_and_given():
    assert _applied(ParseNumbers("c", unit="m"), ["3 km", "5 m"])[1].frame["c"].to_list() == [3000.0, 5.0]
    given = ParseNumbers("c", units={"crate": 12, "": 1})
    assert _applied(given, ["2 crate", "5"])[1].frame["c"].to_list() == [24.0, 5.0]
    with pytest.raises(UsageError, match="unit='acre'"):
        bound_on(ParseNumbers("c", unit="acre"), table_of({"c": ["3 km"]}))


def test_booleans():
    _, applied = _applied(ParseBooleans("c"), ["yes", "NEIN", "on", "0", None, " oui "])
    assert applied.frame["c"].to_list() == [True, False, True, False, None, True]
    _, applied = _applied(ParseBooleans("c", true="up", false="down"), ["Up", "down", "yes"])
    assert applied.frame["c"].to_list() == [True, False, None]
    assert applied.bad["c"].to_list() == [False, False, True]
    with pytest.raises(UsageError, match="parse_booleans"):
        bound_on(ParseBooleans("c", true="a", false="A"), table_of({"c": ["a"]}))


@pytest.mark.parametrize(
    ("step", "texts", "later"),
    [
        (ParseDates("c"), ["31/12/2020", "2020-01-02 10:11:12", "1 Jan 2020"], ["05/06/2021", "30/02/2020"]),
        (ParseNumbers("c"), ["1.234,5 km", "300 m"], ["7 m", "1.5 m"]),
        (ParseBooleans("c"), ["ja", "nein"], ["Ja", "vielleicht"]),
    ],
)
def test_the_codec_of_a_bundle_reads_what_the_step_reads(step, texts, later):
    bound, applied = _applied(step, texts, [*texts, *later])
    raw = bound.raw(table_of({"c": texts}).schema["c"])
    inputs = TableInputs((raw,))
    for text, mine, bad in zip([*texts, *later], applied.frame["c"], applied.bad["c"], strict=True):
        if bad:
            with pytest.raises(SchemaError):
                inputs.tensors({"c": [text]})
        else:
            mine = pl.Series([mine]).to_physical().cast(pl.Float64)[0]
            assert inputs.tensors({"c": [text]})["numbers"][0, 0] == mine


def test_a_column_of_another_kind_cannot_be_parsed():
    with pytest.raises(DataError, match="kind boolean"):
        bound_on(ParseNumbers("n"), table_of({"n": [True]}))


def test_columns_that_were_read_as_what_a_step_gives_stay():
    table = table_of({"when": ["2021-01-01", "2021-02-03"], "n": [1, 2], "b": [True, False]}, {"when": "datetime"})
    recipe = Recipe().parse_dates("when").parse_numbers("n").parse_booleans("b")
    assert recipe.fit_transform(table).frame().equals(table.frame())
    with pytest.raises(DataError, match="column 'n' is of kind number"):
        Recipe().parse_dates("n").fit_transform(table).frame()
