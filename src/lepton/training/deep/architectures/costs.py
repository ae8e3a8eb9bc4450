"""What a design costs on this machine, before it has learned anything: its graph is written, opened and timed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.bundle import Predictor, bundle_size, measure_latency, open_model
from lepton.core import Resources, Work
from lepton.training.deep.architectures.subject import Subject
from lepton.training.deep.architectures.trials import Cost
from lepton.training.deep.media_net import FittedNet
from lepton.training.nets.net import LeptonNetModule
from lepton.training.nets.spec import NetSpec

__all__ = ["Meter", "untrained"]

_BLOCKS = 5
_BLOCK = 0.03  # seconds
_CALLS = (20, 300)
_REPEATS = 3
_LEAST_TICK = 1e-7  # seconds: of a clock that is coarse, a call may seem to take none
_NO_ROW_LEAVES = 1.0  # no probability of floating point is above it, and few are equal
_BATCH = 256


class Meter:
    """Measures networks on one row, one thread, in turns with one and the same reference.

    Times are those of the processor in the calling thread, which other work on the machine does not make longer as it
    does those of the clock; the last word, on the finished file, has the clock. A machine whose caches and speed are
    disturbed slows both, so times are told in units of the reference, times what that took when the search began. Noise
    only ever adds to the slowest calls, so what seems too slow is measured again.

    Args:
        subject: what is written around a network.
        reference: the design to measure in turns with.
        folder: for files.
        quiet: seconds of the reference's middle and slowest call, if they are known.
        work: stop signal.
    """

    def __init__(
        self, subject: Subject, reference: NetSpec, folder: Path, quiet: tuple[float, float] | None, work: Work
    ) -> None:
        self._subject, self._folder, self._work = subject, folder, work
        self._reference = self._opened(FittedNet(untrained(reference), 0, 0.0), "reference")
        self.quiet = quiet or self._least(self._reference)

    def of_design(self, spec: NetSpec, allowed: float | None) -> Cost:
        """The cost of a design that has not been trained; rows go all the way through its exits.

        Args:
            spec: the design.
            allowed: seconds of the 99th percentile that are allowed; what takes longer is measured again.
        """
        module = untrained(spec)
        module.thresholds.fill_(_NO_ROW_LEAVES)
        return self._cost(module, float(module.multiply_adds()[-1]), allowed)

    def of_net(self, module: LeptonNetModule, values: NDArray[Any], allowed: float | None) -> Cost:
        """The cost of a network that has learned, whose rows `values` leave where its exits say."""
        return self._cost(module, _mean_multiply_adds(module, values), allowed)

    def _cost(self, module: LeptonNetModule, multiply_adds: float, allowed: float | None) -> Cost:
        model = self._opened(FittedNet(module, 0, 0.0), "measured")
        found, slowest = [], []
        for _ in range(_REPEATS):
            record = self._record(model, self._reference)
            beside = record.reference or record
            found.append(max(record.p50, _LEAST_TICK) / max(beside.p50, _LEAST_TICK) * self.quiet[0])
            slowest.append(min(record.p99, record.p99 / max(beside.p99, _LEAST_TICK) * self.quiet[1]))
            if allowed is None or slowest[-1] <= allowed or min(found) > allowed:
                break
        parameters = sum(each.numel() for each in module.parameters())
        size = bundle_size(self._folder / "measured.lepton")
        return Cost(float(np.median(found)), min(slowest), size, multiply_adds, parameters)

    def _least(self, model: Predictor) -> tuple[float, float]:
        records = [self._record(model, None) for _ in range(_REPEATS)]
        return max(min(r.p50 for r in records), _LEAST_TICK), max(min(r.p99 for r in records), _LEAST_TICK)

    def _opened(self, net: FittedNet, name: str) -> Predictor:
        path = self._folder / f"{name}.lepton"
        self._subject.write(path, net, name=name)
        return open_model(path, resources=Resources(cpus=1))

    def _record(self, model: Predictor, reference: Predictor | None) -> Any:
        quick = Work(cancel=self._work.cancel)
        told: dict[str, Any] = {"clock": time.thread_time, "work": quick}
        first = measure_latency(model, self._subject.samples, blocks=1, calls=3, **told).p50
        calls = int(np.clip(_BLOCK / max(first, _LEAST_TICK), *_CALLS))
        return measure_latency(model, self._subject.samples, reference, blocks=_BLOCKS, calls=calls, **told)


def untrained(spec: NetSpec) -> LeptonNetModule:
    """A network whose weights are drawn, always the same, from which nothing is learned."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: LeptonNetModule = LeptonNetModule(spec).eval()
        return module


def _mean_multiply_adds(module: LeptonNetModule, values: NDArray[Any]) -> float:
    costs = np.array(module.multiply_adds(), dtype=np.float64)
    if len(costs) == 1 or not len(values):
        return float(costs[-1])
    module.eval()
    counts = np.zeros(len(costs), dtype=np.int64)
    with torch.inference_mode():
        for start in range(0, len(values), _BATCH):
            left = module.routed(torch.from_numpy(values[start : start + _BATCH]))[1]
            counts += np.bincount(left.numpy(), minlength=len(costs))
    return float(counts @ costs / counts.sum())
