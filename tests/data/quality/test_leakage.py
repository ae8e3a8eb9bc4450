"""What gives the target away."""

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError
from lepton.data import read
from lepton.data.quality import find_leakage

ROWS = 1_000
RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(0, 1, ROWS)
SICK = np.where(SIGNAL + RNG.normal(0, 1, ROWS) > 0, "sick", "well")
FAIR = {
    "id": RNG.permutation(ROWS),
    "signal": SIGNAL,
    "town": RNG.choice(["Ulm", "Bonn", "Kiel"], ROWS),
    "dose": np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.normal(5, 1, ROWS)),
    "sick": SICK,
}


def frame(columns):
    return pl.DataFrame({name: np.asarray(values).tolist() for name, values in columns.items()})


def found_in(columns, target="sick", **options):
    found = find_leakage(read(frame(columns)), target, **options)
    return {(each.column, each.what) for each in found.findings}, found


@pytest.mark.parametrize("seed", range(3))
def test_a_fair_table_has_none(seed):
    order = np.random.default_rng(seed).permutation(ROWS)
    told, found = found_in({name: np.asarray(values)[order] for name, values in FAIR.items()})
    assert told == set()
    assert "Nothing was found" in found.text()
    assert found.seen == ROWS


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (SICK, "copy"),
        (np.where(SICK == "sick", "D1", "D0"), "encoding"),
        (np.where(SICK == "sick", 7, 3), "encoding"),
        (np.where(SICK == "sick", RNG.integers(0, 5, ROWS), RNG.integers(5, 9, ROWS)), "alone"),
        (np.where(SICK == "sick", RNG.normal(0, 1, ROWS), np.nan), "missing"),
    ],
)
def test_columns_that_give_it_away(column, what):
    told, found = found_in({**FAIR, "leak": column})
    assert told == {("leak", what)}
    assert found.to_dict()["findings"][0]["column"] == "leak"


def test_numbers_in_another_unit_are_the_target():
    price = RNG.lognormal(5, 1, ROWS)
    told, _ = found_in({"signal": SIGNAL, "dollars": price * 1.08 + 2, "price": price}, target="price")
    assert told == {("dollars", "encoding")}


def test_sorted_rows_and_their_numbers():
    order = np.argsort(SICK, kind="stable")
    told, _ = found_in({name: np.asarray(values)[order] for name, values in FAIR.items()} | {"id": np.arange(ROWS)})
    assert {what for _, what in told} <= {"alone", "order", "identifier", "encoding"}
    assert (None, "order") in told
    assert any(column == "id" for column, _ in told)


def test_a_target_that_moves_with_time():
    level = np.where(RNG.random(ROWS) < np.linspace(0.1, 0.9, ROWS), "sick", "well")
    told, _ = found_in({**FAIR, "id": np.arange(ROWS) + 5000, "sick": level})
    assert told == {("id", "identifier"), (None, "order")}


def test_rows_to_test_with_that_are_in_the_table():
    told, found = found_in(FAIR, against=read(frame(FAIR)[:20]))
    assert told == {(None, "shared")}
    assert found.shared.equal == 20
    assert "20 equal" in found.text()


def test_large_tables_are_sampled():
    rows = 70_000
    rng = np.random.default_rng(1)
    target = rng.choice(["a", "b"], rows)
    told, found = found_in({"x": rng.normal(0, 1, rows), "copy": target, "y": target}, target="y")
    assert told == {("copy", "copy")}
    assert found.seen == 20_000


def test_bad_input():
    with pytest.raises(DataError, match="gone"):
        found_in(FAIR, target="gone")
    with pytest.raises(DataError, match="at least 50"):
        found_in({"x": [1.5, 2.5] * 5, "y": ["a", "b"] * 5}, target="y")
