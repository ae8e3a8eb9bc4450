"""Cells of tables: shares are those stated, what is mild is part of what is strong, kinds and rows stay."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.evaluation.robustness.base import draws
from lepton.evaluation.robustness.tables import CELLS, NOISE, SHIFTS, TABLES, UNITS, Facts, numbers_of, with_numbers
from lepton.evaluation.robustness.trials import differing

FACTS = Facts(
    ("a", "n", "day", "town", "said"), ("a", "n"), ("day",), ("town",), ("said",), {"a": 2.0, "n": 5.0, "day": 1e12}
)


def table(rows: int = 400):
    generator = np.random.default_rng(0)
    days = [
        dt.datetime.fromisoformat("2020-01-01") + dt.timedelta(days=int(d)) for d in generator.integers(0, 900, rows)
    ]
    frame = pl.DataFrame(
        {
            "a": generator.normal(10, 2, rows),
            "n": generator.integers(0, 20, rows),
            "day": days,
            "town": generator.choice(["Oslo", "Bergen"], rows),
            "said": ["I do not like it, really."] * rows,
        }
    )
    return frame.with_columns(a=pl.when(pl.int_range(rows) % 10 == 0).then(None).otherwise("a"))


def spoilt(name: str, strength: int, rows: int = 400, columns: tuple[str, ...] = ()):
    each = TABLES[name]
    return each.change(table(rows), columns or each.columns(FACTS), strength, FACTS, draws(0, name))


@settings(max_examples=25)
@given(st.sampled_from(list(TABLES)), st.integers(1, 5), st.integers(1, 30))
def test_rows_columns_and_other_columns_stay(name, strength, rows):
    changed = spoilt(name, strength, rows)
    assert changed.height == rows
    assert changed.columns == table(rows).columns
    others = [c for c in changed.columns if c not in TABLES[name].columns(FACTS)]
    assert changed.select(others).equals(table(rows).select(others))
    assert changed.equals(spoilt(name, strength, rows))


@pytest.mark.parametrize("name", ["missing_cells", "unseen_categories", "unit_errors", "typos", "case", "whitespace"])
def test_what_is_mild_is_part_of_what_is_strong(name):
    columns = ("town",) if name in ("typos", "case", "whitespace") else ()
    mild, strong = (differing(table(), spoilt(name, strength, columns=columns)).to_numpy() for strength in (2, 4))
    assert not (mild & ~strong).any()
    assert 0 < mild.sum() < strong.sum()


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_amounts_are_those_stated(strength):
    noise = numbers_of(spoilt("noise", strength), ("a", "n")) - numbers_of(table(), ("a", "n"))
    assert np.nanstd(noise, axis=0) == pytest.approx(np.array([2.0, 5.0]) * NOISE[strength - 1], rel=0.15)
    moved = numbers_of(spoilt("shift", strength), ("a", "day")) - numbers_of(table(), ("a", "day"))
    assert np.nanmax(np.abs(np.abs(moved[:, 0]) - 2.0 * SHIFTS[strength - 1])) < 1e-9
    assert moved[:, 1] == pytest.approx(np.full(400, 1e12 * SHIFTS[strength - 1]), rel=1e-6)  # time goes on
    unseen = spoilt("unseen_categories", strength)["town"]
    assert (~unseen.is_in(["Oslo", "Bergen"])).mean() == pytest.approx(CELLS[strength - 1], abs=0.06)
    gone = spoilt("missing_cells", strength).select(pl.col("n", "day", "town").is_null().mean()).row(0)
    assert gone == pytest.approx([CELLS[strength - 1]] * 3, abs=0.06)


def test_some_columns_are_empty_in_each_row_and_all_in_some():
    gone = spoilt("missing_columns", 3).select(pl.col("n", "day", "town", "said").is_null())
    counts = gone.select(pl.sum_horizontal(pl.all()).alias("n"))["n"]
    assert counts.max() == 1  # one of five columns at strength 3
    assert all(gone[name].any() for name in gone.columns)


def test_a_missing_number_stays_missing_and_a_whole_one_comes_back():
    frame = table()
    assert with_numbers(frame, ("a",), numbers_of(frame, ("a",)))["a"].equals(frame["a"])
    assert spoilt("noise", 5)["a"].null_count() == frame["a"].null_count()


def test_single_columns_are_spoilt_alone():
    for each in TABLES.values():
        for _, change in each.alone:
            column = each.columns(FACTS)[0]
            changed = change(table(), column, FACTS, draws(0, each.name))
            assert not changed[column].equals(table()[column])
            assert changed.drop(column).equals(table().drop(column))
    wrong = dict(zip(UNITS, [alone for _, alone in TABLES["unit_errors"].alone], strict=True))
    fahrenheit = wrong["°C taken for °F"](table(), "n", FACTS, draws(0))["n"]
    assert fahrenheit.to_list() == [1.8 * n + 32 for n in table()["n"]]


def test_a_stranger_is_none_of_the_known():
    known = table().with_columns(town=pl.lit("not seen before"))
    changed = TABLES["unseen_categories"].change(known, ("town",), 5, FACTS, draws(0))
    assert "not seen before." in changed["town"].to_list()
