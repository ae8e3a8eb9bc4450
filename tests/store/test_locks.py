"""One writer at a time; the lock of a dead one is free."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from lepton.core import DataError, Interrupted, Work
from lepton.store import locked, publish


def test_the_second_waits_and_says_so(tmp_path):
    notes: list[str] = []
    entered = threading.Event()
    work = Work(reporter=lambda record: notes.append(record.note))

    def second() -> None:
        with locked(tmp_path, work):
            entered.set()

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.3)
    thread.join(5)
    assert entered.is_set()
    assert "waits until another writer is done" in notes
    assert list(tmp_path.iterdir()) == []


def test_waiting_can_be_stopped(tmp_path):
    work = Work(within=0.2)
    with locked(tmp_path), pytest.raises(Interrupted), locked(tmp_path, work):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = "import os, sys\nfrom lepton.store import locked\nwith locked(sys.argv[1]):\n    os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    with locked(tmp_path, Work(within=5)):
        pass


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="'none' cannot be opened"), locked(tmp_path / "none"):
        pass


def test_of_many_who_publish_a_name_one_does(tmp_path):
    results: list[tuple[int, bool]] = []
    barrier = threading.Barrier(8)

    def one(number: int) -> None:
        barrier.wait()
        results.append((number, publish(tmp_path / "a", str(number).encode() * 1000)))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for number, made in results if made]
    assert (tmp_path / "a").read_bytes() == str(winner).encode() * 1000
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
