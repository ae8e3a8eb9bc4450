"""Sounds: noise of the stated power, speed of the stated length, and nothing beyond full scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.evaluation.robustness.sounds import SOUNDS, delayed, louder, noisy, of_length, sped


def tone(length: int = 8_000, volume: float = 0.2):
    return (volume * np.sin(np.arange(length) * 0.3)).astype(np.float32)


def generator():
    return np.random.default_rng(3)


@given(st.sampled_from(list(SOUNDS)), st.integers(1, 900), st.integers(0, 4), st.sampled_from([-1, 1]))
def test_every_perturbation_gives_samples_within_full_scale(name, length, place, sign):
    each = SOUNDS[name]
    amount = each.amounts[place] * (sign if each.signed else 1)
    loud = tone(length, 1.0)
    first, again = (each.change(loud, amount, generator()) for _ in range(2))
    assert first.dtype == np.float32
    assert first.ndim == 1
    assert len(first)
    assert np.array_equal(first, again)
    assert np.abs(first).max() <= (1.3 if name == "speed" else 1.0)  # band-limited steps overshoot


@pytest.mark.parametrize("decibels", [30, 10, 0])
def test_noise_lies_so_far_below_the_sound(decibels):
    noise = noisy(tone(), decibels, generator()) - tone()
    found = 10 * np.log10(np.mean(tone() ** 2) / np.mean(noise**2))
    assert found == pytest.approx(decibels, abs=0.3)


def test_silence_gets_a_faint_noise():
    silent = np.zeros(1_000, np.float32)
    assert 0 < np.abs(noisy(silent, 0, generator())).max() < 0.01


def test_speed_volume_and_shift():
    assert len(sped(tone(), 0.25, generator())) == 6_400
    assert len(sped(tone(), -0.25, generator())) == 10_000
    assert np.allclose(louder(tone(), 20, generator()), np.clip(tone() * 10, -1, 1))
    later, earlier = delayed(tone(100), 0.25, generator()), delayed(tone(100), -0.25, generator())
    assert np.array_equal(later[25:], tone(100)[:75])
    assert not later[:25].any()
    assert np.array_equal(earlier[:75], tone(100)[25:])
    assert len(of_length(tone(10), 4)) == 4
    assert of_length(tone(10), 12).tolist()[10:] == [0, 0]
