"""Categories become means of the target, and no row sees its own."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import TargetEncoder

from lepton.core import DataError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.target_encoding import TargetEncode
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {
    "c": ["a", "b", None, "a", "é", "a", "b", "a"],
    "d": ["x"] * 8,
    "y": [1.0, 2.0, 3.0, None, 5.0, 0.5, -1.0, 7.0],
    "yes": [True, False, None, True, True, False, False, True],
    "kind": ["u", "v", "w", "u", None, "v", "v", "u"],
}
UNSEEN = {"c": ["new", None, "a"], "d": ["x", None, "z"], "y": [None] * 3, "yes": [None] * 3, "kind": [None] * 3}


@pytest.mark.parametrize(
    "step",
    [
        TargetEncode(["c", "d"], "y"),
        TargetEncode("c", "yes", smooth=0.0),
        TargetEncode(target="kind"),
        TargetEncode("c", "y", max_categories=1),
    ],
)
def test_the_contract_is_kept(step):
    check_step(step, TABLE, unseen=UNSEEN)


def noise_table(rows=2_000, categories=700, target="number"):
    random = np.random.default_rng(11)
    truth = {
        "number": random.normal(0, 1, rows),
        "binary": random.choice(["no", "yes"], rows, p=[0.7, 0.3]),
        "several": random.choice(["u", "v", "w"], rows),
    }[target]
    return pl.DataFrame({"c": random.integers(0, categories, rows).astype(str), "y": truth})


@pytest.mark.parametrize("target", ["number", "binary", "several"])
def test_new_rows_get_what_scikit_learn_gives(target):
    frame = noise_table(categories=40, target=target)
    kind = {"number": "continuous", "binary": "binary", "several": "multiclass"}[target]
    theirs = TargetEncoder(target_type=kind, smooth=10.0).fit(frame[["c"]].to_numpy(), frame["y"].to_numpy())
    new = pl.DataFrame({"c": [*frame["c"].unique(), "unseen"]})
    table = table_of(frame)
    ours = bound_on(TargetEncode("c", "y"), table).apply(new.with_columns(y=pl.lit(None, frame["y"].dtype))).frame
    np.testing.assert_allclose(ours.drop("y").to_numpy(), theirs.transform(new.to_numpy()), rtol=1e-12)


def test_the_columns_of_several_classes_are_named():
    bound = bound_on(TargetEncode("c", "kind"), table_of(TABLE))
    assert bound.schema.names == ("d", "y", "yes", "kind", "c: u", "c: v", "c: w")
    assert bound_on(TargetEncode("c", "y"), table_of(TABLE)).schema.names == ("c", "d", "y", "yes", "kind")


@pytest.mark.parametrize("target", ["number", "binary", "several"])
def test_random_categories_tell_nothing_of_the_rows_that_were_learned_from(target):
    """The negative control: 700 random categories in 2,000 rows, of which the usual encoding tells a third."""
    table = table_of(noise_table(target=target))
    recipe = Recipe().target_encode("c", "y", smooth=1.0)
    own = recipe.fit_transform(table)
    naive = recipe.fit(table).transform(table)
    names = [name for name in own.schema.names if name != "y"]
    numbers = table.frame()["y"]
    truth = (numbers if target == "number" else numbers == numbers.unique().sort()[1]).cast(pl.Float64).to_numpy()

    def explained(given):
        values = given.frame().select(names).to_numpy()
        return LinearRegression().fit(values, truth).score(values, truth)

    assert explained(own) < 0.01
    assert explained(naive) > 0.2


def test_a_row_has_no_say_in_its_own_number():
    frame = noise_table(rows=60, categories=6)
    recipe = Recipe().target_encode("c", "y")
    before = recipe.fit_transform(table_of(frame)).frame()["c"].to_list()
    for row in range(0, 60, 7):
        changed = frame.with_columns(y=pl.when(pl.int_range(60) == row).then(50.0).otherwise("y"))
        # The mean of all is the one thing that a row shares with all others: without smoothing it has no part.
        exact = Recipe().target_encode("c", "y", smooth=0.0)
        one, other = (exact.fit_transform(table_of(f)).frame()["c"] for f in (frame, changed))
        if frame.filter(c=frame["c"][row]).height > 1:
            assert one[row] == pytest.approx(other[row], rel=1e-12)
        assert one.to_list() != other.to_list()
    assert before != recipe.fit(table_of(frame)).transform(table_of(frame)).frame()["c"].to_list()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-5, 5)), min_size=1, max_size=40), st.integers(1, 9))
def test_own_rows_get_the_mean_of_the_other_folds_however_they_are_cut(rows, size):
    frame = pl.DataFrame(rows, schema={"c": pl.String, "y": pl.Float64}, orient="row")
    step = TargetEncode("c", "y", smooth=2.0)
    table = table_of(frame)
    learner = step.learner(table.schema, 10**6)
    for number, part in enumerate(frame.iter_slices(size)):
        if number % 2:  # parts that were learned apart are merged
            other = step.learner(table.schema, 10**6)
            other.update(part)
            learner.merge(other)
        else:
            learner.update(part)
    bound = step.bind(table.schema, learner.finish())
    start = learner.own_rows(bound)
    assert start is not None
    treat = start()
    found = pl.concat([treat(part).frame for part in frame.iter_slices(size)])["c"].to_list()
    mean = sum(y for _, y in rows) / len(rows)
    turns = {"a": [], "b": [], "c": []}
    for c, y in rows:
        turns[c].append(y)
    seen = dict.fromkeys("abc", 0)
    for (c, _), value in zip(rows, found, strict=True):
        others = [y for turn, y in enumerate(turns[c]) if turn % 5 != seen[c] % 5]
        seen[c] += 1
        assert value == pytest.approx((sum(others) + 2.0 * mean) / (len(others) + 2.0), abs=1e-12)


def test_rows_without_a_target_do_not_count_and_are_encoded_as_new_ones():
    made = Recipe().target_encode("c", "y", smooth=0.0).fit_transform(table_of(TABLE)).frame()["c"].to_list()
    assert made[3] == pytest.approx((1.0 + 0.5 + 7.0) / 3)
    assert made[0] == pytest.approx((0.5 + 7.0) / 2)
    assert made[4] == pytest.approx(np.mean([1.0, 2.0, 3.0, 5.0, 0.5, -1.0, 7.0]))  # alone: the mean of all


def test_every_pass_gives_the_same_own_rows():
    table = table_of(noise_table())
    once = Recipe().target_encode("c", "y").fit_transform(table).frame()["c"]
    made = Recipe().target_encode("c", "y").standardise("c").sort("y").clip("c", q=(0.0, 1.0)).fit_transform(table)
    assert made.frame().equals(made.frame())
    scaled = (once - once.mean()) / once.std(ddof=0)
    np.testing.assert_allclose(made.frame()["c"].sort().to_numpy(), scaled.sort().to_numpy(), atol=1e-12)


def test_what_cannot_be_is_refused():
    table = table_of(TABLE)
    with pytest.raises(UsageError, match="got target=''"):
        bound_on(TargetEncode("c"), table)
    with pytest.raises(UsageError, match="got target='c'"):
        bound_on(TargetEncode(["c", "d"], "c"), table)
    with pytest.raises(UsageError, match="smooth=-1"):
        bound_on(TargetEncode("c", "y", smooth=-1.0), table)
    many = table_of({"c": ["a"] * 60, "y": [str(each) for each in range(60)]})
    with pytest.raises(DataError, match="'y' has 60 different values"):
        bound_on(TargetEncode("c", "y"), many)
