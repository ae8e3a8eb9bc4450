"""Who is quicker is decided by rounds won, so that noise has no winner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from lepton.optimization.accelerate.race import ALPHA, LOOKS, race


@dataclass
class Made:
    """A contestant whose times are made."""

    name: str
    times: Iterator[float]
    blocks: int = 0
    order: list[str] = field(default_factory=list)

    def block(self) -> float:
        self.blocks += 1
        self.order.append(self.name)
        return next(self.times)


def noisy(seed: int, mean: float = 1.0, spread: float = 0.1) -> Iterator[float]:
    random = np.random.default_rng(seed)
    while True:
        yield mean * float(np.exp(random.normal(scale=spread)))


def test_what_is_clearly_quicker_wins_at_the_first_look_that_can_say_so() -> None:
    found = race(Made("old", noisy(0)), [Made("new", noisy(1, 0.5))])
    assert [each.is_quicker for each in found] == [True]
    assert found[0].speedup == pytest.approx(2.0, rel=0.2)
    assert found[0].lower <= found[0].speedup <= found[0].upper
    assert found[0].rounds == LOOKS[0]
    assert found[0].reference_seconds == pytest.approx(2 * found[0].seconds, rel=0.2)


def test_noise_has_no_winner() -> None:
    wrong = 0
    for seed in range(200):
        challengers = [Made(str(n), noisy(1000 * seed + n + 1)) for n in range(6)]
        wrong += any(each.is_quicker for each in race(Made("old", noisy(1000 * seed)), challengers))
    assert wrong <= 4 * ALPHA * 200


def test_an_effect_that_is_too_small_to_be_of_use_does_not_win() -> None:
    found = race(Made("old", noisy(0, spread=0.001)), [Made("new", noisy(1, 0.99, 0.001))])
    assert not found[0].is_quicker


def test_a_spike_is_one_round() -> None:
    spikes = iter([0.5] * 5 + [50.0] + [0.5] * 30)
    found = race(Made("old", noisy(0, spread=0.01)), [Made("new", spikes)])
    assert found[0].is_quicker


def test_a_drifting_machine_favours_nobody() -> None:
    drift = iter(float(n) for n in range(1, 1000))
    old, new = Made("old", drift), Made("new", drift)  # whoever runs later is slower
    assert not race(old, [new])[0].is_quicker


def test_the_slow_leave_early_and_the_others_go_on() -> None:
    slow, even = Made("slow", noisy(1, 5.0)), Made("even", noisy(2))
    found = race(Made("old", noisy(0)), [slow, even])
    assert slow.blocks == 3
    assert even.blocks >= LOOKS[0]
    assert [each.name for each in found] == ["slow", "even"]
    assert not any(each.is_quicker for each in found)


def test_who_comes_first_changes_from_round_to_round() -> None:
    order: list[str] = []
    race(Made("a", noisy(0), order=order), [Made("b", noisy(1, 0.5), order=order)])
    assert order[:4] == ["a", "b", "b", "a"]


def test_a_race_that_is_stopped_has_no_winner() -> None:
    rounds = iter(range(100))
    found = race(Made("old", noisy(0)), [Made("new", noisy(1, 0.1))], stopped=lambda: next(rounds) >= 5)
    assert found[0].rounds == 5
    assert not found[0].is_quicker
    assert race(Made("old", noisy(0)), [Made("new", noisy(1))], stopped=lambda: True) == []


def test_the_error_is_shared_among_challengers() -> None:
    ten_of_ten = [2.0] * 10 + [0.5] * 100
    alone = race(Made("old", iter([1.0] * 200)), [Made("new", iter([1 / t for t in ten_of_ten]))])
    among = race(
        Made("old", iter([1.0] * 200)),
        [Made("new", iter([1 / t for t in ten_of_ten])), *(Made(str(n), noisy(n)) for n in range(5))],
    )
    assert alone[0].is_quicker
    assert not among[0].is_quicker
