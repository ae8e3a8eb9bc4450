"""Drawn contributions: unbiased, with intervals that hold, and reproducible."""

from __future__ import annotations

import time
from statistics import NormalDist

import numpy as np
import pytest

from lepton.core import Work
from lepton.evaluation.explain.coalitions import Contributions, Game, enumerated
from lepton.evaluation.explain.sampling import in_pairs, sampled, t_quantile
from tests.evaluation.explain.table_models import game_of

RANDOM = np.random.default_rng(1)
ROWS, OTHERS = RANDOM.normal(size=(12, 6)), RANDOM.normal(size=(40, 6))


def tangled(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(x[:, 0] * x[:, 1] * x[:, 2] + x[:, 3] - (x[:, 4] > 0) * x[:, 5]))))


def drawn(game: Game, walks: int = 32, seed: int = 0, tolerance: float | None = None) -> Contributions:
    return sampled(game, walks=walks, tolerance=tolerance, seed=seed, work=Work())


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return enumerated(game_of(tangled, ROWS, OTHERS), Work()).values


def test_intervals_hold_at_least_nineteen_times_of_twenty(exact: np.ndarray) -> None:
    inside = []
    for seed in range(10):
        found = drawn(game_of(tangled, ROWS, OTHERS), seed=seed)
        margins = found.errors * t_quantile(found.degrees)[:, None, None]
        inside.append((np.abs(found.values - exact) <= margins).mean())
    assert np.mean(inside) >= 0.95
    assert np.mean(inside) < 1.0  # and they are not so wide that they say nothing


def test_more_walks_err_less(exact: np.ndarray) -> None:
    def error(walks: int) -> float:
        runs = [drawn(game_of(tangled, ROWS, OTHERS), walks, seed).values for seed in range(4)]
        return float(np.mean([(run - exact) ** 2 for run in runs]))

    assert error(128) < error(16) / 4


def test_contributions_add_up_exactly() -> None:
    game = game_of(tangled, ROWS, OTHERS)
    found = drawn(game, 16)
    assert game.base + found.values.sum(axis=1) == pytest.approx(game.answers, abs=1e-12)


def test_pairs_of_columns_are_exact_after_a_round_of_the_background() -> None:
    def pairs(x: np.ndarray) -> np.ndarray:
        return np.asarray(x[:, 0] * x[:, 1] + x[:, 2] * x[:, 5] - 2 * x[:, 3])

    found = drawn(game_of(pairs, ROWS, OTHERS), walks=len(OTHERS))
    assert found.values == pytest.approx(enumerated(game_of(pairs, ROWS, OTHERS), Work()).values, abs=1e-9)


def test_a_column_that_says_nothing_adds_nothing() -> None:
    found = drawn(game_of(lambda x: x[:, 0] * x[:, 1], ROWS, OTHERS))
    assert found.values[:, 2:] == pytest.approx(np.zeros((12, 4, 1)), abs=1e-12)


def test_seeds() -> None:
    first, again, other = (drawn(game_of(tangled, ROWS, OTHERS), 16, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(first.values, other.values)


def test_easy_rows_are_drawn_for_less() -> None:
    rows = np.vstack([OTHERS[:1], ROWS[:3]])
    rows[0, 1:] = OTHERS[:, 1:].mean(axis=0)

    def function(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(x[:, 0] == rows[0, 0], 100.0 * (x[:, 0] == rows[0, 0]), tangled(x)))

    found = drawn(game_of(function, rows, OTHERS[1:]), walks=128, tolerance=0.05)
    assert found.degrees[0] < found.degrees[1:].max()


def test_constant_answers_take_no_more_than_the_least() -> None:
    found = drawn(game_of(lambda x: np.full(len(x), 3.0), ROWS, OTHERS), walks=200, tolerance=0.05)
    assert not found.values.any()
    assert not found.errors.any()
    assert (found.degrees < 10).all()


@pytest.mark.parametrize("columns", [1, 2])
def test_few_columns(columns: int) -> None:
    rows, others = ROWS[:, :columns], OTHERS[:, :columns]
    game = game_of(lambda x: np.exp(x.sum(axis=1)), rows, others)
    found = drawn(game, len(others))
    assert found.values == pytest.approx(
        enumerated(game_of(lambda x: np.exp(x.sum(axis=1)), rows, others), Work()).values, abs=1e-9
    )


def test_a_row_that_is_the_background_adds_nothing() -> None:
    found = drawn(game_of(tangled, OTHERS[:1], OTHERS[:1]), 8)
    assert not found.values.any()


def test_missing_values_are_the_same_when_both_lack_them() -> None:
    rows, others = ROWS.copy(), OTHERS.copy()
    rows[0, 3], others[:, 3] = np.nan, np.nan
    found = drawn(game_of(lambda x: np.nan_to_num(x).sum(axis=1), rows[:1], others), len(others))
    assert found.values[0, 3, 0] == 0.0


def test_what_there_is_when_the_time_is_over() -> None:
    def slow(x: np.ndarray) -> np.ndarray:
        time.sleep(0.002)
        return tangled(x)

    found = sampled(game_of(slow, ROWS, OTHERS), walks=100_000, tolerance=None, seed=0, work=Work(within=0.05))
    assert len(found.values) >= 1
    assert np.isfinite(found.errors).all()
    assert len(found.values) < len(ROWS) or (found.degrees < 50_000).all()


def test_quantiles_of_student() -> None:
    # Of tables: 2.571, 2.228, 2.042 for 5, 10 and 30 degrees of freedom.
    assert t_quantile(np.array([5.0, 10.0, 30.0])) == pytest.approx([2.571, 2.228, 2.042], abs=2e-3)
    assert float(t_quantile(np.inf)) == pytest.approx(NormalDist().inv_cdf(0.975))


def test_pairs_are_told_without_error() -> None:
    def pairs(x: np.ndarray) -> np.ndarray:
        return np.asarray(x[:, 0] * x[:, 1] + np.sin(x[:, 2]) * x[:, 5] - 2 * x[:, 3])

    found = in_pairs(game_of(pairs, ROWS, OTHERS), 10**6, Work())
    assert found is not None
    assert found.values == pytest.approx(enumerated(game_of(pairs, ROWS, OTHERS), Work()).values, abs=1e-9)
    assert not found.errors.any()


def test_three_columns_together_are_no_pairs() -> None:
    game = game_of(lambda x: x[:, 0] * x[:, 1] + 0.01 * x[:, 2] * x[:, 3] * x[:, 4], ROWS, OTHERS)
    assert in_pairs(game, 10**6, Work()) is None
    assert in_pairs(game_of(lambda x: x[:, 0], ROWS, OTHERS), 1_000, Work()) is None  # too dear
