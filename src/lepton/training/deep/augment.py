"""Changes of sounds that leave their meaning: no two passes hear the same.

Sources: pitches are warped as in vocal tract length perturbation (Jaitly and Hinton 2013), bands and frames left out as
in SpecAugment (Park et al. 2019).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["augment_sounds"]

_PITCH, _PITCH_SHIFT, _SPEED, _TIME_SHIFT = 0.16, 0.06, 0.2, 0.12
_MASKS, _MASK_BANDS, _MASK_FRAMES = 2, 0.18, 0.12
_NOISE = 0.35  # of the rows are mixed with noise, of
_NOISE_LEVEL = (-0.95, -0.45)  # 57 to 27 dB below the loudest
_SLOPE, _BEND = 0.25, 0.2  # of the range: 15 and 12 dB, as far apart as microphones are
_EDGE = 0.1  # of the range, over silence: what is quieter is changed less


def augment_sounds(x: Tensor, y: Any, generator: Any) -> tuple[Tensor, Any]:
    """Spectrograms [N, bands, frames] of another voice, speed, time and noise, with bands and frames left out."""
    count, bands, frames = x.shape
    move = torch.zeros(count, 2, 3)
    move[:, 0, 0] = 1 + _spread(count, _SPEED, generator)
    move[:, 1, 1] = 1 + _spread(count, _PITCH, generator)
    move[:, 0, 2] = _spread(count, 2 * _TIME_SHIFT, generator)
    # A voice is warped from its lowest pitch on, and shifted a little.
    move[:, 1, 2] = move[:, 1, 1] - 1 + _spread(count, 2 * _PITCH_SHIFT, generator)
    warped = _sampled((x + 1).unsqueeze(1), move, "zeros").squeeze(1) - 1
    # Another microphone: a slope and a bend over the pitches, of what sounds; the loudest is 0 again.
    place = torch.linspace(-1, 1, bands)[None, :, None]
    slope, bend = (_spread(count, most, generator)[:, None, None] for most in (_SLOPE, _BEND))
    sounding = ((warped + 1) / _EDGE).clamp_(0, 1)
    tilt = slope * place + bend * (place * place - 0.5)
    loudest = (warped + sounding * tilt).amax((1, 2), keepdim=True)
    warped = (warped + sounding * (tilt - loudest)).clamp_(-1, 0)
    low, high = _NOISE_LEVEL
    level = low + (high - low) * torch.rand(count, 1, 1, generator=generator)
    colour = _spread(count, 0.2, generator)[:, None, None] * place
    grain = 0.04 * torch.randn(count, bands, frames, generator=generator)
    noisy = torch.rand(count, 1, 1, generator=generator) < _NOISE
    warped = torch.where(noisy, torch.maximum(warped, level + colour + grain), warped).clamp_(-1, 0)
    for _ in range(_MASKS):
        warped = warped.masked_fill(_stripes(count, bands, _MASK_BANDS, generator)[:, :, None], -1.0)
        warped = warped.masked_fill(_stripes(count, frames, _MASK_FRAMES, generator)[:, None, :], -1.0)
    return warped, y


def _spread(count: int, most: float, generator: Any) -> Tensor:
    """Numbers from -`most` to `most`."""
    return (2 * torch.rand(count, generator=generator) - 1) * most


def _sampled(x: Tensor, move: Tensor, padding: str) -> Tensor:
    grid = functional.affine_grid(move, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _stripes(count: int, size: int, share: float, generator: Any) -> Tensor:
    """A run of places in each row [N, size], at most `share` of them."""
    length = torch.rand(count, 1, generator=generator) * share * size
    start = torch.rand(count, 1, generator=generator) * (size - length)
    places = torch.arange(size)[None, :]
    return (places >= start) & (places < start + length)
