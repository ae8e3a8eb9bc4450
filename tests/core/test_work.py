"""One object carries the deadline, the stop signal, progress, resources and the seed."""

from __future__ import annotations

import os
import threading
import time

import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, Interrupted, ProgressRecord, Resources, UsageError, Work
from lepton.core.work import environment_for, thread_environment


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock that stands still until it is set."""

    class Clock:
        now = 100.0

    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def test_without_limits_it_never_stops(clock):
    mine = Work()
    clock.now += 1e9
    mine.check()
    assert (mine.remaining, mine.within, mine.stopped) == (None, None, False)


def test_the_deadline(clock):
    mine = Work(within="2s")
    clock.now += 1.5
    mine.check()
    assert (mine.elapsed, mine.remaining) == (1.5, 0.5)
    clock.now += 0.5
    assert mine.stopped
    with pytest.raises(Interrupted, match="the time of 2 s is over") as caught:
        mine.check()
    assert caught.value.code is ErrorCode.INTERRUPTED


def test_the_stop_signal_comes_first(clock):
    cancel = threading.Event()
    mine = Work(within=1, cancel=cancel)
    mine.check()
    cancel.set()
    clock.now += 5
    with pytest.raises(Interrupted, match="asked to stop"):
        mine.check()


@pytest.mark.parametrize("within", ["soon", 0, -1, "1MB"])
def test_times_that_cannot_be_meant(within):
    with pytest.raises(UsageError, match="within="):
        Work(within=within)


def test_reports(clock):
    seen: list[ProgressRecord] = []
    mine = Work(within=10, reporter=seen.append)
    clock.now += 4
    mine.report(2, 8, "folds", best="0.9", note="linear")
    assert seen == [ProgressRecord(2, 8, "folds", "0.9", "linear", elapsed=4.0, remaining=6.0)]
    assert seen[0].rate == 0.5
    assert ProgressRecord(2, None, "", "", "", 0.0, None).rate == 0.0
    Work().report(1)


@given(st.integers(0, 2**63), st.lists(st.text(max_size=5) | st.integers(0, 9), max_size=3))
def test_seeds_of_parts_are_repeatable(seed, names):
    first = Work(seed=seed).seed_for(*names)
    assert first == Work(seed=seed).seed_for(*names)
    assert 0 <= first < 2**32


def test_seeds_of_parts_differ():
    found = {Work(seed=seed).seed_for(*names) for seed in range(50) for names in ((), ("a",), ("b",), ("a", 1))}
    assert len(found) == 200


def test_the_seed_of_a_part_is_the_same_on_every_machine():
    assert Work(seed=7).seed_for("split") == 514619922


def test_a_part_shares_all_but_the_clock(clock):
    seen: list[ProgressRecord] = []
    whole = Work(within=10, reporter=seen.append, resources=Resources(cpus=3), seed=5)
    clock.now += 4
    part = whole.part(2)
    assert (part.within, part.elapsed, part.seed, part.resources.cpus) == (2, 0, 5, 3)
    assert part.cancel is whole.cancel
    assert whole.part(60).within == 6
    assert whole.part().within == 6
    assert Work().part().within is None
    assert whole.part(resources=Resources(cpus=1)).resources.cpus == 1
    clock.now += 2
    assert part.stopped
    assert not whole.stopped
    part.report(1)
    assert len(seen) == 1
    clock.now += 5
    with pytest.raises(Interrupted, match="the time of 0 s is over"):
        whole.part(3).check()


def test_work_or_work_without_limits():
    mine = Work(seed=3)
    assert Work.of(mine) is mine
    assert Work.of(None).within is None


@pytest.mark.parametrize("cpus", [0, -1])
def test_at_least_one_thread(cpus):
    with pytest.raises(UsageError, match=f"cpus={cpus}"):
        Resources(cpus=cpus)


def test_threads_are_those_this_process_may_use():
    assert Resources().cpus == len(os.sched_getaffinity(0))


def test_thread_limits_are_laid_over_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("OTHER", "kept")
    environment = environment_for(Resources(cpus=3), {"EXTRA": "1"})
    assert set(thread_environment(Resources(cpus=3)).values()) == {"3"}
    assert environment["OMP_NUM_THREADS"] == environment["POLARS_MAX_THREADS"] == "3"
    assert (environment["OTHER"], environment["EXTRA"]) == ("kept", "1")
    assert os.environ["OMP_NUM_THREADS"] == "64"
