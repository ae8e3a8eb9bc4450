"""The codecs of pictures and sounds keep to their specification, and refuse what is no such file in one clear error."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.bundle.codecs import decode_picture, decode_sound
from lepton.core import DataError, MissingExtraError


def _vectors(name: str) -> dict[str, Any]:
    path = Path(__file__).parent / "codec_vectors" / name
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


PICTURES, SOUNDS = _vectors("jpeg-png-to-rgb8-1.json"), _vectors("wav-flac-to-f32-1.json")


@pytest.mark.parametrize("case", PICTURES["cases"], ids=lambda case: case["name"])
def test_pictures(case: dict[str, Any]) -> None:
    pixels = decode_picture(base64.b64decode(case["file"]), case["channels"])
    assert pixels.dtype == np.uint8
    assert pixels.shape == np.shape(case["pixels"])
    np.testing.assert_allclose(pixels.astype(int), case["pixels"], atol=case["tolerance"], rtol=0)


@pytest.mark.parametrize("case", SOUNDS["cases"], ids=lambda case: case["name"])
def test_sounds(case: dict[str, Any]) -> None:
    samples = decode_sound(base64.b64decode(case["file"]), case["rate"])
    assert samples.dtype == np.float32
    assert samples.shape == np.shape(case["samples"])
    np.testing.assert_allclose(samples, case["samples"], atol=case["tolerance"] + 1e-12, rtol=0)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", PICTURES["faults"], ids=lambda case: case["name"])
def test_pictures_that_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(DataError) as caught:
        decode_picture(base64.b64decode(case["file"]))
    assert caught.value.details["fault"] == case["fault"]
    assert "0x" not in str(caught.value)


@pytest.mark.parametrize("case", SOUNDS["faults"], ids=lambda case: case["name"])
def test_sounds_that_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(DataError) as caught:
        decode_sound(base64.b64decode(case["file"]), 8_000)
    assert caught.value.details["fault"] == case["fault"]


def test_a_tone_keeps_its_pitch_at_another_rate() -> None:
    case = next(case for case in SOUNDS["cases"] if case["name"].startswith("48 kHz"))
    samples = decode_sound(base64.b64decode(case["file"]), 16_000)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / 16_000)
    assert np.abs(samples - wanted)[40:-40].max() < 0.002


def test_what_decodes_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[media\]"):
        decode_picture(base64.b64decode(PICTURES["cases"][0]["file"]))
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[media\]"):
        decode_sound(base64.b64decode(SOUNDS["cases"][0]["file"]), 8_000)
