"""The first nodes of a graph: pictures in one size, sounds as loudness by pitch and time."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.training.deep.fronts import PictureFront, SoundFront, run_front


def test_pictures_come_in_one_size_and_keep_their_light() -> None:
    run = run_front(PictureFront(6, 8, 3))
    rng = np.random.default_rng(0)
    for shape in ((6, 8, 3), (60, 80, 3), (3, 5, 3), (100, 9, 3)):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        rows = run(pixels)
        assert rows.shape == (6, 8, 3)
        assert np.array_equal(rows, rows.round())
        assert 0 <= rows.min() <= rows.max() <= 255
        assert rows.mean() == pytest.approx(pixels.mean(), abs=25)
    same = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert np.array_equal(run(same), same)


def test_a_large_picture_is_averaged_and_not_sampled() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255  # single pixels, black and white
    rows = run_front(PictureFront(8, 8, 1))(board[..., None].astype(np.uint8))
    assert np.abs(rows - 127.5).max() < 20


def test_a_tone_stands_in_its_band_whatever_its_loudness() -> None:
    front = SoundFront(8_000, 4_000)
    run = run_front(front)
    places = [int(run(_tone(pitch, 4_000))[:, 20].argmax()) for pitch in (200, 800, 2_000, 3_500)]
    assert places == sorted(set(places))
    loud, soft = run(_tone(800, 4_000)), run(0.05 * _tone(800, 4_000))
    assert loud.shape == (front.bands, 48)
    assert np.abs(loud - soft).max() < 0.01
    assert loud.max() == pytest.approx(0, abs=0.01)
    assert loud.min() >= -1.001


@pytest.mark.parametrize("length", [1, 10, 3_999, 4_000, 4_001, 9_000])
def test_sounds_of_any_length_have_one_shape(length: int) -> None:
    rows = run_front(SoundFront(8_000, 4_000))(_tone(800, length))
    assert rows.shape == (40, 48)
    assert np.isfinite(rows).all()


def test_silence_is_one_value_and_the_middle_counts() -> None:
    run = run_front(SoundFront(8_000, 4_000))
    silence = run(np.zeros(4_000, np.float32))
    assert np.ptp(silence) == 0
    padded = run(_tone(800, 2_000))
    loud = padded.max(axis=0) > -0.1
    assert not loud[:8].any()
    assert not loud[-8:].any()
    assert loud[24]
    long = np.concatenate([np.zeros(4_000), _tone(800, 4_000), np.zeros(4_000)]).astype(np.float32)
    assert np.abs(run(long) - run(_tone(800, 4_000))).max() < 1e-4


def _tone(pitch: float, length: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(length) / 8_000 + 0.3)).astype(np.float32)
