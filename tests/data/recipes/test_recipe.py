"""Recipes: the same in Python and in files, learned once, repeated on other rows; strangers' files do nothing else."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, Kind, LeptonError, SchemaError, TrainingError, UsageError
from lepton.data import read
from lepton.data.recipes import RECIPE_STEPS, Recipe
from lepton.data.recipes.steps.missing import Fill

ROWS = {
    "income": [1.0, None, 3.0, 1.0, 100.0],
    "town": ["Ulm", "Bonn", None, "Ulm", "Kiel"],
    "n": [1, 2, 3, 1, 4],
}
JOB = (
    Recipe()
    .drop_duplicates()
    .fill("income", "median")
    .clip("income", q=(0.0, 0.9))
    .standardise("income")
    .one_hot("town")
)


def table(columns=ROWS, **kinds):
    texts = {name: "category" for name, values in columns.items() if any(isinstance(v, str) for v in values)}
    return read(pl.DataFrame(columns), kinds={**texts, **kinds})


def lineage(clean):
    assert clean.lineage is not None
    return clean.lineage


def refused(match, code=ErrorCode.BAD_RECIPE, kind=UsageError):
    class Check:
        def __enter__(self):
            self.raises = pytest.raises(kind, match=match)
            self.info = self.raises.__enter__()

        def __exit__(self, *error):
            answer = self.raises.__exit__(*error)
            assert self.info.value.code is code
            return answer

    return Check()


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_call_gives_a_longer_recipe_and_leaves_the_old_one():
    short = Recipe().drop("a")
    longer = short.drop("b")
    assert [len(short), len(longer)] == [1, 2]
    assert longer.steps[0] is short.steps[0]


def test_a_step_is_a_method_with_its_signature_and_doc():
    assert inspect.signature(Recipe().fill) == inspect.signature(Fill)
    assert Recipe().fill.__doc__ == Fill.__doc__
    assert set(RECIPE_STEPS.names()) <= set(dir(Recipe()))
    assert Recipe().step("fill", "a", value=0.0) == Recipe().fill(["a"], 0)


def test_a_longer_recipe_has_learned_nothing():
    fitted = Recipe().fill("income", "mean").fit(table())
    assert fitted.is_fitted
    assert not fitted.drop("n").is_fitted


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda r: r.step("fil"), "step 2: there is no step 'fil'.*did you mean 'fill'"),
        (lambda r: r.fill("a", "median", None, "b", "more"), "step 2: fill got 5 parameters"),
        (lambda r: r.fill("a", columns="b"), "step 2: fill got columns twice"),
        (lambda r: r.fill(colums="b"), "step 2: fill has no parameter 'colums'"),
        (lambda r: r.select(), "step 2: select lacks columns"),
        (lambda r: r.cast("a", 3), "step 2: cast: got to=3"),
        (lambda r: r.cast("a", "number", on_error="ignore"), "on_error='ignore'.*fail, flag, missing, drop"),
        (lambda r: r.one_hot("a", max_categories=True), "max_categories=True"),
        (lambda r: r.clip("a", q=[0.9, 0.1]), "q="),
    ],
)
def test_a_wrong_call_is_refused_at_once_and_named(call, match):
    with refused(match):
        call(Recipe().drop_duplicates())


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"no step 'fil'.*'fill'"):
        _ = Recipe().fil
    assert not hasattr(Recipe(), "__array__")


def test_recipes_are_values():
    assert Recipe.from_dict(JOB.to_dict()) == JOB
    assert pickle.loads(pickle.dumps(JOB)) == JOB


# --- using -----------------------------------------------------------------------------------------------------------


def test_the_whole_job():
    clean = JOB.fit_transform(table())
    frame = clean.frame()
    assert frame.columns == ["income", "n", "town=Bonn", "town=Kiel", "town=Ulm"]
    assert frame.height == 4
    assert frame["income"].mean() == pytest.approx(0.0, abs=1e-12)
    assert frame["income"].std(ddof=0) == pytest.approx(1.0)
    assert frame["town=Ulm"].to_list() == [1.0, 0.0, 0.0, 0.0]
    assert [str(column.kind) for column in clean.schema] == ["number"] * 5


def test_nothing_runs_until_it_is_asked_for(tmp_path):
    path = tmp_path / "later.csv"
    path.write_text("a\n1\n")
    clean = Recipe().fill("a", 0.0).fit_transform(read(path))
    assert "not prepared yet" in repr(clean)
    path.unlink()
    with pytest.raises(LeptonError, match=r"later\.csv"):
        clean.frame()


def test_what_was_learned_is_used_on_other_rows():
    fitted = Recipe().fill("income", "median").fit(table())
    other = table({"income": [None, 7.0], "town": ["Ulm", "Ulm"], "n": [1, 2]}, income="number")
    assert fitted.transform(other).frame()["income"].to_list() == [2.0, 7.0]


def test_a_fitted_recipe_replays_to_the_last_bit_from_its_file(tmp_path):
    clean = JOB.fit_transform(table())
    path = lineage(clean).recipe.save(tmp_path / "recipe.yaml")
    again = Recipe.load(path)
    assert again == lineage(clean).recipe
    assert again.transform(table()).frame().equals(clean.frame())
    assert lineage(again.transform(table())).recipe == again


def test_lineage_says_recipe_and_raw_columns():
    clean = JOB.fit_transform(table())
    assert lineage(clean).raw.names == ("income", "town", "n")
    assert lineage(clean.select(["income"])).recipe.steps == JOB.steps
    assert clean.without_recipe().lineage is None
    assert table().lineage is None


def test_a_recipe_that_has_learned_nothing_transforms_nothing():
    with refused("has learned nothing", ErrorCode.NOT_FITTED, TrainingError):
        JOB.transform(table())


@pytest.mark.parametrize("values", [[None, None], [5.0, 5.0], [None, 5.0]])
def test_columns_without_values_or_variance_pass(values):
    frame = JOB.fit_transform(table({**ROWS, "income": [*values, None, None, None]}, income="number")).frame()
    assert frame["income"].drop_nulls().is_finite().all()


def test_a_table_without_rows():
    frame = JOB.fit_transform(read(pl.DataFrame(ROWS).clear(), kinds={"town": "category"})).frame()
    assert frame.columns == ["income", "n"]
    assert frame.height == 0


# --- other tables than the one that was learned from -----------------------------------------------------------------

FITTED = JOB.fit(table())


def test_an_added_column_is_left_out_and_order_does_not_matter():
    other = table({"extra": [1] * 5, "n": ROWS["n"], "town": ROWS["town"], "income": ROWS["income"]})
    assert FITTED.transform(other).frame().equals(FITTED.transform(table()).frame())


def test_a_column_that_is_gone_is_named_with_the_step_that_needs_it():
    with refused("no column 'income'.*step 2.*fill", ErrorCode.MISSING_COLUMNS, SchemaError):
        FITTED.transform(table({"town": ["Ulm"], "n": [1]})).frame()


def test_a_column_that_is_renamed_by_case_is_named():
    with refused("no column 'income'.*rename 'Income'", ErrorCode.MISSING_COLUMNS, SchemaError):
        FITTED.transform(table({"Income": [1.0], "town": ["Ulm"], "n": [1]})).frame()


def test_a_retyped_column_is_read_as_learned_where_it_can(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("income,town,n\n5,1,1\n6,2,2\n")  # alone, town would be a number
    assert FITTED.transform(read(path)).frame()["town=Ulm"].to_list() == [0.0, 0.0]


def test_a_column_that_cannot_be_read_as_learned_is_named(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("income,town,n\nhigh,Ulm,1\nlow,Bonn,2\n")
    with pytest.raises(LeptonError, match="income"):
        FITTED.transform(read(path)).frame()


def test_unseen_categories_are_zeros():
    other = FITTED.transform(table({"income": [1.0], "town": ["Wien"], "n": [1]})).frame()
    assert other.select("town=Bonn", "town=Kiel", "town=Ulm").row(0) == (0.0, 0.0, 0.0)


# --- files -----------------------------------------------------------------------------------------------------------


def from_text(text: str, folder: Path) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text, "utf-8")
    return Recipe.load(path)


def test_a_file_is_short_to_write(tmp_path):
    found = from_text(
        "lepton: recipe/1\nsteps:\n- drop_duplicates\n- fill: {columns: income, value: median}\n"
        "- clip: {columns: [income], q: [0.01, 0.99]}\n",
        tmp_path,
    )
    assert found == Recipe().drop_duplicates().fill("income", "median").clip("income", q=(0.01, 0.99))


HEAD = "lepton: recipe/1\n"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no recipe"),
        ("- fill", "no recipe"),
        ("lepton: recipe/2\nsteps: []", "lepton: 'recipe/2'"),
        ("steps: []", "lepton: None"),
        (HEAD, "steps is no list"),
        (HEAD + "steps: fill", "steps is no list"),
        (HEAD + "steps: []\nrun: now", "key 'run'"),
        (HEAD + "steps: [3]", "step 1 is no step"),
        (HEAD + "steps: [drop_duplicates, {}]", "step 2 is no step"),
        (HEAD + "steps: [{fill: {}, clip: {}}]", "step 1 is no step"),
        (HEAD + "steps: [eval]", "step 1: there is no step 'eval'"),
        (HEAD + "steps: [{1: {}}]", "step 1: there is no step '1'"),
        (HEAD + "steps: [{__init__: {}}]", "there is no step '__init__'"),
        (HEAD + "steps: [{save: {path: x}}]", "there is no step 'save'"),
        (HEAD + "steps: [{fill: [a]}]", "parameters of fill are no mapping"),
        (HEAD + "steps: [{fill: {1: a}}]", "parameters of fill are no mapping"),
        (HEAD + "steps: [{fill: {self: a}}]", "no parameter 'self'"),
        (HEAD + "steps: [{fill: {columns: {a: 1}}}]", "step 1: fill: got columns="),
        (HEAD + "steps: [{fill: {columns: [[a]]}}]", "step 1: fill: got columns="),
        (HEAD + "steps: [{fill: {columns: [1]}}]", "step 1: fill: got columns="),
        (HEAD + "steps: [{clip: {columns: a, q: [.nan, 1]}}]", "step 1: clip: got q="),
        (HEAD + "steps: [{select: {}}]", "step 1: select lacks columns"),
        (HEAD + "steps: [drop_duplicates]\nlearned: []\ncolumns: []", "learned does not fit"),
        (HEAD + "steps: [drop_duplicates]\nlearned: [3]\ncolumns: []", "learned does not fit"),
        (HEAD + "steps: [drop_duplicates]\nlearned: [{}]", "columns cannot be read"),
        (HEAD + "steps: [drop_duplicates]\nlearned: [{}]\ncolumns: [{name: a}]", "columns cannot be read"),
        (HEAD + "steps: [drop_duplicates]\nlearned: [{}]\ncolumns: [{name: a, kind: code}]", "columns cannot be read"),
        (HEAD + "steps: [drop_duplicates]\nlearned: [{}]\ncolumns: [a]", "columns cannot be read"),
        (HEAD + "steps: " + str(["drop_duplicates"] * 1001), "at most 1,000"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_step(text, match, tmp_path):
    with refused(match):
        from_text(text, tmp_path)


def test_a_file_that_is_no_plain_yaml_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"recipe\.yaml is no plain YAML.*tag"):
        from_text(HEAD + "steps: !!python/object/apply:os.system ['true']", tmp_path)


WRONG = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_whatever_the_parameters_are_it_is_a_recipe_or_one_error(data):
    name = data.draw(st.sampled_from(RECIPE_STEPS.names()))
    fields = inspect.signature(RECIPE_STEPS.load(name)).parameters
    written = {key: data.draw(WRONG) for key in fields if data.draw(st.booleans())}
    try:
        found = Recipe.from_dict({"lepton": "recipe/1", "steps": [{name: written}]})
    except LeptonError:
        return
    assert Recipe.from_dict(yaml.safe_load(yaml.safe_dump(found.to_dict()))) == found


@given(st.data())
def test_whatever_was_learned_says_it_is_used_or_one_error(data):
    """A file may say anything under `learned`; using it gives rows or an error of ours."""
    written = FITTED.to_dict()
    number = data.draw(st.integers(0, len(written["steps"]) - 1))
    key = data.draw(st.sampled_from(["values", "means", "deviations", "counts", "rank_error"]))
    inner = {"income": data.draw(WRONG), "town": data.draw(WRONG)}
    learned = {**written["learned"][number], key: data.draw(st.sampled_from([inner, data.draw(WRONG)]))}
    written = {**written, "learned": [learned if i == number else e for i, e in enumerate(written["learned"])]}
    try:
        found = Recipe.from_dict(written).transform(table()).frame()
    except LeptonError:
        return
    assert found.height <= 5


# --- changes ---------------------------------------------------------------------------------------------------------


def test_changes_count_cells_rows_and_columns_with_examples():
    changes = JOB.fit_transform(table()).changes()
    found = {(each.step, each.column, each.what): each for each in changes.records}
    assert (changes.rows_in, changes.rows_out) == (5, 4)
    assert found["drop_duplicates", None, "rows removed"].count == 1
    assert found["fill", "income", "cells"].count == 1
    assert found["fill", "income", "cells"].examples == (("", "3.0"),)
    assert found["clip", "income", "cells"].count == 1
    assert found["one_hot", "town", "columns removed"].count == 1
    assert found["one_hot", "town=Bonn, town=Kiel, town=Ulm", "columns added"].count == 3


def test_changes_are_text_page_and_data():
    changes = Recipe().fill("town", "<b>&").fit_transform(table()).changes()
    assert "(missing) → <b>&" in changes.text()
    assert "&lt;b&gt;&amp;" in changes.page().html()
    assert changes.to_dict()["changes"][0]["examples"] == [{"before": "", "after": "<b>&"}]
    assert "Nothing was changed" in Recipe().fit_transform(table()).changes().page().html()


def test_changes_are_those_of_all_rows_even_after_a_look_at_some():
    clean = Recipe().fill("income", 0.0).fit_transform(read(pl.DataFrame({"income": [None, None, 1.0]})))
    assert clean.head(1)["income"].to_list() == [0.0]
    assert clean.changes().records[0].count == 2
    clean.frame()
    assert clean.changes().records[0].count == 2


def test_a_table_without_recipe_has_no_changes():
    with pytest.raises(UsageError, match="not made by a recipe"):
        table().changes()


def test_kinds_of_what_comes_out():
    made = Recipe().cast("n", "category").fit_transform(table())
    assert made.schema["n"].kind is Kind.CATEGORY
