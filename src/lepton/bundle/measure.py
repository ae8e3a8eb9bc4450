"""Measuring a model file the way budgets are checked: latency of one row, and size (contract 8)."""

from __future__ import annotations

import gc
import itertools
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle.archive import archive_size, open_archive
from lepton.bundle.machines import machine
from lepton.bundle.model import Predictor
from lepton.core import ErrorCode, UsageError, Work

__all__ = ["LatencyRecord", "bundle_size", "machine", "measure_latency"]

BLOCKS = 7
CALLS = 1_000
_SAMPLES = 256
_NOT_COUNTED = ("training/", "reports/")


@dataclass(frozen=True, slots=True)
class LatencyRecord:
    """Latency of one row at a time, in seconds.

    Attributes:
        p50: median over the blocks of each block's median call.
        p99: median over the blocks of each block's 99th percentile; what `max_latency` speaks of.
        block_p50: each block's median.
        block_p99: each block's 99th percentile.
        calls: calls of a block.
        machine: where it was measured; see `machine`.
        reference: the same of the model it was measured against in turns, if there was one.
    """

    p50: float
    p99: float
    block_p50: tuple[float, ...]
    block_p99: tuple[float, ...]
    calls: int
    machine: Mapping[str, Any]
    reference: LatencyRecord | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form, for a report."""
        return asdict(self)


def measure_latency(
    predictor: Predictor,
    rows: Any,
    reference: Predictor | None = None,
    *,
    blocks: int = BLOCKS,
    calls: int = CALLS,
    clock: Callable[[], float] = time.perf_counter,
    work: Work | None = None,
) -> LatencyRecord:
    """Time single rows through a model: packed, run on one thread, every output computed.

    Args:
        predictor: the model.
        rows: a list of dicts, as requests bring them, a Polars DataFrame, a numpy matrix, or a dict of tensors by
            name; each call takes the next of at most 256 rows.
        reference: a model to measure in turns with it, block by block, so that both see the same machine.
        blocks: of how many blocks the median is taken.
        calls: calls of each block.
        clock: that tells seconds; `time.thread_time` leaves out what else the machine does meanwhile, and what other
            threads do for the call.
        work: checked between blocks.

    Raises:
        UsageError: if there are no rows.
        SchemaError: if the rows do not fit.
    """
    work = Work.of(work)
    models = [predictor] if reference is None else [predictor, reference]
    samples = _single_rows(rows)
    for model in models:
        _time_calls(model, samples, min(calls, 100), clock)  # the first calls allocate
    times: list[list[NDArray[np.float64]]] = [[] for _ in models]
    for block in range(blocks):
        work.check()
        for model, blocks_of_model in zip(models, times, strict=True):
            blocks_of_model.append(_time_calls(model, samples, calls, clock))
        work.report(block + 1, blocks, "blocks", note="measuring latency")
    here = machine()
    other = None if reference is None else _record(times[1], here, None)
    return _record(times[0], here, other)


def bundle_size(path: str | os.PathLike[str]) -> int:
    """Bytes of a model file without `training/` and reports: what `max_size` speaks of.

    Raises:
        BundleError: if it is no model file.
    """
    with open_archive(path) as archive:
        counted = {name: archive.size(name) for name in archive.names if not name.startswith(_NOT_COUNTED)}
    return archive_size(counted)


def _single_rows(rows: Any) -> list[Any]:
    """Some of `rows`, each as a container of one row."""
    samples: list[Any]
    if isinstance(rows, Mapping):
        num_rows = min(len(next(iter(rows.values()), ())), _SAMPLES)
        samples = [{name: array[row : row + 1] for name, array in rows.items()} for row in range(num_rows)]
    elif isinstance(rows, np.ndarray):
        samples = [rows[row : row + 1] for row in range(min(len(rows), _SAMPLES))]
    else:
        dicts = rows.head(_SAMPLES).to_dicts() if isinstance(rows, pl.DataFrame) else rows[:_SAMPLES]
        samples = [[row] for row in dicts]
    if not samples:
        raise UsageError(ErrorCode.USAGE, "got no rows to measure with", wanted="at least one row")
    return samples


def _time_calls(
    model: Predictor, samples: Sequence[Any], calls: int, clock: Callable[[], float]
) -> NDArray[np.float64]:
    """Seconds of each of `calls` calls, garbage collection held off."""
    times = np.empty(calls)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for call, sample in zip(range(calls), itertools.cycle(samples), strict=False):
            begin = clock()
            model.outputs(sample)
            times[call] = clock() - begin
    finally:
        if collecting:
            gc.enable()
    return times


def _record(
    blocks: Sequence[NDArray[np.float64]], here: Mapping[str, Any], reference: LatencyRecord | None
) -> LatencyRecord:
    p50 = tuple(float(np.quantile(block, 0.5)) for block in blocks)
    p99 = tuple(float(np.quantile(block, 0.99)) for block in blocks)
    return LatencyRecord(statistics.median(p50), statistics.median(p99), p50, p99, len(blocks[0]), here, reference)
