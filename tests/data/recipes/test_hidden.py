"""No message shows a value of a column that the recipe hides."""

import polars as pl
import pytest

from lepton.core import DataError
from lepton.data import read
from lepton.data.recipes import Recipe

SECRET = "12-34-x"
SHOWN = {"born": ["1980", SECRET, "1990"], "n": ["1", "2", "3"], "s": ["a", "b", None]}


def refusal(recipe, columns=None):
    table = read(pl.DataFrame(columns or SHOWN), kinds={"born": "text", "n": "text", "s": "category"})
    with pytest.raises(DataError) as caught:
        recipe.fit_transform(table).frame()
    return caught.value


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe().cast("born", "whole").generalise("born", to="band", width=10),
        Recipe().cast("born", "whole").drop("born"),
        Recipe().cast("born", "whole").select("n"),
        Recipe().cast("born", "whole").rename({"born": "day"}).drop("day"),
        Recipe().cast("born", "whole").fill("s", "mode").rename({"born": "day"}).drop_duplicates().mask("s"),
        Recipe().cast("born", "whole").drop_duplicates().fill("s", "mode").cast("born", "text").mask("born"),
    ],
)
def test_a_bad_cell_of_a_hidden_column_is_named_and_not_shown(recipe):
    error = refusal(recipe)
    assert "column 'born'" in str(error)
    assert "row 2" in str(error)
    assert "a value that the recipe hides" in str(error)
    assert SECRET not in repr(error) + str(error) + str(error.details)


def test_other_columns_are_shown():
    recipe = Recipe().cast("n", "whole").mask("born").drop("s")
    assert "'two'" in str(refusal(recipe, SHOWN | {"n": ["1", "two", "3"]}))


def test_a_column_that_is_made_of_a_hidden_one_and_stays_is_shown():
    recipe = Recipe().derive("copy", "born").cast("copy", "whole").mask("born")
    assert SECRET in str(refusal(recipe))


def test_a_fitted_recipe_hides_as_well():
    recipe = Recipe().cast("n", "whole").fill("n", "median").drop("n")
    fitted = recipe.fit(read({"n": ["1", "2", "3"], "s": [*"abc"]}, kinds={"n": "text"}))
    with pytest.raises(DataError, match="a value that the recipe hides"):
        fitted.transform(read({"n": ["1", SECRET, "3"], "s": [*"abc"]}, kinds={"n": "text"})).frame()


def test_what_cannot_be_read_is_hidden_too(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("id,n\n" + "1,a\n" * 300_000 + f"{SECRET},b\n")
    table = read(path)
    with pytest.raises(DataError) as caught:
        Recipe().trim("n").mask("id").fit_transform(table).frame()
    assert "row 300,001" in str(caught.value) or "300001" in str(caught.value)
    assert SECRET not in str(caught.value) + str(caught.value.details)
    with pytest.raises(DataError, match=SECRET):
        Recipe().trim("n").mask("n").fit_transform(table).frame()
