"""Codecs turn what a client sends into tensors: a closed list, each with a specification page and test vectors."""

from lepton.bundle.codecs.dates import DatetimeParser, microseconds
from lepton.bundle.codecs.mojibake import MARKS, repaired
from lepton.bundle.codecs.numbers import NUMBER_FORMATS, NumberParser
from lepton.bundle.codecs.pictures import decode_picture, is_picture
from lepton.bundle.codecs.sounds import decode_sound, is_sound, one_channel
from lepton.bundle.codecs.text import (
    MAX_CHARACTERS,
    SEPARATOR,
    TIDYING,
    TextTidier,
    characters,
    hash_digits,
    map_distinct,
    nfc,
    nfc_casefold,
    repaired_series,
    stable_hash,
)
from lepton.bundle.codecs.tokenizer import MAX_TOKENS, TOKENIZER_ASSET, TokenizerJson
from lepton.bundle.codecs.tokens import TOKEN_CODECS, CodePoints, padded_length

__all__ = [
    "CODECS",
    "MARKS",
    "MAX_CHARACTERS",
    "MAX_TOKENS",
    "NUMBER_FORMATS",
    "SEPARATOR",
    "TIDYING",
    "TOKENIZER_ASSET",
    "TOKEN_CODECS",
    "CodePoints",
    "DatetimeParser",
    "NumberParser",
    "TextTidier",
    "TokenizerJson",
    "characters",
    "decode_picture",
    "decode_sound",
    "hash_digits",
    "is_picture",
    "is_sound",
    "map_distinct",
    "microseconds",
    "nfc",
    "nfc_casefold",
    "one_channel",
    "padded_length",
    "repaired",
    "repaired_series",
    "stable_hash",
]

CODECS = (
    "characters/1",
    "code-points/1",
    "jpeg-png-to-rgb8/1",
    "nfc-casefold/1",
    "parse-boolean/1",
    "parse-datetime/1",
    "parse-number/1",
    "stable-hash/1",
    "tidy-text/1",
    "tokenizer-json/1",
    "wav-flac-to-f32/1",
)
"""Names that a manifest may hold; `docs/reference/codecs.md` specifies each."""
