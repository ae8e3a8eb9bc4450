"""Who goes where, and when a side is left out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from lepton.serving.protocols.base import Request
from lepton.serving.traffic.rules import Target, rules_of
from lepton.serving.traffic.split import Split, percentile_ms, position, surely_above, surely_more

OLD, NEW, OTHER = Target("a", "1"), Target("a", "2"), Target("a", "3")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def split(clock: Clock | None = None, **fields: Any) -> Split:
    record = rules_of({"splits": {"a": {"shares": {"a@1": 0.9, "a@2": 0.1}, **fields}}}).splits["a"]
    return Split("a", record, clock or Clock())


def ask(identifier: str, **headers: str) -> Request:
    return Request("POST", "/", {name.replace("_", "-"): value for name, value in headers.items()}, id=identifier)


def test_shares_are_kept_and_a_request_id_stays_on_its_side() -> None:
    shared = split(shares={"a@1": 0.7, "a@2": 0.3, "a@3": 0.0})
    chosen = {str(number): shared.choose(ask(str(number))) for number in range(20_000)}
    counts = Counter(chosen.values())
    assert set(counts) == {OLD, NEW}
    assert counts[NEW] / 20_000 == pytest.approx(0.3, abs=0.015)
    assert all(shared.choose(ask(number)) == side for number, side in list(chosen.items())[:500])


def test_every_process_sends_a_caller_to_the_same_side() -> None:
    assert position("a", "x") == 0.021317289057362233
    assert position("a", "x") != position("b", "x")


def test_a_header_keeps_a_caller_on_its_side() -> None:
    by_user = split(by="x-user", shares={"a@1": 0.5, "a@2": 0.5})
    for user in map(str, range(50)):
        assert len({by_user.choose(ask(str(number), x_user=user)) for number in range(20)}) == 1
    assert {by_user.choose(ask("", x_user=str(user))) for user in range(50)} == {OLD, NEW}
    assert {by_user.choose(ask(str(number))) for number in range(50)} == {OLD, NEW}  # without it, by the request


def test_headers_go_first() -> None:
    tiers = split(headers=[{"name": "x-tier", "equals": "beta", "to": "a@3"}])
    assert tiers.choose(ask("1", x_tier="beta")) == OTHER
    assert tiers.choose(ask("1", x_tier="beta"), [OTHER]) in {OLD, NEW}
    assert tiers.choose(ask("1", x_tier="Beta")) in {OLD, NEW}


def test_who_cannot_be_answered_goes_elsewhere_and_all_others_stay() -> None:
    shared = split(shares={"a@1": 0.4, "a@2": 0.3, "a@3": 0.3})
    before = {number: shared.choose(ask(str(number))) for number in range(3000)}
    without = {number: shared.choose(ask(str(number)), [NEW]) for number in range(3000)}
    assert {without[number] for number, side in before.items() if side != NEW} == {OLD, OTHER}
    assert all(without[number] == side for number, side in before.items() if side != NEW)
    dealt = Counter(without[number] for number, side in before.items() if side == NEW)
    assert dealt[OLD] / dealt.total() == pytest.approx(4 / 7, abs=0.06)
    assert shared.choose(ask("1"), [OLD, NEW, OTHER]) is None


def test_a_side_whose_errors_pass_the_bound_is_left_out_for_good() -> None:
    clock = Clock()
    canary = split(clock, bounds={"a@2": {"errors": 0.05, "count": 50, "window": 60}})
    for _ in range(49):
        canary.count(NEW, 0.001, failed=True)
        canary.count(OLD, 0.001, failed=False)
    assert not canary.rolled_back  # not enough to judge by
    canary.count(NEW, 0.001, failed=True)
    reason = canary.rolled_back[NEW].reason
    assert reason == "100.0% of 50 requests failed, of the others 0.0%; the bound is 5.0%"
    assert {canary.choose(ask(str(number))) for number in range(500)} == {OLD}
    assert {canary.choose(ask(str(number), x_tier="beta")) for number in range(500)} == {OLD}
    clock.now += 3600
    for _ in range(5000):
        canary.count(NEW, 0.001, failed=False)
    assert {canary.choose(ask(str(number))) for number in range(500)} == {OLD}
    side = canary.report()["sides"]["a@2"]
    assert (side["share"], side["errors"], side["rolled_back"]["reason"]) == (0.0, 50, reason)


def test_both_sides_in_the_same_trouble_is_not_the_canarys_fault() -> None:
    canary = split(bounds={"a@2": {"errors": 0.05, "count": 50}})
    for number in range(2000):
        canary.count(OLD, 0.001, failed=number % 4 == 0)
        canary.count(NEW, 0.001, failed=number % 4 == 1)
    assert not canary.rolled_back


def test_what_is_older_than_the_window_is_forgotten() -> None:
    clock = Clock()
    canary = split(clock, bounds={"a@2": {"errors": 0.2, "count": 50, "window": 60}})
    for _ in range(40):
        canary.count(NEW, 0.001, failed=True)
    clock.now += 61
    for _ in range(200):
        canary.count(NEW, 0.001, failed=False)
    canary.count(NEW, 0.001, failed=True)
    assert not canary.rolled_back


def test_a_side_whose_answers_are_slow_is_left_out() -> None:
    canary = split(bounds={"a@2": {"p95_ms": 20, "count": 100}})
    for number in range(400):
        canary.count(OLD, 0.030 if number % 50 == 0 else 0.010, failed=False)
        canary.count(NEW, 0.030 if number % 50 == 0 else 0.010, failed=False)
    assert not canary.rolled_back  # 2 % are slow, and 5 % may be
    for _ in range(40):
        canary.count(NEW, 0.030, failed=False)
    assert "took more than 20 ms, of the others 2.0%" in canary.rolled_back[NEW].reason


def test_a_side_at_its_bound_is_kept() -> None:
    generator = np.random.default_rng(1)
    kept = 0
    for _ in range(20):
        canary = split(bounds={"a@2": {"errors": 0.05, "count": 100}})
        for failed in generator.random(2000) < 0.04:
            canary.count(NEW, 0.001, failed=bool(failed))
        kept += not canary.rolled_back
    assert kept == 20


def test_the_last_side_is_never_left_out_of_a_name() -> None:
    everything = split(shares={"a@1": 0.0, "a@2": 1.0}, bounds={"a@2": {"drift": True}})
    everything.roll_back(NEW, "drift")
    assert everything.choose(ask("1")) == OLD
    everything.roll_back(OTHER, "no side at all")
    assert list(everything.rolled_back) == [NEW]


def test_tests_of_shares() -> None:
    assert surely_above(50, 50, 0.5)
    assert not surely_above(6, 100, 0.05)
    assert surely_above(20, 100, 0.05)
    assert surely_more(30, 100, 30, 1000)
    assert not surely_more(5, 100, 30, 1000)
    assert not surely_more(100, 100, 100, 100)
    assert percentile_ms([], 0.5) is None
    assert percentile_ms([0.001, 0.002, 0.003], 0.95) == 3.0


def test_a_shadow_sees_its_share() -> None:
    shadowed = split(shadow={"to": "b", "share": 0.25})
    seen = sum(shadowed.is_shadowed(ask(str(number))) for number in range(8000))
    assert seen / 8000 == pytest.approx(0.25, abs=0.02)
    assert not split().is_shadowed(ask("1"))
    assert split(shadow={"to": "b"}).is_shadowed(ask("1"))


def test_a_roll_back_is_new_once_and_known_by_what_the_file_says() -> None:
    first, same, other = split(), split(), split(shares={"a@1": 0.8, "a@2": 0.2})
    assert first.digest == same.digest != other.digest
    assert first.roll_back(NEW, "it fails")
    assert not first.roll_back(NEW, "it fails again")
    assert not first.roll_back(OTHER, "it is no side")
    assert first.rolled_back[NEW].reason == "it fails"
