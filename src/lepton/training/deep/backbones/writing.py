"""A fine-tuned network as a graph, compared with torch, and as a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.bundle.build import GraphBuilder
from lepton.core import BundleError, DataError, ErrorCode
from lepton.training.deep.backbones.net import Answers, BackboneNet
from lepton.training.deep.fronts import Front
from lepton.training.importers.checking import differences_of, run_graph
from lepton.training.nets.export import export_module, inline
from lepton.training.nets.writing import NetWriter, write_net

__all__ = ["Written", "write", "written"]

_TOLERANCE = 1e-3  # of the largest answer
_COMPARED = 4
_MOST_NUMBERS = 480_000_000  # that a graph of 2 GB holds
_OUTPUTS = ("scores", "features")


@dataclass(frozen=True)
class Written:
    """A graph behind the codec's tensors.

    Attributes:
        net: writes it into a model's graph.
        difference: from torch, as a share of the largest answer.
    """

    net: NetWriter
    difference: float


def written(
    net: BackboneNet, values: NDArray[Any], front: Front | None, scale: tuple[float, float], task: str
) -> Written:
    """Write body and head as ONNX, and see on rows that both answer the same.

    Args:
        net: in the mode in which it answers.
        values: rows as they were learned [N, …].
        front: what stands before the body; None for texts.
        scale: factor and offset of numbers.
        task: of the model.

    Raises:
        DataError: the network is too large for a graph.
        TrainingError: ONNX cannot express it.
        BundleError: the graph answers otherwise than torch.
    """
    numbers = sum(each.numel() for each in net.parameters())
    if numbers > _MOST_NUMBERS:
        raise DataError(
            ErrorCode.NO_GRAPH_FORM,
            f"the network has {numbers:,} parameters",
            wanted=f"at most {_MOST_NUMBERS:,}: a graph holds 2 GB",
            fix="take a smaller one of its family",
        )
    rows = torch.from_numpy(values[np.unique(np.linspace(0, len(values) - 1, _COMPARED).astype(int))])
    if front is None:
        inputs = {"tokens": rows[:, 0].long(), "mask": rows[:, 1].long()}
        dynamic = {name: {0: "N", 1: "L"} for name in inputs}
    else:
        inputs = {"pixels": rows.float()}
        dynamic = {"pixels": {0: "N"}}
    answers = Answers(net)
    model = export_module(
        answers, list(inputs.values()), input_names=list(inputs), output_names=_OUTPUTS, dynamic=dynamic
    )
    with torch.no_grad():
        wanted = dict(zip(_OUTPUTS, (each.numpy() for each in answers(*inputs.values())), strict=True))
    found = run_graph(model.SerializeToString(), {name: value.numpy() for name, value in inputs.items()})
    differences = differences_of(wanted, found, _TOLERANCE)
    apart = max(differences, key=lambda difference: difference.relative)
    if not apart.relative <= _TOLERANCE:
        raise BundleError(
            ErrorCode.CHECK_FAILED,
            f"the graph answers otherwise than torch: {apart.output} differs by {apart.absolute:.3g}",
            wanted=f"at most {_TOLERANCE:g} of the largest answer",
        )

    def nodes(builder: GraphBuilder, given: Mapping[str, str]) -> Any:
        named = given if front is None else {"pixels": front.emit(builder, given[front.tensor.name])}
        scores, features = inline(builder, model, named)
        if task == "regression":
            factor, offset = (builder.constant(np.float32(each)) for each in scale)
            scores = builder.node("Add", [builder.node("Mul", [scores, factor]), offset])
        return (scores, features) if front is None else scores  # of texts alone an embedding is asked for

    return Written(nodes, apart.relative)


def write(graph: Written, path: Path, **told: Any) -> str:
    """Write the model file; `told` is what `write_net` takes beside. The `model_id`."""
    return write_net(path, net=graph.net, **told)
