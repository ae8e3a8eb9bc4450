"""Metrics by hand, and the coverage that conformal bounds keep."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.core import UsageError
from lepton.training.forecast.scores import Judged, forward_bounds, interval_bounds, metric_named, score_interval


def judged(forecast, future, scale=None):
    forecast, future = np.array(forecast, dtype=float), np.array(future, dtype=float)
    scale = np.ones((len(forecast), 1)) if scale is None else np.array(scale, dtype=float)
    return Judged(forecast, future, scale, np.arange(len(forecast)))


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("mae", 2.0),
        ("rmse", np.sqrt(14.0 / 3.0)),
        ("mase", 1.5),  # of the window whose scale is not 0
        ("smape", 200.0 * (1 / 3 + 2 / 6 + 3 / 9) / 3),
    ],
)
def test_metrics(metric, value):
    found = judged([[1.0, 2.0], [3.0, 9.0]], [[2.0, 4.0], [6.0, np.nan]], [[1.0], [0.0]])
    assert found.score(metric) == pytest.approx(value)


def test_nothing_known_has_no_score():
    assert judged([[1.0]], [[np.nan]]).score("mae") is None


def test_metrics_go_by_name():
    assert metric_named(None) == "mase"
    with pytest.raises(UsageError, match="roc_auc"):
        metric_named("roc_auc")


def test_score_interval_holds_the_score():
    generator = np.random.default_rng(0)
    found = judged(generator.normal(size=(200, 3)), generator.normal(size=(200, 3)))
    lower, upper = score_interval(found, "mae", 1)
    score = found.score("mae")
    assert lower is not None
    assert upper is not None
    assert score is not None
    assert lower < score < upper
    assert score_interval(judged([[1.0]], [[2.0]]), "mae", 1) == (None, None)


def test_bounds_cover_as_stated_and_widen_with_the_step():
    generator = np.random.default_rng(0)
    spread = np.array([[1.0, 3.0]])
    seen, later = (generator.normal(size=(4_000, 2)) * spread for _ in range(2))
    zeros = np.zeros_like(seen)
    bounds = interval_bounds(judged(zeros, seen), 0.9)
    assert bounds.covered(judged(zeros, later)) == pytest.approx(0.9, abs=0.015)
    assert bounds.upper[1] > 2.0 * bounds.upper[0] > 0.0


def test_few_residuals_borrow_from_neighbouring_steps():
    generator = np.random.default_rng(0)
    future = generator.normal(size=(12, 10))
    bounds = interval_bounds(judged(np.zeros((12, 10)), future), 0.9)
    later = generator.normal(size=(3_000, 10))
    assert (bounds.covered(judged(np.zeros_like(later), later)) or 0.0) > 0.85


def test_the_level_is_raised_where_later_folds_err_more():
    generator = np.random.default_rng(0)
    folds = [judged(np.zeros((500, 2)), generator.normal(size=(500, 2)) * 1.3**number) for number in range(4)]
    later = judged(np.zeros((4_000, 2)), generator.normal(size=(4_000, 2)) * 1.3**3)
    bounds, level = forward_bounds(folds, 0.9)
    assert level > 0.9
    assert (bounds.covered(later) or 0.0) > 0.88
    assert (interval_bounds(Judged.together(folds), 0.9).covered(later) or 1.0) < 0.87


def test_the_level_is_as_asked_where_nothing_tells_otherwise():
    generator = np.random.default_rng(0)
    folds = [judged(np.zeros((800, 2)), generator.normal(size=(800, 2)) * spread) for spread in (1.2, 1.0, 0.9)]
    assert forward_bounds(folds, 0.9)[1] == pytest.approx(0.9)
    assert forward_bounds(folds[:1], 0.9)[1] == pytest.approx(0.9)
