"""One step of a training: forward, backward, and the one place where gradients change weights."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch

from lepton.core import DataError, ErrorCode, TrainingError, UsageError, Work
from lepton.training.trainer.averaging import Averager
from lepton.training.trainer.batches import Batch, Inputs, each, leaves, num_rows
from lepton.training.trainer.devices import seed_globally
from lepton.training.trainer.losses import Loss
from lepton.training.trainer.recipe import Recipe
from lepton.training.trainer.schedules import Schedule

__all__ = ["Augment", "NotFiniteError", "Stepper", "call"]

Augment = Callable[[Inputs, Any, Any], tuple[Inputs, Any]]
"""(x, y, generator) → (x, y) of a batch; draws from the generator alone, so that a training can be repeated."""


class NotFiniteError(TrainingError):
    """The loss of a step was NaN or infinite; the weights were not changed by it."""


class Stepper:
    """Takes steps of an optimizer on batches.

    Args:
        module: what learns.
        loss: what is made small.
        optimizer: of torch.
        recipe: how, or None for the textbook loop.
        total: steps of the optimizer in all, for the schedule, or None.
        clip: the longest gradient, or None.
        accumulate: batches whose gradients are averaged for a step of the optimizer.
        augment: changes batches, or None.
        work: whose seed decides all that is drawn.
        device: where the module is.
        precision: context of the forward pass.
    """

    def __init__(
        self,
        module: Any,
        loss: Loss,
        optimizer: Any,
        *,
        work: Work,
        device: Any,
        precision: Any,
        recipe: Recipe | None = None,
        total: int | None = None,
        clip: float | None = None,
        accumulate: int = 1,
        augment: Augment | None = None,
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.averager = Averager(module, recipe.average) if recipe and recipe.average else None
        self.schedule = Schedule(optimizer, recipe.schedule, recipe.warmup, total) if recipe else None
        self.steps = 0
        self.synchronize: Callable[[Sequence[Any]], None] | None = None
        """Called with the parameters before each step: workers that share a training average `.grad` here."""
        self._loss = loss.smoothed(recipe.label_smoothing) if recipe else loss
        self._mixup = recipe.mixup if recipe else 0.0
        self._decay = recipe.weight_decay if recipe else 0.0
        self._clip = clip
        self._accumulate = accumulate
        self._augment = augment
        self._work = work
        self.device = device
        self._precision = precision
        self._generator = torch.Generator(device="cpu" if device.type == "mps" else device)
        self.waiting = 0
        """Batches whose gradients have not been stepped with yet."""
        self._looks = device.type == "cpu"
        self._own_loss = getattr(module, "training_loss", None)
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._decayed = [p for p in self._parameters if p.ndim > 1]

    def take(self, batch: Batch, epoch: int, number: int, *, last: bool = False) -> tuple[Any, Any, Batch]:
        """Learn from one batch; `last` of an epoch steps with what has been accumulated.

        Returns:
            the mean loss (a tensor without history), the module's outputs, and the batch as it was learned from.

        Raises:
            NotFiniteError: on the CPU, where the loss is NaN or infinite; elsewhere the caller looks now and then.
        """
        seed = self._work.seed_for("step", epoch, number)
        seed_globally(self.device, seed)
        if self._augment is not None or self._mixup:
            batch = self._changed(batch, seed)
        with self._precision:
            loss, outputs = self._forward(batch)
        found = loss.detach()
        if self._looks and not math.isfinite(value := found.item()):
            raise NotFiniteError(ErrorCode.TRAINING_FAILED, f"the loss became {value}")
        (loss if self._accumulate == 1 else loss / self._accumulate).backward()
        self.waiting += 1
        if last or self.waiting == self._accumulate:
            self._apply()
        return found, outputs, batch

    def finish(self) -> None:
        """Step with what has been accumulated, at the end of an epoch of unknown length."""
        if self.waiting:
            self._apply()

    def _forward(self, batch: Batch) -> tuple[Any, Any]:
        x, y, weight = batch
        objective = self._loss.mean if weight is None else self._loss.rows
        if self._own_loss is not None:
            loss, outputs = self._own_loss(x, y, objective)
        else:
            outputs = call(self.module, x)
            loss = objective(outputs, y)
        if weight is not None:
            if loss.ndim == 0:
                raise UsageError(
                    ErrorCode.USAGE, "the module's training_loss gives one number a batch, and weights need one a row",
                    fix="give the mean of objective(outputs, y) no earlier than the trainer does",
                )  # fmt: skip
            loss = (loss * weight).sum() / num_rows(x)
        return (loss.mean() if loss.ndim else loss), outputs

    def _apply(self) -> None:
        """The one place where gradients change weights."""
        if self.waiting < self._accumulate:  # the end of an epoch: the mean is over fewer batches
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(self._accumulate / self.waiting)
        if self.synchronize is not None:
            self.synchronize(self._parameters)
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        if self.schedule is not None:
            self.schedule.apply(self.steps)
        if self._decay:
            with torch.no_grad():
                torch._foreach_mul_(self._decayed, 1 - self.optimizer.param_groups[0]["lr"] * self._decay)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.waiting = 0
        self.steps += 1
        if self.averager is not None:
            self.averager.update()

    def _changed(self, batch: Batch, seed: int) -> Batch:
        """The batch after `augment` and mixup, both drawn from this step's seed."""
        x, y, weight = batch
        self._generator.manual_seed(seed)
        if self._augment is not None:
            x, y = self._augment(x, y, self._generator)
            if y is not None and len(y) != num_rows(x):
                raise DataError(ErrorCode.WRONG_SHAPE, f"augment gave {num_rows(x)} rows of x and {len(y)} of y")
        return _mixed(Batch(x, y, weight), self._mixup, seed, self._generator) if self._mixup else Batch(x, y, weight)


def call(module: Any, x: Inputs) -> Any:
    """The module's outputs for inputs of any form."""
    if isinstance(x, dict):
        return module(**x)
    return module(*x) if isinstance(x, tuple) else module(x)


def _mixed(batch: Batch, mixup: float, seed: int, generator: Any) -> Batch:
    """Rows mixed in pairs, and their targets with them; labels have become distributions before (see `prepare`)."""
    x, y, weight = batch
    share = random.Random(seed).betavariate(mixup, mixup)  # noqa: S311 - not for secrets
    order = torch.randperm(num_rows(x), generator=generator, device=generator.device).to(leaves(x)[0].device)

    def mix(tensor: Any) -> Any:
        if tensor.dtype in {torch.int32, torch.int64}:
            raise UsageError(
                ErrorCode.USAGE, "mixup cannot mix whole numbers such as tokens", fix="use Recipe(mixup=0)"
            )
        other = tensor.index_select(0, order)
        if tensor.is_floating_point():
            return torch.lerp(other, tensor, share)
        return torch.lerp(other.float(), tensor.float(), share).round().to(tensor.dtype)

    return Batch(each(mix, x), mix(y), None if weight is None else mix(weight))
