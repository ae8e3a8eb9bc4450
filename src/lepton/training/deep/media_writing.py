"""A network of pictures or sounds as a model file: its front, its nodes, and what going on needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lepton.bundle import GraphBuilder
from lepton.training.deep.fronts import Front
from lepton.training.deep.media_net import FittedNet
from lepton.training.nets.graph import write_logits
from lepton.training.nets.keeping import members_of
from lepton.training.nets.writing import write_net

__all__ = ["write"]


def write(
    path: Path,
    *,
    net: FittedNet,
    front: Front,
    scale: tuple[float, float],
    **told: Any,
) -> str:
    """Write the network behind its front as a model file.

    Args:
        path: where to.
        net: what has learned.
        front: the nodes that make its rows of what the codec gives.
        scale: factor and offset of numbers.
        **told: what `write_net` takes beside.

    Returns:
        The `model_id`.
    """

    def nodes(builder: GraphBuilder, values: Mapping[str, str]) -> str:
        logits = write_logits(builder, net.module, front.emit(builder, values[front.tensor.name]))
        if told["task"] != "regression":
            return logits
        factor, offset = map(builder.constant, scale)
        return str(builder.node("Add", [builder.node("Mul", [logits, factor]), offset]))

    return write_net(path, net=nodes, tensors=[front.tensor], training=members_of(net.module), **told)
