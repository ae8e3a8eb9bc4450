"""Text in tokens: `code-points/1`, as `docs/reference/codecs.md` specifies it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.codecs.text import MAX_CHARACTERS, nfc_casefold
from lepton.bundle.codecs.tokenizer import TOKENIZER_ASSET, TokenizerJson

__all__ = ["TOKEN_CODECS", "CodePoints", "padded_length"]

_READ = 8 * MAX_CHARACTERS
_LEAST = 16


class CodePoints:
    """Codec `code-points/1`: the Unicode code points of a text, in NFC, case folded, white space squeezed.

    >>> CodePoints().encode(["Ab  c"])[0]
    array([97, 98, 32, 99])
    """

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The tokens of each text: int64 [L], at most 2,000 of them, none for a text of white space."""
        return [_points(text) for text in texts]


TOKEN_CODECS: Mapping[str, Callable[[Callable[[str], bytes]], Any]] = {
    "code-points/1": lambda _: CodePoints(),
    "tokenizer-json/1": lambda member: TokenizerJson(member(TOKENIZER_ASSET)),
}
"""Codecs that give `tokens`: name → function from the members of a model file to what encodes."""


def padded_length(num_tokens: int) -> int:
    """How long a row of tokens is made: the next power of two, 16 at least.

    It depends on the row alone. So do its answers then, to the last bit of a sum.

    >>> [padded_length(length) for length in (0, 16, 17, 2000)]
    [16, 16, 32, 2048]
    """
    return max(_LEAST, 1 << (num_tokens - 1).bit_length()) if num_tokens else _LEAST


def _points(text: str) -> NDArray[np.int64]:
    # The first cut comes before anything that costs time in proportion to the text.
    folded = " ".join(nfc_casefold(text[:_READ]).split())[:MAX_CHARACTERS]
    return np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
