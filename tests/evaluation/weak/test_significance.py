from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.evaluation.weak.significance import excess, holm


def test_a_difference_of_means_is_that_of_welch() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(0.5, 2.0, 400), random.normal(0.0, 1.0, 4_000)
    losses = np.concatenate([a, b])
    part = np.arange(len(losses)) < len(a)
    found = excess(losses, part, ~part)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert found.error == pytest.approx(math.sqrt(a.var(ddof=1) / 400 + b.var(ddof=1) / 4_000), rel=0.01)
    # scipy.stats.ttest_ind(a, b, equal_var=False, alternative="greater") gives this p-value and freedom.
    assert found.p_value == pytest.approx(1.12e-05, rel=0.1)
    assert found.freedom == pytest.approx(419.3, rel=0.02)


def test_false_alarms_keep_the_level_with_few_skewed_rows() -> None:
    random = np.random.default_rng(1)
    part = np.arange(300) < 15
    p_values = [excess(random.exponential(size=300) ** 2, part, ~part).p_value for _ in range(1_000)]
    assert np.mean(np.array(p_values) < 0.05) < 0.065
    assert np.mean(np.array(p_values) < 0.005) < 0.011


def test_rows_of_a_group_do_not_vote_independently() -> None:
    random = np.random.default_rng(2)
    people = random.normal(size=40)
    groups = np.repeat(np.arange(40), 50)
    losses = people[groups]
    part = groups < 10
    alone, together = excess(losses, part, ~part), excess(losses, part, ~part, groups=groups)
    assert alone.value == pytest.approx(together.value)
    assert together.error > 5 * alone.error


def test_weights_count() -> None:
    losses = np.array([1.0, 3.0, 0.0, 0.0, 1.0, 1.0])
    part = np.array([True, True, False, False, False, False])
    weight = np.array([3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert excess(losses, part, ~part, weight=weight).value == pytest.approx(1.0)


def test_equal_losses_prove_nothing_by_themselves() -> None:
    losses = np.concatenate([np.ones(3), np.zeros(30)])
    part = losses > 0
    found = excess(losses, part, ~part)
    assert np.isfinite(found.z)
    assert found.error > 0
    nothing = excess(np.ones(20), np.arange(20) < 5, np.arange(20) >= 5)
    assert nothing.p_value == 0.5
    assert excess(losses, losses > 2, losses <= 2).p_value == 0.5


def test_an_interval_is_wider_with_fewer_rows() -> None:
    random = np.random.default_rng(3)
    losses = random.normal(size=1_000)
    few, many = (excess(losses, np.arange(1_000) < n, np.arange(1_000) >= 500).estimate for n in (5, 500))
    assert few.lower is not None
    assert few.upper is not None
    assert many.lower is not None
    assert many.upper is not None
    assert few.upper - few.lower > 5 * (many.upper - many.lower)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_lowers(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(own <= after <= 1 for own, after in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()
    assert corrected[order[0]] == pytest.approx(min(1.0, len(p_values) * min(p_values)))


def test_holm_counts_families() -> None:
    assert holm([0.01, 0.2], looks=2) == pytest.approx([0.04, 0.4])
