"""Tables of very many columns."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.core import Work
from lepton.evaluation.explain.grouping import MAX_APART, strongest_apart
from lepton.evaluation.explain.sampling import sampled
from tests.evaluation.explain.table_models import game_of


def test_few_columns_stay_apart() -> None:
    game = game_of(lambda x: x[:, 0], np.ones((2, 5)), np.zeros((3, 5)))
    assert strongest_apart(game, ("a", "b", "c", "d", "e"), Work()) == (game, ("a", "b", "c", "d", "e"), ())


def test_what_moves_the_answers_is_kept_apart() -> None:
    count = MAX_APART + 300
    random = np.random.default_rng(0)
    rows, others = random.normal(size=(2, count)), random.normal(size=(6, count))
    weights = np.zeros(count)
    weights[[3, 400, 555]] = [5.0, -4.0, 3.0]
    weights[100:300] += 1e-3
    game = game_of(lambda x: x @ weights, rows, others)
    grouped, names, notes = strongest_apart(game, tuple(map(str, range(count))), Work())
    assert grouped.num_players == len(names) == MAX_APART
    assert {"3", "400", "555"} < set(names)
    assert names[-1] == "301 other columns"
    assert "556 columns" in notes[0]
    found = sampled(grouped, walks=6, tolerance=None, seed=0, work=Work())
    exact = (rows - others.mean(axis=0)) * weights
    assert found.values[:, names.index("400"), 0] == pytest.approx(exact[:, 400], abs=1e-9)
    assert found.values.sum(axis=(1, 2)) == pytest.approx(exact.sum(axis=1))
