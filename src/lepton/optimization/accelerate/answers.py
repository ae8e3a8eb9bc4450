"""Whether other settings give the answers of the reference, and rows that do not look at their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOLERANCE", "Answers", "answers_of", "what_differs"]

TOLERANCE = 1e-5
"""Largest difference of a number, as a share of the largest of its output: that of sums in another order."""

Tensors = Mapping[str, NDArray[Any]]


class Answers:
    """What a graph answers to some rows, in one call and one by one.

    Attributes:
        together: output name → array [N, …].
        alone: the same from N calls.
    """

    def __init__(self, together: Tensors, alone: Tensors) -> None:
        self.together, self.alone = together, alone

    def lean_on_neighbours(self) -> bool:
        """Whether a row's answer differs in a bit when others are beside it."""
        return any(not _same_bits(self.together[name], self.alone[name]) for name in self.together)


def answers_of(run: Callable[[Tensors], Tensors], rows: Tensors) -> Answers:
    """Ask `run` for all rows [N, …] at once, and for each of them."""
    together = {name: np.array(answer) for name, answer in run(rows).items()}
    num_rows = len(next(iter(rows.values())))
    parts = [run({name: tensor[row : row + 1] for name, tensor in rows.items()}) for row in range(num_rows)]
    alone = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in together}
    return Answers(together, alone)


def what_differs(given: Answers, wanted: Answers) -> str:
    """How `given` differs from what the reference answers, for a person; "" where it does not."""
    for told, reference in ((given.together, wanted.together), (given.alone, wanted.alone)):
        for name, answer in reference.items():
            if problem := _difference(told[name], answer):
                return f"{name} {problem}"
    if given.lean_on_neighbours() and not wanted.lean_on_neighbours():
        return "a row's answer depends on the rows beside it"
    return ""


def _difference(given: NDArray[Any], wanted: NDArray[Any]) -> str:
    if given.shape != wanted.shape:
        return f"has the shape {list(given.shape)} in place of {list(wanted.shape)}"
    if wanted.dtype.kind != "f":
        unequal = int((given != wanted).sum())
        return f"differs in {unequal} of {wanted.size} values" if unequal else ""
    if not np.array_equal(np.isfinite(given), np.isfinite(wanted)):
        return "is finite elsewhere"
    finite = np.isfinite(wanted)
    if not finite.any():
        return ""
    apart = float(np.abs(given[finite].astype(np.float64) - wanted[finite].astype(np.float64)).max())
    scale = float(np.abs(wanted[finite]).max())
    return f"is off by {apart:.1e}, where the largest is {scale:.1e}" if apart > TOLERANCE * scale else ""


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.kind in "fiub":
        return one.shape == other.shape and one.tobytes() == other.tobytes()
    return bool(np.array_equal(one, other))
