"""Sounds: their heads, and what they hold."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from lepton.core import DataError
from lepton.data.media import sounds
from lepton.data.media.sounds import decode_sound, encode_sound, is_cut, sound_facts, spectral_picture
from tests.data.media.making import tone, wav_bytes


def written(samples, rate=8_000, **options):
    out = io.BytesIO()
    soundfile.write(out, samples, rate, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"format": "WAV", "subtype": "PCM_U8"}, 0.01),
        ({"format": "WAV", "subtype": "PCM_16"}, 1e-4),
        ({"format": "WAV", "subtype": "PCM_24"}, 1e-5),
        ({"format": "WAV", "subtype": "FLOAT"}, 1e-6),
        ({"format": "WAV", "subtype": "ULAW"}, 0.02),
        ({"format": "FLAC"}, 1e-4),
        ({"format": "AIFF", "subtype": "PCM_16"}, 1e-4),
        ({"format": "OGG"}, 0.1),
        ({"format": "MP3"}, 0.2),
    ],
)
def test_formats_and_depths(options, most):
    samples = tone(0.5)
    data = written(samples, **options)
    found, rate = decode_sound(data)
    assert rate == 8_000
    assert found.dtype == np.float32
    assert np.abs(found[: len(samples), 0] - samples)[1_000:3_000].max() < most
    facts = sound_facts(io.BytesIO(data))
    assert facts.format == options["format"].lower()
    assert facts.seconds == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty"),
        (b"hello there", "refused"),
        (b"RIFF\x24\0\0\0WAVE" + bytes(40), "damaged"),
        (b"fLaC" + bytes(100), "damaged"),
        (b"OggS" + bytes(100), "damaged"),
        (b"ID3" + bytes(100), "damaged"),
        (wav_bytes(tone())[:40], "damaged"),
        (wav_bytes(tone())[:-10], "truncated"),
    ],
)
def test_what_is_no_sound_that_can_be_read(data, fault):
    with pytest.raises(DataError) as caught:
        decode_sound(data)
    assert caught.value.details["fault"] == fault


def test_a_sound_that_claims_hours_is_refused_before_it_is_decoded():
    flac = bytearray(written(tone(), format="FLAC"))
    packed = int.from_bytes(flac[18:26], "big")
    flac[18:26] = (packed | (2**36 - 1)).to_bytes(8, "big")
    with pytest.raises(DataError, match="68,719,476,735 frames"):
        decode_sound(bytes(flac))


def test_long_silence_that_packs_well_is_bounded(monkeypatch):
    monkeypatch.setattr(sounds, "MAX_SAMPLES", 10_000)
    with pytest.raises(DataError, match="too large: 20,000 frames"):
        decode_sound(written(np.zeros(20_000), format="FLAC"))


def test_sizes_that_mean_not_known_are_no_damage():
    data = bytearray(wav_bytes(tone()))
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert not is_cut(bytes(data))


def test_numbers_that_are_none_become_silence():
    samples = np.array([0.5, np.nan, np.inf, -np.inf], dtype=np.float32)
    found, _ = decode_sound(written(samples, format="WAV", subtype="FLOAT"))
    assert found[:, 0].tolist() == [0.5, 0.0, 1.0, -1.0]


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_what_is_written_can_be_read(form):
    samples = np.stack([tone(0.2), tone(0.2, pitch=900)], axis=1).astype(np.float32)
    found, rate = decode_sound(encode_sound(2 * samples, 8_000, form))
    assert rate == 8_000
    assert np.abs(found - np.clip(2 * samples, -1, 1)).max() < 1e-4


def test_the_picture_shows_when_and_how_high():
    samples = np.concatenate([tone(0.5, 8_000, 200), tone(0.5, 8_000, 2_000)]).astype(np.float32)[:, None]
    picture = spectral_picture(samples, 8_000)
    assert picture.shape == (24, 32)
    low, high = int(picture[:, 4].argmax()), int(picture[:, -4].argmax())
    assert 4 <= low <= 7
    assert 15 <= high <= 18
    assert spectral_picture(np.zeros((10, 1), np.float32), 8_000).max() == 0
    again = np.repeat(samples, 2, axis=0)
    assert np.abs(spectral_picture(again, 16_000)[:17].astype(int) - picture[:17]).mean() < 8
