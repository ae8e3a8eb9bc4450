"""The page of a description says first what matters, and shows what is missing, what goes together and some rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lepton.data import read
from lepton.data.describe import describe
from tests.report.test_page import PAYLOADS, Reader

ROWS = 1_000


def gappy(name: str = "name") -> pl.DataFrame:
    rng = np.random.default_rng(2)
    x = rng.normal(size=ROWS)
    gone = pl.Series(rng.random(ROWS) < 0.2)
    frame = pl.DataFrame({name: x, "twin": x * 2, "late": x, "city": rng.choice(["Ulm", name], ROWS)})
    return frame.with_columns(
        pl.when(gone).then(None).otherwise(pl.col("twin")).alias("twin"),
        pl.when(gone).then(None).otherwise(pl.col(name)).alias(name),
        pl.when(pl.int_range(ROWS) >= 600).then(None).otherwise(pl.col("late")).alias("late"),
    )


def html(frame: pl.DataFrame, target: str | None = None, samples: int = 8) -> str:
    return describe(read(frame), target).page(samples=samples).html().replace("\u00a0", " ")


def test_the_first_words_are_what_matters():
    page = html(gappy())
    first = page[page.index('<main id="content">') :]
    assert first.index("1,000 rows and 4 columns. ") < first.index('<dl class="facts">')
    assert "of the cells are missing, most of late (40 %)." in first
    assert "Nothing is missing. Nothing stands out." in html(pl.DataFrame({"a": [1.5, 2.5], "b": [3, 4]}))
    assert "The table has no rows." in html(pl.DataFrame({"a": pl.Series([], dtype=pl.Float64)}))


def test_what_is_missing_is_drawn_and_told():
    page = html(gappy())
    assert "late is missing from about row 601 to 1,000, and hardly anywhere else." in page
    assert "name and twin are missing in the same rows." in page
    assert "Where values are missing" in page
    assert "1 whole columns are not drawn." in page
    assert "What is missing together" in page
    assert "What is missing<" not in html(pl.DataFrame({"a": [1.5, 2.5], "b": [3, 4]}))


def test_what_goes_together_is_drawn_and_told():
    page = html(gappy())
    assert "name and twin rise and fall together, nearly entirely (1.00)." in page
    assert "How closely columns go together" in page
    rng = np.random.default_rng(0)
    assert "No two columns go together closely." in html(pl.DataFrame({c: rng.normal(size=500) for c in "ab"}))


def test_sample_rows_can_be_kept_out():
    page, without = html(gappy()), html(gappy(), samples=0)
    assert "8 rows drawn at random" in page
    assert "drawn at random" not in without.replace("rows drawn at random: Spearman", "")
    assert "3 rows drawn at random" in html(gappy(), samples=3)


@pytest.mark.parametrize("payload", PAYLOADS[:-3])
def test_hostile_names_and_values_stay_text(payload):
    assert Reader(html(gappy(payload))).tags == Reader(html(gappy())).tags


def test_two_hundred_columns_stay_a_small_page():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"column number {i}": rng.normal(size=3_000) for i in range(200)})
    holes = [
        pl.when(pl.Series(rng.random(3_000) < 0.3)).then(None).otherwise(pl.col(c)).alias(c) for c in frame.columns
    ]
    page = html(frame.with_columns(holes))
    assert len(page) < 1_500_000
    for left_out in (
        "The first 50 of 200 columns",
        "nor 160 of which less is missing",
        "the first 30 of 200 columns",
        "180 columns that go less with any other are left out.",
    ):
        assert left_out in page
