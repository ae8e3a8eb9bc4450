"""Pictures: what each perturbation does is what it says, at any size, with laws that must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.evaluation.robustness.pictures import PICTURES, blurred, brightened, compressed, contrasted, noisy, rotated


def picture(height: int = 20, width: int = 30, channels: int = 3, seed: int = 0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def generator():
    return np.random.default_rng(5)


@given(
    st.sampled_from(list(PICTURES)),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4])),
    st.integers(0, 4),
)
def test_every_perturbation_keeps_size_and_type_and_its_input(name, shape, place):
    given_ = picture(*shape)
    before = given_.copy()
    each = PICTURES[name]
    first, again = (each.change(given_, each.amounts[place], generator()) for _ in range(2))
    assert first.shape == shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.array_equal(given_, before)


@given(st.integers(0, 255), st.sampled_from(["blur", "rotate", "contrast"]), st.integers(0, 4))
def test_a_plain_picture_stays_plain(value, name, place):
    plain = np.full((17, 23, 3), value, np.uint8)
    assert np.array_equal(PICTURES[name].change(plain, PICTURES[name].amounts[place], generator()), plain)


@pytest.mark.parametrize("name", ["blur", "noise", "contrast", "compression"])
def test_what_is_stronger_changes_more(name):
    smooth = np.broadcast_to(np.linspace(0, 255, 60)[None, :, None], (60, 60, 3))
    stripes = (smooth * (np.arange(60) % 4 < 2)[None, :, None]).astype(np.uint8)
    each = PICTURES[name]
    apart = [np.abs(each.change(stripes, a, generator()).astype(float) - stripes).mean() for a in each.amounts]
    assert apart == sorted(apart)
    assert apart[0] > 0


def test_a_narrow_blur_and_a_wide_one_have_the_spread_that_they_say():
    for sigma in (2.0, 9.0):
        point = np.zeros((101, 101, 1), np.uint8)
        point[48:53, 48:53] = 255
        spread = blurred(point, sigma / 101, generator())[..., 0].astype(float)
        places = np.arange(101) - 50
        found = np.sqrt((spread.sum(axis=0) * places**2).sum() / spread.sum() - 2)
        assert found == pytest.approx(sigma, rel=0.15)


def test_quarter_turns_are_exact():
    square = picture(9, 9)
    assert np.array_equal(rotated(square, 90, generator()), np.rot90(square))
    assert np.array_equal(rotated(square, -90, generator()), np.rot90(square, -1))
    assert np.array_equal(rotated(square, 0, generator()), square)


def test_light_contrast_and_noise_are_of_the_amount():
    plain = np.full((40, 40, 1), 100, np.uint8)
    assert (brightened(plain, 0.2, generator()) == 151).all()
    assert (brightened(plain, -0.5, generator()) == 0).all()
    half = np.array([[[50], [150]]], np.uint8)
    assert contrasted(half, 0.5, generator()).ravel().tolist() == [75, 125]
    assert noisy(plain, 0.1, generator()).std() == pytest.approx(25.5, rel=0.05)


def test_compression_is_that_of_jpeg():
    best, worst = (compressed(picture(), quality, generator()).astype(float) for quality in (100, 1))
    assert np.abs(best - picture()).mean() < np.abs(worst - picture()).mean()
