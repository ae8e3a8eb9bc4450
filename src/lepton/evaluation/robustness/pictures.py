"""What happens to pictures: blur, noise, light, contrast, compression and rotation.

Strengths are those of Hendrycks & Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations" (2019), where they have them; lengths are shares of the shorter side, so that small pictures are not
wiped out. Rotation is not in their list. Pictures are uint8 [H, W, C].
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.data.media.images import pillow
from lepton.evaluation.robustness.base import Perturbation

__all__ = ["PICTURES", "blurred", "brightened", "compressed", "contrasted", "noisy", "rotated"]

Pixels = NDArray[np.uint8]
_KERNEL_RADIUS = 12  # beyond, three running means are close to a Gaussian, whatever their width
_LEAST_SIGMA = 0.3


def _pixels(values: NDArray[Any]) -> Pixels:
    pixels: Pixels = np.rint(values).clip(0, 255).astype(np.uint8)
    return pixels


def blurred(picture: Pixels, amount: float, generator: np.random.Generator) -> Pixels:
    """A Gaussian blur whose standard deviation is `amount` of the shorter side, at least 0.3 pixels."""
    sigma = max(amount * min(picture.shape[:2]), _LEAST_SIGMA)
    values = picture.astype(np.float32)
    for axis in (0, 1):
        values = _smooth(values, sigma, axis)
    return _pixels(values)


def _smooth(values: NDArray[np.float32], sigma: float, axis: int) -> NDArray[np.float32]:
    radius = math.ceil(3 * sigma)
    if radius <= _KERNEL_RADIUS:
        places = np.arange(-radius, radius + 1)
        kernel = np.exp(-(places**2) / (2 * sigma**2))
        return _weighted(values, kernel / kernel.sum(), axis)
    half = max(round((math.sqrt(4 * sigma**2 + 1) - 1) / 2), 1)  # three boxes of 2·half + 1 have this variance
    for _ in range(3):
        values = _running_mean(values, half, axis)
    return values


def _padded(values: NDArray[np.float32], radius: int, axis: int) -> NDArray[np.float32]:
    widths = [(0, 0)] * values.ndim
    widths[axis] = (radius, radius)
    return np.pad(values, widths, mode="edge")


def _weighted(values: NDArray[np.float32], kernel: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    radius, length = len(kernel) // 2, values.shape[axis]
    padded = _padded(values, radius, axis)
    total = np.zeros_like(values)
    for place, weight in enumerate(kernel):
        total += np.float32(weight) * padded.take(range(place, place + length), axis=axis)
    return total


def _running_mean(values: NDArray[np.float32], half: int, axis: int) -> NDArray[np.float32]:
    width, length = 2 * half + 1, values.shape[axis]
    sums = _padded(values, half, axis).cumsum(axis=axis, dtype=np.float64)
    ends = sums.take(range(width - 1, width - 1 + length), axis=axis)
    before = np.zeros_like(ends)
    inner = sums.take(range(length - 1), axis=axis)
    np.moveaxis(before, axis, 0)[1:] = np.moveaxis(inner, axis, 0)
    means: NDArray[np.float32] = ((ends - before) / width).astype(np.float32)
    return means


def noisy(picture: Pixels, amount: float, generator: np.random.Generator) -> Pixels:
    """Normal noise on every value, its standard deviation being `amount` of the whole range."""
    return _pixels(picture + 255 * amount * generator.standard_normal(picture.shape, dtype=np.float32))


def brightened(picture: Pixels, amount: float, generator: np.random.Generator) -> Pixels:
    """Lighter by `amount` of the whole range; darker where it is below 0."""
    return _pixels(picture + np.float32(255 * amount))


def contrasted(picture: Pixels, amount: float, generator: np.random.Generator) -> Pixels:
    """Every value at `amount` of its distance from the picture's mean."""
    mean = picture.mean(dtype=np.float64)
    return _pixels(mean + amount * (picture - mean))


def compressed(picture: Pixels, amount: float, generator: np.random.Generator) -> Pixels:
    """Written as a JPEG of quality `amount`, and read again.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    images = pillow()
    if picture.shape[2] not in (1, 3):
        return np.concatenate(
            [compressed(picture[..., [channel]], amount, generator) for channel in range(picture.shape[2])], axis=2
        )
    file = io.BytesIO()
    grey = picture.shape[2] == 1
    images.fromarray(picture[..., 0] if grey else picture).save(file, "JPEG", quality=round(amount))
    again = np.asarray(images.open(file).convert("L" if grey else "RGB"))
    return np.ascontiguousarray(again.reshape(picture.shape))


def rotated(picture: Pixels, amount: float, generator: np.random.Generator) -> Pixels:
    """Turned about its middle by `amount` degrees, counter-clockwise; corners are filled from the nearest edge."""
    height, width = picture.shape[:2]
    angle = math.radians(amount)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y, x = np.meshgrid(np.arange(height) - middle_y, np.arange(width) - middle_x, indexing="ij")
    from_x = (np.cos(angle) * x - np.sin(angle) * y + middle_x).clip(0, width - 1)
    from_y = (np.sin(angle) * x + np.cos(angle) * y + middle_y).clip(0, height - 1)
    left, top = from_x.astype(np.int64), from_y.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    share_x, share_y = (from_x - left)[..., None], (from_y - top)[..., None]
    upper = picture[top, left] * (1 - share_x) + picture[top, right] * share_x
    lower = picture[bottom, left] * (1 - share_x) + picture[bottom, right] * share_x
    return _pixels(upper * (1 - share_y) + lower * share_y)


PICTURES: Mapping[str, Perturbation] = MappingProxyType(
    {
        each.name: each
        for each in (
            Perturbation(
                "blur",
                "Blur",
                (0.0045, 0.009, 0.0135, 0.018, 0.027),
                "Gaussian blur, standard deviation {} of the shorter side",
                blurred,
                (0.0, 0.5),
            ),
            Perturbation(
                "noise",
                "Noise",
                (0.08, 0.12, 0.18, 0.26, 0.38),
                "normal noise, standard deviation {} of the range",
                noisy,
                (0.0, 2.0),
            ),
            Perturbation(
                "brightness",
                "Brightness",
                (0.1, 0.2, 0.3, 0.4, 0.5),
                "lighter or darker by {} of the range",
                brightened,
                (-1.0, 1.0),
                signed=True,
            ),
            Perturbation(
                "contrast",
                "Contrast",
                (0.4, 0.3, 0.2, 0.1, 0.05),
                "{} of the contrast left",
                contrasted,
                (0.0, 5.0),
            ),
            Perturbation(
                "compression",
                "JPEG compression",
                (25, 18, 15, 10, 7),
                "JPEG of quality {}",
                compressed,
                (1.0, 100.0),
            ),
            Perturbation(
                "rotate",
                "Rotation",
                (2, 5, 10, 20, 45),
                "turned by {} degrees, either way",
                rotated,
                (-360.0, 360.0),
                signed=True,
            ),
        )
    }
)
"""Perturbations of pictures by name."""
