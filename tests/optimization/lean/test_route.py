"""What is proven first, and what after it."""

from dataclasses import replace

import pytest

from lepton.optimization.lean.route import route
from tests.optimization.lean.test_goal import GOAL, draft


def numbers(drafts, goal=GOAL):
    return [each.number for each in route(drafts, goal)]


def test_from_what_is_sure_to_what_is_bold():
    drafts = [draft(1, 600, 0.0, 0.0002), draft(2, 300, 0.0, 0.0011), draft(3, 150, 0.0, 0.0022)]
    assert numbers(drafts) == [1, 2, 3]
    assert numbers(drafts[::-1]) == [1, 2, 3]
    assert numbers(drafts[1:]) == [2, 3]


def test_what_is_larger_and_less_sure_is_not_looked_at():
    assert numbers([draft(1, 300, 0.0, 0.0002), draft(2, 500, 0.002, 0.0015)]) == [1]


def test_what_has_no_chance_ends_nothing():
    assert numbers([draft(1, 600, 0.0, 0.0002), draft(2, 100, 0.05, 0.002)]) == [1]
    assert numbers([draft(2, 100, 0.05, 0.002)]) == []
    assert numbers([]) == []


def test_a_step_that_gains_little_is_left_out():
    drafts = [draft(1, 600, 0.0, 0.0002), draft(2, 590, 0.0, 0.0015), draft(3, 150, 0.0, 0.0016)]
    assert numbers(drafts) == [1, 3]


@pytest.mark.parametrize(("size", "pace"), [(600, 1.2), (1_200, 0.8), (999, 1.11)])
def test_what_is_larger_or_slower_than_the_original_is_left_out(size, pace):
    assert numbers([draft(1, size, 0.0, 0.0002, pace=pace)]) == []


def test_faster_alone_is_something_too():
    assert numbers([draft(1, 1_000, 0.0, 0.0002, pace=0.5)]) == [1]


def test_no_more_than_six():
    drafts = [draft(number, int(900 / 1.5**number), 0.0, 0.0008 + 0.0001 * number) for number in range(12)]
    told = numbers(drafts, replace(GOAL, max_loss=0.01))
    assert 1 < len(told) <= 6
    assert told == sorted(told)


def test_with_time_for_few_looks_the_first_is_bolder():
    drafts = [draft(1, 800, 0.0, 0.0002), draft(2, 300, 0.0, 0.0008), draft(3, 150, 0.0, 0.0012)]
    ways = [[each.number for each in route(drafts, GOAL, most)] for most in (1, 2, 6)]
    assert ways == [[3], [2, 3], [1, 2, 3]]
