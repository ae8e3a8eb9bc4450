"""From the bytes of a file to what can be changed, and back."""

from __future__ import annotations

from typing import Any

from lepton.core import Kind
from lepton.data.media.changes import Sound
from lepton.data.media.images import decode_image, encode_image
from lepton.data.media.signatures import HEAD, format_of_bytes
from lepton.data.media.sounds import decode_sound, encode_sound
from lepton.data.media.texts import MAX_TEXT, decode_text
from lepton.data.references import MAX_FILE

__all__ = ["decoded", "encoded", "most_bytes"]

_ENDINGS = {"jpeg": ".jpg", "png": ".png", "wav": ".wav", "flac": ".flac"}


def most_bytes(kind: Kind) -> int:
    """How large a file of this kind may be."""
    return MAX_TEXT if kind is Kind.TEXT else MAX_FILE


def decoded(data: bytes, kind: Kind, name: str, encoding: str | None) -> Any:
    """An image (`L` or `RGB`), a `Sound`, or a text.

    Args:
        data: the file.
        kind: what it is.
        name: for messages.
        encoding: of texts.

    Raises:
        DataError: it cannot be read whole.
    """
    if kind is Kind.IMAGE:
        return decode_image(data)[0]
    if kind is Kind.AUDIO:
        return Sound(*decode_sound(data))
    return decode_text(data, name, encoding)


def encoded(content: Any, kind: Kind, before: bytes) -> tuple[bytes, str]:
    """The bytes of a file, and the ending of its name, "" to leave it as it is.

    Args:
        content: as `decoded` gives it.
        kind: what it is.
        before: the file that it comes from: JPEG stays JPEG, other images become PNG; WAV stays, other sounds become
            FLAC.
    """
    form = format_of_bytes(before[:HEAD])
    if kind is Kind.IMAGE:
        form = form if form == "jpeg" else "png"
        return encode_image(content, form), _ENDINGS[form]
    if kind is Kind.AUDIO:
        form = form if form == "wav" else "flac"
        return encode_sound(content.samples, content.rate, form), _ENDINGS[form]
    return content.encode(), ""
