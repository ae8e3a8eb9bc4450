"""Heat over a picture, as a drawing for a page: what adds to an answer is blue, what takes away is orange."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.evaluation.classification import Floats
from lepton.report import Figure
from lepton.report.frame import finish
from lepton.report.svg import element

__all__ = ["enlarged", "heat_over", "png"]

_SIDE = 224.0
_GAP = 12.0
_MOST_PIXELS = 224
_ADDS, _TAKES = np.array([42.0, 111.0, 176.0]), np.array([224.0, 110.0, 20.0])


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG of pixels [H, W, 3]."""
    height, width, _ = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), dtype=np.uint8), pixels.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    written = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + written


def heat_over(picture: NDArray[Any], heat: Floats, *, title: str, alt: str, caption: str = "") -> Figure:
    """A picture, and beside it the same in grey under its heat.

    Args:
        picture: [H, W, C] of 1, 3 or any number of channels, of which the first is shown.
        heat: [h, w], of any size.
        title: of the drawing.
        alt: what it shows, for those who cannot see it.
        caption: what to know when reading it.
    """
    colours = _shown(picture)
    step = -(-max(colours.shape[:2]) // _MOST_PIXELS)
    colours = colours[::step, ::step]
    height, width = colours.shape[:2]
    grey = np.repeat(colours.mean(axis=2, keepdims=True), 3, axis=2) * 0.5 + 255 * 0.45
    large = enlarged(np.nan_to_num(heat), height, width)
    most = float(np.abs(large).max(initial=0.0))
    share = (np.abs(large) / most if most > 0 else np.zeros_like(large))[:, :, None]
    over = grey * (1 - share * 0.85) + np.where(large[:, :, None] > 0, _ADDS, _TAKES) * share * 0.85
    scale = _SIDE / max(height, width)
    wide, high = width * scale, height * scale
    marks = [
        element(
            "image",
            href="data:image/png;base64," + base64.b64encode(png(np.rint(part).astype(np.uint8))).decode("ascii"),
            x=place,
            y=0.0,
            width=wide,
            height=high,
            preserveAspectRatio="none",
            style="image-rendering:pixelated",
        )
        for place, part in ((0.0, colours), (wide + _GAP, over))
    ]
    key = "Left as it came; right blue where it adds to the answer, orange where it takes away."
    return finish(marks, title=title, alt=alt, caption=f"{key} {caption}".strip(), width=2 * wide + _GAP, height=high)


def enlarged(values: Floats, height: int, width: int) -> Floats:
    """Values [h, w] spread over `height` × `width` places, each to those of its region."""
    rows = np.minimum(np.arange(height) * len(values) // max(height, 1), len(values) - 1)
    columns = np.minimum(np.arange(width) * values.shape[1] // max(width, 1), values.shape[1] - 1)
    return np.asarray(values[rows][:, columns], dtype=np.float64)


def _shown(picture: NDArray[Any]) -> Floats:
    """Red, green and blue in 0 to 255."""
    colours = np.nan_to_num(picture.astype(np.float64))
    colours = colours[..., :3] if colours.shape[2] >= 3 else np.repeat(colours[..., :1], 3, axis=2)
    if picture.dtype != np.uint8:
        low, high = min(float(colours.min()), 0.0), max(float(colours.max()), 1.0)
        colours = (colours - low) / (high - low) * 255
    return np.clip(colours, 0, 255)
