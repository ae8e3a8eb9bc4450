"""One row after the other through a graph, with memory that was bound once.

A call of onnxruntime makes objects of its inputs and outputs each time, which for a small model takes about as long as
the model itself. For rows of one shape they can be made before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

__all__ = ["PreparedRun"]

_PROBE = 0.5


class PreparedRun:
    """Runs a graph whose one input is doubles, for one row; for one thread at a time.

    Attributes:
        name: of the input.
        width: numbers of the row.
        values: the row, [width], which the next run takes.
        memory: the bytes of it, as this machine orders them.
        answers: output name → array, which the next run writes anew.
        run: runs the graph; raises whatever onnxruntime raises.
    """

    __slots__ = ("_binding", "_pack", "answers", "memory", "name", "run", "values", "width")

    def __init__(self, session: Any, name: str, width: int, answers: Mapping[str, NDArray[Any]]) -> None:
        self.name, self.width = name, width
        row = np.zeros((1, width))
        self.values: NDArray[np.float64] = row.reshape(width)
        self.memory = self.values.data.cast("B")
        self._pack: Callable[..., None] = partial(struct.Struct(f"{width}d").pack_into, self.memory, 0)
        self.answers = {output: np.zeros_like(answer) for output, answer in answers.items()}
        binding = self._binding = session.io_binding()  # which keeps what is bound
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(row))
        for output, answer in self.answers.items():
            binding.bind_ortvalue_output(output, onnxruntime.OrtValue.ortvalue_from_numpy(answer))
        self.run: Callable[[], None] = partial(session.run_with_iobinding, binding)
        plain, inner = getattr(session, "_sess", None), getattr(binding, "_iobinding", None)
        if plain is not None and inner is not None:  # what that calls; its own checks take as long as a small model
            self.run = partial(plain.run_with_iobinding, inner, None)

    @classmethod
    def of(
        cls, session: Any, name: str, width: int, run: Callable[[NDArray[np.float64]], Mapping[str, NDArray[Any]]]
    ) -> PreparedRun | None:
        """A prepared run that was seen to answer to the bit as a plain one does; None where there is none.

        Args:
            session: onnxruntime's.
            name: of its one input.
            width: numbers of a row.
            run: answers rows [1, width] in the plain way.
        """
        try:
            answers = run(np.zeros((1, width)))
            if any(answer.dtype.kind not in "fiub" or len(answer) != 1 for answer in answers.values()):
                return None
            prepared = cls(session, name, width, answers)
            return prepared if all(prepared._answers_as(run, probe) for probe in (0.0, _PROBE)) else None
        except Exception:  # noqa: BLE001 - what cannot be prepared is run in the plain way, which says what is wrong
            return None

    def _answers_as(self, run: Callable[[NDArray[np.float64]], Mapping[str, NDArray[Any]]], probe: float) -> bool:
        self.values.fill(probe)
        self.run()
        plain = run(np.full((1, self.width), probe))
        return all(
            plain[output].shape == answer.shape and plain[output].tobytes() == answer.tobytes()
            for output, answer in self.answers.items()
        )

    def copies(self) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Inputs and answers of the last run, by name, that no other run writes to."""
        tensors = {self.name: self.values.reshape(1, self.width).copy()}
        return tensors, {output: answer.copy() for output, answer in self.answers.items()}

    def take(self, numbers: Sequence[Any]) -> bool:
        """Have the next run take these; whether they are `width` numbers."""
        try:
            self._pack(*numbers)
        except struct.error:
            return False
        return True
