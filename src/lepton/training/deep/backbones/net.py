"""A pre-trained network with a head for one task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Answers", "BackboneNet", "Head"]

_DROPOUT = 0.1
_TINY = 1e-6


class Head(nn.Module):  # type: ignore[misc]
    """Scores of a row of features; `temperatures` is what they are divided by at last, once they are calibrated."""

    def __init__(self, size: int, num_scores: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(_DROPOUT)
        self.linear = nn.Linear(size, num_scores)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("temperatures", torch.ones(1))

    def standardise(self, features: Tensor) -> None:
        """Look at features [N, size] about their mean, in their own spread, from now on."""
        self.centre.copy_(features.mean(0))
        self.spread.copy_(features.std(0, unbiased=False) + _TINY)

    def forward(self, features: Tensor) -> Tensor:
        """Scores [N, num_scores]; calibrated, but for learning."""
        scores = self.linear(self.dropout((features - self.centre) / self.spread))
        return scores if self.training else scores / self.temperatures


class BackboneNet(nn.Module):  # type: ignore[misc]
    """Body and head, of rows as they learn: pictures uint8 [N, H, W, 3]; tokens above their mask, int32 [N, 2, L]."""

    def __init__(self, body: Any, head: Head) -> None:
        super().__init__()
        self.body, self.head = body, head

    @property
    def temperatures(self) -> Tensor:
        """Of the head."""
        return self.head.temperatures

    def features(self, rows: Tensor) -> Tensor:
        """What the body says of rows [N, size]."""
        if rows.ndim == 4:
            return self.body(rows.float())
        longest = max(int(rows[:, 1].sum(1).max()), 1)
        return self.body(rows[:, 0, :longest].long(), rows[:, 1, :longest].long())

    def forward(self, rows: Tensor) -> Tensor:
        """Scores [N, num_scores]."""
        return self.head(self.features(rows))


class Answers(nn.Module):  # type: ignore[misc]
    """What goes into the graph: calibrated scores, and the features as an embedding."""

    def __init__(self, net: BackboneNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, rows: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scores and features, of pixels or of tokens and their mask."""
        features = self.net.body(rows) if mask is None else self.net.body(rows, mask)
        return self.net.head(features), features
