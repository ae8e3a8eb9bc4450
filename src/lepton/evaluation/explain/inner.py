"""Inner points of a graph: the `features` that a table model makes of its columns, computed as an output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.bundle.opening import open_session, runtime_error
from lepton.bundle.settings import RuntimeSettings
from lepton.core import ErrorCode, Resources, UsageError
from lepton.evaluation.classification import Floats

__all__ = ["InnerPoint"]

_GRAPH, _OUTPUT, _NAME = 0x3A, 0x62, 0x0A  # fields 7, 12 and 1 of ONNX's messages, each with its length before it


class InnerPoint:
    """Runs a model's graph up to one of its inner points; the model file stays as it is.

    Args:
        predictor: an opened model.
        name: of the point, `features` or `raw`.

    Raises:
        UsageError: the model has no such point.
    """

    def __init__(self, predictor: Predictor, name: str = "features") -> None:
        inner = predictor.manifest.inner
        if name not in inner:
            raise UsageError(ErrorCode.USAGE, f"the model has no inner point '{name}'", wanted="a model that has one")
        self._name = inner[name]
        graph = predictor.bundle.graph + _as_output(self._name)
        self._session, _ = open_session(predictor.bundle, graph, RuntimeSettings(), Resources(cpus=1))

    def run(self, tensors: Mapping[str, NDArray[Any]]) -> Floats:
        """The point's values [N, D] for rows that are packed."""
        try:
            (values,) = self._session.run([self._name], dict(tensors))
        except Exception as error:  # onnxruntime's errors have no common class
            raise runtime_error("onnxruntime failed", error) from error
        values = np.asarray(values)
        return np.asarray(values.reshape(len(values), -1), dtype=np.float64)


def _as_output(value: str) -> bytes:
    """What makes an inner value an output when it stands behind a graph: messages that follow each other are merged."""
    return _message(_GRAPH, _message(_OUTPUT, _message(_NAME, value.encode())))


def _message(tag: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([tag, *length, left]) + body
