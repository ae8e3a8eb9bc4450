"""Data and module brought together: the module is tried, targets and weights are checked against its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lepton.core import DataError, ErrorCode, UsageError, Work
from lepton.training.trainer.batches import Batch, each, num_rows
from lepton.training.trainer.feeds import ArrayFeed, StreamFeed
from lepton.training.trainer.losses import Loss
from lepton.training.trainer.metrics import labels_of
from lepton.training.trainer.recipe import Recipe
from lepton.training.trainer.stepping import Stepper, call
from lepton.training.trainer.trying import modes_kept, try_module

__all__ = ["SingleSteps", "answers", "measure", "prepare"]


def prepare(trainer: Any, feed: ArrayFeed | StreamFeed, recipe: Recipe | None = None, class_weight: Any = None) -> None:
    """Try the module on the first rows, and have the feed's targets checked against its outputs.

    Args:
        trainer: whose module and loss.
        feed: gives the rows.
        recipe: of a training; mixup needs distributions for targets.
        class_weight: of a training.

    Raises:
        DataError: what does not fit.
    """
    shape = _tried(trainer, feed.sample())
    loss: Loss = trainer.loss
    mixes = recipe is not None and recipe.mixup > 0 and loss.kind == "classes"

    def targets(y: Any) -> Any:
        found = loss.targets(y, shape)
        if mixes and not found.is_floating_point():
            return torch.nn.functional.one_hot(found, shape[1]).float()
        return found

    table = None if class_weight is None else _class_table(class_weight, loss, shape)

    def weights(y: Any, weight: Any) -> Any:
        if weight is not None:
            _check_weight(weight)
        if table is None:
            return weight
        own = table.to(y.device)[(labels_of(y) if loss.kind == "classes" else y.reshape(-1)).long()]
        return own if weight is None else own * weight

    feed.prepare(targets, weights)


def _tried(trainer: Any, sample: Batch) -> tuple[int, ...]:
    """The shape of the module's outputs for a row or two; () where it gives no tensor."""
    outputs = try_module(trainer.module, sample, trainer.device)
    loss: Loss = trainer.loss
    if sample.y is None and not (loss.kind == "own" and hasattr(trainer.module, "training_loss")):
        raise DataError(ErrorCode.BAD_TARGET, "got no y", wanted=f"the targets of the loss {loss.name}")
    loss.check_outputs(outputs)
    shape = tuple(outputs.shape) if torch.is_tensor(outputs) else ()
    trainer.sample = each(torch.clone, sample.x)
    trainer.num_outputs = int(shape[1]) if len(shape) > 1 else 1
    return shape


def answers(trainer: Any, feed: ArrayFeed | StreamFeed, work: Work) -> list[Any]:
    """The module's outputs for each batch of a feed."""
    try_module(trainer.module, feed.sample(), trainer.device)
    found = []
    with torch.inference_mode(), modes_kept(trainer.module), trainer.precision:
        for batch in feed.batches(0):
            work.check()
            found.append(call(trainer.module, batch.x))
    return found


class SingleSteps:
    """Steps on batches that a caller brings one by one.

    Args:
        trainer: whose module and optimizer.
        batch: the first one, to try the module on.
    """

    def __init__(self, trainer: Any, batch: Batch) -> None:
        self._trainer = trainer
        self._shape = _tried(trainer, Batch(each(lambda leaf: leaf[:2], batch.x), batch.y))
        self._stepper = Stepper(
            trainer.module, trainer.loss, trainer.made_optimizer(), work=Work(seed=trainer.seed),
            device=trainer.device, precision=trainer.precision,
        )  # fmt: skip

    def take(self, batch: Batch) -> dict[str, float]:
        """Learn from the batch; its loss and metrics."""
        trainer, stepper = self._trainer, self._stepper
        x, y, weight = batch
        if y is not None:
            y = trainer.loss.targets(y, self._shape).to(trainer.device)
        if weight is not None:
            _check_weight(weight)
            weight = weight.to(trainer.device)
        stepper.synchronize = trainer.synchronize
        trainer.module.train()
        given = Batch(each(lambda leaf: leaf.to(trainer.device), x), y, weight)
        loss, outputs, learned = stepper.take(given, 0, stepper.steps, last=True)
        loss_meter, *others = trainer.meters()
        loss_meter.add(loss, num_rows(learned.x))
        with torch.no_grad():
            for meter in others:
                meter.update(outputs, learned.y)
        return {meter.name: meter.result() for meter in (loss_meter, *others)}


def measure(trainer: Any, feed: ArrayFeed | StreamFeed, work: Work) -> dict[str, float]:
    """Loss and metrics of a prepared feed, by name."""
    loss_meter, *others = trainer.meters()
    module, loss = trainer.module, trainer.loss
    own = getattr(module, "training_loss", None) if loss.kind == "own" and trainer.loss_is_modules else None
    with torch.inference_mode(), modes_kept(module), trainer.precision:
        for batch in feed.batches(0):
            work.check()
            if own is not None:
                value, outputs = own(batch.x, batch.y, loss.mean)
                value = value.mean() if value.ndim else value
            else:
                outputs = call(module, batch.x)
                value = None
            if batch.weight is None:
                loss_meter.add(loss.mean(outputs, batch.y) if value is None else value, num_rows(batch.x))
            else:
                rows = loss.rows(outputs, batch.y) * batch.weight
                loss_meter.add_sum(rows.sum(), batch.weight.sum())
            for meter in others:
                meter.update(outputs, batch.y)
    return {meter.name: meter.result() for meter in (loss_meter, *others)}


def _class_table(class_weight: Any, loss: Loss, shape: tuple[int, ...]) -> Any:
    if loss.kind == "own" or loss.kind == "numbers" or (loss.kind == "binary" and len(shape) > 1 and shape[1] > 1):
        raise UsageError(ErrorCode.USAGE, f"got class_weight with the loss {loss.name}", fix="use sample_weight")
    classes = shape[1] if loss.kind == "classes" else 2
    if not isinstance(class_weight, Mapping):
        raise UsageError(ErrorCode.USAGE, f"got class_weight={class_weight!r}", wanted="a dict from label to weight")
    table = torch.ones(classes)
    for label, weight in class_weight.items():
        if not isinstance(label, int | np.integer) or not 0 <= label < classes:
            raise UsageError(
                ErrorCode.USAGE, f"class_weight names the label {label!r}", wanted=f"labels from 0 to {classes - 1}"
            )
        table[int(label)] = float(weight)
    _check_weight(table)
    return table


def _check_weight(weight: Any) -> None:
    if weight.ndim != 1:
        raise DataError(
            ErrorCode.WRONG_SHAPE, f"the weights have the shape {list(weight.shape)}", wanted="one number a row"
        )
    bad = torch.nonzero(~(torch.isfinite(weight) & (weight >= 0)))
    if len(bad):
        raise DataError(
            ErrorCode.BAD_VALUE, f"the weight in place {int(bad[0])} is {float(weight[int(bad[0])]):g}",
            wanted="finite weights of at least 0",
        )  # fmt: skip
