"""What is private is counted and not shown: neither in tables, nor in pictures, nor in sentences."""

from __future__ import annotations

import numpy as np
import polars as pl

from lepton.data import read
from lepton.data.describe import describe
from lepton.data.describe.veil import veiled

ROWS = 600


def table():
    rng = np.random.default_rng(4)
    x = rng.normal(size=ROWS)
    frame = pl.DataFrame(
        {
            "who": rng.choice(["Secret", "secret", "Hidden"], ROWS),
            "born": pl.Series(rng.integers(0, 10**15, ROWS)).cast(pl.Datetime("us")),
            "note": [f"confidential {i % 100}" for i in range(ROWS)],
            "place": np.round(x * 2, 4) + 777_000,
            "x": x,
            "class": np.where(x > 0, "up", "down"),
        }
    )
    holes = [pl.when(pl.Series(rng.random(ROWS) < 0.1)).then(None).otherwise(pl.col(c)).alias(c) for c in ("who", "x")]
    return read(frame.with_columns(holes), kinds={"who": "category", "note": "text"})


PRIVATE = ("who", "born", "note", "place")


def test_values_of_private_columns_are_nowhere_on_the_page():
    for target in (None, "class", "x"):
        description = describe(table(), target)
        open_page, page = description.page().html(), description.page(private=PRIVATE).html()
        for value in ("ecret", "Hidden", "777", "confidential"):
            assert value in open_page
            assert value not in page
        assert "Values of 4 columns are not shown: who, born, note, place." in page
        assert "•••" in page
        assert page.count("<td>not shown</td>") == 4
        assert "Where values are missing" in page


def test_counts_stay_and_other_columns_stay_as_they_are():
    description = describe(table(), "class")
    hidden = veiled(description, ["who", "nowhere"])
    assert hidden["who"].missing_share == description["who"].missing_share > 0
    assert hidden["who"].statistics.distinct.estimate == 3
    assert hidden["who"].relation is None
    assert hidden["x"] is description["x"]
    assert {f.what for f in description.findings if f.column == "who"} == {"spelling"}
    assert not [f for f in hidden.findings if f.column == "who"]
    assert description.sample["who"].null_count() == hidden.sample["who"].null_count()


def test_the_target_stays():
    description = describe(table(), "class")
    assert veiled(description, ["class"])["class"] is description["class"]
    assert description.page(private=["class"]).html() == description.page().html()
