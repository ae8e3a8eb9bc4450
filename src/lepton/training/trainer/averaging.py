"""Exponential averages of the weights: what is evaluated, kept and saved while the steps go on with the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lepton.core import ErrorCode, StoreError

__all__ = ["Averager", "copy_state", "put_state"]


class Averager:
    """Follows a module's weights, and the running statistics of its normalisations, with an exponential average.

    In the first steps the factor is smaller, (1 + t) / (10 + t), so that the average forgets where it began.

    Args:
        module: whose weights.
        factor: part of the average that stays at each step.
    """

    def __init__(self, module: Any, factor: float) -> None:
        self._factor = factor
        self._steps = 0
        self._own = {
            name: tensor
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
            if tensor.is_floating_point()
        }
        self.average: dict[str, Any] = {name: tensor.detach().clone() for name, tensor in self._own.items()}
        self._rule = get_ema_multi_avg_fn(factor)

    @property
    def steps(self) -> int:
        """How many steps it has followed."""
        return self._steps

    def update(self) -> None:
        """Take the weights of now in."""
        self._steps += 1
        factor = (1 + self._steps) / (10 + self._steps)
        rule = self._rule if factor >= self._factor else get_ema_multi_avg_fn(factor)
        rule(list(self.average.values()), [tensor.detach() for tensor in self._own.values()], self._steps)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the module hold the average inside; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def keep(self) -> None:
        """Put the average into the module for good."""
        with torch.no_grad():
            for name, tensor in self._own.items():
                tensor.copy_(self.average[name])

    def restore(self, average: Mapping[str, Any], steps: int) -> None:
        """Go on from an average that was kept."""
        put_state(self.average, average)
        self._steps = steps

    def _swap(self) -> None:
        for name, tensor in self._own.items():
            tensor.data, self.average[name] = self.average[name], tensor.data


def copy_state(module: Any) -> dict[str, Any]:
    """A copy of a module's state: parameters and buffers by name."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items() if torch.is_tensor(tensor)}


def put_state(own: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Copy tensors into those of the same names.

    Raises:
        StoreError: other names or shapes.
    """
    wrong = sorted(set(own) ^ set(given)) or [name for name in own if own[name].shape != given[name].shape]
    if wrong:
        raise StoreError(
            ErrorCode.STORE_FAILED,
            f"the state fits another module: {wrong[0]!r} is missing, new or of another shape, "
            f"one of {len(wrong)} such name(s)",
            fix="make the module as it was when the state was kept",
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])
