"""Text in tokens of a vocabulary: `tokenizer-json/1`, as `docs/reference/codecs.md` specifies it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import BundleError, ErrorCode, MissingExtraError, printable

__all__ = ["MAX_TOKENS", "TOKENIZER_ASSET", "TokenizerJson"]

TOKENIZER_ASSET = "assets/tokenizer.json"
"""Member of a model file that holds the tokenizer."""

MAX_TOKENS = 8_192
"""The most that a text may be cut to."""

_MAX_BYTES = 64 * 2**20
_CHARACTERS_A_TOKEN = 32  # that are read, at most: time grows with characters, and words have no end
_UNKNOWN = "\U00010380"  # Ugaritic, which few vocabularies hold


class TokenizerJson:
    """Codec `tokenizer-json/1`: the tokens that a `tokenizer.json` of the library `tokenizers` gives a text.

    Args:
        document: the file. Its `truncation` says how many tokens a text has at most.

    Attributes:
        max_tokens: what texts are cut to.
        num_tokens: size of the vocabulary, added tokens included.

    Raises:
        BundleError: it is no tokenizer, or does not cut texts.
        MissingExtraError: `tokenizers` is not installed.
    """

    def __init__(self, document: bytes) -> None:
        try:
            import tokenizers
        except ImportError:
            raise MissingExtraError("tokenizers", "media", "A model of texts with a vocabulary") from None
        if len(document) > _MAX_BYTES:
            raise _damaged(f"it has {len(document):,} bytes", f"at most {_MAX_BYTES:,}")
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_str(document.decode("utf-8"))
            cut = self._tokenizer.truncation
            self._tokenizer.no_padding()
            self._tokenizer.encode(_UNKNOWN)
        except Exception as error:  # noqa: BLE001 - the library's errors have no class of their own
            raise _damaged(printable(str(error))[:200]) from None
        if cut is None or not 1 <= cut["max_length"] <= MAX_TOKENS or cut["direction"].lower() != "right":
            raise _damaged(f"its truncation is {cut}", f"1 to {MAX_TOKENS:,} tokens, from the left")
        self.max_tokens: int = cut["max_length"]
        self.num_tokens: int = self._tokenizer.get_vocab_size()
        self._characters = _CHARACTERS_A_TOKEN * self.max_tokens

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The tokens of each text: int64 [L], 1 to `max_tokens` of them."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> NDArray[np.int64]:
        # What is no character of Unicode, half of a pair that stands alone, cannot be told to the library.
        known = text[: self._characters].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        try:
            tokens = self._tokenizer.encode(known).ids
        except Exception as error:  # noqa: BLE001
            raise _damaged(f"a text cannot be encoded: {printable(str(error))[:200]}") from None
        return np.array(tokens or [0], dtype=np.int64)


def _damaged(came: str, wanted: str = "a file as the library tokenizers writes it, that cuts texts") -> BundleError:
    return BundleError(ErrorCode.BUNDLE_DAMAGED, f"{TOKENIZER_ASSET}: {came}", wanted=wanted)
