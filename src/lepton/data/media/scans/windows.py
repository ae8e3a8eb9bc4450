"""From the values of a scan to 8 bits: a window of them is shown, from black to white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shape", "Window", "plain_grey", "usual_window"]

_OUTSIDE = 0.5
_SAMPLE = 2_000_000


class Shape(StrEnum):
    """How grey grows within a window: the VOI LUT functions of DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are shown.

    Attributes:
        center: its middle, in the unit of the scan.
        width: above 0.
        shape: how grey grows in it.
    """

    center: float
    width: float
    shape: Shape = Shape.LINEAR_EXACT

    @classmethod
    def between(cls, low: float, high: float) -> Window:
        """From black at `low` to white at `high`."""
        return cls((low + high) / 2, max(high - low, 1e-9))

    def grey(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """`values` in 0 to 255; what lies outside is black or white, and what is no number is black."""
        center, width = self.center, self.width
        if self.shape is Shape.LINEAR and width > 1:  # values stand for pixels: the middle lies between two of them
            center, width = center - 0.5, width - 1
        with np.errstate(over="ignore", invalid="ignore"):
            if self.shape is Shape.SIGMOID:
                share = 1 / (1 + np.exp(-4 * (values - center) / width))
            else:
                share = np.clip((values - center) / width + 0.5, 0, 1)
            shown: NDArray[np.uint8] = np.nan_to_num(share * 255).round().astype(np.uint8)
        return shown


def usual_window(frames: Sequence[NDArray[np.float64]], padding: float | None = None) -> Window | None:
    """From where 0.5 % of the values lie below to where 0.5 % lie above; None where there are no numbers.

    Args:
        frames: values, together the whole of a scan; of many, some are looked at, evenly.
        padding: a value that stands for "nothing here".
    """
    total = sum(frame.size for frame in frames)
    step = max(total // _SAMPLE, 1)
    values = np.concatenate([frame.ravel()[::step] for frame in frames])
    known = values[np.isfinite(values) if padding is None else np.isfinite(values) & (values != padding)]
    if not known.size:
        return None
    low, high = np.percentile(known, [_OUTSIDE, 100 - _OUTSIDE])
    if high <= low:  # nearly all values are the same: the others must not vanish
        low, high = known.min(), known.max()
    return Window.between(float(low), float(high))


def plain_grey(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Values that are grey levels of 8 bits already."""
    shown: NDArray[np.uint8] = np.clip(np.nan_to_num(values), 0, 255).round().astype(np.uint8)
    return shown
