"""Texts: what words add is known of a model that counts, the parts sum to the answer, and errors hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import LeptonError, UsageError, Work
from lepton.evaluation.explain.files import explain_file
from lepton.evaluation.explain.words import MOST_PARTS, parts_of, without
from tests.evaluation.explain.file_models import counting_model, known_texts
from tests.evaluation.models import binary_model


@given(st.text(max_size=300), st.integers(1, 12))
def test_parts_cover_all_that_is_no_space(text: str, most: int) -> None:
    parts = parts_of(text, most)
    assert len(parts) <= most
    ends = [0, *(place for part in parts for place in part)]
    assert ends == sorted(ends)
    covered = {place for start, end in parts for place in range(start, end)}
    assert all(letter.isspace() or place in covered for place, letter in enumerate(text))


@given(st.text(max_size=100))
def test_all_parts_are_the_text(text: str) -> None:
    parts = parts_of(text)
    assert without(text, parts, np.ones(len(parts), dtype=bool)) == text
    assert without(text, parts, np.zeros(len(parts), dtype=bool)).strip() == ""


def test_words_add_what_the_model_gives_them(tmp_path: Path) -> None:
    model = counting_model(tmp_path, {"!": 2.0, "?": -1.0})
    (found,) = explain_file(model, "so good! or not? no").files
    assert found.parts == ("so", "good!", "or", "not?", "no")
    np.testing.assert_allclose(found.values, [0, 2, 0, -1, 0], atol=1e-12)
    assert found.method.startswith("exact")
    assert (found.answer, found.base) == (1.0, 0.0)


def test_many_words_are_sampled_and_sum_to_the_answer(tmp_path: Path) -> None:
    model = counting_model(tmp_path, {"!": 2.0})
    text = " ".join(["no"] * 20 + ["yes!"] + ["no"] * 10)
    (found,) = explain_file(model, [text], samples=600).files
    assert int(np.argmax(found.values)) == 20
    assert found.values.sum() == pytest.approx(found.answer - found.base)
    assert found.asked <= 602 + 2


def test_errors_hold_the_truth_where_words_go_together(tmp_path: Path) -> None:
    """A model that wants two words: each gets half, exactly by enumeration and within the error by sampling."""
    texts = {"good book ": 1.0, "good book": 1.0, "good ": 0.0}
    (found,) = explain_file(known_texts(tmp_path, texts), {"text": ["good book"]}).files
    np.testing.assert_allclose(found.values, [0.5, 0.5])
    assert found.answer == 1.0


def test_leave_one_out_asks_once_a_word(tmp_path: Path) -> None:
    model = counting_model(tmp_path, {"!": 2.0})
    (found,) = explain_file(model, ["a! b c"], method="leave-one-out").files
    np.testing.assert_allclose(found.values, [2, 0, 0])
    assert found.asked == 6


def test_long_texts_are_left_out_by_phrases(tmp_path: Path) -> None:
    model = counting_model(tmp_path, {"!": 1.0})
    text = "It was a dark night. " * 100 + "The end!"
    (found,) = explain_file(model, [text], samples=600).files
    assert len(found.parts) <= MOST_PARTS
    assert "The end!" in found.parts[int(np.argmax(found.values))]
    assert "phrases" in found.text()


def test_signs_without_spaces_are_told_apart(tmp_path: Path) -> None:
    model = counting_model(tmp_path, {"好": 1.0})
    (found,) = explain_file(model, ["我很好"]).files
    assert found.parts == ("我", "很", "好")
    np.testing.assert_allclose(found.values, [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("text", ["", "   \n"])
def test_an_empty_text_says_so(tmp_path: Path, text: str) -> None:
    found = explain_file(counting_model(tmp_path, {"!": 1.0}), [text])
    assert found.values[0].size == 0
    assert "The text is empty" in found.text()
    assert "an empty text" in found.page().html()


def test_same_seed_same_values_and_other_seed_others(tmp_path: Path) -> None:
    texts = {"a b c d e f g h i j k l m n": 1.0}
    model = known_texts(tmp_path, texts)
    one, same, other = (
        explain_file(model, list(texts), seed=seed, samples=400).values[0].tolist() for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_time_that_is_over_leaves_what_was_sampled(tmp_path: Path) -> None:
    model = counting_model(tmp_path, {"!": 1.0})
    (found,) = explain_file(model, [" ".join(["a!"] * 30)], work=Work(within=1e-9)).files
    assert "4 orders" in found.method
    assert found.values.sum() == pytest.approx(30)


def test_a_page_escapes_the_text_and_marks_it(tmp_path: Path) -> None:
    model = counting_model(tmp_path, {"!": 1.0})
    found = explain_file(model, ["<script>alert(1)</script> \u202efine!"])
    html = found.page().html()
    assert "<script>" not in html
    assert "\u202e" not in html
    assert "rgba(42,111,176,0.70)" in html
    assert "Strongest:" in html
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        ([b"\x89PNG\r\n\x1a\n\xff"], {}),
        ([np.zeros((4, 4, 3))], {}),
        ([3], {}),
        ([], {}),
        (["a"] * 101, {}),
        (["a b"], {"method": "rise"}),
        (["a b"], {"samples": 0}),
        ([" ".join("abcdefghijklmnop")], {"samples": 20}),
        (["a"], {"label": "yes"}),
        (["a"], {"gradients": lambda array, label: array}),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, cells: object, options: dict[str, object]) -> None:
    with pytest.raises(LeptonError):
        explain_file(counting_model(tmp_path, {"!": 1.0}), cells, **options)  # type: ignore[arg-type]


def test_a_model_of_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="explain rows of tables"):
        explain_file(binary_model(tmp_path, 1.0), ["text"])
