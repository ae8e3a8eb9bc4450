"""Every registered step keeps the contract, and each does what its name says."""

import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import UsageError
from lepton.data.steps import (
    STEPS,
    Block,
    Calendar,
    Clip,
    Cycles,
    DropTexts,
    Impute,
    Lookup,
    MissingIndicators,
    OneHot,
    Ordinal,
    Pairs,
    Products,
    Standardise,
    TextGrams,
    TextLength,
    TextTopics,
    apply_steps,
)
from tests.data.steps.step_contract import StepContract, dates, plain_numbers


class TestCalendarContract(StepContract):
    step = Calendar
    values = dates


class TestCyclesContract(StepContract):
    step = Cycles
    values = dates


class TestOrdinalContract(StepContract):
    step = Ordinal


class TestOneHotContract(StepContract):
    step = OneHot


class TestLookupContract(StepContract):
    step = Lookup


class TestImputeContract(StepContract):
    step = Impute


class TestMissingIndicatorsContract(StepContract):
    step = MissingIndicators


class TestClipContract(StepContract):
    step = Clip


class TestStandardiseContract(StepContract):
    step = Standardise
    values = st.one_of(plain_numbers, st.sampled_from([np.nan, np.inf, -np.inf]))
    tolerance = 1e-12


class TestProductsContract(StepContract):
    step = Products


class TestPairsContract(StepContract):
    step = Pairs


class TestTextGramsContract(StepContract):
    step = TextGrams
    tolerance = 1e-12


class TestTextTopicsContract(StepContract):
    step = TextTopics
    tolerance = 1e-12


class TestTextLengthContract(StepContract):
    step = TextLength


class TestDropTextsContract(StepContract):
    step = DropTexts


def test_every_registered_step_is_in_the_contract_suite():
    tested = {contract.step.name for contract in StepContract.__subclasses__()}
    assert tested == set(STEPS.names())
    assert {STEPS.load(name).name for name in STEPS.names()} == tested


def numbers(**columns: list[float]) -> Block:
    return Block(np.column_stack([np.array(v, float) for v in columns.values()]), tuple(columns), pl.DataFrame())


BEGIN, END = (datetime.datetime.fromisoformat(f"{year}-01-01") for year in (1600, 2250))
EPOCH = datetime.datetime.fromisoformat("1970-01-01")


@given(st.datetimes(BEGIN, END))
def test_calendar_parts_are_those_of_the_calendar(when):
    microseconds = (when - EPOCH) // datetime.timedelta(microseconds=1)
    columns = ("year", "month", "day", "weekday", "day_of_year", "hour", "minute_of_day")
    step = Calendar(("when",) * 7, columns)
    parts = step.apply(numbers(when=[microseconds])).numbers[0, 1:]
    minute = when.hour * 60 + when.minute
    expected = [when.year, when.month, when.day, when.weekday(), when.timetuple().tm_yday, when.hour, minute]
    assert parts.tolist() == expected


def test_calendar_keeps_the_parts_that_vary():
    hour = 3_600_000_000
    step = Calendar.fit(numbers(when=[0, 5 * hour, np.nan]))
    assert step.parts == ("hour",)
    assert Calendar.fit(numbers(when=[0, hour / 2])).parts == ("minute_of_day",)
    assert Calendar.fit(numbers(when=[np.nan, np.nan])).parts == ()


def texts(values: list[str]) -> Block:
    return Block(np.empty((len(values), 0)), (), pl.DataFrame({"t": values}))


def test_ordinal_codes():
    step = Ordinal.fit(texts(["b", "a", "b", "", "rare", "a"]), min_count=2)
    codes = step.apply(texts(["a", "b", "rare", "never", ""])).numbers[:, 0]
    assert codes[:4].tolist() == [0.0, 1.0, -1.0, -1.0]
    assert np.isnan(codes[4])


def test_ordinal_keeps_the_most_frequent():
    step = Ordinal.fit(texts(["c", "c", "b", "b", "a"]), max_categories=2)
    assert step.values == (("b", "c"),)


def test_one_hot_columns():
    step = OneHot.fit(numbers(x=[0, 1, np.nan, -1]))
    out = step.apply(numbers(x=[1, np.nan, 7, -1]))
    assert out.number_names == ("x=0", "x=1", "x is missing")
    assert out.numbers.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_impute_takes_the_median_of_finite_values():
    step = Impute.fit(numbers(x=[1, 2, 9, np.nan, np.inf], y=[np.nan] * 5))
    assert step.fills == (2.0, 0.0)
    assert step.apply(numbers(x=[np.nan], y=[np.nan])).numbers.tolist() == [[2.0, 0.0]]
    assert Impute.fit(numbers(x=[1, 2, 9]), method="mean").fills == (4.0,)


def test_missing_indicators_where_some_are_missing():
    step = MissingIndicators.fit(numbers(x=[1, np.nan], y=[1, 2], z=[np.nan, np.nan]))
    assert step.columns == ("x",)


def test_clip_holds_infinities():
    step = Clip.fit(numbers(x=[1, 5, np.inf]))
    assert step.apply(numbers(x=[np.inf, -np.inf, 3])).numbers[:, 0].tolist() == [5, 1, 3]


def test_standardise_survives_large_numbers():
    step = Standardise.fit(numbers(x=[1e200, 3e200], constant=[4, 4]))
    out = step.apply(numbers(x=[3e200], constant=[5])).numbers[0]
    np.testing.assert_allclose(out, [1.0, 1.0], rtol=1e-12)


def test_steps_work_in_a_row():
    block = Block(np.array([[1.0], [np.nan]]), ("x",), pl.DataFrame({"t": ["a", "b"]}))
    steps = []
    seen = block
    for fit in (Ordinal.fit, MissingIndicators.fit, Impute.fit, Clip.fit, Standardise.fit):
        steps.append(fit(seen))
        seen = steps[-1].apply(seen)
    assert seen.number_names == ("x", "t", "x is missing")
    assert np.array_equal(apply_steps(steps, block).numbers, seen.numbers)


def test_a_block_whose_names_repeat_is_refused():
    with pytest.raises(UsageError, match="all different"):
        Block(np.zeros((1, 2)), ("x", "x"), pl.DataFrame())


def test_many_rows_go_through_in_parts_and_give_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    numbers = np.where(rng.random((100, 2)) < 0.1, np.nan, rng.normal(size=(100, 2)))
    block = Block(numbers, ("a", "b"), pl.DataFrame({"c": rng.choice(["x", "y", ""], 100)}))
    steps = [Impute.fit(block), Ordinal.fit(block)]
    whole, kept = apply_steps(steps, block), apply_steps(steps[:1], block)
    monkeypatch.setattr("lepton.data.steps.base._ROWS_AT_ONCE", 7)
    parts = apply_steps(steps, block)
    assert parts.number_names == whole.number_names
    np.testing.assert_array_equal(parts.numbers, whole.numbers)
    assert apply_steps(steps[:1], block).strings.equals(kept.strings)


def test_cycles_close_at_midnight_and_new_year():
    def at(text):
        return datetime.datetime.fromisoformat(text + "+00:00").timestamp() * 1e6

    texts = ["2023-06-01T12:00", "2023-12-31T23:59", "2025-01-01T00:01", "2024-07-01T06:00"]
    block = Block(np.array([[at(text)] for text in texts] + [[np.nan]]), ("when",), pl.DataFrame())
    step = Cycles.fit(block)
    assert step.cycles == ("day", "week", "year")
    made = step.apply(block)
    assert len(made.number_names) == 1 + 2 * (2 + 1 + 2)
    day = made.columns(("sin day(when)", "cos day(when)"))
    assert np.allclose(day[1], day[2], atol=0.01)
    assert np.allclose(day[0], [0.0, -1.0], atol=1e-6)
    assert np.allclose(day[3], [1.0, 0.0], atol=1e-6)
    year = made.columns(("sin year(when)", "cos year(when)"))
    assert np.allclose(year[1], year[2], atol=0.03)
    assert np.isnan(made.numbers[-1, 1:]).all()


def test_a_cycle_in_which_nothing_differs_is_left_out():
    day = 86_400e6
    weekly = Block(np.array([[7.0 * day * week] for week in range(10)]), ("when",), pl.DataFrame())
    assert Cycles.fit(weekly).cycles == ()
    daily = Block(np.array([[day * number] for number in range(10)]), ("when",), pl.DataFrame())
    assert Cycles.fit(daily).cycles == ("week",)


def test_products_hold_their_factors_and_are_scaled():
    block = Block(np.array([[-1.0, 2.0], [1.0, 2.0], [100.0, -2.0]]), ("a", "b"), pl.DataFrame())
    step = Products.fit(block, pairs=[("a", "b"), ("b", "b")])
    products = np.array([-2.0, 2.0, -6.0])
    found = step.apply(block)
    assert found.number_names == ("a", "b", "a × b", "b × b")
    np.testing.assert_allclose(found.numbers[:, 2], (products + 2.0) / products.std())
    assert found.numbers[:, 3].tolist() == [0.0, 0.0, 0.0]


def test_pairs_are_in_units_of_deviation():
    block = Block(np.array([[0.0, 0.0], [2.0, 20.0], [4.0, np.nan], [2.0, 0.0]]), ("a", "b"), pl.DataFrame())
    step = Pairs.fit(block, pairs=[("a", "b")])
    found = step.apply(block).numbers[:, 2:]
    a, b = 2.0 / np.std([0.0, 2.0, 4.0, 2.0]), 20.0 / np.std([0.0, 20.0, 0.0])
    assert found[1].tolist() == pytest.approx([a + b, a - b, a / b])
    assert found[3].tolist() == pytest.approx([a, a, np.inf])
    assert np.isnan(found[2]).all()
    assert np.isnan(found[0, 2])
