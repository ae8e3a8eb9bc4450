"""Texts: slips change letters and not the meaning, paraphrases are reversible words, nothing fails on any text."""

from __future__ import annotations

import difflib

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.evaluation.robustness.texts import TEXTS, mistyped, paraphrased, recased, repunctuated, respaced

SAID = "I do not think it's a big problem, he quickly walked to the shop."


def generator(seed: int = 0):
    return np.random.default_rng(seed)


@given(st.sampled_from(list(TEXTS)), st.text(max_size=60), st.integers(0, 4))
def test_any_text_is_taken_and_the_seed_decides(name, text, place):
    each = TEXTS[name]
    first, again = (each.change(text, each.amounts[place], generator(4)) for _ in range(2))
    assert isinstance(first, str)
    assert first == again


@given(st.integers(0, 500))
def test_a_single_slip_is_one_edit(seed):
    changed = mistyped("receipt", 0.0, generator(seed))
    assert changed != "receipt"
    blocks = difflib.SequenceMatcher(None, "receipt", changed, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in blocks) >= 5
    assert abs(len(changed) - 7) <= 1


def test_the_case_of_a_slip_is_that_of_its_letter():
    changed = {mistyped("A", 0.0, generator(seed)) for seed in range(30)}
    assert changed <= {"Q", "W", "S", "Z", "X", "AA"}
    assert len(changed) > 2


def test_more_words_slip_at_greater_strength():
    long = " ".join(["wonderful"] * 200)
    hit = [sum(word != "wonderful" for word in mistyped(long, a, generator()).split()) for a in TEXTS["typos"].amounts]
    assert hit == sorted(hit)
    assert hit[-1] == pytest.approx(80, abs=20)


def test_case_has_five_forms():
    forms = [recased("one Two", strength, generator()) for strength in (1, 2, 4)]
    assert forms == ["one two", "One Two", "ONE TWO"]
    for strength in (3, 5):
        assert recased(SAID, strength, generator()).lower() == SAID.lower()


def test_punctuation_and_white_space_leave_the_letters():
    for seed in range(20):
        for change in (repunctuated, respaced):
            changed = change(SAID, 1.0, generator(seed))
            assert [c for c in changed if c.isalnum()] == [c for c in SAID if c.isalnum()]
    assert "," not in repunctuated("well, then", 1.0, generator()).replace("well,", "")


def test_paraphrases_are_english_and_go_both_ways():
    changed = paraphrased(SAID, 1.0, generator())
    assert changed == "I don't think it is a large problem, he walked quickly to the store."
    assert paraphrased(changed, 1.0, generator()) == SAID
    assert paraphrased(SAID, 0.0, generator()) == SAID
    assert paraphrased("The family lives here. Daily runs.", 1.0, generator()) == "The family lives here. Daily runs."
    assert paraphrased("Ich glaube das nicht.", 1.0, generator()) == "Ich glaube das nicht."
