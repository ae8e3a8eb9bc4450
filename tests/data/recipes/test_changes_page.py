"""The page of a cleaning tells what each step did, and shows columns before and after, but nothing that is hidden."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from lepton.data import read
from lepton.data.recipes import ChangeRecord, Recipe
from lepton.data.recipes.changes_page import changes_page
from lepton.report import Page
from tests.report.test_page import PAYLOADS, Reader

ROWS = 400


def messy(city: str = "city", value: str = "Ulm") -> pl.DataFrame:
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            city: rng.choice([value, value + " ", "Bonn"], ROWS),
            "size": rng.normal(50, 10, ROWS),
            "count": [str(i % 7) for i in range(ROWS)],
            "mail": [f"person{i}@example.org" for i in range(ROWS)],
        }
    )
    gone = pl.Series(rng.random(ROWS) < 0.25)
    return pl.concat([frame.with_columns(pl.when(gone).then(None).otherwise("size").alias("size"))] * 2)


def cleaned(city: str = "city", value: str = "Ulm"):
    kinds = {"count": "text", "mail": "text", city: "category"}
    recipe = Recipe().drop_duplicates().trim(city).fill("size", "median").cast("count", "number").mask("mail")
    return recipe.filter("size > 30").fit_transform(read(messy(city, value), kinds=kinds))


def html(page: Page) -> str:
    return page.html().replace("\u00a0", " ")


def test_the_first_words_say_what_was_done():
    changes = cleaned().changes()
    page = html(changes.page())
    first = page[page.index('<main id="content">') : page.index("<svg")]
    assert f"800 rows came and {changes.rows_out} are left." in first
    assert re.search(r"Missing were [56](\.\d)? % of the cells, now 0 % are\.", first)
    for said in ("Step 1, drop_duplicates, took away 400 rows.", "Step 2, trim, changed", "cells of city."):
        assert said in first
    assert f"Rows: came 800, 1 drop_duplicates 400, 6 filter {changes.rows_out}." in page


def test_columns_are_drawn_before_and_after():
    page = html(cleaned().changes().page())
    assert "Share of the rows that lack a value. before and after: size 2" in page
    assert "Now &#x27;Ulm&#x27; is" in page
    assert "It was a text before, and is a number now." in page
    assert page.count("before most often") == 2  # size, count
    assert "“Ulm ” → Ulm" in page


def test_what_a_recipe_hides_is_not_drawn():
    page = html(cleaned().changes().page())
    assert "person" not in page
    assert "1 column that changed is hidden by the recipe, or gone." in page
    renamed = Recipe().rename({"mail": "e"}).trim("e").mask("e").fit_transform(read(messy(), kinds={"mail": "text"}))
    assert "person" not in html(renamed.changes().page())


def test_the_pictures_are_those_of_all_rows_when_many_came():
    many = pl.DataFrame({"a": [None, *range(1, 30_000)]})
    page = html(Recipe().fill("a", 0).fit_transform(read(many)).changes().page())
    assert "Drawn from 10,000 rows before and after that were chosen at random." in page
    assert "a &lt; 0.1 %, then 0 %" in page


@pytest.mark.parametrize("payload", PAYLOADS[:-3])
def test_hostile_names_and_values_stay_text(payload):
    harmless, hostile = (Reader(cleaned(*each).changes().page().html()) for each in (("c", "v"), (payload, payload)))
    assert hostile.tags == harmless.tags
    assert hostile.open == []


def test_two_hundred_columns_stay_a_small_page_that_says_what_it_leaves_out():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"column number {i}": rng.normal(size=2_000) for i in range(200)})
    recipe = Recipe().clip(q=(0.1, 0.9)).standardise().clip(q=(0.2, 0.8))
    changes = recipe.fit_transform(read(frame)).changes()
    page = html(changes.page())
    assert len(page) < 1_500_000
    assert "The 24 with most changes of 200 are drawn." in page
    assert "The first 300 of 600 changes" in page


def test_steps_and_examples_read_well():
    records = [
        ChangeRecord(1, "cast", "a", 1, "cells", (("", "1.0"), ("", "1.0"), (" x", "9152289.400000002"))),
        ChangeRecord(1, "cast", "a", 2, "bad cells"),
        ChangeRecord(2, "join", None, 5, "rows added"),
        ChangeRecord(2, "join", "b, c", 2, "columns added"),
        ChangeRecord(2, "join", "d", 1, "columns removed"),
    ]
    page = html(changes_page(records, 10, 15, None, None))
    assert "Step 1, cast, changed 1 cell of a; could not treat 2 cells of a." in page
    assert "Step 2, join, added 5 rows; added 2 columns (b, c); took away 1 column (d)." in page
    assert "(missing) → 1; “ x” → 9,152,289" in page
    assert "2 cells could not be treated." in page
    assert "Nothing was changed." in html(changes_page([], 10, 10, None, None))
