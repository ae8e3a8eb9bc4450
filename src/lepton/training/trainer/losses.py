"""Losses by name: what is made small, per row and in the mean, and what targets must look like for it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from lepton.core import DataError, ErrorCode, UsageError

__all__ = ["LOSSES", "Loss", "loss_of"]

_ALMOST = 1e-3


class Loss:
    """A loss: `rows` gives one number a row, `mean` their mean, and `targets` checks and shapes y once.

    Args:
        name: what it is called in messages.
        kind: `classes`, `binary`, `numbers`, or `own` for a function of the user's, which takes y as it is.
        function: (outputs, y, reduction, smoothing) → loss; reduction is `none` or `mean`.
        smoothing: label smoothing, for `classes` and `binary`.
    """

    def __init__(
        self, name: str, kind: str, function: Callable[[Any, Any, str, float], Any], smoothing: float = 0.0
    ) -> None:
        self.name = name
        self.kind = kind
        self._function = function
        self._smoothing = smoothing

    def smoothed(self, smoothing: float) -> Loss:
        """The same loss with label smoothing, for the steps of a training."""
        if not smoothing:
            return self
        if self.kind not in {"classes", "binary"}:
            raise UsageError(
                ErrorCode.USAGE, f"got label_smoothing={smoothing:g} with the loss {self.name}",
                wanted="categorical_crossentropy or binary_crossentropy",
            )  # fmt: skip
        return Loss(self.name, self.kind, self._function, smoothing)

    def mean(self, outputs: Any, y: Any) -> Any:
        """The mean loss of a batch, a scalar tensor."""
        return self._function(outputs, y, "mean", self._smoothing)

    def rows(self, outputs: Any, y: Any) -> Any:
        """The loss of each row, [N]."""
        loss = self._function(outputs, y, "none", self._smoothing)
        if loss.ndim == 0:
            raise UsageError(
                ErrorCode.USAGE,
                f"the loss {self.name} gives one number a batch, and weights need one a row",
                fix="give a loss with reduction='none', or leave class_weight and sample_weight out",
            )
        return loss.flatten(1).mean(1) if loss.ndim > 1 else loss

    def targets(self, y: Any, shape: Sequence[int]) -> Any:
        """`y` as this loss takes it, for outputs of `shape` (the first size is not looked at).

        Raises:
            DataError: another shape, labels outside the range, numbers that are not whole or not finite.
        """
        if self.kind == "classes":
            return _class_targets(y, shape)
        if self.kind == "binary":
            return _binary_targets(y, shape)
        if self.kind == "numbers":
            return _like_outputs(_finite(y), shape).float()
        return y

    def check_outputs(self, outputs: Any) -> None:
        """Refuse probabilities where logits are wanted: they would learn slowly, without a word."""
        if not isinstance(outputs, torch.Tensor):
            if self.kind == "own":
                return
            came = f"the module gives {type(outputs).__name__} and the loss {self.name} takes a tensor"
            raise UsageError(ErrorCode.USAGE, came, fix="give a loss of your own, or a training_loss to the module")
        if self.kind != "classes":
            return
        if outputs.ndim < 2 or outputs.shape[1] < 2:
            came = f"the module gives outputs of shape {shown(outputs.shape)} and the loss is {self.name}"
            raise UsageError(
                ErrorCode.USAGE, came, wanted="one output a class", fix="use binary_crossentropy for a single output"
            )
        sums = outputs.detach().float().sum(1)
        if bool((outputs >= 0).all()) and bool(((sums - 1).abs() < _ALMOST).all()):
            raise UsageError(
                ErrorCode.USAGE,
                f"the module's outputs are probabilities already, and {self.name} takes logits",
                fix="remove the Softmax at the end of the module",
            )


def shown(shape: Sequence[int]) -> str:
    """A shape with N for the rows."""
    return "[" + ", ".join(["N", *(str(size) for size in shape[1:])]) + "]"


def _finite(y: Any) -> Any:
    if y.is_floating_point():
        bad = torch.nonzero(~torch.isfinite(y.flatten(1) if y.ndim > 1 else y.unsqueeze(1)).all(1))
        if len(bad):
            row = int(bad[0])
            raise DataError(
                ErrorCode.BAD_TARGET,
                f"y holds {float(y[row].flatten()[0]) if y[row].numel() == 1 else 'NaN or infinity'} in row {row}"
                f", {len(bad)} such row(s) in all",
                wanted="finite numbers",
                fix="leave those rows out",
            )
    return y


def _like_outputs(y: Any, shape: Sequence[int]) -> Any:
    """`y` in the shape of the outputs, where only sizes of 1 differ: else [N] against [N, 1] would spread to [N, N]."""
    if [size for size in y.shape[1:] if size != 1] == [size for size in shape[1:] if size != 1]:
        return y.reshape(len(y), *shape[1:])
    raise DataError(
        ErrorCode.WRONG_SHAPE,
        f"y has the shape {shown(y.shape)} and the module gives {shown(shape)}",
        wanted=f"targets of shape {shown(shape)}",
    )


def _class_targets(y: Any, shape: Sequence[int]) -> Any:
    classes = shape[1]
    if y.ndim == len(shape) and y.shape[1] == 1:
        y = y.squeeze(1)
    if y.ndim == len(shape):
        return _one_hot_targets(_finite(y), classes)
    if y.ndim != len(shape) - 1 or list(y.shape[1:]) != list(shape[2:]):
        raise DataError(
            ErrorCode.WRONG_SHAPE,
            f"y has the shape {shown(y.shape)} and the module gives {shown(shape)}",
            wanted=f"labels of shape {shown([0, *shape[2:]])} or one-hot rows of {shown(shape)}",
        )
    whole = _finite(y).long()
    if y.is_floating_point() and not torch.equal(whole.to(y.dtype), y):
        row = int(torch.nonzero((whole.to(y.dtype) != y).reshape(len(y), -1).any(1))[0])
        raise DataError(
            ErrorCode.BAD_TARGET, f"y holds {float(y[row].flatten()[0]):g} in row {row}",
            wanted=f"whole labels from 0 to {classes - 1}", fix="use the loss mse or mae to learn numbers",
        )  # fmt: skip
    outside = (whole < 0) | (whole >= classes)
    if bool(outside.any()):
        row = int(torch.nonzero(outside.reshape(len(y), -1).any(1))[0])
        value = int(whole[row].flatten()[0]) if whole.ndim == 1 else int(whole[row][outside[row]][0])
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"y holds the label {value} in row {row}, and the module gives {classes} outputs",
            wanted=f"labels from 0 to {classes - 1}",
            fix="numpy.unique(y, return_inverse=True) gives labels from 0; or give the module more outputs",
            details={"row": row, "label": value, "classes": classes},
        )
    return whole


def _one_hot_targets(y: Any, classes: int) -> Any:
    if y.shape[1] != classes:
        raise DataError(
            ErrorCode.WRONG_SHAPE,
            f"y is one-hot with {y.shape[1]} columns, and the module gives {classes} outputs",
            wanted=f"{classes} columns, or integer labels",
        )
    y = y.float()
    wrong = (y < 0).any(1) | ((y.sum(1) - 1).abs() > _ALMOST)
    if bool(wrong.any()):
        row = int(torch.nonzero(wrong.reshape(len(y), -1).any(1))[0])
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"row {row} of y is {y[row].tolist() if y[row].numel() <= 12 else 'no distribution'}",
            wanted="one-hot rows, or probabilities that sum to 1",
            fix="use binary_crossentropy where several classes can hold at once",
        )
    return y.argmax(1) if bool(((y == 0) | (y == 1)).all()) else y


def _binary_targets(y: Any, shape: Sequence[int]) -> Any:
    if len(shape) == 2 and shape[1] > 1 and (y.ndim == 1 or y.shape[1] == 1):
        raise DataError(
            ErrorCode.WRONG_SHAPE,
            f"y has one label a row and the module gives {shape[1]} outputs",
            wanted=f"y of shape {shown(shape)} for binary_crossentropy",
            fix="use categorical_crossentropy where exactly one class holds",
        )
    y = _like_outputs(_finite(y), shape).float()
    outside = (y < 0) | (y > 1)
    if bool(outside.any()):
        row = int(torch.nonzero(outside.reshape(len(y), -1).any(1))[0])
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"y holds {float(y[outside][0]):g} in row {row}",
            wanted="0 or 1 (or probabilities) for binary_crossentropy",
        )
    return y


def _crossentropy(outputs: Any, y: Any, reduction: str, smoothing: float) -> Any:
    return functional.cross_entropy(outputs, y, reduction=reduction, label_smoothing=smoothing)


def _binary_crossentropy(outputs: Any, y: Any, reduction: str, smoothing: float) -> Any:
    if smoothing:
        y = y * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs, y, reduction=reduction)


def _squared(outputs: Any, y: Any, reduction: str, _: float) -> Any:
    return functional.mse_loss(outputs, y, reduction=reduction)


def _absolute(outputs: Any, y: Any, reduction: str, _: float) -> Any:
    return functional.l1_loss(outputs, y, reduction=reduction)


def _huber(outputs: Any, y: Any, reduction: str, _: float) -> Any:
    return functional.huber_loss(outputs, y, reduction=reduction)


def _log_cosh(outputs: Any, y: Any, reduction: str, _: float) -> Any:
    away = (outputs - y).abs()
    loss = away + functional.softplus(-2 * away) - 0.6931471805599453
    return loss.mean() if reduction == "mean" else loss


_CLASSES = ("classes", _crossentropy)
_BINARY = ("binary", _binary_crossentropy)
LOSSES: dict[str, tuple[str, Callable[[Any, Any, str, float], Any]]] = {
    "categorical_crossentropy": _CLASSES,
    "sparse_categorical_crossentropy": _CLASSES,
    "crossentropy": _CLASSES,
    "binary_crossentropy": _BINARY,
    "mse": ("numbers", _squared),
    "mean_squared_error": ("numbers", _squared),
    "mae": ("numbers", _absolute),
    "mean_absolute_error": ("numbers", _absolute),
    "huber": ("numbers", _huber),
    "log_cosh": ("numbers", _log_cosh),
}
"""Name → kind and function. All cross-entropies take logits, and labels or one-hot rows under either name."""


def loss_of(loss: Any) -> Loss:
    """The loss of that name, or one around `loss(outputs, y)`, a function or a module of torch.

    Raises:
        UsageError: no such name, or something that cannot be called.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise unknown("loss", loss, LOSSES)
        return Loss(loss, *LOSSES[loss])
    if not callable(loss):
        raise UsageError(
            ErrorCode.USAGE, f"got loss={loss!r}", wanted="a name or a function of outputs and y",
            fix="one of " + ", ".join(LOSSES),
        )  # fmt: skip

    def own(outputs: Any, y: Any, reduction: str, _: float) -> Any:
        found = loss(outputs, y)
        return found.mean() if reduction == "mean" and found.ndim else found

    return Loss(getattr(loss, "__name__", type(loss).__name__), "own", own)


def unknown(what: str, name: object, known: Sequence[str] | dict[str, Any]) -> UsageError:
    """The refusal of a name that nothing bears."""
    close = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    return UsageError(
        ErrorCode.USAGE,
        f"got {what}={name!r}",
        wanted="one of " + ", ".join(known),
        fix=f"did you mean {close[0]!r}?" if close else "",
    )
