"""Graphs as steps look into them: parsed, and run up to a value inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lepton.core import MissingExtraError

__all__ = ["parse", "values_inside"]

_ROWS = 1_024  # of one call


def parse(graph: bytes) -> Any:
    """The graph as `onnx.ModelProto`.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "train", "Making a model smaller") from None
    return onnx.load_from_string(graph)


def values_inside(
    graph: bytes, names: Sequence[str], tensors: Mapping[str, NDArray[Any]], *, threads: int = 1, rows: int = _ROWS
) -> dict[str, NDArray[Any]]:
    """What stands at some points of a graph for given inputs.

    Args:
        graph: serialized.
        names: of values between nodes, such as the inner points `features` and `raw` of the manifest.
        tensors: the graph's inputs, first dimension N, all rows of one shape.
        threads: of onnxruntime.
        rows: of one call.

    Returns:
        Name → array [N, …].
    """
    from onnx import ValueInfoProto

    model = parse(graph)
    del model.graph.output[:]
    model.graph.output.extend(ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = [each.name for each in session.get_inputs()]
    num_rows = len(next(iter(tensors.values())))
    parts = [
        session.run(list(names), {name: tensors[name][start : start + rows] for name in wanted})
        for start in range(0, num_rows, rows)
    ]
    return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(names)}
