"""The loop over epochs and batches: a native PyTorch loop, with the things around it that must not slow it down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from lepton.core import ErrorCode, Interrupted, ProgressRecord, TrainingError, Work
from lepton.report import show_number
from lepton.training.trainer.averaging import copy_state, put_state
from lepton.training.trainer.batches import Batch, leaves, num_rows
from lepton.training.trainer.callbacks import names_hook
from lepton.training.trainer.checkpoints import Checkpoints, Kept
from lepton.training.trainer.feeds import Feed, check_finite
from lepton.training.trainer.history import History
from lepton.training.trainer.keeping import gather, part_of
from lepton.training.trainer.metrics import MeanMeter, Meter
from lepton.training.trainer.stepping import NotFiniteError, Stepper

__all__ = ["Loop", "Place"]

_REPORT_SECONDS = 0.1
_LOOK_STEPS = 32
"""On accelerators the losses of so many steps are looked at together: to look at one makes the device wait."""
_KEEP_STEPS = 2000
"""The last good state is copied at the start of each epoch, and after so many steps in long ones."""


@dataclass(slots=True)
class Place:
    """Where a training is: the next batch, and how many batches there were in all."""

    epoch: int = 0
    batch: int = 0
    done: int = 0


@dataclass(slots=True)
class Loop:
    """One call of `fit`, with all its parts made.

    Attributes:
        trainer: what callbacks get to see, with `stop_training` and `history`.
        stepper: takes the steps.
        feed: gives the batches.
        loss_meter: mean loss of training.
        others: the other numbers of training.
        validate: gives the numbers of the validation data, or None.
        callbacks: in the order in which they are called.
        epochs: how many.
        work: may stop it.
        checkpoints: where it is kept, or None.
        identity: what must be the same for a checkpoint to fit.
        place: where it is.
    """

    trainer: Any
    stepper: Stepper
    feed: Feed
    loss_meter: MeanMeter
    others: Sequence[Meter]
    validate: Callable[[], dict[str, float]] | None
    callbacks: Sequence[Any]
    epochs: int
    work: Work
    checkpoints: Checkpoints | None
    identity: dict[str, Any]
    place: Place = field(default_factory=Place)
    _good: dict[str, Any] = field(default_factory=dict)
    _good_place: str = "before the first step"
    _recent: list[tuple[int, Any]] = field(default_factory=list)
    _began: float = 0.0
    _began_at: int = 0
    _reported: float = 0.0
    _best: str = ""
    _used: float = 0.0

    @property
    def meters(self) -> tuple[Meter, ...]:
        """All that is added up in training."""
        return (self.loss_meter, *self.others)

    def run(self) -> History:
        """Go through the epochs that are left.

        Raises:
            TrainingError: the loss is NaN or infinite; the module holds the last good state.
            Interrupted: asked to stop before the first step.
        """
        history: History = self.trainer.history
        self._began, self._began_at = time.monotonic(), self.place.done
        try:
            while self.place.epoch < self.epochs and not history.stopped:
                self._epoch(self.place.epoch)
        except Interrupted as error:
            if not self.place.done:
                raise
            if self.checkpoints is not None:
                self._keep()
            history.stopped = error.came
        except NotFiniteError as error:
            raise self._told(error) from None
        if self.stepper.averager is not None:
            self.stepper.averager.keep()
        if self.stepper.schedule is not None:
            self.stepper.schedule.restore()
        for callback in self.callbacks:
            if names_hook(callback, "on_train_end"):
                callback.on_train_end({})
        return history

    def take_up(self, kept: Kept) -> None:
        """Go on where a checkpoint was kept; module and optimizer are the stepper's."""
        where = kept.record["place"]
        self.place = Place(where["epoch"], where["batch"], where["done"])
        self.trainer.history = History.from_dict(kept.record["history"])
        self._used = kept.record["used"]
        sums = part_of(kept.tensors, "sums/")
        for number, meter in enumerate(self.meters):
            own = part_of(sums, f"{number}/")
            meter.sums = {name: value.to(meter.device) for name, value in own.items()}

    def _epoch(self, epoch: int) -> None:
        started = time.monotonic()
        if self.place.batch == 0:
            for meter in self.meters:
                meter.reset()
            self._call("on_epoch_begin", epoch)
        self._copy_good(f"at the start of epoch {epoch + 1}")
        self.stepper.module.train()
        self._batches(epoch)
        self._look()
        logs = {meter.name: meter.result() for meter in self.meters}
        with self._averaged():
            if self.validate is not None:
                logs |= self.validate()
            self._call("on_epoch_end", epoch, logs)
        seconds, self._used = time.monotonic() - started + self._used, 0.0
        self.trainer.history.append(epoch, logs, seconds)
        self._report_epoch(epoch, logs)
        self.place.epoch, self.place.batch = epoch + 1, 0
        if self.trainer.stop_training:
            self.trainer.history.stopped = self.trainer.stop_reason or "a callback stopped it"
        keep = self.checkpoints
        ends = self.place.epoch == self.epochs or bool(self.trainer.history.stopped)
        if keep is not None and (ends or self.place.epoch % keep.every_epochs == 0):
            self._keep()

    def _batches(self, epoch: int) -> None:
        """The steps of an epoch; what stands in this loop runs for every one of them."""
        stepper, work, place = self.stepper, self.work, self.place
        begins = [c for c in self.callbacks if names_hook(c, "on_train_batch_begin")]
        ends = [c for c in self.callbacks if names_hook(c, "on_train_batch_end")]
        last = None if self.feed.steps is None else self.feed.steps - 1
        waits = stepper.device.type != "cpu"
        started = time.monotonic()
        for batch in self.feed.batches(epoch, place.batch):
            work.check()
            number = place.batch
            for callback in begins:
                callback.on_train_batch_begin(number, {})
            try:
                loss, outputs, learned = stepper.take(batch, epoch, number, last=number == last)
            except NotFiniteError as error:
                raise _blamed(error, batch) from None
            _measure(self.loss_meter, self.others, loss, outputs, learned)
            place.batch += 1
            place.done += 1
            if waits:
                self._recent.append((number, loss))
                if len(self._recent) == _LOOK_STEPS:
                    self._look()
            for callback in ends:
                callback.on_train_batch_end(number, {"loss": float(loss)})
            if place.done % _KEEP_STEPS == 0:
                self._look()
                self._copy_good(f"after step {number + 1} of epoch {epoch + 1}")
            if self.checkpoints is not None and number != last and self.checkpoints.due(place.done):
                self._keep_between(time.monotonic() - started)
            now = time.monotonic()
            if now - self._reported >= _REPORT_SECONDS:
                self._reported = now
                self._report(now)
        stepper.finish()

    def _keep_between(self, seconds: float) -> None:
        """Keep within an epoch, where no gradients wait to be stepped with."""
        if self.stepper.waiting == 0:
            self._look()
            before, self._used = self._used, self._used + seconds
            self._keep()
            self._used = before

    def _keep(self) -> None:
        if self.checkpoints is None or self.stepper.waiting:
            return
        sums: dict[str, Any] = {}
        for number, meter in enumerate(self.meters):
            meter.gather()
            sums |= {f"{number}/{name}": value for name, value in meter.sums.items()}
        tensors, record = gather(self.stepper, sums, self.callbacks)
        place = {"epoch": self.place.epoch, "batch": self.place.batch, "done": self.place.done}
        record |= {"place": place, "history": self.trainer.history.to_dict(), "identity": self.identity}
        self.checkpoints.write(self.place.done, tensors, {**record, "used": self._used})

    def _look(self) -> None:
        """Find a loss that was not finite among those that nobody has looked at."""
        if not self._recent:
            return
        values = torch.stack([loss.float() for _, loss in self._recent]).tolist()
        for (number, _), value in zip(self._recent, values, strict=True):
            if value != value or value in {float("inf"), float("-inf")}:
                self.place.batch = number
                raise NotFiniteError(ErrorCode.TRAINING_FAILED, f"the loss became {value}")
        self._recent.clear()

    def _copy_good(self, when: str) -> None:
        with self._averaged():
            now = copy_state(self.stepper.module)
        if all(bool(torch.isfinite(tensor).all()) for tensor in now.values() if tensor.is_floating_point()):
            self._good, self._good_place = now, when

    def _told(self, error: NotFiniteError) -> TrainingError:
        """The error that names the step; the module gets its last good state back."""
        state = {name: tensor for name, tensor in self.stepper.module.state_dict().items() if name in self._good}
        put_state(state, self._good)
        rate = self.stepper.optimizer.param_groups[0]["lr"]
        if self.stepper.schedule is not None:
            self.stepper.schedule.restore()
        epoch, batch = self.place.epoch + 1, self.place.batch + 1
        came = f"{error.came} at step {batch} of epoch {epoch}, with a learning rate of {rate:g}"
        self.trainer.history.stopped = came
        return TrainingError(
            ErrorCode.TRAINING_FAILED,
            f"{came}; the module has the weights back that it had {self._good_place}",
            fix=error.fix or "lower learning_rate, or limit gradients with clip=1.0; then fit again",
            details={"epoch": epoch, "step": batch},
        )

    def _averaged(self) -> AbstractContextManager[None]:
        """Within, the module holds the weights that are evaluated and kept."""
        averager = self.stepper.averager
        return nullcontext() if averager is None else averager.applied()

    def _call(self, name: str, epoch: int, logs: dict[str, float] | None = None) -> None:
        for callback in self.callbacks:
            if names_hook(callback, name):
                getattr(callback, name)(epoch, {} if logs is None else logs)

    def _report(self, now: float) -> None:
        reporter = self.work.reporter
        if reporter is None:
            return
        per_epoch = self.feed.steps
        total = None if per_epoch is None else per_epoch * self.epochs
        took, made = now - self._began, self.place.done - self._began_at
        left = None if total is None or not made else took / made * (total - self.place.done)
        elapsed = took * self.place.done / max(made, 1)
        note = f"epoch {self.place.epoch + 1}/{self.epochs}"
        reporter(ProgressRecord(self.place.done, total, "steps", self._best, note, elapsed, left))

    def _report_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        name = next((n for n in ("val_accuracy", "val_loss", "accuracy", "loss") if n in logs), "loss")
        values = self.trainer.history.history[name]
        best = max(values) if "accuracy" in name else min(values)
        self._best = f"{name} {show_number(best)}"
        if epoch + 1 == self.epochs:
            self._report(time.monotonic())


def _measure(loss_meter: MeanMeter, others: Sequence[Meter], loss: Any, outputs: Any, batch: Batch) -> None:
    """Add a batch to the sums; nothing here waits for the device."""
    with torch.no_grad():
        loss_meter.add(loss, num_rows(batch.x))
        for meter in others:
            meter.update(outputs, batch.y)


def _blamed(error: NotFiniteError, batch: Batch) -> NotFiniteError:
    """The error with its cause, where the batch has it."""
    for leaf in leaves(batch.x):
        try:
            check_finite(leaf, "the batch")
        except ValueError as found:
            return NotFiniteError(error.code, error.came + f" ({found.args[0]})", fix="leave out or fill such rows")
    return error
