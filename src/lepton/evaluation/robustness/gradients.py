"""Attacks that follow the gradient of the loss, where somebody hands in what computes it.

Sources: the fast gradient sign method (FGSM) is of Goodfellow, Shlens & Szegedy, "Explaining and harnessing adversarial
examples" (2015); projected gradient descent (PGD) of Madry et al., "Towards deep learning models resistant to
adversarial attacks" (2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, SchemaError
from lepton.evaluation.classification import Floats

__all__ = ["ATTACKS", "EPSILONS", "STEPS", "Gradients", "attacked"]

Gradients = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
"""`(batch [N, …], labels [N]) -> array [N, …]`, the derivative of the loss of each row by what the model takes."""

ATTACKS: Mapping[str, str] = MappingProxyType({"fgsm": "FGSM, one step", "pgd": "PGD, ten steps"})
"""Attacks by name, with their titles."""

EPSILONS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "picture": (1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255),
        "sound": (0.0005, 0.001, 0.002, 0.004, 0.008),
        "table": (0.01, 0.02, 0.05, 0.1, 0.2),
    }
)
"""How far a value may move at each strength: shares of the range of a picture, of full scale, of a column's spread."""

STEPS = 10
_STRIDE = 2.5  # Madry's: the steps together could leave the box two and a half times


def attacked(
    name: str,
    batch: Floats,
    labels: NDArray[Any],
    gradients: Gradients,
    epsilon: float | Floats,
    *,
    lower: float = -np.inf,
    upper: float = np.inf,
    generator: np.random.Generator,
) -> Floats:
    """The worst rows that the attack finds within `epsilon` of each value.

    Args:
        name: `fgsm` or `pgd`.
        batch: float64 [N, …].
        labels: truth of each row [N]: positions of labels, or numbers.
        gradients: of the loss.
        epsilon: how far each value may move; a number, or one for each of the last dimension.
        lower: least value that there can be.
        upper: greatest one.
        generator: of the place in the box where PGD begins.

    Raises:
        SchemaError: `gradients` gives something else than an array of the batch's shape.
    """
    if name == "fgsm":
        return _clipped(batch + epsilon * np.sign(_of(gradients, batch, labels)), lower, upper)
    moved = _clipped(batch + epsilon * generator.uniform(-1, 1, batch.shape), lower, upper)
    for _ in range(STEPS):
        step = _STRIDE / STEPS * epsilon * np.sign(_of(gradients, moved, labels))
        moved = _clipped(np.clip(moved + step, batch - epsilon, batch + epsilon), lower, upper)
    return moved


def _clipped(values: Floats, lower: float, upper: float) -> Floats:
    clipped: Floats = np.clip(values, lower, upper)
    return clipped


def _of(gradients: Gradients, batch: Floats, labels: NDArray[Any]) -> Floats:
    given = np.asarray(gradients(batch, labels))
    if given.shape != batch.shape or given.dtype.kind not in "fiu":
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"gradients gave {given.dtype} {list(given.shape)} for a batch {list(batch.shape)}",
            wanted="the derivative of the loss by each value of the batch, in its shape",
        )
    return np.nan_to_num(given.astype(np.float64))
