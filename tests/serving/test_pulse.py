"""When a loop counts as late: turns that are long again and again, never one that was."""

from __future__ import annotations

from lepton.serving.pulse import Pulse

BOUND = 0.02


class Loop:
    """A loop whose time is set by hand."""

    def __init__(self) -> None:
        self.now = self.turn = 100.0
        self.worked = 0.0
        self.pulse = Pulse(lambda: self.turn, BOUND, lambda: self.now, lambda: self.worked)

    def turns(self, length: float, count: int = 1, peers: int = 100, share: float = 1.0) -> list[bool]:
        """Turns of so many requests each, in a share of the processor; whether its last is refused."""
        late = []
        for _ in range(count):
            self.turn = self.now
            for _ in range(peers):
                self.pulse.beat()
                refused = self.pulse.late
                self.now += length / peers
                self.worked += share * length / peers
                self.pulse.ended = self.now
            late.append(refused)
        return late


def test_a_loop_that_is_not_behind_is_never_late() -> None:
    assert not any(Loop().turns(BOUND / 3, 1000))


def test_one_long_turn_is_no_overload() -> None:
    loop = Loop()
    assert not any(loop.turns(BOUND / 10, 10) + loop.turns(3.0) + loop.turns(BOUND / 10, 100))


def test_long_turns_that_follow_each_other_are() -> None:
    late = Loop().turns(BOUND, 100)
    assert not late[0]
    assert all(late[30:])


def test_a_loop_that_was_idle_is_not_late() -> None:
    loop = Loop()
    loop.turns(BOUND, 100)
    loop.now += 10.0
    assert not any(loop.turns(BOUND / 4, 10))


def test_what_comes_within_the_bound_is_taken_in_an_overload_too() -> None:
    loop = Loop()
    loop.turns(BOUND, 100)
    loop.turns(BOUND / 10)
    assert loop.turns(BOUND / 10) == [False]  # what comes now has waited for two short turns at most


def test_few_large_requests_are_no_overload() -> None:
    assert not any(Loop().turns(0.5, 100, peers=2))


def test_a_loop_that_has_no_processor_is_not_overloaded() -> None:
    assert not any(Loop().turns(4 * BOUND, 100, share=0.1))
