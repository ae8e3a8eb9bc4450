"""Texts as tokens: the codec keeps to its vectors, and a row's padding is its own."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lepton.bundle.codecs import MAX_CHARACTERS, CodePoints, TokenizerJson, padded_length
from lepton.core import BundleError

FOLDER = Path(__file__).parent / "codec_vectors"
VECTORS = json.loads((FOLDER / "code-points-1.json").read_text(encoding="utf-8"))
WITH_VOCABULARY = json.loads((FOLDER / "tokenizer-json-1.json").read_text(encoding="utf-8"))
TOKENIZER: dict[str, Any] = WITH_VOCABULARY["tokenizer"]


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


def test_vectors_of_a_vocabulary() -> None:
    cases = WITH_VOCABULARY["cases"]
    encoder = TokenizerJson(json.dumps(TOKENIZER).encode())
    found = encoder.encode([case["text"] for case in cases])
    assert [tokens.tolist() for tokens in found] == [case["tokens"] for case in cases]
    assert {tokens.dtype.name for tokens in found} == {"int64"}
    assert (encoder.max_tokens, encoder.num_tokens) == (8, 12)


@given(st.text(st.characters(), max_size=400))
def test_any_text_has_tokens_of_the_vocabulary(text: str) -> None:
    (tokens,) = TokenizerJson(json.dumps(TOKENIZER).encode()).encode([text])
    assert 1 <= len(tokens) <= 8
    assert tokens.max() < 12


def test_no_token_is_the_token_0() -> None:
    plain = {**TOKENIZER, "post_processor": None}
    assert TokenizerJson(json.dumps(plain).encode()).encode([" "])[0].tolist() == [0]


def test_what_pads_is_passed_over() -> None:
    padding: dict[str, Any] = {"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    assert TokenizerJson(json.dumps({**TOKENIZER, "padding": padding}).encode()).encode(["sea"])[0].tolist() == [
        2,
        8,
        3,
    ]


@pytest.mark.parametrize(
    ("document", "came"),
    [
        (b"", "line 1"),
        (b"\xff\xfe", "utf-8"),
        (b"[]", "invalid type"),
        (b'{"version": "1.0"}', "missing"),
        (json.dumps({**TOKENIZER, "truncation": None}).encode(), "truncation is None"),
        (json.dumps({**TOKENIZER, "truncation": {**TOKENIZER["truncation"], "max_length": 9_000}}).encode(), "9000"),
        (json.dumps({**TOKENIZER, "truncation": {**TOKENIZER["truncation"], "direction": "Left"}}).encode(), "left"),
        (json.dumps({**TOKENIZER, "model": {**TOKENIZER["model"], "vocab": {"a": 0}}}).encode(), "UNK"),
    ],
)
def test_what_is_no_tokenizer_is_refused(document: bytes, came: str) -> None:
    with pytest.raises(BundleError, match=f"(?i)tokenizer.json: .*{came}"):
        TokenizerJson(document)
