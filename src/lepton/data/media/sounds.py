"""Sounds: what the head of a file says, the samples themselves within bounds, and a small picture of them."""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lepton.core import MissingExtraError
from lepton.data.media.images import fault
from lepton.data.media.signatures import HEAD, KIND_OF_FORMAT, format_of_bytes

__all__ = [
    "MAX_SAMPLES",
    "SoundFacts",
    "decode_sound",
    "encode_sound",
    "is_cut",
    "sound_facts",
    "soundfile",
    "spectral_picture",
]

MAX_SAMPLES = 64_000_000
"""Samples of all channels: longer sounds are not decoded."""

Samples = NDArray[np.float32]
_BANDS = 24
_FRAMES = 32
_WINDOW = 0.064  # seconds


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What the head of a sound says.

    Attributes:
        seconds: how long it is.
        rate: samples a second.
        channels: 1 for mono.
        format: by its first bytes.
    """

    seconds: float
    rate: int
    channels: int
    format: str


def soundfile() -> Any:
    """The module `soundfile`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import soundfile as module
    except (ImportError, OSError):  # the latter where libsndfile is missing
        raise MissingExtraError("soundfile", "media", "reading sounds") from None
    return module


def sound_facts(file: BinaryIO) -> SoundFacts:
    """What the head of a sound says.

    Raises:
        DataError: it is no sound that is read, or damaged.
    """
    with _opened(file) as sound:
        form = format_of_bytes(_head(file))
        return SoundFacts(sound.frames / sound.samplerate, int(sound.samplerate), int(sound.channels), form)


def decode_sound(data: bytes) -> tuple[Samples, int]:
    """The samples of a sound in -1 to 1, `[frames, channels]`, and its rate.

    Raises:
        DataError: `UNREADABLE`, with `details["fault"]` of `truncated`, `damaged`, `refused` or `too large`.
    """
    with _opened(io.BytesIO(data)) as sound:
        claimed = sound.frames
        if claimed * sound.channels > MAX_SAMPLES:
            raise fault("too large", f"{claimed:,} frames, where {MAX_SAMPLES:,} samples are read at most")
        try:
            samples = sound.read(dtype="float32", always_2d=True)
        except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
            raise fault("damaged", error) from None
        rate = int(sound.samplerate)
    if len(samples) < claimed or is_cut(data):
        raise fault("truncated", f"it ends after {len(samples) / rate:.3g} s")
    return np.nan_to_num(samples, copy=False, posinf=1.0, neginf=-1.0), rate


def encode_sound(samples: Samples, rate: int, form: str) -> bytes:
    """The bytes of a WAV or FLAC file of 16 bits.

    Args:
        samples: `[frames, channels]`, in -1 to 1; what lies beyond is clipped.
        rate: samples a second.
        form: `wav` or `flac`.
    """
    out = io.BytesIO()
    soundfile().write(out, np.clip(samples, -1.0, 1.0), rate, format=form.upper(), subtype="PCM_16")
    return out.getvalue()


def is_cut(data: bytes) -> bool:
    """Whether a WAV or Ogg file ends before its own marks say; libsndfile passes over that."""
    if data[:4] == b"RIFF":
        place = 12
        while place + 8 <= len(data):
            name, size = data[place : place + 4], struct.unpack_from("<I", data, place + 4)[0]
            if name == b"data":
                # Writers to a pipe leave a size that means "not known".
                return size not in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000) and place + 8 + size > len(data)
            place += 8 + size + (size & 1)
        return True
    if data[:4] == b"OggS":
        last = data.rfind(b"OggS")
        page = data[last : last + 27 + 255]
        if len(page) < 27 or not page[5] & 4:  # the last page is marked
            return True
        segments = page[27 : 27 + page[26]]
        return len(segments) < page[26] or last + 27 + len(segments) + sum(segments) > len(data)
    return False


def spectral_picture(samples: Samples, rate: int) -> NDArray[np.uint8]:
    """How loud each of 24 bands of pitch is in each of 32 parts of the time, as a grey picture `[24, 32]`.

    Bands are of equal ratio between 60 Hz and 8 kHz, so that the picture does not depend on the rate. Loudness is in
    decibels below the loudest, 60 of them from white to black.
    """
    mono = samples.mean(axis=1, dtype=np.float64)
    size = max(round(_WINDOW * rate), 16)
    starts = np.linspace(0, max(len(mono) - size, 0), 4 * _FRAMES).astype(np.int64)
    padded = np.pad(mono, (0, max(size - len(mono), 0)))
    frames = padded[starts[:, None] + np.arange(size)[None, :]] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    pitches = np.fft.rfftfreq(size, 1.0 / rate)
    edges = np.geomspace(60.0, 8_000.0, _BANDS + 1)
    band = np.searchsorted(edges, pitches, side="right") - 1
    loudness = np.zeros((_BANDS, len(starts)))
    for number in range(_BANDS):
        chosen = power[:, band == number]
        if chosen.shape[1]:
            loudness[number] = chosen.mean(axis=1)
    loudness = loudness.reshape(_BANDS, _FRAMES, 4).mean(axis=2)
    loudest = float(loudness.max())
    if loudest <= 0.0:
        return np.zeros((_BANDS, _FRAMES), dtype=np.uint8)
    decibels = 10.0 * np.log10(np.maximum(loudness / loudest, 1e-6))
    picture: NDArray[np.uint8] = ((decibels + 60.0) * (255.0 / 60.0)).round().astype(np.uint8)
    return picture


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    return head


def _opened(file: BinaryIO) -> Any:
    module = soundfile()
    head = _head(file)
    if KIND_OF_FORMAT.get(format_of_bytes(head)) != "audio":
        raise fault("empty" if not head else "refused", "it begins as none of WAV, FLAC, OGG, MP3, AIFF")
    try:
        sound = module.SoundFile(file)
    except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
        raise fault("damaged", error) from None
    if sound.samplerate < 1 or sound.channels < 1 or not math.isfinite(sound.frames):
        sound.close()
        raise fault("damaged", f"{sound.channels} channels at {sound.samplerate} Hz")
    return sound
