"""Texts as tokens: the codec keeps to its vectors, and a row's padding is its own."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lepton.bundle.codecs import MAX_CHARACTERS, CodePoints, padded_length

VECTORS = json.loads((Path(__file__).parent / "codec_vectors" / "code-points-1.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=[ascii(case["text"]) for case in VECTORS["cases"]])
def test_vectors(case: dict[str, Any]) -> None:
    (tokens,) = CodePoints().encode([case["text"]])
    assert tokens.tolist() == case["tokens"]
    assert tokens.dtype == "int64"


def test_long_texts_are_cut_before_they_cost_time(monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[int] = []

    def fold(text: str) -> str:
        folded.append(len(text))
        return text

    monkeypatch.setattr("lepton.bundle.codecs.tokens.nfc_casefold", fold)
    (tokens,) = CodePoints().encode(["\u0130 e\u0301" * 2_500_000])
    assert len(tokens) == MAX_CHARACTERS
    assert folded == [16_000]
    (spaces,) = CodePoints().encode([" " * 20_000 + "x"])
    assert len(spaces) == 0


@given(st.text(max_size=60))
def test_tokens_are_the_folded_text(text: str) -> None:
    (tokens,) = CodePoints().encode([text])
    (again,) = CodePoints().encode(["".join(map(chr, tokens))])
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    assert "".join(map(chr, tokens)) == " ".join(folded.split())
    assert tokens.tolist() == again.tolist() or any(map(unicodedata.combining, folded)) or "\u0345" in text


@pytest.mark.parametrize(
    ("tokens", "length"), [(0, 16), (1, 16), (16, 16), (17, 32), (32, 32), (33, 64), (2_000, 2_048)]
)
def test_padding(tokens: int, length: int) -> None:
    assert padded_length(tokens) == length
