"""Content types of bodies and answers: which a request has, and which its `Accept` asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from lepton.core import Kind
from lepton.serving.protocols.base import JSON

__all__ = [
    "ARROW_FILE",
    "ARROW_STREAM",
    "CSV",
    "FILES",
    "FORMS",
    "KIND_OF_FILE",
    "MULTIPART",
    "PARQUET",
    "PLAIN_TEXT",
    "TABLES",
    "Media",
    "is_form",
    "media_of",
    "wanted_media",
]

CSV = "text/csv"
ARROW_STREAM = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
MULTIPART = "multipart/form-data"

TABLES = (CSV, ARROW_STREAM, ARROW_FILE, PARQUET)
"""What rows may come in and answers may go out in, beside JSON."""

PLAIN_TEXT = "text/plain"

KIND_OF_FILE = MappingProxyType(
    {
        **dict.fromkeys(("image/jpeg", "image/png"), Kind.IMAGE),
        **dict.fromkeys(("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"), Kind.AUDIO),
        **dict.fromkeys(("audio/flac", "audio/x-flac"), Kind.AUDIO),
        PLAIN_TEXT: Kind.TEXT,
    }
)
"""Content types of bodies that are a row themselves, and what they hold."""

FILES = tuple(KIND_OF_FILE)

FORMS = (*TABLES, *FILES, MULTIPART)
"""What the body of `rows` may be, beside JSON."""

_PARAMETER = re.compile(r'\s*;\s*([\w!#$&^.+-]+)=(?:([\w!#$&^.+\'()/:=?-]+)|"([^"\\\x00-\x1f]*)")', re.ASCII)
_ESSENCE = re.compile(r"\s*([\w!#$&^.+-]+/(?:[\w!#$&^.+-]+|\*)|\*/\*)", re.ASCII)
_SHARE = re.compile(r"[01](?:\.[0-9]{0,3})?", re.ASCII)
_ANSWERS = {"*/*": JSON, "application/*": JSON, "text/*": CSV, JSON: JSON} | {media: media for media in TABLES}
_KEPT = 64


class Media(NamedTuple):
    """A content type: `essence` and names of `parameters` in lower case."""

    essence: str
    parameters: Mapping[str, str]


@lru_cache(_KEPT)
def media_of(content_type: str) -> Media:
    """A content type taken apart; one that is none has the essence `""`."""
    start = _ESSENCE.match(content_type)
    if start is None:
        return Media("", MappingProxyType({}))
    parameters: dict[str, str] = {}
    position = start.end()
    while found := _PARAMETER.match(content_type, position):
        if parameters.setdefault(found[1].lower(), found[2] or found[3] or "") != (found[2] or found[3] or ""):
            return Media("", MappingProxyType({}))
        position = found.end()
    if content_type[position:].strip(" \t;"):
        return Media("", MappingProxyType({}))
    return Media(start[1].lower(), MappingProxyType(parameters))


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether a body is a table or a form, which takes longer to read than JSON of its length."""
    given = headers.get("content-type")
    return given is not None and given != JSON and media_of(given).essence in FORMS


def wanted_media(headers: Mapping[str, str]) -> str:
    """What the answer to rows is to be: of what `Accept` names, the first with the highest `q`; else JSON."""
    accept = headers.get("accept")
    return JSON if accept is None or accept == "*/*" else _wanted(accept)


@lru_cache(_KEPT)
def _wanted(accept: str) -> str:
    best, best_share = JSON, 0.0
    for item in accept.split(","):
        media = media_of(item.strip())
        share = media.parameters.get("q", "1")
        answer = _ANSWERS.get(media.essence)
        if answer is not None and _SHARE.fullmatch(share) and float(share) > best_share:
            best, best_share = answer, float(share)
    return best
