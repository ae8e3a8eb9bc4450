"""A network as a torch module, whatever framework made it, and its weights back into the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepton.optimization.lean.graphs import values_inside
from lepton.optimization.lean.nets.operators import RUN
from lepton.optimization.lean.network import Network

__all__ = ["NetModule", "frontier"]


class NetModule(nn.Module):  # type: ignore[misc]
    """Computes a network as its graph does; every constant that learns is a parameter.

    In training, batch normalisation uses the statistics of the batch and follows them; nothing else changes.

    Attributes:
        network: that it was made from.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        learned = set(network.weights)
        self._places = {name: f"value_{place}" for place, name in enumerate(network.constants)}
        for name, value in network.constants.items():
            tensor = torch.from_numpy(np.array(value))
            if name in learned:
                self.register_parameter(self._places[name], nn.Parameter(tensor))
            else:
                self.register_buffer(self._places[name], tensor)

    def constant(self, name: str) -> Tensor:
        """The tensor of one constant of the network."""
        found: Tensor = getattr(self, self._places[name])
        return found

    def forward(self, *inputs: Tensor) -> Tensor:
        """Scores, from the values that come to the network."""
        return self.values(inputs)[self.network.output]

    def values(self, inputs: Sequence[Tensor], watch: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
        """Every value of the network by name.

        Args:
            inputs: in the order of `network.inputs`.
            watch: name of a value → called with it before anything reads it; what it gives is read instead.
        """
        found: dict[str, Any] = {name: self.constant(name) for name in self.network.constants}
        found |= dict(zip(self.network.inputs, inputs, strict=True))
        for node in self.network.nodes:
            given = [found[name] if name else None for name in node.inputs]
            made = RUN[node.op](given, node.attributes, self.training)
            for name, value in zip(node.outputs, made if isinstance(made, tuple | list) else (made,), strict=False):
                found[name] = watch[name](value) if watch and name in watch else value
        return found

    def learned(self) -> Network:
        """The network with the weights of now."""
        constants = {}
        for name, before in self.network.constants.items():
            value = self.constant(name).detach().cpu().numpy()
            constants[name] = np.array(value, dtype=before.dtype)
        return self.network.changed(self.network.nodes, constants)


def frontier(network: Network, tensors: Mapping[str, NDArray[Any]], threads: int = 1) -> list[NDArray[Any]]:
    """What comes to a network for rows of its model, in the order of `network.inputs`: computed by the graph itself."""
    given = {name: tensors[name] for name in network.inputs if name in tensors}
    made = [name for name in network.inputs if name not in given]
    found = {**given, **(values_inside(network.graph, made, tensors, threads=threads) if made else {})}
    return [found[name] for name in network.inputs]
