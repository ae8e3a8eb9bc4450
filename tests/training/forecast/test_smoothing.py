"""Exponential smoothing: the recursion by hand, its linearity, and what fitting finds."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.core import Work
from lepton.training.forecast.smoothing import Smoothing, fit_smoothing


def test_simple_smoothing_by_hand():
    # l = (1 + 3) / 2; then l += 0.5 (y - l): 1.5, 2.25
    assert Smoothing(1, False, 0.5).forecast(np.array([[1.0, 3.0]]), 2).tolist() == [[2.25, 2.25]]


def test_a_damped_trend_by_hand():
    smoothing = Smoothing(1, True, alpha=1.0, beta=0.0, phi=0.5)
    found = smoothing.forecast(np.array([[0.0, 2.0, 4.0]]), 3)
    slope = 2.0 * 0.5**3  # the start's, damped at each of three steps
    assert found[0] == pytest.approx([4.0 + slope * 0.5, 4.0 + slope * 0.75, 4.0 + slope * 0.875])


@pytest.mark.parametrize(
    "smoothing",
    [Smoothing(1, False, 0.3), Smoothing(1, True, 0.3, 0.2, phi=0.9), Smoothing(4, True, 0.4, 0.1, 0.2, 0.95)],
)
def test_forecasts_are_the_history_times_the_matrix(smoothing):
    history = np.random.default_rng(0).normal(10.0, 3.0, (5, 17))
    np.testing.assert_allclose(history @ smoothing.matrix(17, 6), smoothing.forecast(history, 6), rtol=1e-10)


@pytest.mark.parametrize(("season", "trend"), [(1, False), (1, True), (4, False), (4, True)])
def test_what_is_exactly_so_goes_on_exactly_so(season, trend):
    steps = np.arange(24.0)
    pattern = np.tile([3.0, -1.0, -2.0, 0.0], 6) if season > 1 else np.zeros(24)
    whole = 5.0 + pattern + (2.0 * steps if trend else 0.0)
    found = Smoothing(season, trend, 0.3, 0.1, 0.2).forecast(whole[None, :20], 4)
    np.testing.assert_allclose(found[0], whole[20:], rtol=1e-9)


def test_fitting_follows_a_walk_fast_and_noise_slowly():
    generator = np.random.default_rng(3)
    noise, walk = generator.normal(size=(60, 43)), generator.normal(size=(60, 43)).cumsum(axis=1)
    slow, fast = (
        fit_smoothing(each[:, :40], each[:, 40:], 1, trend=False, damped=False, work=Work()) for each in (noise, walk)
    )
    assert slow.alpha < 0.15
    assert fast.alpha > 0.7
