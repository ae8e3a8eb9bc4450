"""What the finished model may cost: guessed for each candidate, checked on the file (contract 8)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lepton.bundle import bundle_size, measure_latency, open_model
from lepton.core import (
    BudgetError,
    BudgetVerdict,
    ErrorCode,
    Resources,
    Work,
    parse_duration,
    parse_size,
    show_duration,
    show_size,
)

__all__ = ["Costs", "Limits", "check_verdicts"]

_SIZE_OF_GRAPH = 1.1  # of the last fit, on all rows, over that of a fold
_GRAPH_OF_CALL = 1.6  # p99 of a call over the median of its graph, before any file was measured
_SECONDS_A_COLUMN = 1.5e-6  # of a row on its way into tensors
_SECONDS_A_CALL = 15e-6
_ROOM = 0.97  # of a limit that guesses may use
_MIN_CALLS = 200


class Costs(Protocol):
    """A candidate, as far as limits look at it."""

    measured: tuple[int, float] | None


class Limits:
    """Largest file and slowest call; what files turn out to cost makes the guesses better.

    Args:
        max_size: bytes of the file without `training/` and reports, or None.
        max_latency: seconds of one row at the 99th percentile, or None.

    Raises:
        UsageError: a size or a time that is none.
    """

    def __init__(self, max_size: str | int | None = None, max_latency: str | float | None = None) -> None:
        self.max_size = None if max_size is None else parse_size(max_size)
        self.max_latency = None if max_latency is None else parse_duration(max_latency, "max_latency")
        self._beside_graph = 0.0  # bytes, seconds
        self._call = _SECONDS_A_CALL
        self._size_factor, self._latency_factor = _SIZE_OF_GRAPH, _GRAPH_OF_CALL

    def __bool__(self) -> bool:
        return self.max_size is not None or self.max_latency is not None

    def expect(self, bytes_beside: int, num_columns: int) -> None:
        """What a file and a call cost beside the graph."""
        self._beside_graph, self._call = float(bytes_beside), _SECONDS_A_CALL + _SECONDS_A_COLUMN * num_columns

    def allow(self, candidates: Iterable[Costs]) -> bool:
        """Whether candidates in one model would keep the limits, as far as can be guessed; unknown costs do not."""
        if not self:
            return True
        known = [candidate.measured for candidate in candidates]
        measured = [each for each in known if each is not None]
        if len(measured) < len(known):
            return False
        size, micros = self.most
        return sum(each[0] for each in measured) <= size and sum(each[1] for each in measured) <= micros

    @property
    def most(self) -> tuple[float, float]:
        """Bytes and µs that the graph of a fold's model may have; infinite where they are free."""
        size = np.inf if self.max_size is None else (_ROOM * self.max_size - self._beside_graph) / self._size_factor
        seconds = np.inf if self.max_latency is None else (_ROOM * self.max_latency - self._call) / self._latency_factor
        return size, seconds * 1e6

    def check(
        self, path: Path, rows: Any, candidate: Costs, work: Work
    ) -> tuple[tuple[BudgetVerdict, ...], dict[str, Any]]:
        """Whether the file keeps the limits; where not, such candidates are not allowed from now on.

        Args:
            path: the model file.
            rows: to measure calls with.
            candidate: what it was made of.
            work: a short rest of its time makes fewer calls.

        Returns:
            A verdict for each limit, and what was measured, for a report.
        """
        verdicts: list[BudgetVerdict] = []
        report: dict[str, Any] = {}
        graph_bytes, graph_micros = candidate.measured or (0, 0.0)
        if self.max_size is not None:
            size = bundle_size(path)
            report["size"] = {"limit": self.max_size, "measured": size}
            verdicts.append(BudgetVerdict("max_size", self.max_size, size, size <= self.max_size))
            self._size_factor = max(self._size_factor, (size - self._beside_graph) / max(graph_bytes, 1))
        if self.max_latency is not None:
            predictor = open_model(path, resources=Resources(cpus=1))
            calls = _MIN_CALLS if work.remaining is not None and work.remaining < 10_000 * self.max_latency else 1_000
            record = measure_latency(predictor, rows, calls=calls)
            report["latency"] = {"limit": self.max_latency, "measured": record.to_dict()}
            verdicts.append(BudgetVerdict("max_latency", self.max_latency, record.p99, record.p99 <= self.max_latency))
            seconds = max(graph_micros, 0.1) * 1e-6
            self._latency_factor = max(self._latency_factor, (record.p99 - self._call) / seconds)
        return tuple(verdicts), report


def check_verdicts(
    verdicts: Iterable[BudgetVerdict], saved: str | Path | None, fix: str = "allow more, or give fewer columns"
) -> None:
    """Raise for limits that were not kept.

    Args:
        verdicts: of the finished file.
        saved: where it is kept all the same; None where it is not.
        fix: what else would help.

    Raises:
        BudgetError: one was not kept; the message says by how much.
    """
    missed = [verdict for verdict in verdicts if not verdict.kept]
    if missed:
        told = "; ".join(
            f"{each.name} is {_shown(each, each.limit)}, the model needs {_shown(each, each.measured)}"
            for each in missed
        )
        raise BudgetError(
            ErrorCode.BUDGET_MISSED,
            told,
            wanted="a model that keeps its limits",
            fix=(f"the one that needs least is saved in {saved}; " if saved else "") + fix,
            details={each.name: {"limit": each.limit, "measured": each.measured} for each in missed},
        )


def _shown(verdict: BudgetVerdict, value: float | None) -> str:
    if value is None:
        return "unknown"
    return show_size(int(value)) if verdict.name == "max_size" else show_duration(value)
