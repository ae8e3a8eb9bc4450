"""Metrics by name, added up on tensors over the batches of an epoch: nothing waits for the device in between."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from lepton.core import ErrorCode, UsageError
from lepton.training.trainer.losses import LOSSES, Loss, loss_of, unknown

__all__ = ["METRICS", "MeanMeter", "Meter", "meter_of"]


class Meter:
    """Adds up one metric; its sums are tensors of float64 (float32 on MPS), so that a checkpoint can hold them.

    Args:
        name: how it is called in the history.
        device: where the sums lie.
        sizes: name → shape of each sum.
    """

    def __init__(self, name: str, device: Any, **sizes: tuple[int, ...]) -> None:
        self.name = name
        self.device = device
        kind = torch.float32 if torch.device(device).type == "mps" else torch.float64
        self.sums: dict[str, Any] = {key: torch.zeros(size, dtype=kind, device=device) for key, size in sizes.items()}

    def reset(self) -> None:
        """Begin anew."""
        for value in self.sums.values():
            value.zero_()

    def gather(self) -> None:
        """Bring all that was added into `sums`."""

    def update(self, outputs: Any, y: Any) -> None:
        """Add a batch."""
        raise NotImplementedError

    def result(self) -> float:
        """The metric of all rows that were added; NaN without any."""
        raise NotImplementedError


class MeanMeter(Meter):
    """The mean over rows of what a function gives a row, or of the batches' means, weighted by their rows."""

    def __init__(self, name: str, device: Any, function: Callable[[Any, Any], Any] | None = None) -> None:
        super().__init__(name, device, total=(), rows=())
        self._function = function
        self._rows = 0.0  # a number of Python is quicker to add to than a tensor; `gather` brings it over

    def reset(self) -> None:
        """Begin anew."""
        super().reset()
        self._rows = 0.0

    def gather(self) -> None:
        """Bring the rows into `sums`."""
        self.sums["rows"] += self._rows
        self._rows = 0.0

    def update(self, outputs: Any, y: Any) -> None:
        """Add a batch."""
        if self._function is None:
            return
        value = self._function(outputs, y)
        if not isinstance(value, torch.Tensor):
            self.add(torch.as_tensor(float(value), device=outputs.device), len(outputs))
        elif value.ndim:
            self.sums["total"].add_(value.detach().sum())
            self._rows += value.numel()
        else:
            self.add(value.detach(), len(outputs))

    def add(self, mean: Any, rows: float) -> None:
        """Add a batch by its mean."""
        self.sums["total"].add_(mean, alpha=rows)
        self._rows += rows

    def add_sum(self, total: Any, rows: Any) -> None:
        """Add a batch by its sum."""
        self.sums["total"].add_(total)
        self.sums["rows"].add_(rows)

    def result(self) -> float:
        """The mean."""
        self.gather()
        rows = float(self.sums["rows"])
        return float(self.sums["total"]) / rows if rows else math.nan


class _RootMeter(MeanMeter):
    def result(self) -> float:
        return math.sqrt(super().result())


class _CountsMeter(Meter):
    """Precision, recall or F1: of the positive class with one output, else the mean over the classes that occur."""

    def __init__(
        self, name: str, device: Any, classes: int, score: Callable[[Any, Any, Any], Any], several: bool
    ) -> None:
        super().__init__(name, device, hit=(classes,), said=(classes,), true=(classes,))
        self._score = score
        self._several = several

    def update(self, outputs: Any, y: Any) -> None:
        if self._several or _one_output(outputs):
            said = (outputs.reshape(len(outputs), -1) > 0).double()
            true = (y.reshape(len(y), -1) > 0.5).double()
        else:
            said = torch.nn.functional.one_hot(outputs.argmax(1), outputs.shape[1]).double()
            true = torch.nn.functional.one_hot(labels_of(y), outputs.shape[1]).double()
        for key, value in (("hit", said * true), ("said", said), ("true", true)):
            self.sums[key] += value.reshape(-1, value.shape[-1]).sum(0)

    def result(self) -> float:
        hit, said, true = (self.sums[key] for key in ("hit", "said", "true"))
        occurs = (true > 0) | (said > 0)
        return float(self._score(hit, said, true)[occurs].mean()) if bool(occurs.any()) else math.nan


class _RankMeter(Meter):
    """Area under the ROC curve, exact: scores are kept until the end of the epoch; several classes: mean of each."""

    def __init__(self, name: str, device: Any, several: bool) -> None:
        super().__init__(name, device)
        self._several = several
        self.reset()

    def reset(self) -> None:
        self.sums = {"scores": torch.zeros(0, 0), "truth": torch.zeros(0, 0)}
        self._new: list[tuple[Any, Any]] = []

    def update(self, outputs: Any, y: Any) -> None:
        outputs = outputs.detach()
        if _one_output(outputs):
            self._new.append((outputs.reshape(-1, 1).float(), (y.reshape(-1, 1) > 0.5).float()))
            return
        if self._several:
            self._new.append((outputs.float(), (y > 0.5).float()))
            return
        truth = torch.nn.functional.one_hot(labels_of(y), outputs.shape[1]).float()
        scores = outputs.float().softmax(1)
        self._new.append((scores[:, 1:], truth[:, 1:]) if outputs.shape[1] == 2 else (scores, truth))

    def gather(self) -> None:
        """Put what came in lately to the rest."""
        if self._new:
            kept = [(self.sums["scores"], self.sums["truth"])] if len(self.sums["scores"]) else []
            parts = kept + [(scores.cpu(), truth.cpu()) for scores, truth in self._new]
            self.sums = {"scores": torch.cat([s for s, _ in parts]), "truth": torch.cat([t for _, t in parts])}
            self._new = []

    def result(self) -> float:
        self.gather()
        areas = [
            _area(self.sums["scores"][:, place], self.sums["truth"][:, place])
            for place in range(self.sums["scores"].shape[1])
        ]
        known = [area for area in areas if not math.isnan(area)]
        return sum(known) / len(known) if known else math.nan


def _area(scores: Any, truth: Any) -> float:
    """Mann and Whitney's count of pairs in the right order; ties count half."""
    positive = float(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return math.nan
    _, inverse, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    middle = counts.double().cumsum(0) - (counts.double() - 1) / 2
    ranks = float(middle[inverse][truth > 0.5].sum())
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def _one_output(outputs: Any) -> bool:
    return bool(outputs.ndim == 1 or outputs.shape[1] == 1)


def labels_of(y: Any) -> Any:
    """Labels of targets: themselves, or the largest of a distribution."""
    return y.argmax(1) if y.is_floating_point() else y


def _accuracy(outputs: Any, y: Any) -> Any:
    return outputs.argmax(1) == labels_of(y)


def _accuracy_of_each(outputs: Any, y: Any) -> Any:
    return (outputs > 0) == (y > 0.5)


def _accuracy_unknown(outputs: Any, y: Any) -> Any:
    one = _one_output(outputs)
    return _accuracy_of_each(outputs.reshape(len(outputs), -1), y.reshape(len(y), -1)) if one else _accuracy(outputs, y)


def _top(outputs: Any, y: Any) -> Any:
    best = outputs.topk(min(5, outputs.shape[1]), 1).indices
    return (best == labels_of(y).unsqueeze(1)).any(1)


def _absolute(outputs: Any, y: Any) -> Any:
    return (outputs - y).abs()


def _squared(outputs: Any, y: Any) -> Any:
    return (outputs - y) ** 2


def _precision(hit: Any, said: Any, _: Any) -> Any:
    return hit / said.clamp_min(1)


def _recall(hit: Any, _: Any, true: Any) -> Any:
    return hit / true.clamp_min(1)


def _f1(hit: Any, said: Any, true: Any) -> Any:
    return 2 * hit / (said + true).clamp_min(1)


_ACCURACIES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy")
_OF_NUMBERS: dict[str, Callable[[Any, Any], Any]] = {
    "mae": _absolute,
    "mean_absolute_error": _absolute,
    "mse": _squared,
    "mean_squared_error": _squared,
}
_ROOTS = ("rmse", "root_mean_squared_error")
_COUNTS = {"precision": _precision, "recall": _recall, "f1": _f1}
METRICS = (*_ACCURACIES, "top_5_accuracy", "auc", *_COUNTS, *_OF_NUMBERS, *_ROOTS)
"""Names of metrics; those of losses are metrics too."""


def meter_of(metric: Any, device: Any, num_outputs: int, loss: Loss) -> Meter:
    """A meter of that name, or the mean of `metric(outputs, y)`, a function.

    Args:
        metric: a name, or a function that gives a number, or a tensor with one a row.
        device: where it adds up.
        num_outputs: sizes of the module's outputs beyond the rows.
        loss: what is learned; accuracy cannot be told where that is numbers.

    Raises:
        UsageError: no such name, one that does not fit the loss, or something that cannot be called.
    """
    if callable(metric):
        return MeanMeter(getattr(metric, "__name__", type(metric).__name__), device, metric)
    name = str(metric)
    known = [*METRICS, *LOSSES]
    if not isinstance(metric, str) or name.lower() not in known:
        raise unknown("metrics", metric, known)
    key = name.lower()
    numeric = key in _OF_NUMBERS or key in _ROOTS
    of_classes = key in METRICS and not numeric
    if (loss.kind == "numbers" and of_classes) or (loss.kind == "classes" and numeric):
        raise UsageError(
            ErrorCode.USAGE,
            f"the metric {name!r} does not fit the loss {loss.name!r}",
            wanted="accuracy, auc, precision, recall or f1" if numeric else "mae, mse or rmse",
        )
    several = loss.kind == "binary"
    if key in _ACCURACIES:
        accuracy = {"binary": _accuracy_of_each, "classes": _accuracy}.get(loss.kind, _accuracy_unknown)
        return MeanMeter(name, device, accuracy)
    if key == "top_5_accuracy":
        return MeanMeter(name, device, _top)
    if key in _ROOTS:
        return _RootMeter(name, device, _squared)
    if key in _COUNTS:
        return _CountsMeter(name, device, num_outputs, _COUNTS[key], several)
    if key == "auc":
        return _RankMeter(name, device, several)
    return MeanMeter(name, device, _OF_NUMBERS.get(key) or loss_of(key).rows)
