"""Another sampling rate for a sound: band-limited interpolation with a windowed sinc."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["resampled"]

_CROSSINGS = 24
_SHAPE = 9.0
_ROLL_OFF = 0.93
_BLOCK = 2_000_000

Samples = NDArray[np.float32]


def resampled(samples: Samples, rate: int, new_rate: int) -> Samples:
    """The same sound at another rate; frequencies that the new rate cannot hold are taken out first.

    Every new sample is the sum of its neighbours, weighted by a sinc under a Kaiser window of 24 zero crossings to
    each side: about 90 dB of what lies beyond is taken out, and frequencies up to 0.9 of the limit are kept. Source:
    J. O. Smith, "Digital Audio Resampling", 2002.

    Args:
        samples: `[frames, channels]`.
        rate: samples a second.
        new_rate: samples a second wanted.

    Returns:
        `[ceil(frames * new_rate / rate), channels]`.
    """
    if rate == new_rate or not len(samples):
        return samples
    common = math.gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    cutoff = min(1.0, up / down) * _ROLL_OFF
    half = math.ceil(_CROSSINGS / cutoff)
    weights = _weights(up, half, cutoff)
    num_frames = -(-len(samples) * up // down)
    padded = np.pad(samples, ((half, half + 1), (0, 0)))
    out = np.empty((num_frames, samples.shape[1]), dtype=np.float32)
    step = max(_BLOCK // (2 * half), 1)
    for start in range(0, num_frames, step):
        places = np.arange(start, min(start + step, num_frames), dtype=np.int64) * down
        of_weights = weights[places % up]
        for channel in range(samples.shape[1]):
            windows = np.lib.stride_tricks.sliding_window_view(padded[:, channel], 2 * half)
            out[start : start + step, channel] = np.einsum("nt,nt->n", windows[places // up + 1], of_weights)
    return out


def _weights(up: int, half: int, cutoff: float) -> NDArray[np.float32]:
    """Weights of the 2 `half` neighbours of a new sample at each of the `up` places between two old ones."""
    fractions = np.arange(up)[:, None] / up
    distances = fractions - np.arange(-half + 1, half + 1)[None, :]
    window = np.i0(_SHAPE * np.sqrt(np.clip(1 - (distances / half) ** 2, 0, None))) / np.i0(_SHAPE)
    found: NDArray[np.float32] = (cutoff * np.sinc(cutoff * distances) * window).astype(np.float32)
    return found
