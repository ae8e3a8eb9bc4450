"""From the arguments of `fit` to a loop that is ready to run: everything is checked before the first step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from lepton.core import DataError, ErrorCode, UsageError, Work
from lepton.training.trainer.batches import Batch, as_inputs, as_tensor, at_least_one, each, num_rows
from lepton.training.trainer.callbacks import EpochLines, checked_callbacks
from lepton.training.trainer.checkpoints import Checkpoints
from lepton.training.trainer.feeds import StreamFeed, feed_of
from lepton.training.trainer.history import History
from lepton.training.trainer.keeping import put_back
from lepton.training.trainer.loop import Loop
from lepton.training.trainer.preparing import measure, prepare
from lepton.training.trainer.recipe import Recipe
from lepton.training.trainer.stepping import Augment, Stepper

__all__ = ["Options", "called", "loop_of"]

_EVALUATED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of `Trainer.fit`, which describes them."""

    x: Any
    y: Any
    batch_size: int
    epochs: int
    validation_data: Any
    validation_split: float
    callbacks: tuple[Any, ...]
    class_weight: Any
    sample_weight: Any
    shuffle: bool
    recipe: Recipe | None
    augment: Augment | None
    checkpoint: Any
    resume: bool
    accumulate: int
    clip: Any
    steps_per_epoch: int | None

    def __post_init__(self) -> None:
        for name in ("epochs", "accumulate", "steps_per_epoch"):
            value = getattr(self, name)
            if value is not None:
                at_least_one(name, value)
        if self.clip is not None and not (isinstance(self.clip, int | float) and self.clip > 0):
            raise UsageError(ErrorCode.USAGE, f"got clip={self.clip!r}", wanted="a number above 0, or None")
        if not 0.0 <= self.validation_split < 1.0:
            raise UsageError(
                ErrorCode.USAGE, f"got validation_split={self.validation_split!r}", wanted="at least 0 and below 1"
            )
        if self.recipe is not None and not isinstance(self.recipe, Recipe):
            raise UsageError(ErrorCode.USAGE, f"got recipe={self.recipe!r}", wanted="a Recipe of the trainer, or None")
        if self.resume and self.checkpoint is None:
            raise UsageError(
                ErrorCode.USAGE, "got resume=True without a checkpoint", fix="name its folder: checkpoint=…"
            )


def called(callbacks: Any, lines: int) -> tuple[Any, ...]:
    """The callbacks of a training, and one that prints a line for each of so many epochs, if any."""
    return checked_callbacks(callbacks) + ((EpochLines(lines),) if lines else ())


def loop_of(trainer: Any, options: Options, work: Work) -> Loop:
    """The loop of a training, taken up from its newest checkpoint where that is asked for.

    Raises:
        LeptonError: whatever in the arguments, the data or the checkpoint does not fit.
    """
    checkpoints = _checkpoints_of(options)
    kept = checkpoints.newest() if checkpoints is not None and options.resume else None
    if kept is not None:
        trainer.num_fits = kept.record["identity"]["fit"]
    seeds = Work(seed=Work(seed=trainer.seed).seed_for("fit", trainer.num_fits))
    history = trainer.history = History()
    callbacks = options.callbacks
    feed, validation = _feeds(trainer, options, seeds, history)
    steps = None if feed.steps is None else math.ceil(feed.steps / options.accumulate) * options.epochs
    if steps is None and options.recipe and (options.recipe.schedule != "constant" or options.recipe.warmup):
        raise UsageError(
            ErrorCode.USAGE,
            f"the schedule {options.recipe.schedule!r} needs to know how many batches an epoch has",
            fix="give steps_per_epoch, or Recipe(schedule='constant')",
        )
    stepper = Stepper(
        trainer.module, trainer.loss, trainer.made_optimizer(), recipe=options.recipe, total=steps, clip=options.clip,
        accumulate=options.accumulate, augment=options.augment, work=seeds, device=trainer.device,
        precision=trainer.precision,
    )  # fmt: skip
    stepper.synchronize = trainer.synchronize
    stepper.optimizer.zero_grad(set_to_none=True)
    loss_meter, *others = trainer.meters()
    loop = Loop(
        trainer=trainer,
        stepper=stepper,
        feed=feed,
        loss_meter=loss_meter,
        others=others,
        validate=None if validation is None else lambda: _named_val(measure(trainer, validation, work)),
        callbacks=callbacks,
        epochs=options.epochs,
        work=work,
        checkpoints=checkpoints,
        identity={
            "fit": trainer.num_fits,
            "seed": trainer.seed,
            "loss": trainer.loss.name,
            "optimizer": type(stepper.optimizer).__name__,
            "recipe": "" if options.recipe is None else repr(options.recipe),
            "steps": steps if options.recipe is not None and options.recipe.schedule != "constant" else None,
            "batch_size": int(options.batch_size),
            "accumulate": int(options.accumulate),
            "clip": options.clip,
            "data": feed.told(),
        },
    )
    if checkpoints is not None:
        checkpoints.begin()
    for callback in callbacks:
        callback.trainer = trainer
        if hasattr(callback, "on_train_begin"):
            callback.on_train_begin({})
    if kept is not None:
        _check_identity(kept.record["identity"], loop.identity)
        put_back(kept, stepper, callbacks)
        loop.take_up(kept)
        trainer.history.notes += kept.skipped
    return loop


def _feeds(trainer: Any, options: Options, seeds: Work, history: History) -> tuple[Any, Any]:
    """Feeds of training and validation, checked."""
    x, y, weight, validation = options.x, options.y, options.sample_weight, options.validation_data
    if options.validation_split:
        if validation is not None:
            raise UsageError(ErrorCode.USAGE, "got validation_data and validation_split", fix="give one of them")
        (x, y, weight), validation = _split(x, y, weight, options.validation_split)
    common: dict[str, Any] = {"work": seeds, "device": trainer.device}
    feed = feed_of(
        x, y, weight, batch_size=options.batch_size, shuffle=options.shuffle, steps=options.steps_per_epoch, **common
    )
    if isinstance(feed, StreamFeed) and feed.once and (options.epochs > 1 or options.resume) and feed.steps is None:
        raise UsageError(
            ErrorCode.USAGE,
            f"a generator is used up after one pass, and there are {options.epochs} epochs",
            fix="give a function that makes a new one each epoch, or steps_per_epoch for one without an end",
        )
    prepare(trainer, feed, options.recipe, options.class_weight)
    if feed.rows is not None and feed.rows < options.batch_size and options.batch_size != 32:
        history.notes.append(
            f"batch_size={options.batch_size} is more than the {feed.rows} rows: each step takes all of them"
        )
    if validation is None:
        return feed, None
    if isinstance(validation, tuple):
        if len(validation) not in {2, 3}:
            raise UsageError(
                ErrorCode.USAGE, f"got validation_data of {len(validation)} parts", wanted="(x, y) or (x, y, weight)"
            )
        parts = (*validation, None)[:3]
    else:
        parts = (validation, None, None)
    held = feed_of(
        parts[0], parts[1], parts[2], batch_size=max(options.batch_size, _EVALUATED), shuffle=False, **common
    )
    if isinstance(held, StreamFeed) and held.once:
        raise UsageError(ErrorCode.USAGE, "got a generator as validation_data", fix="give a function that makes one")
    prepare(trainer, held)
    return feed, held


def _split(x: Any, y: Any, weight: Any, share: float) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """The last rows for validation, as Keras does it: so that a series is judged on what came later."""
    if isinstance(x, torch.utils.data.TensorDataset):
        x, y, weight = (*x.tensors, None, None)[:3]
    if not (isinstance(x, Mapping | tuple | list) or hasattr(x, "__array__")):
        raise UsageError(
            ErrorCode.USAGE, f"got validation_split with {type(x).__name__}", wanted="arrays",
            fix="give validation_data",
        )  # fmt: skip
    inputs = as_inputs(x)
    rows = num_rows(inputs)
    cut = rows - round(rows * share)
    if cut in {0, rows}:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            f"validation_split={share:g} of {rows} row(s) leaves none to {'learn from' if cut == 0 else 'validate on'}",
        )
    parts = Batch(
        inputs, None if y is None else as_tensor(y, "y"), None if weight is None else as_tensor(weight, "sample_weight")
    )

    def of(part: slice) -> tuple[Any, Any, Any]:
        return each(lambda leaf: leaf[part], parts.x), *(None if p is None else p[part] for p in parts[1:])

    return of(slice(0, cut)), of(slice(cut, rows))


def _checkpoints_of(options: Options) -> Checkpoints | None:
    if options.checkpoint is None:
        return None
    found = options.checkpoint if isinstance(options.checkpoint, Checkpoints) else Checkpoints(options.checkpoint)
    if not options.resume and found.steps():
        raise UsageError(
            ErrorCode.USAGE,
            f"the folder '{found.folder.name}' holds checkpoints of an earlier training",  # type: ignore[union-attr]
            fix="resume=True goes on with it; or name another folder",
        )
    return found


def _check_identity(kept: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with another training: its curve would be neither the old nor a new one."""
    other = [name for name in now if kept.get(name) != now[name]]
    if other:
        told = "; ".join(f"{name} was {kept.get(name)!r} and is {now[name]!r}" for name in other)
        raise UsageError(
            ErrorCode.USAGE, f"the checkpoint is of another training: {told}",
            fix="call fit as it was called before, or name another folder",
        )  # fmt: skip


def _named_val(logs: Mapping[str, float]) -> dict[str, float]:
    return {"val_" + name: value for name, value in logs.items()}
