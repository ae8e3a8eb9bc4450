"""How likely a draft holds, by few rows, and which of several is the better one."""

import math

import numpy as np
import pytest

from lepton.optimization.lean.goal import Candidate, Goal
from lepton.optimization.lean.proof import LEVEL, LOOKS, Loss, score_bound

GOAL = Goal(0.005, None, None, None, original_size=1_000, drawn=3.0)


def draft(number, size, value, spread, *, pace=0.9, part=None):
    """A draft that seems to lose `value`, of which the proof will see `spread` more or less."""
    loss = Loss(value, value + 2.457 * spread, (value - 1.96 * spread, value + 1.96 * spread), LEVEL * LOOKS[0],
                0.9, 0.9 - value, 7_500, False, 0.01)  # fmt: skip
    return Candidate(number, (), size, pace, loss, part)


def test_less_lost_and_less_unsure_is_likelier():
    chances = [GOAL.chance(draft(1, 500, value, 0.001)) for value in (-0.002, 0.0, 0.002, 0.01)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.95
    assert chances[-1] < 0.05
    unsure = [GOAL.chance(draft(1, 500, 0.0, spread)) for spread in (0.0, 0.0005, 0.001, 0.002, 0.004)]
    assert unsure == sorted(unsure, reverse=True)
    assert unsure[0] == 1.0


def test_what_is_unknown_has_no_chance():
    lost = draft(1, 500, 0.0, 0.001)
    lost.loss = Loss(None, math.inf, (-math.inf, math.inf), 0.007, None, None, 10, False, None)
    assert GOAL.chance(lost) == 0.0
    assert GOAL.lost_too_much(lost) == math.inf


def test_a_part_that_loses_too_much_leaves_little_chance():
    goal = Goal(0.005, None, None, 0.02, original_size=1_000, drawn=3.0)
    held, sacrificed = (goal.chance(draft(1, 500, 0.0, 0.0002, part=part)) for part in (0.01, 0.05))
    assert held > 5 * sacrificed


@pytest.mark.parametrize("truth", [0.0, 0.0015, 0.003])
def test_chances_are_as_often_true_as_they_say(truth):
    """Rows that choose and rows that prove are drawn; what was called likely holds more often than what was not."""
    generator, rows, changed = np.random.default_rng(4), 7_500, 0.02
    shares = [changed / 2 + truth / 2, changed / 2 - truth / 2, 1 - changed]
    called, held = [], []
    for _ in range(150):
        worse, better, _ = generator.multinomial(rows // 3, shares)
        bounds = [score_bound(3 * a, 3 * b, rows, 0.025) for a, b in ((worse, better), (better, worse))]
        value = 3 * (worse - better) / rows
        upper = score_bound(3 * worse, 3 * better, rows, LEVEL * LOOKS[0])
        loss = Loss(value, upper, (-bounds[1], bounds[0]), 0.007, 0.9, 0.9 - value, rows, False, changed)
        called.append(GOAL.chance(Candidate(1, (), 500, 0.9, loss)))
        worse, better, _ = generator.multinomial(rows, shares)
        held.append(score_bound(worse, better, rows, LEVEL * LOOKS[0]) <= 0.005)
    assert abs(np.mean(called) - np.mean(held)) < 0.25
    assert np.std(called) < 0.35


def test_a_lucky_draft_is_believed_in_part():
    lucky, sober = (GOAL.lost_too_much(draft(1, 500, value, 0.0021)) for value in (-0.003, 0.0))
    assert sober > lucky
    # Were it believed wholly, 0.0052 - 0.003 would be far within 0.005.
    assert GOAL.chance(draft(1, 500, -0.003, 0.0021)) < 0.85
