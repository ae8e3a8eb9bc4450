"""One file looked at closely: whether it can be decoded whole, what it is, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Kind
from lepton.data.media.alike import SIDE, perceptual_hash, small_copy
from lepton.data.media.images import decode_image, fault, grey
from lepton.data.media.signatures import HEAD, KIND_OF_FORMAT, format_of_bytes, format_of_name
from lepton.data.media.sounds import decode_sound, spectral_picture
from lepton.data.media.texts import MAX_TEXT, decode_text
from lepton.data.references import MAX_FILE, References

__all__ = ["Inspected", "inspect_file"]

_SILENT = 10 ** (-60 / 20)
_FULL = 0.999
_RUN = 3
_CLIPPED = 0.001


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found in one file.

    Attributes:
        fault: why it cannot be used, as `truncated: ...`; "" if it can.
        digest: of its bytes; b"" where there are none.
        size: pixels, seconds or characters; 0 if it cannot be used.
        other_format: the format that it has, where its name says another.
        hash: `perceptual_hash`, if it has one.
        copy: `small_copy`, if it has a hash.
        text: of a text.
        silent: of a sound: nothing in it is louder than -60 dB.
        clipped: share of the samples of a sound that stand at its limit, three or more in a row.
    """

    fault: str = ""
    digest: bytes = b""
    size: float = 0.0
    other_format: str = ""
    hash: int | None = None
    copy: NDArray[np.uint8] | None = field(default=None, repr=False)
    text: str = ""
    silent: bool = False
    clipped: float = 0.0


def inspect_file(cell: str | None, kind: Kind, references: References, encoding: str | None = None) -> Inspected:
    """Look at the file that a cell of a table means; what is wrong with it is told, never raised.

    Args:
        cell: path or bytes.
        kind: what it should be: `IMAGE`, `AUDIO` or `TEXT`.
        references: what cells mean.
        encoding: of texts.
    """
    if cell is None:
        return Inspected("missing: the cell is empty")
    try:
        data = references.read(cell, MAX_TEXT if kind is Kind.TEXT else MAX_FILE)
    except DataError as error:
        gone = error.code is ErrorCode.NOT_FOUND
        return Inspected(("missing: " if gone else "refused: ") + error.came)
    digest = sha256(data).digest()[:16]
    other = _other_format(cell, data[:HEAD], kind)
    try:
        if not data:
            raise fault("empty", "it has no bytes")
        if kind is Kind.IMAGE:
            return _image(data, digest, other)
        if kind is Kind.AUDIO:
            return _sound(data, digest, other)
        text = decode_text(data, cell, encoding)
    except DataError as error:
        came = f"encoding: {error.came}" if error.code is ErrorCode.BAD_ENCODING else error.came
        return Inspected(came, digest, other_format=other)
    if not text.strip():
        return Inspected("empty: nothing but white space", digest, other_format=other)
    return Inspected("", digest, float(len(text)), other, text=text)


def _image(data: bytes, digest: bytes, other: str) -> Inspected:
    image, width, height = decode_image(data, smallest=2 * SIDE)
    picture = grey(image, SIDE, SIDE)
    found = perceptual_hash(picture)
    return Inspected("", digest, float(width * height), other, found, None if found is None else small_copy(picture))


def _sound(data: bytes, digest: bytes, other: str) -> Inspected:
    samples, rate = decode_sound(data)
    if not len(samples):
        raise fault("empty", "it has no samples")
    loud = np.abs(samples)
    peak = float(loud.max())
    picture = spectral_picture(samples, rate)
    found = None if peak < _SILENT else perceptual_hash(picture)
    return Inspected(
        "",
        digest,
        len(samples) / rate,
        other,
        found,
        None if found is None else small_copy(picture),
        silent=peak < _SILENT,
        clipped=_clipped(samples, peak) if peak >= _FULL else 0.0,
    )


def _clipped(samples: NDArray[np.float32], peak: float) -> float:
    """Share of the samples that stand at the same limit three or more in a row, in the worst channel."""
    most = 0.0
    for channel in samples.T:
        for at_limit in (channel >= peak * _FULL, channel <= -peak * _FULL):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], at_limit.view(np.int8), [0]])))
            runs = edges[1::2] - edges[::2]
            most = max(most, float(runs[runs >= _RUN].sum()) / len(channel))
    return most if most >= _CLIPPED else 0.0


def _other_format(cell: str, head: bytes, kind: Kind) -> str:
    """The format by the first bytes, where the ending of the name says another."""
    if len(cell) > 1_024 or cell.startswith("data:"):
        return ""
    named, found = format_of_name(cell), format_of_bytes(head)
    if not named or not found or named == found:
        return ""
    # The end of a name that is no file, such as base64 with a full stop, says nothing.
    return found if named in KIND_OF_FORMAT or kind is Kind.TEXT else ""
