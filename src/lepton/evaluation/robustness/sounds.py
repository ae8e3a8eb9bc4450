"""What happens to sounds: noise, another speed, another volume, a late beginning. Sounds are float [T] in -1 to 1."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.codecs.resample import resampled
from lepton.evaluation.robustness.base import Perturbation

__all__ = ["SOUNDS", "delayed", "louder", "noisy", "of_length", "sped"]

Samples = NDArray[np.float32]
_QUIETEST = 1e-6  # power of what is taken for silence: noise against it is measured from here
_STEPS = 100  # a speed is a share of so many


def _within(samples: NDArray[Any]) -> Samples:
    kept: Samples = samples.clip(-1, 1).astype(np.float32)
    return kept


def noisy(samples: Samples, amount: float, generator: np.random.Generator) -> Samples:
    """White noise `amount` decibels below the sound's own power."""
    power = max(float(np.mean(np.square(samples, dtype=np.float64))), _QUIETEST)
    noise = generator.standard_normal(samples.shape, dtype=np.float32) * np.float32(
        np.sqrt(power * 10 ** (-amount / 10))
    )
    return np.clip(samples + noise, -1, 1).astype(np.float32)


def sped(samples: Samples, amount: float, generator: np.random.Generator) -> Samples:
    """Played faster by `amount` (0.1: a tenth faster, and higher); slower where it is below 0."""
    factor = 1 + amount if amount >= 0 else 1 / (1 - amount)
    return resampled(samples[:, None], max(round(factor * _STEPS), 1), _STEPS)[:, 0]


def louder(samples: Samples, amount: float, generator: np.random.Generator) -> Samples:
    """Louder by `amount` decibels, cut where it leaves the range; softer where it is below 0."""
    return _within(samples * np.float32(10 ** (amount / 20)))


def delayed(samples: Samples, amount: float, generator: np.random.Generator) -> Samples:
    """Later by `amount` of the length, silence before and the end cut off; earlier where it is below 0."""
    shift = round(abs(amount) * len(samples))
    moved = np.zeros_like(samples)
    if amount >= 0:
        moved[shift:] = samples[: len(samples) - shift]
    else:
        moved[: len(samples) - shift] = samples[shift:]
    return moved


def of_length(samples: Samples, length: int) -> Samples:
    """So many samples: the end cut off, or silence after it."""
    kept = samples[:length]
    return np.pad(kept, (0, length - len(kept)))


SOUNDS: Mapping[str, Perturbation] = MappingProxyType(
    {
        each.name: each
        for each in (
            Perturbation(
                "noise", "Noise", (30, 20, 10, 5, 0), "white noise, {} dB below the sound", noisy, (-60.0, 120.0)
            ),
            Perturbation(
                "speed",
                "Speed",
                (0.02, 0.05, 0.1, 0.2, 0.4),
                "faster or slower by {}",
                sped,
                (-3.0, 3.0),
                signed=True,
            ),
            Perturbation(
                "volume",
                "Volume",
                (3, 6, 12, 18, 24),
                "louder or softer by {} dB",
                louder,
                (-120.0, 120.0),
                signed=True,
            ),
            Perturbation(
                "shift",
                "Shift in time",
                (0.01, 0.05, 0.1, 0.2, 0.4),
                "earlier or later by {} of the length",
                delayed,
                (-1.0, 1.0),
                signed=True,
            ),
        )
    }
)
"""Perturbations of sounds by name."""
