"""Schedules of the learning rate: pure functions of the step, so that a resumed training needs nothing of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["SCHEDULES", "Schedule"]

_START = 25.0  # one-cycle begins at this part of the highest rate ...
_END = 1e4  # ... and ends at this part of where it began
_MOMENTUM = (0.85, 0.95)


def _between(start: float, end: float, share: float) -> float:
    """From `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _constant(_: float) -> float:
    return 1.0


def _linear(share: float) -> float:
    return 1.0 - share


def _cosine(share: float) -> float:
    return _between(1.0, 0.0, share)


SCHEDULES: dict[str, Callable[[float], float] | None] = {
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "one-cycle": None,
}
"""Name → factor of the learning rate by the share of steps done after the warm-up; one-cycle has its own rise."""


class Schedule:
    """Sets the learning rate, and with one-cycle the momentum, of an optimizer before each of its steps.

    Args:
        optimizer: a torch optimizer; the rates it has now are the highest ones.
        name: one of `SCHEDULES`.
        warmup: share of the steps in which the rate rises, or None.
        total: steps in all, or None where nobody knows, which only `constant` without a warm-up can do with.
    """

    def __init__(self, optimizer: Any, name: str, warmup: float | None, total: int | None) -> None:
        self._optimizer = optimizer  # its groups are made anew when a checkpoint is taken up
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]
        self._momenta = [(group.get("momentum"), group.get("betas")) for group in optimizer.param_groups]
        self._name = name
        self._warmup = warmup if warmup is not None else (0.3 if name == "one-cycle" else 0.0)
        self._total = total

    def apply(self, step: int) -> None:
        """Set what holds for the step of this number, from 0."""
        if self._total is None or (self._name == "constant" and not self._warmup):
            return
        factor = self.factor(step)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        if self._name == "one-cycle":
            self._move_momentum(step)

    def factor(self, step: int) -> float:
        """What the highest learning rate is multiplied by at this step."""
        rise = self._rise()
        last = max((self._total or 1) - 1, 1)
        if self._name == "one-cycle":
            if step < rise:
                return _between(1 / _START, 1.0, step / rise)
            return _between(1.0, 1 / (_START * _END), min((step - rise) / max(last - rise, 1), 1.0))
        if step < rise:
            return (step + 1) / (rise + 1)
        shape = SCHEDULES[self._name]
        return shape(min((step - rise) / max(last + 1 - rise, 1), 1.0)) if shape else 1.0

    def restore(self) -> None:
        """Give the optimizer the rates and momenta back that it had."""
        for group, rate, (momentum, betas) in zip(
            self._optimizer.param_groups, self._rates, self._momenta, strict=True
        ):
            group["lr"] = rate
            if momentum is not None:
                group["momentum"] = momentum
            if betas is not None:
                group["betas"] = betas

    def _rise(self) -> int:
        return round(self._warmup * (self._total or 0))

    def _move_momentum(self, step: int) -> None:
        low, high = _MOMENTUM
        rise = self._rise()
        last = max((self._total or 1) - 1, 1)
        if step < rise:
            value = _between(high, low, step / rise)
        else:
            value = _between(low, high, min((step - rise) / max(last - rise, 1), 1.0))
        for group, (momentum, betas) in zip(self._optimizer.param_groups, self._momenta, strict=True):
            if betas is not None:
                group["betas"] = (value, *betas[1:])
            elif momentum:
                group["momentum"] = value
