"""Labels that are written in several ways."""

import polars as pl
import pytest

from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.data.quality import unify_labels

LABELS = ["Tumour"] * 40 + ["tumour"] * 6 + ["Tumour "] * 3 + ["Tumuor"] * 2 + ["healthy"] * 50 + ["Healthy"] * 4


def labels(values=LABELS):
    numbers = [0.5 * row for row in range(len(values))]
    return read(pl.DataFrame({"label": values, "x": numbers}), kinds={"label": "category"})


def test_what_differs_by_case_and_spaces_is_sure_and_slips_are_not():
    found = unify_labels(labels(), "label")
    assert (found.rows, found.labels) == (105, 6)
    assert [(e.given, e.suggested, e.rows, e.why, e.sure) for e in found.spellings] == [
        ("tumour", "Tumour", 6, "case, accents or punctuation", True),
        ("Healthy", "healthy", 4, "case, accents or punctuation", True),
        ("Tumour ", "Tumour", 3, "spaces", True),
        ("Tumuor", "Tumour", 2, "1 letter", False),
    ]
    assert found.frame().height == len(found.to_dict()["spellings"]) == 4
    assert "'Tumuor'" in found.text()


@pytest.mark.parametrize(("options", "left"), [({}, 3), ({"letters": True}, 2), ({"keep": ["Healthy"]}, 4)])
def test_the_recipe_makes_them_one(options, left):
    table = labels()
    recipe = unify_labels(table, "label").recipe(**options)
    assert recipe.fit_transform(table).frame()["label"].n_unique() == left


def test_nothing_to_do():
    found = unify_labels(labels(["a", "b"] * 10), "label")
    assert found.spellings == ()
    assert len(found.recipe()) == 0
    assert "written in one way" in repr(found)


def test_bad_input():
    with pytest.raises(DataError, match="gone"):
        unify_labels(labels(), "gone")
    with pytest.raises(DataError, match="of kind"):
        unify_labels(labels(), "x")
    with pytest.raises(UsageError, match="nobody"):
        unify_labels(labels(), "label").recipe(keep=["nobody"])
    with pytest.raises(DataError, match="20,000"):
        unify_labels(labels([f"text {number}" for number in range(20_001)]), "label")
