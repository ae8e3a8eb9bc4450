"""Who rises, and who is best."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lepton.training.deep.architectures.ladder import (
    best_first,
    fronts,
    is_beaten,
    next_to_rise,
    on_front,
    rungs_of,
)
from lepton.training.deep.architectures.trials import NEVER_TRAINED, Cost, Trial
from lepton.training.nets.spec import NetSpec

SPEC = NetSpec.of("image", (8, 8, 1), 2)


def trial(number: int, score: float | None, row: float = 1.0, *, rung: int = 0, design: int | None = None) -> Trial:
    cost = Cost(row, row, 1_000, 10.0, 5)
    return Trial(number, number if design is None else design, SPEC, rung, 1, cost, score)


def loss(each: Trial) -> float:
    return float("inf") if each.score is None else -each.score


def test_rungs_are_three_times_as_long_as_the_one_below() -> None:
    assert rungs_of(27) == (3, 9, 27)
    assert rungs_of(80) == (9, 27, 80)
    assert rungs_of(10) == (3, 10)
    assert rungs_of(2) == (2,)
    assert rungs_of(1) == (1,)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=20))
def test_fronts_divide_the_trials_and_nobody_is_beaten_on_his_own(pairs: list[tuple[int, int]]) -> None:
    trials = [trial(number, float(score), float(row)) for number, (score, row) in enumerate(pairs)]
    found = fronts(trials, loss)
    assert sorted(each.number for front in found for each in front) == list(range(len(trials)))
    for place, front in enumerate(found):
        costs = [(loss(each), each.cost.row) for each in front]
        assert not any(is_beaten(one, other) for one in costs for other in costs)
        before = [(loss(each), each.cost.row) for each in found[place - 1]] if place else []
        assert all(any(is_beaten(one, other) for other in before) for one in costs) or not place


def test_one_in_three_rises_the_best_of_the_front_first() -> None:
    trials = [trial(0, 0.7, 1.0), trial(1, 0.9, 3.0), trial(2, 0.8, 4.0), trial(3, 0.95, 9.0), trial(4, 0.6, 2.0)]
    assert [each.number for each in next_to_rise(trials, 3, loss)] == [3]
    trials.append(trial(5, 0.5, 5.0))
    assert [each.number for each in next_to_rise(trials, 3, loss)] == [3, 1]
    trials.append(trial(6, 0.96, 9.0, rung=1, design=3))
    assert [each.number for each in next_to_rise(trials, 3, loss)] == [1]
    trials += [trial(7, 0.9, 3.0, rung=1, design=1), trial(8, 0.7, 1.0, rung=1, design=0)]
    assert [each.number for each in next_to_rise(trials, 3, loss)] == [6]
    assert next_to_rise(trials, 1, loss) == []


def test_what_has_no_score_neither_rises_nor_leads() -> None:
    trials = [trial(0, None), trial(1, None, rung=NEVER_TRAINED), trial(2, 0.1), trial(3, 0.2), trial(4, None)]
    assert next_to_rise(trials, 3, loss) == []
    assert [each.number for each in best_first(trials, loss)] == [3, 2]


def test_the_longest_trained_lead_and_a_tie_goes_to_the_quicker() -> None:
    trials = [
        trial(0, 0.99),
        trial(1, 0.9, 5.0),
        trial(2, 0.8, 5.0, rung=1, design=1),
        trial(3, 0.8, 2.0, rung=1, design=7),
    ]
    assert [each.number for each in best_first(trials, loss)] == [3, 2, 0]


def test_the_front_holds_what_nothing_beats_in_all_four() -> None:
    best, slower = trial(0, 0.9, 1.0), trial(1, 0.9, 2.0)
    smaller = Trial(2, 2, SPEC, 0, 1, Cost(2.0, 2.0, 10, 10.0, 5), 0.8)
    nothing = trial(3, float("nan"), 0.5)
    assert on_front([best, slower, smaller], loss) == [True, False, True]
    assert on_front([nothing], lambda _each: float("inf")) == [False]
