"""Another rate."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.bundle.codecs.resample import resampled
from tests.data.media.making import tone


def of(samples, rate, new_rate):
    return resampled(samples.astype(np.float32)[:, None], rate, new_rate)[:, 0]


@pytest.mark.parametrize(("rate", "new_rate"), [(8_000, 16_000), (44_100, 16_000), (48_000, 44_100), (16_000, 11_025)])
def test_a_tone_stays_what_it_is(rate, new_rate):
    found = of(tone(1.0, rate, 1_000), rate, new_rate)
    wanted = tone(1.0, new_rate, 1_000)
    assert len(found) == len(wanted)
    inside = slice(new_rate // 10, -new_rate // 10)
    assert np.abs(found[inside] - wanted[inside]).max() < 1e-4


def test_what_the_new_rate_cannot_hold_is_taken_out():
    found = of(tone(1.0, 48_000, 9_000), 48_000, 16_000)
    assert np.abs(found[1_600:-1_600]).max() < 0.5 * 10 ** (-80 / 20)


def test_a_constant_stays_one_and_edges_are_no_longer_than_the_window():
    found = of(np.ones(8_000), 8_000, 12_000)
    assert np.abs(found[100:-100] - 1).max() < 1e-3


def test_long_sounds_are_done_in_blocks(monkeypatch):
    samples = tone(1.0, 8_000, 300)
    whole = of(samples, 8_000, 11_025)
    monkeypatch.setattr("lepton.bundle.codecs.resample._BLOCK", 10_000)
    assert np.array_equal(of(samples, 8_000, 11_025), whole)


def test_the_same_rate_and_no_samples_change_nothing():
    samples = np.zeros((10, 2), dtype=np.float32)
    assert resampled(samples, 8_000, 8_000) is samples
    assert resampled(samples[:0], 8_000, 16_000).shape == (0, 2)
