"""A network of pictures or sounds as a model file: its front, its nodes, and what going on needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lepton.bundle import GraphBuilder
from lepton.training.deep.fronts import Front
from lepton.training.deep.media_net import FittedNet
from lepton.training.nets.graph import write_logits_and_features
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

    def nodes(builder: GraphBuilder, values: Mapping[str, str]) -> tuple[str, str]:
        rows = front.emit(builder, values[front.tensor.name])
        logits, features = write_logits_and_features(builder, net.module, rows)
        if told["task"] == "regression":
            factor, offset = map(builder.constant, scale)
            logits = builder.node("Add", [builder.node("Mul", [logits, factor]), offset])
        return logits, features

    return write_net(
        path,
        net=nodes,
        tensors=[front.tensor],
        embedding=net.module.body.features,
        training=members_of(net.module),
        **told,
    )
