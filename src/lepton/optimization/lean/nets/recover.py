"""Teaching a network again, by what the original answers and by the truth where it is known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lepton.core import ErrorCode, TrainingError, Work
from lepton.optimization.lean.base import Subject
from lepton.optimization.lean.nets.module import NetModule, frontier
from lepton.optimization.lean.nets.norms import with_norms, without_norms
from lepton.optimization.lean.network import Network
from lepton.training.nets.augment import LightAugment
from lepton.training.trainer.averaging import Averager, copy_state, put_state

__all__ = ["Lessons", "lessons_of", "lessons_with", "recover", "taught", "torch_threads"]

PASSES = 12
"""Over the rows, where there is time."""

BATCH = 128
_FEW, _SMALL_BATCH, _LEAST_STEPS = 2_000, 32, 20  # few rows are learned in small batches; steps that count as a pass
_PEAK = 1e-3  # learning rate
_PEAK_NORMED = 3e-3  # where batches are normalised
_WARM = 0.2  # share of the steps in which the learning rate rises
_DECAY = 0.01
_AVERAGE = 0.99
_CLIP = 5.0
_SOFT = 2.0  # temperature of the answers that are learned from (Hinton et al., "Distilling the Knowledge", 2015)
_TRUTH = 0.5  # what the truth counts beside them
_HELD_OUT, _LEAST_HELD_OUT, _MOST_HELD_OUT = 0.1, 20, 2_000  # of the rows
_MOST_BYTES = 1 << 30  # of rows in memory
_STEPS_TO_TIME = 5
_SHARE_OF_TIME = 0.85
_LEAST_SIDE, _MOST_CHANNELS = 8, 4  # of pictures that are worth turning


@dataclass(frozen=True)
class Lessons:
    """Rows to learn from.

    Attributes:
        inputs: what comes to the network.
        taught: what the original answers: probabilities [N, C], or numbers [N, 1] by their mean and deviation.
        truth: classes [N] int64, flags [N, L], or numbers as `taught`; None where it is not known.
        answer: of the network: `softmax`, `sigmoid` or `numbers`.
        centre: mean and deviation of numbers.
        channels: axis of the channels of pictures, which may be turned a little; None for other rows.
    """

    inputs: tuple[Tensor, ...]
    taught: Tensor
    truth: Tensor | None
    answer: str
    centre: tuple[float, float] = (0.0, 1.0)
    channels: int | None = None

    def __len__(self) -> int:
        return len(self.taught)

    def loss(self, scores: Tensor, places: Tensor) -> Tensor:
        """How far scores [n, …] are from what some of the rows teach."""
        taught, truth = self.taught[places], None if self.truth is None else self.truth[places]
        if self.answer == "numbers":
            found = (scores.reshape(len(places), -1) - self.centre[0]) / self.centre[1]
            loss = functional.smooth_l1_loss(found.to(taught.dtype), taught)
            return loss if truth is None else (1 - _TRUTH) * loss + _TRUTH * functional.mse_loss(found, truth)
        scores = scores.float()
        if self.answer == "sigmoid":
            flags = taught[:, -1:] if scores.shape[1] == 1 else taught
            if truth is not None:
                flags = (1 - _TRUTH) * flags + _TRUTH * truth.reshape(flags.shape).float()
            return functional.binary_cross_entropy_with_logits(scores, flags)
        softer = torch.softmax(torch.log(taught.clamp_min(1e-7)) / _SOFT, 1)
        loss = functional.kl_div(torch.log_softmax(scores / _SOFT, 1), softer, reduction="batchmean") * _SOFT**2
        return loss if truth is None else (1 - _TRUTH) * loss + _TRUTH * functional.cross_entropy(scores, truth)


def lessons_of(network: Network, subject: Subject, work: Work) -> Lessons:
    """What the rows of a subject teach a network."""
    rows = subject.learn
    bytes_a_row = sum(4 * value[0].size for value in rows.tensors.values())
    most = max(1, _MOST_BYTES // max(1, bytes_a_row))
    if len(rows) > most:
        order = np.random.default_rng(work.seed_for("rows")).permutation(len(rows))
        rows = rows.take(np.sort(order[:most]))
    inputs = tuple(map(torch.from_numpy, frontier(network, rows.tensors, work.resources.cpus)))
    return lessons_with(inputs, subject, rows.answers, network.answer)


def lessons_with(inputs: tuple[Tensor, ...], subject: Subject, answers: Any, answer: str) -> Lessons:
    """The same, from what comes to a network and the answers to those rows."""
    labelled = subject.learn.labelled
    first = inputs[0]
    channels = _channels(subject, first) if len(inputs) == 1 else None
    if answer == "numbers":
        numbers = torch.from_numpy(np.asarray(answers.predicted, dtype=np.float64).reshape(len(first), -1))
        centre = float(numbers.mean()), float(numbers.std()) or 1.0
        taught = ((numbers - centre[0]) / centre[1]).float()
        truth = (torch.from_numpy(np.asarray(answers.y, dtype=np.float64)).reshape(taught.shape) - centre[0]) / centre[
            1
        ]
        return Lessons(inputs, taught, truth.float() if labelled else None, answer, centre, channels)
    taught = torch.from_numpy(np.array(answers.probabilities, dtype=np.float32))
    truth = torch.from_numpy(np.array(answers.y, dtype=np.int64))
    return Lessons(inputs, taught, truth if labelled else None, answer, channels=channels)


def _channels(subject: Subject, rows: Tensor) -> int | None:
    """The axis of the channels if the rows are pictures."""
    manifest = subject.original.manifest
    kinds = {each.kind.value for each in manifest.inputs} | {each.name for each in manifest.tensors}
    if rows.ndim != 4 or "image" not in kinds:
        return None
    for axis, sides in ((3, rows.shape[1:3]), (1, rows.shape[2:])):
        if rows.shape[axis] <= _MOST_CHANNELS and min(sides) >= _LEAST_SIDE:
            return axis
    return None


def taught(network: Network, lessons: Lessons, work: Work, *, passes: float = PASSES, name: str = "recover") -> Network:
    """The network, taught again; see `recover`."""
    normed = with_norms(network, lessons.inputs)
    is_normed = any(node.op == "BatchNormalization" for node in normed.nodes)
    module = NetModule(normed)
    recover(module, lessons, work, passes=passes, peak=_PEAK_NORMED if is_normed else _PEAK, name=name)
    return without_norms(module.learned())


def recover(
    module: Any,
    lessons: Lessons,
    work: Work,
    *,
    passes: float = PASSES,
    peak: float = _PEAK,
    name: str = "recover",
) -> float:
    """Teach a module, in place; it keeps the weights that did best on rows of the lessons that were held out.

    Args:
        module: takes `lessons.inputs` and gives scores; or has `training_loss(inputs, loss)`.
        lessons: what it learns.
        work: the time that there is; fewer passes are made where it is short.
        passes: over the rows, at most.
        peak: highest learning rate.
        name: of this training, for its seed.

    Returns:
        The loss on the rows that were held out.

    Raises:
        Interrupted: the time was over before anything was learned.
        TrainingError: it learns nothing: the loss is no number.
    """
    with torch_threads(work), torch.random.fork_rng(devices=[]):
        torch.manual_seed(work.seed_for(name, "layers"))
        return _Teaching(module, lessons, work, name).run(passes, peak)


@contextmanager
def torch_threads(work: Work) -> Iterator[None]:
    """Have torch use the threads of the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(work.resources.cpus)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Teaching:
    def __init__(self, module: Any, lessons: Lessons, work: Work, name: str) -> None:
        self.module, self.lessons, self.work = module, lessons, work
        self.generator = torch.Generator().manual_seed(work.seed_for(name))
        order = torch.randperm(len(lessons), generator=self.generator)
        held = min(_MOST_HELD_OUT, int(len(lessons) * _HELD_OUT))
        self.held, self.rows = (order[:held], order[held:]) if held >= _LEAST_HELD_OUT else (order, order)
        self.batch = BATCH if len(self.rows) > _FEW else _SMALL_BATCH
        self.augment = LightAugment(turn=7.0, scale=0.07, shear=0.07, shift=0.04, contrast=0.0)
        if any(parameter.ndim == 4 for parameter in module.parameters()):
            module.to(memory_format=torch.channels_last)

    def run(self, passes: float, peak: float) -> float:
        parameters = [each for each in self.module.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=peak, weight_decay=_DECAY)
        averager = Averager(self.module, _AVERAGE)
        best, state = self._judged(), copy_state(self.module)
        steps_a_pass = max(_LEAST_STEPS, len(self.rows) / self.batch)
        steps, done, started = math.ceil(passes * steps_a_pass), 0, time.monotonic()
        while done < steps and not self.work.stopped:
            for places in self._shuffled():
                _set_rate(optimizer, peak * _one_cycle(done / steps))
                self._step(places, optimizer, parameters)
                averager.update()
                done += 1
                if done % _STEPS_TO_TIME == 0 and self.work.remaining is not None:
                    seconds = (time.monotonic() - started) / done
                    steps = min(steps, done + int(_SHARE_OF_TIME * max(0.0, self.work.remaining) / seconds))
                if done >= steps or self.work.stopped:
                    break
            with averager.applied():
                if (found := self._judged()) < best:
                    best, state = found, copy_state(self.module)
            self.work.report(done, steps, "steps", best=f"{best:.4g}", note="teaching the smaller network")
        if done < _STEPS_TO_TIME:
            self.work.check()
        put_state(self.module.state_dict(), state)
        self.module.eval()
        if not math.isfinite(best):
            raise TrainingError(ErrorCode.TRAINING_FAILED, f"the loss of the smaller network is {best}")
        return best

    def _shuffled(self) -> list[Tensor]:
        """Batches of a pass; one of a single row has no deviation to normalise by."""
        order = self.rows[torch.randperm(len(self.rows), generator=self.generator)]
        return [places for places in order.split(self.batch) if len(places) > 1]

    def _step(self, places: Tensor, optimizer: Any, parameters: list[Any]) -> None:
        self.module.train()
        inputs = tuple(value[places] for value in self.lessons.inputs)
        if (axis := self.lessons.channels) is not None:
            turned, _ = self.augment(inputs[0].movedim(axis, 3), None, self.generator)
            inputs = (turned.movedim(3, axis),)
        own: Callable[..., Tensor] | None = getattr(self.module, "training_loss", None)
        if own is not None:
            loss = own(*inputs, places, self.lessons.loss)[0]
        else:
            loss = self.lessons.loss(self.module(*inputs), places)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, _CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _judged(self) -> float:
        """The loss on the rows that are not learned from; infinity where it is no number."""
        self.module.eval()
        total = 0.0
        with torch.no_grad():
            for places in self.held.split(4 * BATCH):
                scores = self.module(*(value[places] for value in self.lessons.inputs))
                total += float(self.lessons.loss(scores, places)) * len(places)
        return total / len(self.held) if math.isfinite(total) else math.inf


def _one_cycle(done: float) -> float:
    """Share of the highest learning rate at a share of the steps (Smith and Topin, 2018)."""
    if done < _WARM:
        return 0.05 + 0.95 * done / _WARM
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM) / (1 - _WARM))) + 1e-3


def _set_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
