"""Codec `wav-flac-to-f32/1`: the bytes of a WAV or FLAC become samples of one channel at one rate."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.codecs.pictures import unreadable
from lepton.bundle.codecs.resample import resampled
from lepton.core import MissingExtraError

__all__ = ["MAX_SAMPLES", "decode_sound", "is_sound", "one_channel"]

MAX_SAMPLES = 64_000_000
"""Samples of all channels, and samples after the change of rate: longer sounds are not decoded."""

_RATES = range(1_000, 384_001)


def is_sound(data: bytes) -> bool:
    """Whether `data` begins as a WAV or FLAC does."""
    return data.startswith(b"fLaC") or (data.startswith((b"RIFF", b"RIFX", b"RF64")) and data[8:12] == b"WAVE")


def decode_sound(data: bytes, rate: int) -> NDArray[np.float32]:
    """Codec `wav-flac-to-f32/1`: the mean of the channels of a WAV or FLAC, in -1 to 1, at `rate` samples a second.

    Returns:
        `[samples]`.

    Raises:
        DataError: `UNREADABLE`, with `details["fault"]` of `empty`, `refused`, `truncated`, `damaged` or `too large`.
        MissingExtraError: soundfile is not installed.
    """
    if not is_sound(data):
        raise unreadable("refused" if data else "empty", "it begins as neither WAV nor FLAC")
    try:
        import soundfile
    except (ImportError, OSError):  # the latter where libsndfile is missing
        raise MissingExtraError("soundfile", "media", "decoding sounds") from None
    try:
        sound = soundfile.SoundFile(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
        raise unreadable("damaged", error) from None
    with sound:
        samples = _samples(sound, rate)
        own_rate, claimed = int(sound.samplerate), int(sound.frames)
    if len(samples) < claimed or _is_cut(data):
        raise unreadable("truncated", f"it ends after {len(samples) / own_rate:.3g} s")
    if not len(samples):
        raise unreadable("empty", "it holds no samples")
    return one_channel(samples, own_rate, rate)


def one_channel(samples: NDArray[np.float32], own_rate: int, rate: int) -> NDArray[np.float32]:
    """The mean of the channels of `[frames, channels]`, at another rate; what is no number is silence."""
    samples = np.nan_to_num(samples, posinf=1.0, neginf=-1.0)
    mono = samples.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    return np.ascontiguousarray(resampled(mono, own_rate, rate)[:, 0])


def _samples(sound: Any, rate: int) -> NDArray[np.float32]:
    if sound.samplerate not in _RATES or sound.channels < 1:
        raise unreadable("damaged", f"{sound.channels} channels at {sound.samplerate} Hz")
    if max(sound.frames * sound.channels, sound.frames * rate // sound.samplerate) > MAX_SAMPLES:
        raise unreadable("too large", f"{sound.frames:,} frames, where {MAX_SAMPLES:,} samples are read at most")
    try:
        read: NDArray[np.float32] = sound.read(dtype="float32", always_2d=True)
    except Exception as error:  # noqa: BLE001 - a decoder raises anything at all on a hostile file
        raise unreadable("damaged", error) from None
    return read


def _is_cut(data: bytes) -> bool:
    """Whether a WAV ends before its own marks say; libsndfile passes over that."""
    if data.startswith(b"fLaC"):
        return False
    order = ">I" if data.startswith(b"RIFX") else "<I"
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], struct.unpack_from(order, data, place + 4)[0]
        if name == b"data":
            # Writers to a pipe leave a size that means "not known", and those of RF64 one that stands elsewhere.
            return size not in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000) and place + 8 + size > len(data)
        place += 8 + size + (size & 1)
    return True
