"""Progress of long work in a terminal: done, rate, time left and the best so far on one line."""

from __future__ import annotations

import math
import shutil
import sys
import time
from typing import TextIO

from lepton.core import ProgressRecord, printable, show_duration

__all__ = ["TerminalProgress"]

_WIDTH = 24
_STEPS = "▁▂▃▄▅▆▇█"
_TRACE = 12  # characters of the trace of best values
_REDRAW_SECONDS = 0.1
_PLAIN_SECONDS = 5.0
_ESTIMATED_AFTER = 2.0  # seconds from which on the rate says something of what is left


class TerminalProgress:
    """A reporter for `Work`: redraws one line in a terminal, prints a line now and then elsewhere.

    >>> import io
    >>> stream = io.StringIO()
    >>> with TerminalProgress(stream) as progress:
    ...     progress(ProgressRecord(2, 5, "folds", "rmse 0.51", "lightgbm", 1.0, 9.0))
    >>> stream.getvalue().strip()
    'lightgbm · 2/5 folds · 2.0/s · best rmse 0.51 · 9.0 s left'

    Args:
        stream: where to write, standard error by default.
        quiet: write nothing.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._live = self._stream.isatty()
        self._last = float("-inf")
        self._note = ""
        self._drawn = 0
        self._bests: list[tuple[float, float]] = []  # seconds and value, where the best has changed

    def __call__(self, record: ProgressRecord) -> None:
        """Show `record`, unless the last one was shown a moment ago."""
        self._keep(record)
        now = time.monotonic()
        pause = _REDRAW_SECONDS if self._live else _PLAIN_SECONDS
        if self._quiet or (now - self._last < pause and record.note == self._note):
            return
        self._last, self._note = now, record.note
        if self._live:
            trace = self._trace(record)
            line = f"{self._bar(record)} {progress_line(record)}" + (f" · {trace}" if trace else "")
            line = line[: max(shutil.get_terminal_size().columns - 1, _WIDTH)]  # a line that wraps is not redrawn
            self._stream.write("\r" + line.ljust(self._drawn))
            self._drawn = len(line)
        else:
            self._stream.write(progress_line(record) + "\n")
        self._stream.flush()

    def _bar(self, record: ProgressRecord) -> str:
        share = record.done / record.total if record.total else 0.0
        if not record.total and record.remaining is not None:  # nobody knows how many there will be: the time is known
            share = record.elapsed / max(record.elapsed + record.remaining, 1e-9)
        share = min(max(share, 0.0), 1.0)
        full = round(share * _WIDTH)
        return "━" * full + "─" * (_WIDTH - full)

    def _keep(self, record: ProgressRecord) -> None:
        """Note the best value where it has changed."""
        try:
            value = float(record.best.rpartition(" ")[2])
        except ValueError:
            return
        if math.isfinite(value) and (not self._bests or value != self._bests[-1][1]):
            self._bests.append((record.elapsed, value))

    def _trace(self, record: ProgressRecord) -> str:
        """The best value against the time since the first one, a character for each part of it, or ""."""
        if len(self._bests) < 2:
            return ""
        start, _ = self._bests[0]
        low, high = min(v for _, v in self._bests), max(v for _, v in self._bests)
        drawn = ""
        for part in range(1, _TRACE + 1):
            until = start + (record.elapsed - start) * part / _TRACE
            value = next(v for seconds, v in reversed(self._bests) if seconds <= max(until, start))
            drawn += _STEPS[round((value - low) / (high - low) * (len(_STEPS) - 1))]
        return drawn

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the line, so that what follows starts clean."""
        if self._live and self._drawn:
            self._stream.write("\r" + " " * self._drawn + "\r")
            self._stream.flush()


def progress_line(record: ProgressRecord) -> str:
    """`record` as one line of text."""
    parts = [printable(record.note)] if record.note else []
    if record.total:
        parts.append(f"{_count(record.done)}/{_count(record.total)} {record.unit}".rstrip())
    elif record.done:
        parts.append(f"{_count(record.done)} {record.unit}".rstrip())
    if record.done and record.rate >= 0.05:
        parts.append(f"{record.rate:,.0f}/s" if record.rate >= 1000 else f"{record.rate:.1f}/s")
    if record.best:
        parts.append(f"best {printable(record.best)}")
    if record.remaining is not None:
        parts.append(f"{show_duration(max(record.remaining, 0.0))} left")
    elif record.total and record.elapsed >= _ESTIMATED_AFTER and 0 < record.done < record.total:
        parts.append(f"about {show_duration((record.total - record.done) / record.rate)} left")
    return " · ".join(parts)


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:g}"
