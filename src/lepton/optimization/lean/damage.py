"""How far the answers of a graph are from those of another: what a change of its numbers does before anyone rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lepton.core import Work
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.rows import Rows

__all__ = ["Probe", "batches", "point_of", "session_of", "spread", "with_outputs"]

_ROWS = 128
_CALL = 64  # rows of one call, and
_BYTES = 2**19  # bytes of them: what is inside a network may be many times as large
_NUMBERS = frozenset({"double", "float"})


def session_of(graph: bytes, threads: int) -> Any:
    """The graph at work, as bundles are opened."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def batches(tensors: Mapping[str, NDArray[Any]], rows: int = _CALL) -> Iterator[dict[str, NDArray[Any]]]:
    """The rows in parts that one call takes: several of one shape, or one of its own."""
    count = len(next(iter(tensors.values())))
    ragged = any(
        each.dtype == object and len(each) and isinstance(each.flat[0], np.ndarray) for each in tensors.values()
    )
    row = sum(each[:1].nbytes for each in tensors.values())
    step = 1 if ragged else max(1, min(rows, _BYTES // max(row, 1)))
    for start in range(0, count, step):
        part = {name: each[start : start + step] for name, each in tensors.items()}
        yield {name: np.stack(list(each)) if ragged else each for name, each in part.items()}


def spread(rows: Rows, most: int, part: int = 0, parts: int = 1) -> dict[str, NDArray[Any]]:
    """At most `most` of the rows, evenly spread; those of different `part` of `parts` have none in common."""
    places = np.arange(part, len(rows), parts)
    if len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
    return {name: each[places] for name, each in rows.tensors.items()}


def point_of(draft: Draft) -> list[str]:
    """Where answers are compared: the scores before they become labels, else every output of numbers."""
    raw = draft.manifest.inner.get("raw")
    return [raw] if raw else [each.name for each in draft.manifest.outputs if each.dtype in _NUMBERS]


class Probe:
    """What a draft answers to a few rows, and how far another graph is from it.

    Args:
        subject: of its rows, some of `learn` are used.
        draft: whose answers are the measure; it has the inner point `raw`, or outputs of numbers.
        work: `resources`.
        part: which of two halves of the rows are used, 0 or 1; None for all.
        rows: how many.
    """

    def __init__(self, subject: Subject, draft: Draft, work: Work, part: int | None = None, rows: int = _ROWS) -> None:
        learn = subject.learn
        self._tensors = spread(learn, rows) if part is None else spread(learn, rows, part, 2)
        self._names = point_of(draft)
        self._threads = work.resources.cpus
        self.reference = self._answers(draft.graph)
        self._spread = [max(float(np.var(each)), 1e-30) for each in self.reference]

    def of(self, graph: bytes) -> float:
        """Mean squared difference from the draft's answers, as a share of their variance."""
        return self._distance(self._answers(graph))

    def of_each(self, graph: bytes, others: Mapping[str, NDArray[Any]], work: Work) -> dict[str, float]:
        """The same for other values of constants, one at a time.

        Args:
            graph: with all constants as they are.
            others: constant → its other value, of the same type and shape.
            work: those that it leaves no time for are not there.
        """
        session = session_of(with_outputs(graph, self._names, list(others)), self._threads)
        found: dict[str, float] = {}
        for name, values in others.items():
            if work.stopped:
                break
            found[name] = self._distance(self._run(session, {name: values}))
        return found

    def _answers(self, graph: bytes) -> list[NDArray[np.float64]]:
        return self._run(session_of(with_outputs(graph, self._names), self._threads), {})

    def _run(self, session: Any, others: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float64]]:
        taken = {each.name for each in session.get_inputs()}
        parts = [
            session.run(self._names, {name: each for name, each in batch.items() if name in taken} | dict(others))
            for batch in batches(self._tensors)
        ]
        return [
            np.nan_to_num(np.concatenate([part[place] for part in parts]).astype(np.float64))
            for place in range(len(self._names))
        ]

    def _distance(self, answers: Sequence[NDArray[np.float64]]) -> float:
        return float(
            sum(
                np.mean((found - wanted) ** 2) / spread
                for found, wanted, spread in zip(answers, self.reference, self._spread, strict=True)
            )
        )


def with_outputs(graph: bytes, outputs: Sequence[str], constants: Sequence[str] = ()) -> bytes:
    """The graph with other outputs, and with some constants that a caller may replace."""
    from onnx import ValueInfoProto, helper

    model = parse(graph)
    del model.graph.output[:]
    model.graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    tensors = {each.name: each for each in model.graph.initializer}
    model.graph.input.extend(
        helper.make_tensor_value_info(name, tensors[name].data_type, list(tensors[name].dims)) for name in constants
    )
    serialized: bytes = model.SerializeToString()
    return serialized
