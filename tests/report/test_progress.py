"""One line says how far work is: done, rate, best, time left; in a terminal also how the best has come about."""

import io

import pytest

from lepton.core import ProgressRecord
from lepton.report import TerminalProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def record(done, best="", total=None, elapsed=10.0, remaining=30.0):
    return ProgressRecord(done, total, "trials", best, f"trial {done}", elapsed, remaining)


def drawn(records, monkeypatch, columns=200):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    progress = TerminalProgress(stream)
    for each in records:
        progress(each)
    return stream.getvalue().split("\r")[-1].rstrip()


def test_the_bar_is_of_the_time_where_nobody_knows_how_many(monkeypatch):
    line = drawn([record(3)], monkeypatch)
    assert line.startswith("━" * 6 + "─" * 18)
    assert "0.3/s" in line
    assert "30.0 s left" in line
    assert drawn([record(3, total=6)], monkeypatch).startswith("━" * 12 + "─")


def test_the_trace_of_the_best(monkeypatch):
    falling = [record(i, f"log_loss {1 / i:.3f}", elapsed=float(i)) for i in range(1, 9)]
    line = drawn(falling, monkeypatch)
    trace = line.rpartition(" · ")[2]
    assert len(trace) == 12
    assert trace[-1] == "▁"
    assert trace[0] > trace[-1]
    assert list(trace) == sorted(trace, reverse=True)


@pytest.mark.parametrize("best", ["", "log_loss nan", "unknown"])
def test_no_trace_without_values(best, monkeypatch):
    line = drawn([record(1, best), record(2, best)], monkeypatch)
    assert not set(line) & set("▁▂▃▄▅▆▇█")


def test_a_line_is_not_longer_than_the_terminal(monkeypatch):
    line = drawn([record(1, "rmse 2.0"), record(2, "rmse 1.0" + " " * 300)], monkeypatch, columns=60)
    assert len(line) <= 59


def test_elsewhere_plain_lines_without_trace():
    stream = io.StringIO()
    progress = TerminalProgress(stream)
    for i in (1, 2):
        progress(record(i, f"rmse {i}.0"))
    assert stream.getvalue().splitlines()[-1] == "trial 2 · 2 trials · 0.2/s · best rmse 2.0 · 30.0 s left"
