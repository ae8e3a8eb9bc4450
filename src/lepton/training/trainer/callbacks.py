"""Callbacks: what is called while a training runs, under Keras's names."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lepton.core import ErrorCode, MissingExtraError, UsageError
from lepton.report import show_number
from lepton.store import write_text
from lepton.training.trainer.averaging import copy_state, put_state

__all__ = [
    "CSVLog",
    "Callback",
    "EarlyStopping",
    "EpochLines",
    "LearningRateLog",
    "ModelCheckpoint",
    "TensorBoard",
    "checked_callbacks",
    "names_hook",
]


class Callback:
    """Something that a training calls. All methods do nothing; write those that are wanted.

    `logs` holds the numbers so far and may be added to at the end of an epoch: what is put there is in the history.
    `self.trainer` is the trainer, whose module holds at the end of an epoch the weights that were evaluated;
    `self.trainer.stop_training = True` ends the training after the epoch.
    """

    trainer: Any = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Called once, before the first step."""

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Called once, after the last step."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called before each epoch, from 0."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called after each epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Called before each batch of an epoch."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Called after each batch with its loss, which makes an accelerator wait."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint shall keep: numbers and texts, and tensors by name."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""


def names_hook(callback: Any, name: str) -> bool:
    """Whether a callback has written this method, so that nothing is worked out for the others."""
    own = getattr(type(callback), name, None)
    return own is not None and own is not getattr(Callback, name)


class _Monitor(Callback):
    """Keeps the best value of a number of the logs."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in {"auto", "min", "max"}:
            raise UsageError(ErrorCode.USAGE, f"got mode={mode!r}", wanted="auto, min or max")
        if not min_delta >= 0:
            raise UsageError(ErrorCode.USAGE, f"got min_delta={min_delta!r}", wanted="at least 0")
        self.monitor = monitor
        self._delta = min_delta
        larger = ("accuracy", "acc", "auc", "precision", "recall", "f1")
        self._sign = 1.0 if mode == "max" or (mode == "auto" and monitor.endswith(larger)) else -1.0
        self.best = math.nan

    def improved(self, logs: dict[str, float] | None) -> bool:
        """Whether the value of this epoch is the best so far."""
        value = self.value(logs)
        if math.isnan(value) or self._sign * (value - self.best) <= self._delta:
            return False  # against NaN, the first value is better
        self.best = value
        return True

    def value(self, logs: dict[str, float] | None) -> float:
        """The value of this epoch; `UsageError` where there is none of that name."""
        if not logs or self.monitor not in logs:
            there = ", ".join(logs or ()) or "nothing"
            raise UsageError(
                ErrorCode.USAGE, f"{type(self).__name__} watches {self.monitor!r}, and there is {there}",
                fix="give validation_data or validation_split, or monitor='loss'",
            )  # fmt: skip
        return float(logs[self.monitor])


class EarlyStopping(_Monitor):
    """Ends a training that no longer gets better.

    Args:
        monitor: what is watched.
        patience: epochs without a better value before it ends.
        min_delta: by how much a value must be better to count.
        mode: `min`, `max`, or `auto`, which knows accuracy and its like from losses.
        restore_best_weights: whether to go back to the weights of the best epoch at the end.
        start_from_epoch: epochs that are not looked at.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 0,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.best_epoch = -1
        self.stopped_epoch = 0
        self._restore = restore_best_weights
        self._from = start_from_epoch
        self._wait = 0
        self._weights: dict[str, Any] = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget an earlier training."""
        self._wait, self.best, self.best_epoch, self.stopped_epoch, self._weights = 0, math.nan, -1, 0, {}

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the value."""
        if epoch < self._from:
            self.value(logs)
            return
        if self.improved(logs):
            self._wait, self.best_epoch = 0, epoch
            if self._restore:
                self._weights = copy_state(self.trainer.module)
            return
        self._wait += 1
        if self._wait >= max(self.patience, 1):
            self.stopped_epoch = epoch
            self.trainer.stop_training = True
            self.trainer.stop_reason = (
                f"{self.monitor} was not better for {self._wait} epoch(s); the best was epoch {self.best_epoch + 1}"
            )

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Go back to the best weights."""
        if self._restore and self._weights:
            put_state(self.trainer.module.state_dict(), self._weights)

    def state(self) -> dict[str, Any]:
        """Best value, epochs waited, best weights."""
        numbers = {"best": self.best, "wait": self._wait, "best_epoch": self.best_epoch, "stopped": self.stopped_epoch}
        return {**numbers, **{f"weights.{name}": tensor for name, tensor in self._weights.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on waiting."""
        self.best, self._wait, self.best_epoch, self.stopped_epoch = (
            state[name] for name in ("best", "wait", "best_epoch", "stopped")
        )
        self._weights = {name[8:]: value for name, value in state.items() if name.startswith("weights.")}


class ModelCheckpoint(_Monitor):
    """Writes the weights as safetensors after an epoch, whole or not at all; `Trainer.load_weights` reads them.

    To go on with a training that was cut off, use `fit(checkpoint=…)`, which keeps all that it needs.

    Args:
        filepath: the file; `{epoch}` in it is the number of the epoch, from 1.
        monitor: what is watched.
        save_best_only: whether to write only where the value is the best so far.
        mode: as for `EarlyStopping`.
    """

    def __init__(
        self, filepath: str | Path, monitor: str = "val_loss", *, save_best_only: bool = False, mode: str = "auto"
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath = str(filepath)
        self._best_only = save_best_only

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write."""
        if not self._best_only or self.improved(logs):
            self.trainer.save_weights(self.filepath.replace("{epoch}", str(epoch + 1)))

    def state(self) -> dict[str, Any]:
        """The best value."""
        return {"best": self.best}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from the best value."""
        self.best = state["best"]


class CSVLog(Callback):
    """Keeps the numbers of each epoch in a CSV file, which is whole at any time.

    Args:
        filename: the file.
        separator: between the columns.
    """

    def __init__(self, filename: str | Path, *, separator: str = ",") -> None:
        self.filename = filename
        self._separator = separator

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write all epochs so far."""
        history = self.trainer.history
        rows = [
            dict(zip(history.history, values, strict=True)) for values in zip(*history.history.values(), strict=True)
        ]
        rows.append(dict(logs or {}))
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self._separator, lineterminator="\n")
        writer.writerow(["epoch", *columns])
        writer.writerows(
            [number, *(row.get(name, "") for name in columns)]
            for number, row in zip([*history.epoch, epoch], rows, strict=True)
        )
        write_text(Path(self.filename), text.getvalue())


class LearningRateLog(Callback):
    """Puts the learning rate of the last step of each epoch into the history, as `learning_rate`."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add it."""
        if logs is not None:
            logs["learning_rate"] = self.trainer.learning_rate


class EpochLines(Callback):
    """Prints a line an epoch, for `verbose=2`.

    Args:
        epochs: how many there will be.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print it."""
        numbers = " · ".join(f"{name} {show_number(value)}" for name, value in (logs or {}).items())
        sys.stdout.write(f"epoch {epoch + 1}/{self._epochs} · {numbers}\n")
        sys.stdout.flush()


class TensorBoard(Callback):
    """Writes the curves as TensorBoard's event files.

    Args:
        log_dir: the folder.

    Raises:
        MissingExtraError: the library `tensorboard` is not installed.
    """

    def __init__(self, log_dir: str | Path = "logs") -> None:
        self.log_dir = str(log_dir)
        self._writers: dict[str, Any] = {}
        _event_writer()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add a point to each curve; training and validation are runs of their own, so that they share a picture."""
        make = _event_writer()
        for name, value in (logs or {}).items():
            run, tag = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            if run not in self._writers:
                self._writers[run] = make(str(Path(self.log_dir) / run))
            self._writers[run].add_scalar("epoch_" + tag, value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _event_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - it imports another library
    except ImportError:
        raise MissingExtraError("tensorboard", "", "A log for TensorBoard") from None
    return SummaryWriter


def checked_callbacks(callbacks: Any) -> tuple[Any, ...]:
    """Callbacks as a tuple; one alone will do.

    Raises:
        UsageError: something that has none of the methods.
    """
    found: Sequence[Any] = callbacks if isinstance(callbacks, Sequence) else (callbacks,)
    for callback in found:
        if isinstance(callback, type) or not any(hasattr(callback, name) for name in vars(Callback) if "on_" in name):
            raise UsageError(
                ErrorCode.USAGE, f"got the callback {callback!r}", wanted="an object of a kind of lepton's Callback"
            )
    return tuple(found)
