"""One row after the other through a graph, with memory that was bound once.

A call of onnxruntime makes objects of its inputs and outputs each time, which for a small model takes about as long as
the model itself. For rows of one shape they can be made before: `PreparedRun` is for a caller who writes the row where
the graph reads it; `BoundRuns` copies rows in and answers out, for callers who bring arrays and take arrays.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

__all__ = ["BoundRuns", "PreparedRun"]

_PROBE = 0.5
_KEPT = 8  # sets of outputs that are bound at a time


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
        self.run = _runner(session, binding)

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


class BoundRuns:
    """Runs a graph for single rows of one shape; whatever it cannot run, it leaves to the plain way.

    Threads may share it: one at a time has the memory, the others take the plain way.

    Args:
        session: onnxruntime's, whose inputs have open sizes in their first dimension alone.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._shapes = {each.name: (1, *each.shape[1:]) for each in session.get_inputs()}
        self._made: dict[tuple[str, ...], _Bound | None] = {}

    @classmethod
    def of(cls, session: Any) -> BoundRuns | None:
        """For a session whose inputs are numbers of known shape; None for others."""
        inputs = session.get_inputs()
        fits = all(
            "string" not in each.type and all(isinstance(size, int) for size in each.shape[1:]) for each in inputs
        )
        return cls(session) if inputs and fits else None

    def run(self, names: Sequence[str], tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]] | None:
        """The outputs `names` for one row; None where the plain way is to be taken."""
        key = tuple(names)
        if key in self._made:
            bound = self._made[key]
            return None if bound is None else bound.answer(tensors)
        if len(self._made) < _KEPT and self._takes(tensors):
            self._made[key] = _Bound.of(self._session, key, tensors)
        return None

    def _takes(self, tensors: Mapping[str, NDArray[Any]]) -> bool:
        return {name: tensor.shape for name, tensor in tensors.items()} == self._shapes


class _Bound:
    """One set of outputs, with memory of its own."""

    def __init__(
        self, session: Any, names: Sequence[str], tensors: Mapping[str, NDArray[Any]], answers: Sequence[NDArray[Any]]
    ) -> None:
        self._lock = threading.Lock()
        self._inputs = [(name, np.zeros_like(tensor, order="C")) for name, tensor in tensors.items()]
        self._answers = {n: np.zeros_like(answer, order="C") for n, answer in zip(names, answers, strict=True)}
        binding = self._binding = session.io_binding()  # which keeps what is bound
        for name, memory in self._inputs:
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(memory))
        for name, memory in self._answers.items():
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(memory))
        self._run = _runner(session, binding)

    @classmethod
    def of(cls, session: Any, names: Sequence[str], tensors: Mapping[str, NDArray[Any]]) -> _Bound | None:
        """Memory for these outputs, if they then are to the bit what plain runs answer."""
        try:
            answers = session.run(list(names), dict(tensors))
            if any(answer.dtype.kind not in "fiub" for answer in answers):
                return None
            made = cls(session, names, tensors, answers)
            given = made.answer(tensors)
        except Exception:  # noqa: BLE001 - what cannot be bound is run in the plain way, which says what is wrong
            return None
        if given is None or any(
            given[n].tobytes() != answer.tobytes() for n, answer in zip(names, answers, strict=True)
        ):
            return None
        return made

    def answer(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]] | None:
        """What the graph answers, in memory of the caller's own; None where the plain way is to be taken."""
        if len(tensors) != len(self._inputs) or not self._lock.acquire(blocking=False):
            return None
        try:
            for name, memory in self._inputs:
                tensor = tensors[name]
                if tensor.shape != memory.shape or tensor.dtype != memory.dtype:
                    return None
                memory[...] = tensor
            self._run()
            return {name: answer.copy() for name, answer in self._answers.items()}
        except Exception:  # noqa: BLE001 - the plain way says what is wrong
            return None
        finally:
            self._lock.release()


def _runner(session: Any, binding: Any) -> Callable[[], None]:
    """Runs a session on what is bound."""
    plain, inner = getattr(session, "_sess", None), getattr(binding, "_iobinding", None)
    if plain is not None and inner is not None:  # what the public way calls; its checks take as long as a small model
        return partial(plain.run_with_iobinding, inner, None)
    return partial(session.run_with_iobinding, binding)
