"""Shapley values by their definition, and the laws that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import Interrupted, Work
from lepton.evaluation.explain.coalitions import enumerated, evaluations_of_all
from tests.evaluation.explain.table_models import by_definition, game_of


def tangled(x: np.ndarray) -> np.ndarray:
    return np.asarray(x[:, 0] * x[:, 1] + np.sin(x[:, 2]) * x[:, 0] + (x[:, 1] > 0) * x[:, 2])


def test_the_mean_over_all_orders() -> None:
    random = np.random.default_rng(0)
    rows, others = random.normal(size=(3, 3)), random.normal(size=(5, 3))
    found = enumerated(game_of(tangled, rows, others), Work())
    for place, row in enumerate(rows):
        assert found.values[place, :, 0] == pytest.approx(by_definition(tangled, row, others), abs=1e-12)
    assert not found.errors.any()
    assert np.isinf(found.degrees).all()


@given(seed=st.integers(0, 2**16), columns=st.integers(1, 5), others=st.integers(1, 4))
@settings(max_examples=25)
def test_laws_of_shapley_values(seed: int, columns: int, others: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(columns, columns))
    weights[:, -1] = weights[-1] = 0.0  # the last column says nothing

    def first(x: np.ndarray) -> np.ndarray:
        return np.asarray(((x @ weights) * x).sum(axis=1))

    def second(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x).max(axis=1))

    rows, background = random.normal(size=(2, columns)), random.normal(size=(others, columns))
    one = enumerated(game_of(first, rows, background), Work()).values
    two = enumerated(game_of(second, rows, background), Work()).values
    both = enumerated(game_of(lambda x: 2 * first(x) + second(x), rows, background), Work()).values
    assert both == pytest.approx(2 * one + two, abs=1e-9)  # linearity
    assert one[:, -1] == pytest.approx(np.zeros((2, 1)), abs=1e-12)  # the null player
    answer, base = first(rows), first(background).mean()
    assert one.sum(axis=1)[:, 0] + base == pytest.approx(answer, abs=1e-9)  # efficiency


def test_columns_that_do_the_same_add_the_same() -> None:
    rows, others = np.array([[2.0, 2.0, 1.0]]), np.zeros((1, 3))
    found = enumerated(game_of(lambda x: x[:, 0] * x[:, 1] + x[:, 2], rows, others), Work()).values
    assert found[0, :, 0].tolist() == [2.0, 2.0, 1.0]


def test_players_of_several_columns() -> None:
    rows, others = np.array([[1.0, 2.0, 3.0]]), np.zeros((2, 3))
    game = game_of(lambda x: x.sum(axis=1), rows, others).grouped(np.array([0, 1, 1]))
    assert enumerated(game, Work()).values[0, :, 0].tolist() == [1.0, 5.0]
    assert game.differ(np.array([0]), np.array([1])).tolist() == [[True, True]]


def test_what_it_costs_is_told_before() -> None:
    game = game_of(lambda x: x.sum(axis=1), np.ones((3, 2)), np.zeros((5, 2)))
    assert evaluations_of_all(game) == 4 * 3 * 5
    assert evaluations_of_all(game_of(lambda x: x[:, 0], np.ones((1, 2_000)), np.ones((1, 2_000)))) == 2**62


def test_stopping() -> None:
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        enumerated(game_of(lambda x: x[:, 0], np.ones((1, 2)), np.zeros((1, 2))), work)
