"""A small network over the pieces of a text, in torch: the mean of their embeddings, a rectifier, and scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lepton.training.deep.text_rows import PieceRows

__all__ = ["PieceNet", "SparseAdam"]

_SCALE = 8.0
_SPREAD = 0.1
_DROPOUT = 0.3


class PieceNet(nn.Module):  # type: ignore[misc]
    """Takes numbers of rows [N], which it holds, and gives their scores [N, S].

    Pieces are left out at random in learning, as whole embeddings, then cells of the sum.

    Args:
        rows: all rows.
        num_pieces: pieces with an embedding; those of higher numbers, the rarest, are as good as absent.
        num_scores: S.
        size: of an embedding.
    """

    def __init__(self, rows: PieceRows, num_pieces: int, num_scores: int, size: int = 64) -> None:
        super().__init__()
        self.size = size
        self.embeddings = nn.Embedding(num_pieces, size, sparse=True)
        nn.init.normal_(self.embeddings.weight, std=_SPREAD)
        self.shift = nn.Parameter(torch.zeros(size))
        self.head = nn.Linear(size, num_scores)
        for name, values in (("starts", rows.starts), ("pieces", rows.pieces), ("values", rows.values)):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Scores [N, S] of the rows of these numbers."""
        embedded = functional.dropout(self._hidden(rows.long()), _DROPOUT, self.training)
        scores: Tensor = self.head(embedded)
        return scores

    def _hidden(self, rows: Tensor) -> Tensor:
        starts: Any = self.starts
        lengths = starts[rows + 1] - starts[rows]
        offsets = torch.cumsum(lengths, 0) - lengths
        places = torch.repeat_interleave(starts[rows] - offsets, lengths) + torch.arange(int(lengths.sum()))
        pieces, values = self.pieces[places].long(), self.values[places]
        values = functional.dropout(values * (pieces < self.embeddings.num_embeddings), _DROPOUT, self.training)
        pieces = pieces.clamp(max=self.embeddings.num_embeddings - 1)
        summed = functional.embedding_bag(
            pieces, self.embeddings.weight, offsets, mode="sum", per_sample_weights=values, sparse=self.training
        )
        return functional.relu(_SCALE * summed + self.shift)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights by name, `table` [V, size] already multiplied by the scale."""
        table = _SCALE * self.embeddings.weight.detach().numpy()
        head, bias = self.head.weight.detach().numpy().T, self.head.bias.detach().numpy()
        return {"table": table, "shift": self.shift.detach().numpy(), "head": np.ascontiguousarray(head), "bias": bias}


class SparseAdam(torch.optim.Optimizer):  # type: ignore[misc]
    """Adam for both kinds of gradients: rows of embeddings that a batch does not touch are left as they are."""

    def __init__(self, module: nn.Module, learning_rate: float) -> None:
        tables = [p for name, p in module.named_parameters() if name.startswith("embeddings.")]
        others = [p for name, p in module.named_parameters() if not name.startswith("embeddings.")]
        self._sparse = torch.optim.SparseAdam(tables, lr=learning_rate)
        self._dense = torch.optim.Adam(others, lr=learning_rate)
        super().__init__([{"params": tables}, {"params": others}], {"lr": learning_rate, "betas": (0.9, 0.999)})

    @classmethod
    def of(cls, learning_rate: float) -> Any:
        """A function from a module to its optimizer, as `Trainer.compile` takes one."""
        return lambda module: cls(module, learning_rate)

    def step(self, closure: Any = None) -> Any:
        """One step of both."""
        for mine, own in zip(self.param_groups, (self._sparse, self._dense), strict=True):
            own.param_groups[0]["lr"] = mine["lr"]
            own.param_groups[0]["betas"] = mine["betas"]
            own.step()
