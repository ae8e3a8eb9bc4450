"""A network of the family on rows of pictures or spectrograms: as many passes as the time allows, and calibrated."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.core import Work
from lepton.training.deep.augment import augment_sounds
from lepton.training.nets.augment import LightAugment
from lepton.training.nets.exits import fit_temperature
from lepton.training.nets.lepton_net import RECIPE
from lepton.training.nets.net import LeptonNetModule
from lepton.training.nets.spec import NetSpec
from lepton.training.trainer import Trainer

__all__ = ["FittedNet", "MediaLearner"]

_RATE = 3e-3
_BATCHES = ((1_000, 16), (6_000, 32), (30_000, 64))
_LARGEST_BATCH = 128
_SEEN = 120_000  # rows, all passes together, that learning takes where there is time
_PASSES = (12, 80)
_TIMED_BATCHES = 3
_CALIBRATED_ROWS = 40


@dataclass
class FittedNet:
    """A network that has learned.

    Attributes:
        module: of torch.
        passes: over the rows.
        seconds: that it took.
        stopped: why it ended early, or "".
    """

    module: LeptonNetModule
    passes: int
    seconds: float
    stopped: str = field(default="")


class MediaLearner:
    """Learns rows for one task.

    Args:
        values: pictures uint8 [N, H, W, C] or spectrograms float32 [N, bands, frames].
        targets: classes int64 [N], labels float32 [N, L], or numbers float32 [N].
        outputs: classes, labels, or 1.
        weight: of the rows, or None.
        work: threads, seed, stop signal.
        kind: of the rows, as `NetSpec` names it, where they are not pictures or spectrograms of sounds.
    """

    name = "lepton-net"

    def __init__(
        self,
        values: NDArray[Any],
        targets: NDArray[Any],
        outputs: int,
        weight: NDArray[np.float32] | None,
        work: Work,
        kind: str | None = None,
    ) -> None:
        self.augment: Callable[..., Any] | None = None  # of other numbers, nothing is known that leaves their meaning
        if values.ndim == 4:
            self.augment = LightAugment()
        elif kind is None:
            self.augment = augment_sounds
        kind = kind or ("image" if values.ndim == 4 else "spectrogram")
        self.values, self.targets, self.weight, self.work = values, targets, weight, work
        self.spec = NetSpec.of(kind, values.shape[1:], outputs)
        several = "binary_crossentropy" if outputs > 1 else "mse"
        self.loss = "categorical_crossentropy" if targets.dtype.kind == "i" else several
        self.recipe = RECIPE if self.loss != "mse" else replace(RECIPE, label_smoothing=0.0)
        self.threads = 1
        self.batch = next((size for rows, size in _BATCHES if len(values) <= rows), _LARGEST_BATCH)

    def of(self, spec: NetSpec) -> MediaLearner:
        """What learns the same rows by another network."""
        other = copy.copy(self)
        other.spec = spec
        return other

    def seconds_a_row(self) -> float:
        """Of one pass, measured on a few batches of a network that is thrown away.

        One thread and all of them are tried, and the quicker is kept: where others use the machine too, threads that
        wait for each other are slower than one.
        """
        few = np.arange(min(len(self.values), _TIMED_BATCHES * self.batch))
        found: dict[int, float] = {}
        for threads in sorted({1, self.work.resources.cpus}):
            self.threads = threads
            trainer = self._trainer(0)
            self._fit(trainer, few[: self.batch], 1, self.work)  # the first step is slower than the others
            started = time.perf_counter()
            self._fit(trainer, few, 1, self.work)
            found[threads] = (time.perf_counter() - started) / len(few)
        self.threads = min(found, key=found.__getitem__)
        return found[self.threads]

    def most_passes(self, num_rows: int) -> int:
        """Over so many rows, where the time allows them."""
        return int(np.clip(round(_SEEN / num_rows), *_PASSES))

    def fit(self, rows: NDArray[np.int64], passes: int, seed: str, work: Work) -> FittedNet:
        """Learn some of the rows; stopped early, what was learned so far is given.

        Raises:
            Interrupted: before the first step.
        """
        started = time.perf_counter()
        trainer = self._trainer(work.seed_for("net", seed))
        self._standardise(trainer.module, rows)
        history = self._fit(trainer, rows, passes, work)
        spent = time.perf_counter() - started
        return FittedNet(trainer.module, len(history), spent, history.stopped)

    def raw(self, net: FittedNet, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the network gives before it is made into answers [M, outputs], calibrated or not."""
        trainer = Trainer(net.module, threads=self.threads).compile("adam", self.loss)
        return np.asarray(trainer.predict(self.values[rows]), dtype=np.float64)

    def calibrate(self, net: FittedNet, rows: NDArray[np.int64]) -> float:
        """Divide its scores by what makes them probabilities of rows that it has not seen; by what."""
        if self.targets.dtype.kind != "i" or len(rows) < _CALIBRATED_ROWS:
            return 1.0
        found = float(np.clip(fit_temperature(self.raw(net, rows), self.targets[rows]), 0.2, 5.0))
        net.module.temperatures[-1] = found
        return found

    def _trainer(self, seed: int) -> Trainer:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self._module()
        return self._compiled(Trainer(module, seed=seed, threads=self.threads))

    def _module(self) -> Any:
        return LeptonNetModule(self.spec)

    def _compiled(self, trainer: Trainer) -> Trainer:
        return trainer.compile("adam", self.loss, learning_rate=_RATE)

    def _standardise(self, module: Any, rows: NDArray[np.int64]) -> None:
        module.body.standardise(self.values[rows])

    def _fit(self, trainer: Trainer, rows: NDArray[np.int64], passes: int, work: Work) -> Any:
        return trainer.fit(
            self.values[rows],
            self.targets[rows],
            batch_size=self.batch,
            epochs=passes,
            sample_weight=None if self.weight is None else self.weight[rows],
            recipe=self.recipe,
            augment=self.augment,
            verbose=0,
            work=work,
        )
