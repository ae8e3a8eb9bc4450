"""Associations are those of the textbooks, whatever kinds meet, and stay few for wide tables."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lepton.core import ColumnRecord, Kind, Role
from lepton.data.describe.associations import associations

ROWS = 2_000
STORED = {Kind.NUMBER: "float64", Kind.CATEGORY: "string", Kind.DATETIME: "datetime", Kind.TEXT: "string"}


def records(frame: pl.DataFrame, **kinds: Kind) -> list[ColumnRecord]:
    out = []
    for name in frame.columns:
        kind = kinds.get(name, Kind.NUMBER)
        out.append(ColumnRecord(name, kind, STORED[kind], role=Role.FEATURE))
    return out


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(5)
    x = rng.normal(size=ROWS)
    frame = pl.DataFrame(
        {
            "x": x,
            "exp": np.exp(x),
            "minus": -x + rng.normal(0, 0.5, ROWS),
            "noise": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(size=ROWS)),
            "sign": np.where(x > 0, "up", "down"),
            "same": np.where(x > 0, "u", "d"),
            "other": rng.choice(["a", "b", "c"], ROWS),
            "words": [f"t{i}" for i in range(ROWS)],
            "flat": np.ones(ROWS),
        }
    ).with_columns(pl.col("noise").fill_nan(None))
    coded = dict.fromkeys(("sign", "same", "other"), Kind.CATEGORY) | {"words": Kind.TEXT}
    return associations(frame, records(frame, **coded))


def of(found, one, other):
    return float(found.values[found.names.index(one), found.names.index(other)])


def test_values_are_those_that_the_kinds_ask_for(found):
    assert of(found, "x", "exp") == pytest.approx(1.0)
    assert of(found, "x", "minus") < -0.8
    assert abs(of(found, "x", "noise")) < 0.06
    assert of(found, "sign", "x") > 0.8
    assert of(found, "sign", "same") == pytest.approx(1.0, abs=1e-3)
    assert of(found, "sign", "other") < 0.06
    assert (found.values == found.values.T).all()
    assert found.num_rows == ROWS


def test_what_cannot_be_measured_is_not_there(found):
    assert {"words", "flat"}.isdisjoint(found.names)
    one = pl.DataFrame({"a": range(100)})
    assert associations(one, records(one)) is None
    few = pl.DataFrame({"a": range(10), "b": range(10)})
    assert associations(few, records(few)) is None


def test_the_strongest_pairs_come_first_once(found):
    pairs = [frozenset(pair[:2]) for pair in found.strongest(4)]
    assert pairs[0] in ({"x", "exp"}, {"sign", "same"})
    assert len(set(pairs)) == len(pairs) == 4
    assert all(abs(value) >= 0.3 for _, _, value in found.strongest(100))


def test_of_wide_tables_the_columns_stay_that_go_together():
    rng = np.random.default_rng(0)
    columns = {f"n{i}": rng.normal(size=500) for i in range(50)}
    columns["twin"] = columns["n49"] * 2
    frame = pl.DataFrame(columns)
    found = associations(frame, records(frame))
    assert found is not None
    assert (len(found.names), found.left_out) == (20, 31)
    assert {"n49", "twin"} <= set(found.names)
    assert found.strongest(1)[0][:2] == ("n49", "twin")
