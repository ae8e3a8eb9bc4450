"""Pieces of texts: the graph counts what numpy counts, padding adds nothing, and what is unknown stays so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.bundle.codecs import CodePoints
from lepton.training.deep.grams import Grams, keys_of

KNOWN = ["free entry, win now", "see you at five", "工学 教育学的研究", "ja – nein", "a", ""]


def tokens_of(texts: Sequence[str], length: int = 32) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = CodePoints().encode(texts)
    tokens, mask = np.zeros((2, len(rows), length), dtype=np.int64)
    for row, found in enumerate(rows):
        tokens[row, : len(found)], mask[row, : len(found)] = found[:length], 1
    return tokens, mask


@pytest.fixture(scope="module")
def grams() -> Grams:
    return Grams.fit([keys_of(*tokens_of(KNOWN))], most=1_000)


@pytest.fixture(scope="module")
def session(grams: Grams) -> onnxruntime.InferenceSession:
    builder = GraphBuilder()
    tokens, mask = (builder.input(name, "int64", ["N", "L"]) for name in ("tokens", "mask"))
    builder.output("numbers", grams.write(builder, tokens, mask), "int32", ["N", "K"])
    return onnxruntime.InferenceSession(builder.finish({}))


def test_pieces_of_a_short_text() -> None:
    keys = keys_of(*tokens_of(["ab c"]))
    # Characters a, b, space and c; pairs _a ab b_ _c c_; threes _ab ab_ b_c _c_; the words ab and c, and one pair.
    assert np.count_nonzero(keys) == 4 + 5 + 4 + 2 + 1
    assert len(np.unique(keys[keys > 0])) == np.count_nonzero(keys)


def test_words_are_those_that_separators_part() -> None:
    one, other = keys_of(*tokens_of(["cat, dog", "(cat) dog!"]))
    words = {key for key in one.tolist() if key % 8 in (6, 7)}
    assert len(words) == 3
    assert words == {key for key in other.tolist() if key % 8 in (6, 7)}


def test_empty_texts_have_no_pieces() -> None:
    assert not keys_of(*tokens_of(["", " \u3000"])).any()


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_the_graph_finds_the_same(grams: Grams, session: onnxruntime.InferenceSession, texts: list[str]) -> None:
    tokens, mask = tokens_of([*texts, KNOWN[0]])
    (found,) = session.run(None, {"tokens": tokens, "mask": mask})
    np.testing.assert_array_equal(found, grams.numbers(keys_of(tokens, mask)))
    assert np.count_nonzero(found[-1]) > 50


@given(st.text(max_size=14))
def test_padding_adds_nothing(text: str) -> None:
    short, long = (np.sort(keys_of(*tokens_of([text], length)).ravel()) for length in (32, 64))
    np.testing.assert_array_equal(short[short > 0], long[long > 0])


def test_only_known_pieces_have_numbers(grams: Grams) -> None:
    assert not grams.numbers(keys_of(*tokens_of(["qqq zzz xxx"])))[0, :2].any()
    assert len(np.unique(grams.keys)) == len(grams)
    numbers = grams.numbers(grams.keys[1:])
    np.testing.assert_array_equal(numbers, np.arange(1, len(grams)))


def test_the_most_frequent_are_kept() -> None:
    few = Grams.fit([keys_of(*tokens_of(["aa", "aa b", "aa c"]))], most=3)
    assert len(few) <= 4
    assert few.num_repeated == len(few)
    assert (np.diff(few.weights[1:]) >= 0).all()
