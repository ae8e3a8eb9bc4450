"""What this machine can do at most: arithmetic and memory, measured in a moment, on one thread and on all."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime

from lepton.core import Resources

__all__ = ["Peaks", "measure_peaks"]

_SIDE = 512
_REPEATS = 5
_BYTES = 1 << 26  # larger than caches
_CACHED_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Peaks:
    """The best of a few tries.

    Attributes:
        flops: floating point operations a second, of a product of matrices in single precision on one thread.
        bandwidth: bytes a second that one thread reads and writes in memory.
        cache_bandwidth: the same of what stays in its caches.
        threads: of `flops_all`.
        flops_all: as `flops`, on all threads.
    """

    flops: float
    bandwidth: float
    cache_bandwidth: float
    threads: int
    flops_all: float


@functools.cache
def measure_peaks(resources: Resources, clock: Callable[[], float] = time.perf_counter) -> Peaks:
    """Measure, once in a process; takes about a quarter of a second."""
    one = _product_seconds(1, clock)
    every = _product_seconds(resources.cpus, clock) if resources.cpus > 1 else one
    operations = 2.0 * _SIDE**3
    memory, cache = (2 * size / _copy_seconds(size, clock) for size in (_BYTES, _CACHED_BYTES))
    return Peaks(operations / one, memory, cache, resources.cpus, operations / every)


def _product_seconds(threads: int, clock: Callable[[], float]) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    session = onnxruntime.InferenceSession(_product(), options, providers=["CPUExecutionProvider"])
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    return _best(lambda: session.run(None, {"a": matrix, "b": matrix}), clock)


def _copy_seconds(num_bytes: int, clock: Callable[[], float]) -> float:
    source = np.ones(num_bytes // 8)
    target = np.empty_like(source)
    return _best(lambda: np.copyto(target, source), clock)


def _best(call: Callable[[], object], clock: Callable[[], float]) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        begin = clock()
        call()
        best = min(best, clock() - begin)
    return max(best, 1e-9)


def _product() -> bytes:
    """A graph of one MatMul, as ONNX writes it; the package `onnx` may not be installed."""
    sizes = _field(1, _number(1, _SIDE)) * 2
    kind = _field(2, _field(1, _number(1, 1) + _field(2, sizes)))
    values = [_field(field, _field(1, name) + kind) for field, name in ((11, b"a"), (11, b"b"), (12, b"c"))]
    node = _field(1, b"a") + _field(1, b"b") + _field(2, b"c") + _field(4, b"MatMul")
    graph = _field(1, node) + _field(2, b"product") + b"".join(values)
    return _number(1, 8) + _field(7, graph) + _field(8, _number(2, 13))


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
