"""Adapters of low rank (LoRA, Hu et al. 2021): few numbers learn, and the weights take them in at the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lepton.core import ErrorCode, UsageError

__all__ = ["RANK", "add_low_rank", "merge_low_rank"]

RANK = 8
_STRENGTH = 2.0
_LEAST_SIDE = 16  # of a matrix: a smaller one is cheaper to learn whole


class LowRank(nn.Module):  # type: ignore[misc]
    """A matrix and what is added to it: the product of a tall one and a wide one, zero in the beginning."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, columns) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, weight: Tensor) -> Tensor:
        """The matrix that the layer computes with."""
        return weight + _STRENGTH * (self.up @ self.down)


def add_low_rank(body: Any) -> int:
    """Hold a network fixed, but for an adapter at the matrix of each of its layers; how many layers there are.

    Raises:
        UsageError: it has no layer with a matrix, as networks of convolutions have none.
    """
    body.requires_grad_(False)
    # Some transformers call their layers by a class of their own: what has a matrix called weight, and is no table of
    # embeddings, is one.
    layers = [
        layer
        for layer in body.modules()
        if isinstance(weight := getattr(layer, "weight", None), nn.Parameter)
        and weight.ndim == 2
        and min(weight.shape) >= _LEAST_SIDE
        and not isinstance(layer, nn.Embedding)
    ]
    if not layers:
        raise UsageError(
            ErrorCode.USAGE, "got tuning='lora' for a network without layers of matrices", wanted="full or frozen"
        )
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(*layer.weight.shape))
    return len(layers)


def merge_low_rank(body: Any) -> None:
    """Put what the adapters learned into the matrices, and take the adapters away."""
    for layer in list(body.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
