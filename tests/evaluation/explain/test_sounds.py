"""Sounds: silencing takes away what it says, a planted tone is found in its time and band, silence is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import Predictor, open_model
from lepton.core import LeptonError
from lepton.evaluation.explain.files import explain_file
from lepton.evaluation.explain.sounds import Spectrum
from tests.bundle.pictures import sound_bytes, write_loudness

RATE = 8_000


@pytest.fixture
def model(tmp_path: Path) -> Predictor:
    write_loudness(tmp_path / "l.lepton")
    return open_model(tmp_path / "l.lepton")


def tone(hertz: float = 1_500, start: int = 2_000, length: int = 1_000, whole: int = 4_000) -> Any:
    sound = np.zeros(whole, dtype=np.float32)
    sound[start : start + length] = 0.5 * np.sin(2 * np.pi * hertz * np.arange(length) / RATE)
    return sound


@given(st.integers(1, 3_000), st.integers(0, 2**32 - 1))
def test_a_spectrum_gives_its_sound_back(length: int, seed: int) -> None:
    sound = np.random.default_rng(seed).normal(size=length)
    spectrum = Spectrum(sound, RATE)
    whole = np.ones((5, len(spectrum.times) - 1), dtype=bool)
    np.testing.assert_allclose(spectrum.shown(whole), sound, atol=1e-9)
    assert not spectrum.shown(~whole).any()


def test_regions_add_up_to_the_sound() -> None:
    sound = np.random.default_rng(0).normal(size=4_000)
    spectrum = Spectrum(sound, RATE)
    shape = (5, len(spectrum.times) - 1)
    each = np.eye(shape[0] * shape[1], dtype=bool).reshape(-1, *shape)
    np.testing.assert_allclose(sum(spectrum.shown(region) for region in each), sound, atol=1e-9)


def test_a_tone_is_found_in_its_time_and_band(model: Predictor) -> None:
    for method in ("auto", "occlusion"):
        (found,) = explain_file(model, [tone()], method=method, samples=500).files
        assert found.parts[int(np.argmax(found.added))] in (
            "0.25–0.312 s, 1,000–2,000 Hz",
            "0.312–0.375 s, 1,000–2,000 Hz",
        )
        assert found.values.shape == (5, 8)
    (found,) = explain_file(model, [sound_bytes(tone(300), RATE)], samples=500).files
    assert found.values.sum(axis=1).argmax() == 1
    assert found.values.sum() == pytest.approx(found.answer - found.base, rel=1e-3)


def test_gradients_are_summed_over_time(model: Predictor) -> None:
    sound = tone()
    (found,) = explain_file(model, [sound], gradients=lambda array, _: 2 * array / len(array)).files
    assert found.values.shape == (1, 8)
    assert found.values.sum() == pytest.approx(found.answer - found.base, rel=1e-3)
    assert found.values[0, [4, 5]].sum() == pytest.approx(found.values.sum())


def test_silence_and_clicks_are_told(model: Predictor) -> None:
    found = explain_file(model, [np.zeros(2_000, np.float32), np.ones(1, np.float32)], samples=500)
    assert not found.files[0].values.any()
    assert "The sound is silent" in found.files[0].text()
    assert "No part changes the answer" in found.page().html()
    assert found.files[1].values.shape == (5, 1)
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_page_draws_it_with_words(model: Predictor) -> None:
    html = explain_file(model, [tone()], samples=500).page().html()
    assert "Sound of 0.5 s with heat over its times and frequencies. Strongest:" in html
    assert html.count("<rect") >= 40


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        ([b"RIFF"], {}),
        ([np.zeros((4, 4, 3), np.uint8)], {}),
        ([np.zeros(0, np.float32)], {}),
        ([np.full(10, np.nan, np.float32)], {}),
        ([tone()], {"method": "rise"}),
        ([tone()], {"method": "attribution"}),
        ([tone()], {"samples": 10}),
        ([tone()], {"label": "loud"}),
    ],
)
def test_what_does_not_fit_is_refused(model: Predictor, cells: Any, options: dict[str, Any]) -> None:
    with pytest.raises(LeptonError):
        explain_file(model, cells, **options)
