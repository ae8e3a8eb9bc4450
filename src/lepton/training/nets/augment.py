"""Light changes of pictures while they are learned: one geometric map and one of the light, drawn for every picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["LightAugment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LightAugment:
    """Turns, scales, shears and shifts pictures a little, and changes their contrast; called on batches.

    It never mirrors: a mirrored letter or hand may mean something else.

    Attributes:
        turn: degrees, at most, either way.
        scale: share of the size, either way.
        shear: share of the side.
        shift: share of the side.
        contrast: share, either way, about the mean of the picture.
    """

    turn: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    shift: float = 0.05
    contrast: float = 0.1

    def told(self) -> str:
        """What it does in a few words."""
        return (
            f"pictures turned by up to {self.turn:g}°, scaled by {self.scale:.0%}, sheared by {self.shear:.0%}, "
            f"shifted by {self.shift:.0%}, contrast changed by {self.contrast:.0%}"
        )

    def __call__(self, x: Tensor, y: Any, generator: Any) -> tuple[Tensor, Any]:
        """Change a batch of pictures [N, H, W, C]; what is turned in from outside repeats the edge."""
        count = len(x)

        def drawn(most: float) -> Tensor:
            return (torch.rand(count, generator=generator, device=x.device) * 2 - 1) * most

        pictures = x.permute(0, 3, 1, 2).float()
        angle, scale = drawn(math.radians(self.turn)), 1 + drawn(self.scale)
        cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
        # In the grid a side goes from -1 to 1, so a share of the side is twice as much there.
        rows = (
            torch.stack([cosine, drawn(self.shear) - sine, drawn(2 * self.shift)], 1),
            torch.stack([sine, cosine, drawn(2 * self.shift)], 1),
        )
        grid = functional.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
        pictures = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        if self.contrast:
            mean = pictures.mean((1, 2, 3), keepdim=True)
            factor = 1 + drawn(self.contrast).reshape(-1, 1, 1, 1)
            pictures = ((pictures - mean) * factor + mean).clamp_(0, 255)
        return pictures.permute(0, 2, 3, 1), y
