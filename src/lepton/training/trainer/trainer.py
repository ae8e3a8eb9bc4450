"""`Trainer`: Keras's methods over a native PyTorch loop, for any module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lepton.core import ErrorCode, TrainingError, UsageError, Work
from lepton.report import TerminalProgress
from lepton.training.trainer import devices, fitting, preparing, saving
from lepton.training.trainer.averaging import copy_state, put_state
from lepton.training.trainer.batches import as_batch, as_inputs, at_least_one, each, num_rows
from lepton.training.trainer.checkpoints import Checkpoints, read_tensors, write_tensors
from lepton.training.trainer.feeds import feed_of
from lepton.training.trainer.history import History
from lepton.training.trainer.losses import loss_of
from lepton.training.trainer.metrics import MeanMeter, meter_of
from lepton.training.trainer.optimizers import check_rate, optimizer_of
from lepton.training.trainer.summary import summary_of

__all__ = ["Trainer"]


class Trainer:
    """Trains any `torch.nn.Module`: Keras's methods on top, a native PyTorch loop below.

    >>> trainer = Trainer(torch.nn.Linear(3, 2)).compile("adam", "categorical_crossentropy", ["accuracy"])
    >>> history = trainer.fit(np.eye(3, dtype="float32"), np.array([0, 1, 1]), epochs=3, verbose=0)
    >>> sorted(history.history)
    ['accuracy', 'loss']

    The module gives logits for cross-entropies, one output a class. One that has
    `training_loss(x, y, objective) -> (loss, outputs)` works its loss out by itself while it learns, with
    `objective(outputs, y)`, the compiled loss, for its parts.

    Args:
        module: what learns. It is changed in place and moved to the device.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the best that is there.
        seed: decides the order of the rows and all that is drawn while learning, dropout included; global generators
            are left as they were. The first weights are the module's own.
        threads: threads of torch on the CPU, one by default: more are slower beside other busy processes.
        name: what it is called in messages and files; the module's class by default.
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 on CUDA devices that have it, for modules of at
            least 1,000,000 parameters, and float32 elsewhere.

    Raises:
        UsageError: no module, or a device that is not there.
    """

    def __init__(
        self,
        module: Any,
        *,
        device: str = "cpu",
        seed: int = 0,
        threads: int | None = None,
        name: str | None = None,
        precision: str = "auto",
    ) -> None:
        if not isinstance(module, torch.nn.Module):
            raise UsageError(ErrorCode.USAGE, f"got {type(module).__name__}", wanted="a torch.nn.Module")
        if threads is not None:
            at_least_one("threads", threads)
        self.module = module
        self.name = name or type(module).__name__
        self.seed = Work(seed=seed).seed
        self.device = devices.device_of(device)
        self.history = History()
        self.stop_training = False
        self.stop_reason = ""
        self.num_fits = 0
        self.num_outputs = 1
        self.loss: Any = None
        self.loss_is_modules = False
        self.synchronize: Callable[[Sequence[Any]], None] | None = None
        """Called with the parameters before each step: workers that share a training average `.grad` here."""
        self._threads = threads or 1
        self._precision = precision
        self._optimizer: Any = None
        self._asked: tuple[Any, float | None] = ("adam", None)
        self._metrics: tuple[Any, ...] = ()
        self.sample: Any = None
        self._single: preparing.SingleSteps | None = None
        module.to(self.device)
        self.precision = devices.precision_of(precision, self.device, module)
        devices.order_channels_last(module)

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = (),
        *,
        learning_rate: float | None = None,
    ) -> Trainer:
        """Say how to learn; gives the trainer back.

        Args:
            optimizer: `adam`, `adamw`, `sgd`, `momentum`, `rmsprop`, `nadam`, `adamax`, `adagrad`, an optimizer of
                torch, or a function of the parameters that makes one.
            loss: `categorical_crossentropy` (labels or one-hot rows), `binary_crossentropy`, `mse`, `mae`, `huber`,
                `log_cosh`, or a function of outputs and targets. None for a module that has a loss of its own.
            metrics: names such as `accuracy`, `auc`, `precision`, `recall`, `f1`, `top_5_accuracy`, `mae`, `rmse`, or
                functions of outputs and targets.
            learning_rate: the highest one; the optimizer's usual one by default.

        Raises:
            UsageError: a name that nothing bears, with the closest one, or what does not fit together.
        """
        check_rate(learning_rate)
        own = hasattr(self.module, "training_loss")
        if loss is None and not own:
            raise UsageError(
                ErrorCode.USAGE, "got no loss", wanted="a name or a function",
                fix="categorical_crossentropy for classes, mse for numbers",
            )  # fmt: skip
        self.loss = loss_of(_no_loss if loss is None else loss)
        self.loss_is_modules = loss is None
        self._metrics = tuple(metrics) if isinstance(metrics, list | tuple) else (metrics,)
        for metric in self._metrics:
            meter_of(metric, "cpu", 2, self.loss)
        self._asked, self._optimizer, self._single = (optimizer, learning_rate), None, None
        if not any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in self.module.parameters()):
            self.made_optimizer()
        return self

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int = 32,
        epochs: int = 1,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Any = (),
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        shuffle: bool = True,
        recipe: Any = None,
        augment: Any = None,
        checkpoint: str | Path | Checkpoints | None = None,
        resume: bool = False,
        accumulate: int = 1,
        clip: float | None = None,
        steps_per_epoch: int | None = None,
        verbose: Any = "auto",
        work: Work | None = None,
    ) -> History:
        """Learn from rows.

        Args:
            x: inputs, [N, …]: an array, a tensor, a tuple or a dict of them for several inputs; or a data set or loader
                of torch, a generator of batches, or a function that makes one.
            y: targets, [N, …]; in the batches themselves for data sets, loaders and generators.
            batch_size: rows of a step.
            epochs: passes over the rows.
            validation_data: (x, y), (x, y, weight), a data set or a loader, evaluated after each epoch.
            validation_split: share of the rows, the last ones, that is held out for this instead.
            callbacks: objects with some of `Callback`'s methods.
            class_weight: label → weight of its rows.
            sample_weight: weight of each row, [N].
            shuffle: a new order each epoch.
            recipe: a `Recipe` (schedule, averaging, smoothing, mixup, decay), or None for the textbook loop.
            augment: `(x, y, generator) -> (x, y)` on the tensors of each batch.
            checkpoint: a folder, or `Checkpoints`, in which the training is kept as it goes.
            resume: go on with the newest whole checkpoint of that folder, where there is one: the curve is that of a
                training that was never cut off.
            accumulate: batches whose gradients are averaged for one step.
            clip: the longest gradient, all parameters together.
            steps_per_epoch: batches of an epoch, for loaders and generators without an end.
            verbose: 0 nothing, 1 a line of progress, 2 a line an epoch; `auto`: 1 in a terminal.
            work: may stop the training and is told of its progress. When it does, the history so far is given, and says
                why.

        Returns:
            the curves; `Trainer.history` holds them too, whatever happens.

        Raises:
            LeptonError: what does not fit, before the first step; `TrainingError` when the loss becomes NaN: the
                module then holds its last good state; `WorkerError` when memory runs out.
        """
        self._compiled()
        options = fitting.Options(
            x=x, y=y, batch_size=batch_size, epochs=epochs, validation_data=validation_data,
            validation_split=validation_split, callbacks=fitting.called(callbacks, epochs if verbose == 2 else 0),
            class_weight=class_weight, sample_weight=sample_weight, shuffle=shuffle, recipe=recipe, augment=augment,
            checkpoint=checkpoint, resume=resume, accumulate=accumulate, clip=clip, steps_per_epoch=steps_per_epoch,
        )  # fmt: skip
        self.stop_training, self.stop_reason = False, ""
        with self._session(batch_size, is_long=True), _watched(work, verbose) as watched:
            history = fitting.loop_of(self, options, watched).run()
            self.num_fits += 1
        return history

    def evaluate(
        self, x: Any, y: Any = None, *, batch_size: int = 256, sample_weight: Any = None, work: Work | None = None
    ) -> tuple[float, ...]:
        """The loss, and then each metric, over rows.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            batch_size: rows at a time.
            sample_weight: weight of each row in the loss.
            work: may stop it.
        """
        self._compiled()
        with self._session(batch_size):
            feed = self._feed(x, y, sample_weight, batch_size)
            preparing.prepare(self, feed)
            return tuple(preparing.measure(self, feed, Work.of(work)).values())

    def predict(self, x: Any, *, batch_size: int = 256, work: Work | None = None) -> Any:
        """The module's outputs, [N, …]: an array, or a tuple or dict of them where the module gives several.

        They are what the module gives: logits, where it was trained with a cross-entropy.

        Args:
            x: as in `fit`; targets in data sets are left aside.
            batch_size: rows at a time.
            work: may stop it.
        """
        with self._session(batch_size):
            found = preparing.answers(self, self._feed(x, None, None, batch_size), Work.of(work))
        return _joined([_outputs(part) for part in found])

    def train_step(self, batch: Any) -> dict[str, float]:
        """Learn from one batch, (x, y) or (x, y, weight), and give its loss and metrics: for loops of one's own.

        The optimizer goes on between calls; there is no schedule and no averaging.
        """
        self._compiled()
        given = as_batch(batch)
        with self._session(num_rows(given.x)):
            if self._single is None:
                self._single = preparing.SingleSteps(self, given)
            return self._single.take(given)

    def summary(self, x: Any = None) -> None:
        """Print the layers and the numbers of parameters; with a few rows `x`, the shapes of the outputs too."""
        sys.stdout.write(self.described(x))

    def described(self, x: Any = None) -> str:
        """What `summary` prints."""
        return summary_of(self.module, None if x is None else each(lambda leaf: leaf[:2], as_inputs(x)), self.name)

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """The module's parameters and buffers as named arrays, copied: what a federation sends."""
        found = {}
        for name, tensor in copy_state(self.module).items():
            found[name] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().contiguous().numpy()
        return found

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put named arrays into the module, all of them or none.

        Raises:
            UsageError: other names or shapes, or values that are not finite.
        """
        given = {name: torch.as_tensor(np.asarray(value)) for name, value in state.items()}
        bad = [n for n, value in given.items() if value.is_floating_point() and not torch.isfinite(value).all()]
        if bad:
            raise UsageError(ErrorCode.USAGE, f"the state holds NaN or infinity in {bad[0]!r}", wanted="finite numbers")
        put_state({n: v for n, v in self.module.state_dict().items() if torch.is_tensor(v)}, given)

    def save_weights(self, path: str | Path) -> None:
        """Write the module's parameters and buffers as safetensors, whole or not at all."""
        write_tensors(Path(path), copy_state(self.module))

    def load_weights(self, path: str | Path) -> None:
        """Read what `save_weights` wrote; `UsageError` where it is of another module."""
        put_state({n: v for n, v in self.module.state_dict().items() if torch.is_tensor(v)}, read_tensors(Path(path)))

    def save(self, path: str | Path, *, labels: Sequence[str] | Sequence[int] | None = None) -> str:
        """Write the module as a model file, which predicts and serves without torch; gives its `model_id`.

        The module is exported to ONNX, and its answers compared with the module's own on rows that it has seen. A net
        that was trained with categorical_crossentropy, or with binary_crossentropy and one output, becomes a
        classifier with probabilities; one output and a loss of numbers, a regression; anything else, a model of plain
        tensors. Its curves are the report `training`.

        Args:
            path: the file.
            labels: of the classes, in the order of the outputs; 0, 1, … by default.

        Raises:
            TrainingError: nothing was learned yet, or ONNX cannot hold what the module does.
            BundleError: the exported graph gives other answers than the module.
        """
        self._compiled()
        return saving.save_bundle(self, Path(path), labels)

    @property
    def learning_rate(self) -> float:
        """Of the last step, or the one that is to begin with."""
        return float(self.made_optimizer().param_groups[0]["lr"])

    def made_optimizer(self) -> Any:
        """The optimizer of torch; made when it is first asked for."""
        if self._optimizer is None:
            self._optimizer = optimizer_of(self._asked[0], self.module, self._asked[1])
        return self._optimizer

    def meters(self) -> tuple[Any, ...]:
        """New sums: of the loss, and of each metric."""
        own = [meter_of(metric, self.device, self.num_outputs, self.loss) for metric in self._metrics]
        return (MeanMeter("loss", self.device), *own)

    def _compiled(self) -> None:
        if self.loss is None:
            raise TrainingError(
                ErrorCode.NOT_FITTED, "the trainer does not know yet how to learn",
                fix="call compile first, for example trainer.compile('adam', 'categorical_crossentropy', ['accuracy'])",
            )  # fmt: skip

    def _feed(self, x: Any, y: Any, weight: Any, batch_size: int) -> Any:
        seeds = Work(seed=self.seed)
        return feed_of(x, y, weight, batch_size=batch_size, shuffle=False, work=seeds, device=self.device)

    @contextmanager
    def _session(self, rows: int, *, is_long: bool = False) -> Iterator[None]:
        """Threads, randomness, memory and words for memory that ran out, for one call."""
        with (
            devices.own_threads(self._threads),
            devices.own_randomness(self.device),
            devices.told_failures(rows),
            devices.own_memory(is_long=is_long),
        ):
            yield


def _no_loss(outputs: Any, y: Any) -> Any:
    """Stands for the loss of a module that works it out by itself."""
    raise UsageError(
        ErrorCode.USAGE, "training_loss asked for the compiled loss, and none was given", fix="compile(loss=…)"
    )


@contextmanager
def _watched(work: Work | None, verbose: Any) -> Iterator[Work]:
    """Work that tells its progress, where somebody looks."""
    if verbose not in {"auto", 0, 1, 2}:
        raise UsageError(ErrorCode.USAGE, f"got verbose={verbose!r}", wanted="0, 1, 2 or 'auto'")
    work = Work.of(work)
    shown = verbose in {1} or (verbose == "auto" and sys.stderr.isatty())
    if work.reporter is not None or not shown:
        yield work
        return
    with TerminalProgress() as progress:
        work.reporter = progress
        try:
            yield work
        finally:
            work.reporter = None


def _outputs(found: Any) -> Any:
    if torch.is_tensor(found):
        return (found.float() if found.dtype == torch.bfloat16 else found).cpu().numpy()
    if isinstance(found, Mapping):
        return {name: _outputs(part) for name, part in found.items()}
    return tuple(_outputs(part) for part in found)


def _joined(found: Sequence[Any]) -> Any:
    if isinstance(found[0], dict):
        return {name: _joined([part[name] for part in found]) for name in found[0]}
    if isinstance(found[0], tuple):
        return tuple(_joined(parts) for parts in zip(*found, strict=True))
    return np.concatenate(found)
