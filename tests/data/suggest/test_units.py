import numpy as np
import polars as pl
import pytest

from lepton.data.recipes.faults import Fault
from lepton.data.suggest.units import find_swapped_units

ROWS = 400
RNG = np.random.default_rng(0)
HEIGHTS = pl.Series("height", RNG.normal(170, 9, ROWS).round(1))
SOME = np.arange(0, ROWS, 20)


def swapped(values, rows, factor):
    return values.cast(pl.Float64).scatter(rows, values.gather(rows) * factor)


def the(found: Fault | None) -> Fault:
    assert found is not None
    return found


@pytest.mark.parametrize("rows", [SOME[:3], SOME, np.arange(0, ROWS, 5)])
@pytest.mark.parametrize("factor", [10.0, 100.0, 1000.0, 2.54, 2.2046226, 0.01, 1 / 2.54])
def test_values_in_another_unit(factor, rows):
    values = swapped(HEIGHTS, rows, factor)
    found = the(find_swapped_units(values))
    assert found.rows == len(rows)
    assert found.details["factor"] == pytest.approx(factor)
    assert values.is_between(found.details["lowest"], found.details["highest"]).arg_true().to_list() == rows.tolist()


def test_columns_over_orders_of_magnitude_have_no_clean_gap():
    wide = pl.Series("people", np.random.default_rng(3).lognormal(7, 0.9, 5_000).round())
    rows = np.arange(0, 5_000, 10)
    found = the(find_swapped_units(swapped(wide, rows, 1000.0)))
    assert found.details["factor"] == 1000
    assert abs(found.rows - len(rows)) <= 10
    assert find_swapped_units(wide) is None


def test_what_mixes_with_the_rest_cannot_be_told():
    wide = pl.Series("people", np.random.default_rng(3).lognormal(7, 0.9, 2_000))
    assert find_swapped_units(swapped(wide, SOME, 2.54)) is None


def test_degrees_in_fahrenheit_need_a_column_that_says_so():
    degrees = pl.Series("temperature", np.random.default_rng(2).uniform(5, 31, ROWS))
    mixed = degrees.scatter(SOME, degrees.gather(SOME) * 1.8 + 32)
    found = the(find_swapped_units(mixed))
    assert found.rows == len(SOME)
    assert "Fahrenheit" in found.evidence
    assert find_swapped_units(mixed.rename("hours")) is None


def test_a_group_that_another_column_knows_is_no_slip():
    short, long = RNG.normal(1.5, 0.1, 50), RNG.normal(4.9, 0.5, 100)
    petals = pl.Series("length", np.concatenate([short, long]))
    species = pl.DataFrame({"species": ["a"] * 50 + ["b"] * 100})
    widths = pl.DataFrame({"width": np.concatenate([short, long]) / 3})
    assert find_swapped_units(petals) is not None
    assert find_swapped_units(petals, species) is None
    assert find_swapped_units(petals, widths) is None
    assert find_swapped_units(petals, pl.DataFrame({"day": RNG.integers(0, 7, 150)})) is not None


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3, 4] * 20,
        [0.0] * 30,
        [],
        ["a"] * 30,
        list(range(1, 100)),
        list(range(1, 100)) * 40,
        np.linspace(1, 100, 5_000),
        [-5, 5] * 20,
    ],
)
def test_nothing_is_found_in_clean_columns(values):
    assert find_swapped_units(pl.Series("x", values)) is None
