"""What readers of scans give: pictures of 8 bits, one after the other, with facts that are no patient's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_VALUES", "Facts", "Scan", "ScanFrame", "finite"]

MAX_VALUES = 2**28
"""Values of one file, over all its frames and channels: a small header can claim any number."""


class Facts(TypedDict, total=False):
    """Technical facts of one picture, all of them numbers or words of a closed list."""

    format: str
    modality: str | None
    volume: int | None
    slice: int | None
    position: float | None
    row_spacing: float | None
    column_spacing: float | None
    thickness: float | None
    window_center: float | None
    window_width: float | None
    burned_in: str | None


@dataclass(frozen=True, slots=True)
class ScanFrame:
    """One picture: grey `[height, width]`, or colours `[height, width, 3]`."""

    pixels: NDArray[np.uint8]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Scan:
    """One file.

    Attributes:
        frames: its pictures, decoded as they are asked for.
        windowed: how its values became 8 bits, for `decisions`.
        study: what it belongs to; never shown as it is.
        series: within the study; never shown as it is.
        holes: whether some values are no numbers.
    """

    frames: Iterator[ScanFrame]
    windowed: str
    study: str = ""
    series: str = ""
    holes: bool = False


def finite(value: Any) -> float | None:
    """A number as it may stand in a table, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
