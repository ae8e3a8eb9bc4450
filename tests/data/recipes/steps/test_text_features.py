"""Texts become counts and weights, in rows as in graphs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from lepton.core import DataError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps import text_features
from lepton.data.recipes.steps.text_features import TextFeatures
from tests.data.recipes.step_contract import bound_on, check_step, graph_of, table_of

TABLE = {
    "t": ["Good light, 3 rooms", None, "good  GARDEN", "dark and 12 rooms", "٣ rooms", "light"],
    "u": ["東京 都", "é é", "b", None, "東京", "b b"],
    "n": [1.0, None, 2.0, 3.0, 4.0, 5.0],
}
KINDS = {"t": "text", "u": "text"}
UNSEEN = {"t": ["nothing known", None, "rooms rooms 3"], "u": ["", "b" * 3000, "a\tb"], "n": [None, 1.0, 2.0]}


@pytest.mark.parametrize(
    ("step", "graph"),
    [
        (TextFeatures(), True),
        (TextFeatures("t", grams="none"), True),
        (TextFeatures("t", counts=[], longest=2), True),
        (TextFeatures("u", grams="characters", longest=3, max_columns=7, min_rows=1), True),
        (TextFeatures("t", counts=["capitals", "words"]), False),
    ],
)
def test_the_contract_is_kept(step, graph):
    check_step(step, TABLE, kinds=KINDS, unseen=UNSEEN, graph=graph)


def test_what_is_counted():
    step = TextFeatures("t", counts=["characters", "words", "digits", "capitals"], grams="none")
    made = bound_on(step, table_of(TABLE, KINDS)).apply(table_of(TABLE, KINDS).frame()).frame
    assert made.columns == ["u", "n", *(f"t: number of {count}" for count in step.counts)]
    assert made.row(0)[2:] == (19, 4, 1, 1)
    assert made.row(1)[2:] == (0, 0, 0, 0)
    assert made.row(2)[2:] == (11, 2, 0, 6)
    assert made.row(4)[2:] == (7, 2, 1, 0)


def test_weights_are_those_of_scikit_learn():
    texts = ["a b b", "b c", "c c d", "a a", "b"]
    table = table_of({"t": texts, "n": range(5)}, {"t": "text"})
    made = bound_on(TextFeatures("t", counts=[], min_rows=1, longest=2), table).apply(table.frame()).frame
    theirs = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2))
    expected = theirs.fit_transform(texts).toarray()
    order = [f't: "{gram}"' for gram in theirs.get_feature_names_out()]
    assert set(made.columns) == {"n", *order}
    np.testing.assert_allclose(made.select(order).to_numpy(), expected, rtol=1e-12)


def test_names_of_columns_can_be_told_apart_and_read():
    table = table_of({"t": ["\u200b x", "\u200b x", "x"], "n": [1, 2, 3]}, {"t": "text"})
    assert bound_on(TextFeatures("t", counts=[]), table).schema.names == ("n", 't: "x"', "t: n-gram 2")


def test_many_texts_are_learned_from_a_part_however_they_are_cut(monkeypatch):
    monkeypatch.setattr(text_features, "_MOST_CHARACTERS", 2_000)
    words = np.random.default_rng(0).choice(["red", "green", "blue", "grey"], (900, 3), p=[0.4, 0.3, 0.2, 0.1])
    texts = [f"{' '.join(row)} {number}" for number, row in enumerate(words)]
    table = table_of({"t": texts}, {"t": "text"})
    step = TextFeatures("t", max_columns=3)
    whole = step.learner(table.schema, 10**6)
    whole.update(table.frame())
    learned = whole.finish()
    assert sorted(gram for (gram,) in learned["grams"]["t"][0]) == ["blue", "green", "red"]
    for size in (100, 333):
        merged = step.learner(table.schema, 10**6)
        for part in table.frame().iter_slices(size):
            other = step.learner(table.schema, 10**6)
            other.update(part)
            merged.merge(other)
        assert merged.finish() == learned


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6))
def test_any_text_gives_the_same_in_rows_and_graph(texts):
    # No half characters, and no NUL, at which onnxruntime's Python binding cuts a text.
    texts = [text.encode("utf-8", "ignore").decode().replace("\0", "") for text in texts]
    table = table_of({"t": [*texts, "some text 1"]}, {"t": "text"})
    step = bound_on(TextFeatures("t", grams="characters", min_rows=1), table)
    frame = table.frame()
    made = step.apply(frame).frame
    found = graph_of(step, frame)
    for name in made.columns:
        np.testing.assert_allclose(found[name], made[name].to_numpy(), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("found", [[[["a"]], []], [[[]], [1.0]], [[["a"]], [1e308]], [["a", "b", ""], [1.0, 1.0]]])
def test_what_was_learned_and_changed_by_hand_is_refused(found):
    recipe = Recipe().text_features("t").fit(table_of(TABLE, KINDS))
    written = recipe.to_dict()
    written["learned"] = [{"grams": {"t": found}}]
    with pytest.raises(UsageError, match="what the step has learned cannot be used"):
        Recipe.from_dict(written).transform(table_of(TABLE, KINDS)).frame()


def test_pieces_without_rows():
    table = table_of(TABLE, KINDS)
    assert bound_on(TextFeatures(), table).apply(table.frame()[:0]).frame.height == 0


@pytest.mark.parametrize(
    "step",
    [
        TextFeatures("t", longest=5),
        TextFeatures("t", max_columns=1_001),
        TextFeatures("t", counts=["words", "words"]),
        TextFeatures("t", counts=[], grams="none"),
    ],
)
def test_parameters_that_cannot_be(step):
    with pytest.raises(UsageError, match="text_features: got"):
        bound_on(step, table_of(TABLE, KINDS))


def test_numbers_are_no_texts():
    with pytest.raises(DataError, match="of kind number"):
        bound_on(TextFeatures("n"), table_of(TABLE, KINDS))
