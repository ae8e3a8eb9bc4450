"""Rows that count by their class, whatever a network learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lepton.training.options import class_weights
from lepton.training.tasks import Target

__all__ = ["counted"]


class Weighted(Protocol):
    """Rows with a target: a frozen data class."""

    @property
    def target(self) -> Target:
        """What is predicted."""

    @property
    def weight(self) -> NDArray[np.float32] | None:
        """Of the rows [N], or None."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided, for people."""


W = TypeVar("W", bound=Weighted)


def counted(rows: W, class_weight: str | Mapping[Any, Any] | None) -> W:
    """The same rows, counting by their class; see `Options.class_weight`. Without one, as they are.

    Raises:
        UsageError: the target has no classes, no such label, or no such weight.
    """
    if class_weight is None:
        return rows
    factors, note = class_weights(class_weight, rows.target, rows.weight)
    weight = np.array(factors)[rows.target.values.astype(np.int64)] * (1.0 if rows.weight is None else rows.weight)
    changed: W = replace(  # type: ignore[type-var]
        rows, weight=(weight / weight.mean()).astype(np.float32), notes=(*rows.notes, note)
    )
    return changed
