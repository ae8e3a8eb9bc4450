"""Rows that stand in two tables."""

import numpy as np
import polars as pl
import pytest

from lepton.data import read
from lepton.data.quality import check, shared_rows

RNG = np.random.default_rng(0)
WORDS = RNG.integers(97, 123, (300, 12, 6)).astype(np.uint8)
TEXTS = [" ".join(bytes(word).decode() for word in words) for words in WORDS]
FRAME = pl.DataFrame(
    {
        "id": [f"r{row}" for row in range(300)],
        "x": RNG.normal(0, 1, 300),
        "city": RNG.choice(["Ulm", "Bonn"], 300),
        "note": TEXTS,
    }
)
KINDS = {"id": "identifier", "city": "category", "note": "text"}


def table(frame):
    return read(frame, kinds={name: kind for name, kind in KINDS.items() if name in frame.columns})


def test_equal_rows_are_found_whatever_their_identifiers(tmp_path):
    train, test = FRAME[:200], pl.concat([FRAME[200:], FRAME[[3, 150]].with_columns(id=pl.Series(["new1", "new2"]))])
    train.write_csv(tmp_path / "train.csv")
    test.write_csv(tmp_path / "test.csv")
    found = shared_rows(read(str(tmp_path / "test.csv"), kinds=KINDS), read(str(tmp_path / "train.csv"), kinds=KINDS))
    assert (found.rows, found.equal, found.near, found.texts) == (102, 2, 0, 0)
    assert [(e.row, e.other, e.how) for e in found.examples] == [
        ("row 101 of test.csv", "row 4 of train.csv", "equal"),
        ("row 102 of test.csv", "row 151 of train.csv", "equal"),
    ]
    assert found.columns == ("x", "city", "note")
    assert "row 101 of test.csv and row 4 of train.csv: equal" in found.text()
    assert not found.is_usual


def test_nearly_equal_rows():
    changed = FRAME[[5, 6]].with_columns(
        pl.col("x").round_sig_figs(7), pl.col("city").str.to_uppercase(), (" " + pl.col("note") + "!").alias("note")
    )
    found = shared_rows(table(changed), table(FRAME[:100]))
    assert (found.equal, found.near, found.texts) == (0, 2, 0)
    assert found.share == 1.0


def test_texts_that_are_nearly_the_same():
    changed = FRAME[[5, 250]].with_columns(x=pl.Series([7.0, 8.0]), note=pl.col("note") + " more")
    found = shared_rows(table(changed), table(FRAME[:100]))
    assert (found.equal, found.near, found.texts) == (0, 0, 1)
    assert found.examples[0].other == "row 6"


def test_tables_without_common_rows():
    found = shared_rows(table(FRAME[:100]), table(FRAME[100:]))
    assert found.share == 0
    assert found.is_usual
    assert "No row" in repr(found)
    assert shared_rows(table(FRAME.select("x")), table(FRAME.select("city"))).columns == ()


def test_rows_of_few_values_are_shared_by_chance():
    small = read({"a": [1, 2] * 50, "b": ["x", "y"] * 50})
    found = shared_rows(small, small)
    assert found.equal == 100
    assert found.repeated == pytest.approx(0.98)
    assert found.is_usual


def test_numbers_are_compared_whatever_their_type():
    assert shared_rows(read({"a": [1, 5, 7]}), read({"a": [1.0, 7.5, -0.0]})).equal == 1


def test_a_check_against_a_baseline_names_them():
    found = check(table(FRAME[90:120]), against=table(FRAME[:100]))
    assert found.shared is not None
    assert found.shared.equal == 10
    assert "equal in 3 columns" in found.text()
    assert found.to_dict()["shared"]["equal"] == 10
    assert "Rows in both tables" in found.page().html()
    assert "No row stands in both" in check(table(FRAME[:50]), against=table(FRAME[50:])).page().html()
