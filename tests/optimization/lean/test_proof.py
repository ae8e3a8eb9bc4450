"""Bounds of losses: that they hold as often as they say, where few or no rows differ too."""

import numpy as np
import polars as pl
import pytest

from lepton.evaluation import METRICS
from lepton.evaluation.answers import Answers
from lepton.optimization.lean.proof import LEVEL, LOOKS, least_rows, loss_of, parts_lost, score_bound


def numbers(y, predicted):
    return Answers("regression", "t", (), y, predicted, None, None, None, pl.DataFrame())


def classes(y, predicted, *, groups=None, weight=None):
    return Answers("multiclass", "t", ("a", "b", "c"), y, predicted, None, weight, groups, pl.DataFrame())


def known(number: float | None) -> float:
    """A number that has to be there."""
    assert number is not None
    return number


def flipped(rows, worse, better, *, seed=0):
    """Truth, and two answers of which the second loses and wins so many rows."""
    y = np.random.default_rng(seed).integers(0, 3, rows)
    first, second = y.copy(), y.copy()
    second[:worse] = (y[:worse] + 1) % 3
    first[worse : worse + better] = (y[worse : worse + better] + 1) % 3
    return y, first, second


@pytest.mark.parametrize(("rows", "worse", "better"), [(1_000, 0.005, 0.0), (1_000, 0.03, 0.02), (300, 0.02, 0.01)])
def test_the_score_bound_covers(rows, worse, better):
    drawn = np.random.default_rng(1).multinomial(rows, [worse, better, 1 - worse - better], 3_000)
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    held = [score_bound(lost, won, rows, LEVEL) >= worse - better - 1e-9 for lost, won in pairs.tolist()]
    assert counts[held].sum() / 3_000 >= 0.985


def test_no_row_that_differs_is_no_proof_of_nothing():
    y, first, second = flipped(1_000, 0, 0)
    told = loss_of(classes(y, first), classes(y, second), METRICS["accuracy"])
    assert told.value == 0
    assert 0.0046 < told.upper < 0.0055  # with fewer than 4.6 wrong in 1,000, none is seen once in 100 times
    needed = least_rows(0.005)
    assert score_bound(0, 0, needed, LEVEL * LOOKS[0]) <= 0.005 < score_bound(0, 0, needed - 2, LEVEL * LOOKS[0])


def test_all_looks_together_spend_one_per_cent():
    assert sum(LOOKS) == pytest.approx(1)


def test_rows_that_would_be_needed():
    y, first, second = flipped(1_000, 20, 18)
    told = loss_of(classes(y, first), classes(y, second), METRICS["accuracy"])
    assert not told.within(0.01)
    needed = known(told.rows_needed(0.01))
    again = loss_of(classes(y, first), classes(y, second), METRICS["accuracy"], as_of=int(1.2 * needed))
    assert again.within(0.01)
    assert told.rows_needed(0.001) is None  # the loss itself is 0.002


@pytest.mark.parametrize("name", ["rmse", "r2"])
def test_bounds_of_numbers_cover(name):
    metric, generator, held = METRICS[name], np.random.default_rng(3), 0

    def drawn(rows):
        y = generator.normal(size=rows)
        first = y + 0.4 * generator.normal(size=rows)
        return numbers(y, first), numbers(y, first + 0.05 * generator.standard_t(4, size=rows))

    first, second = (metric(each.y, each.predicted) for each in drawn(200_000))
    true = first - second if metric.bounded else (second - first) / first
    for _ in range(60):
        original, lean = drawn(300)
        held += loss_of(original, lean, metric, quick=True).upper >= true
    assert held >= 57


def test_the_bootstrap_never_lowers_a_bound():
    generator = np.random.default_rng(0)
    y = generator.normal(size=400)
    original, lean = (numbers(y, y + share * generator.normal(size=400)) for share in (0.3, 0.35))
    quick, full = (loss_of(original, lean, METRICS["rmse"], quick=quick) for quick in (True, False))
    assert full.upper >= quick.upper > known(quick.value)
    assert full.relative


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro"])
def test_rows_gone_wrong_may_hide_in_any_metric_of_labels(name):
    y, first, second = flipped(600, 0, 0)
    told = loss_of(classes(y, first), classes(y, second), METRICS[name])
    assert told.value == 0
    assert 0.005 < told.upper < 0.02


def test_weights_and_groups_widen_it():
    y, first, second = flipped(1_200, 24, 0)
    order = np.arange(1_200)
    plain = loss_of(classes(y, first), classes(y, second), METRICS["accuracy"])
    one, other = (classes(y, each, groups=order // 24) for each in (first, second))  # all that is lost is in one group
    assert loss_of(one, other, METRICS["accuracy"]).upper > 1.5 * plain.upper
    one, other = (classes(y, each, weight=np.where(order < 24, 3.0, 1.0)) for each in (first, second))
    assert known(loss_of(one, other, METRICS["accuracy"]).value) > 2 * known(plain.value)


def test_undefined_is_not_held():
    y, constant = np.ones(50), np.ones(50)
    told = loss_of(numbers(y, constant), numbers(y, constant + 1), METRICS["r2"])
    assert told.value is None
    assert not told.within(0.5)
    assert told.to_dict()["upper"] is None
    answers = np.full(50, np.nan)
    assert not loss_of(numbers(np.arange(50.0), constant), numbers(np.arange(50.0), answers), METRICS["r2"]).within(1.0)


def test_parts_share_the_level():
    y, first, second = flipped(900, 9, 0)
    masks = {("class", str(label)): y == label for label in range(3)}
    parts = parts_lost(classes(y, first), classes(y, second), METRICS["accuracy"], masks)
    assert sum(known(part.loss.value) * part.loss.num_rows for part in parts) == pytest.approx(9)
    alone = loss_of(classes(y, first).only(y == 0), classes(y, second).only(y == 0), METRICS["accuracy"])
    assert parts[0].loss.upper > alone.upper
