"""The module is tried on a row or two before anything is learned, so that what does not fit is said in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lepton.core import DataError, ErrorCode
from lepton.training.trainer.batches import Batch, each, leaves
from lepton.training.trainer.losses import shown
from lepton.training.trainer.stepping import call

__all__ = ["modes_kept", "try_module"]


@contextmanager
def modes_kept(module: Any) -> Iterator[None]:
    """Have the module in evaluation mode, and each part of it back in its own afterwards."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def try_module(module: Any, batch: Batch, device: Any) -> Any:
    """The outputs for a row or two, in evaluation mode.

    Raises:
        DataError: the module does not take such inputs; the message says what it would.
    """
    x = each(lambda leaf: leaf.to(device), batch.x)
    try:
        with torch.no_grad(), modes_kept(module):
            return call(module, x)
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError) as error:
        shapes = ", ".join(f"{shown(leaf.shape)} of {_kind(leaf)}" for leaf in leaves(x))
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise DataError(
            ErrorCode.WRONG_SHAPE,
            f"the module does not take inputs of shape {shapes}: {reason}",
            wanted=_wanted(module),
            fix=_fix(module, x),
        ) from None


def _kind(leaf: Any) -> str:
    return str(leaf.dtype).removeprefix("torch.")


def _first(module: Any) -> Any:
    """The first layer whose weights say what comes in."""
    return next((part for part in module.modules() if hasattr(part, "weight") and torch.is_tensor(part.weight)), None)


def _wanted(module: Any) -> str:
    first = _first(module)
    if hasattr(first, "in_channels"):
        inner = {1: "length", 2: "height, width"}.get(len(first.kernel_size), "depth, height, width")
        return f"[N, {first.in_channels}, {inner}] of float32, as its first layer is {type(first).__name__}"
    if hasattr(first, "in_features"):
        return f"[N, …, {first.in_features}] of float32, as its first layer is Linear"
    return f"what its first layer takes, {type(first).__name__}" if first is not None else ""


def _fix(module: Any, x: Any) -> str:
    first, leaf = _first(module), leaves(x)[0]
    channels = getattr(first, "in_channels", None)
    whole = not leaf.is_floating_point()
    steps = []
    if channels is not None:
        rank = len(first.kernel_size) + 2
        if leaf.ndim == rank - 1 and channels == 1:
            steps.append("x[:, None] adds the channel")
        elif leaf.ndim == rank and leaf.shape[1] != channels and leaf.shape[-1] == channels:
            order = (0, rank - 1, *range(1, rank - 1))
            steps.append(f"x.transpose{order} puts the channels first")
    features = getattr(first, "in_features", None)
    if features is not None and leaf.ndim > 2 and leaf[0].numel() == features:
        steps.append("x.reshape(len(x), -1) makes rows of numbers")
    if whole and (channels is not None or features is not None):
        steps.append("x.astype('float32') / 255" if leaf.dtype == torch.uint8 else "x.astype('float32')")
    return "; ".join(steps)
