"""Steps on missing values keep the contract of steps, and fill with what was learned."""

import pytest

from lepton.core import DataError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.missing import DropMissing, Fill, FlagMissing, MarkMissing
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {
    "n": [1.0, None, 2.5, -3.0, None],
    "i": [1, 2, None, 0, 7],
    "b": [True, None, False, True, True],
    "s": ["x", None, "y", "x", "é"],
    "t": [None, None, "1", None, "?"],
}


@pytest.mark.parametrize(
    ("step", "column", "expected"),
    [
        (Fill("n", "median"), "n", [1.0, 1.0, 2.5, -3.0, 1.0]),
        (Fill("n", "mean"), "n", [1.0, 0.5 / 3, 2.5, -3.0, 0.5 / 3]),
        (Fill("n", 7), "n", [1.0, 7.0, 2.5, -3.0, 7.0]),
        (Fill("i", "median"), "i", [1.0, 2.0, 1.5, 0.0, 7.0]),
        (Fill("i", 3), "i", [1, 2, 3, 0, 7]),
        (Fill("s", "mode"), "s", ["x", "x", "y", "x", "é"]),
        (Fill(["s", "t"], "none"), "t", ["none", "none", "1", "none", "?"]),
        (Fill("s", literal="median"), "s", ["x", "median", "y", "x", "é"]),
        (Fill("b", True), "b", [True, True, False, True, True]),
        (MarkMissing(["s", "t", "n"], ["?", "x", -3]), "t", [None, None, "1", None, None]),
        (MarkMissing((), ["?", -3]), "n", [1.0, None, 2.5, None, None]),
    ],
)
def test_values_are_filled_or_taken_as_missing(step, column, expected):
    bound = check_step(step, TABLE)
    assert bound.apply(table_of(TABLE).frame()).frame[column].to_list() == expected


def test_marks_are_made_for_columns_that_have_missing_values():
    bound = check_step(FlagMissing(), TABLE)
    assert bound.schema.names[5:] == ("n is missing", "i is missing")
    assert check_step(FlagMissing("i"), TABLE).schema.names[5:] == ("i is missing",)


@pytest.mark.parametrize(
    ("step", "left"), [(DropMissing(), 0), (DropMissing(["n", "s"]), 3), (DropMissing(["n", "s"], "all"), 4)]
)
def test_rows_with_missing_values_go(step, left, tmp_path):
    check_step(step, TABLE, scratch=tmp_path)
    assert Recipe((step,)).fit_transform(table_of(TABLE)).num_rows == left


def test_a_column_without_values_stays_as_it_is():
    table = table_of({"n": [None, None], "s": [None, None]}, {"n": "number"})
    for step in (Fill("n"), Fill("n", "mean"), Fill("s", "mode")):
        assert Recipe((step,)).fit_transform(table).frame().equals(table.frame())


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda: Fill("s", "median"), DataError, "column 's' is of kind category"),
        (lambda: Fill("n", "none"), DataError, "column 'n' is of kind number"),
        (lambda: Fill("n", True), DataError, "column 'n' is of kind number"),
        (lambda: Fill("s", ""), UsageError, "an empty text is a missing value"),
        (lambda: MarkMissing("n"), UsageError, "got no values"),
        (lambda: DropMissing((), "most"), UsageError, "how"),
        (lambda: FlagMissing("s"), DataError, "of kind category"),
    ],
)
def test_what_cannot_be_is_refused(step, error, words):
    with pytest.raises(error, match=words):
        bound_on(step(), table_of(TABLE))


def test_a_mark_does_not_replace_a_column():
    with pytest.raises(DataError, match="'n is missing' already"):
        bound_on(FlagMissing("n"), table_of({"n": [1.0, None], "n is missing": [0, 1]}))
