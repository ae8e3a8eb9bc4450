"""N-grams of texts: both forms agree on every language, the vocabulary is the one that counting gives."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle.codecs import characters
from lepton.core import UsageError
from lepton.data.steps import Block, DropTexts, TextGrams, TextLength
from tests.data.steps.step_contract import run_graph

pieces = st.sampled_from(list("ab e\u0301é中文🙂ß ABx\x1f"))
sentences = st.lists(st.lists(pieces, max_size=12).map("".join), min_size=1, max_size=12)


def block_of(texts):
    strings = pl.DataFrame({"s": list(map(characters, texts))}, schema={"s": pl.String})
    return Block(np.empty((len(texts), 0)), (), strings)


@pytest.mark.parametrize("unit", ["character", "word"])
def test_both_forms_agree_on_texts_as_the_codec_gives_them(unit):
    @given(sentences, sentences, st.integers(1, 3), st.integers(1, 4))
    def check(seen, unseen, min_count, longest):
        step = TextGrams.fit(block_of(seen), unit=unit, min_count=min_count, longest=longest, max_grams=30)
        for texts in (seen, unseen):
            block = block_of(texts)
            applied = step.apply(block)
            assert np.array_equal(step.sparse(block).toarray(), applied.numbers)
            if step.num_grams == 0:
                assert applied.numbers.shape == (len(texts), 0)
                continue
            graph, _ = run_graph(step, block)
            assert graph is not None
            assert applied.numbers is not None
            np.testing.assert_allclose(graph, applied.numbers, rtol=1e-13, atol=0.0)

    check()


@given(sentences, st.integers(1, 3))
def test_the_vocabulary_and_the_weights_are_those_of_counting(texts, min_count):
    counted: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        tokens = list(" ".join(characters(text).replace("\x1f", "").split()))
        grams = [tuple(tokens[i : i + n]) for n in (1, 2) for i in range(len(tokens) - n + 1)]
        counted.update(set(grams))
    step = TextGrams.fit(block_of(texts), longest=2, min_count=min_count, max_grams=1000)
    known = {gram for gram, rows in counted.items() if rows >= min_count}
    assert set(step.grams[0]) == known
    assert list(map(len, step.grams[0])) == sorted(map(len, step.grams[0]))
    for gram, weight in zip(step.grams[0], step.weights[0], strict=True):
        assert weight == pytest.approx(math.log((1 + len(texts)) / (1 + counted[gram])) + 1, rel=1e-15)


def test_words_and_the_most_frequent():
    texts = ["to be or not", "To be", "not to be", "or else"]
    step = TextGrams.fit(block_of(texts), unit="word", longest=2, max_grams=3)
    assert step.grams == ((("b\x1fe",), ("t\x1fo",), ("t\x1fo", "b\x1fe")),)
    applied = step.apply(block_of(["to be to", "else", ""]))
    assert applied.number_names == ("s:be", "s:to", "s:to be")
    assert applied.string_names == ("s",)
    weights = np.array(step.weights[0]) * [1, 2, 1]
    np.testing.assert_allclose(applied.numbers[0], weights / np.linalg.norm(weights))
    assert not applied.numbers[1:].any()


def test_a_long_table_is_learned_from_in_parts(monkeypatch):
    texts = [f"text number {i % 7} 中{'文' * (i % 3)}" for i in range(100)]
    whole = TextGrams.fit(block_of(texts))
    expected = whole.apply(block_of(texts)).numbers
    monkeypatch.setattr("lepton.data.steps.text._TOKENS_AT_ONCE", 50)
    assert TextGrams.fit(block_of(texts)) == whole
    assert np.array_equal(whole.apply(block_of(texts)).numbers, expected)
    monkeypatch.setattr("lepton.data.steps.text._LEARNED_TOKENS", 400)
    fewer = TextGrams.fit(block_of(texts))
    assert 0 < sum(fewer.weights[0]) < sum(whole.weights[0])


@pytest.mark.parametrize("wrong", [{"unit": "syllable"}, {"longest": 0}, {"longest": 5}])
def test_units_and_lengths_that_are_not_there(wrong):
    with pytest.raises(UsageError, match="character or word, and 1 to 4"):
        TextGrams.fit(block_of(["a"]), **wrong)


def test_only_the_named_columns_are_dropped():
    block = Block(np.zeros((1, 1)), ("n",), pl.DataFrame({"a": ["x"], "b": ["y"], "c": ["z"]}))
    dropped = DropTexts(("b",)).apply(block)
    assert dropped.string_names == ("a", "c")
    assert DropTexts(("b",)).apply(block).numbers.tolist() == [[0.0]]


def test_the_length_of_a_text_is_its_characters():
    lengths = TextLength.fit(block_of(["x"])).apply(block_of(["", "a", " two  words ", "中文"]))
    assert lengths.number_names == ("length(s)",)
    assert lengths.numbers[:, 0].tolist() == [0.0, 1.0, 9.0, 2.0]
