"""What a caller of `read` may say about scans and videos."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lepton.core import ErrorCode, UsageError, printable

__all__ = ["AXES", "FrameOptions"]

AXES = ("sagittal", "coronal", "axial")
"""Planes across the first, second and third axis of a volume whose axes go to the right, to the front and up."""

_SHORTEST_KEY = 16
_MOST_RATE = 1_000.0
_MOST_FRAMES = 1_000_000


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """How scans and videos become pictures; `read(..., media={"window": (40, 400)})`.

    Attributes:
        window: centre and width of the values that are shown, in the unit of the scan, in place of what its header
            says.
        axis: of NIfTI volumes: `axial`, `coronal` or `sagittal` slices.
        rate: frames of a video that are taken, a second.
        most_frames: of a video; it is cut there, which `decisions` tells.
        ids: a key of 16 characters at least, for the columns `study_id` and `series_id`: the UIDs of the header under
            HMAC-SHA256 with this key. None for no such columns.
    """

    window: tuple[float, float] | None = None
    axis: str = "axial"
    rate: float = 1.0
    most_frames: int = 10_000
    ids: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, media: object) -> FrameOptions:
        """The options that a caller gave by name.

        Raises:
            UsageError: no such option, or a value that cannot be meant.
        """
        names = [each.name for each in fields(cls)]
        wanted = "a dict with some of " + ", ".join(names)
        if not isinstance(media, Mapping):
            raise UsageError(ErrorCode.USAGE, f"got media of the type {type(media).__name__}", wanted=wanted)
        if unknown := [name for name in media if name not in names]:
            came = f"got media with {printable(repr(unknown[0]), 60)}"
            raise UsageError(ErrorCode.USAGE, came, wanted=wanted)
        return cls(**media)

    def __post_init__(self) -> None:
        """Check every value; a key is never shown."""
        if self.window is not None:
            object.__setattr__(self, "window", _window(self.window))
        if self.axis not in AXES:
            raise _refused("axis", self.axis, "one of " + ", ".join(AXES))
        if not _is_number(self.rate) or not 0 < self.rate <= _MOST_RATE:
            raise _refused("rate", self.rate, f"more than 0 to {_MOST_RATE:,.0f} frames a second")
        if not _is_number(self.most_frames) or self.most_frames != int(self.most_frames) or self.most_frames < 1:
            raise _refused("most_frames", self.most_frames, "a whole number of at least 1")
        if self.most_frames > _MOST_FRAMES:
            raise _refused("most_frames", self.most_frames, f"at most {_MOST_FRAMES:,}")
        key: object = self.ids
        if key is not None and (not isinstance(key, str) or len(key) < _SHORTEST_KEY):
            came = "got a key for 'ids' that is no text, or is short"
            raise UsageError(
                ErrorCode.USAGE, came, wanted=f"{_SHORTEST_KEY} characters at least, which nobody can guess"
            )


def _window(window: Any) -> tuple[float, float]:
    try:
        center, width = map(float, window)
    except (TypeError, ValueError):
        raise _refused("window", window, "(centre, width)") from None
    if not math.isfinite(center) or not math.isfinite(width) or width <= 0:
        raise _refused("window", window, "a finite centre, and a width above 0")
    return center, width


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refused(name: str, value: object, wanted: str) -> UsageError:
    return UsageError(ErrorCode.USAGE, f"got media={{{name!r}: {printable(repr(value), 60)}}}", wanted=wanted)
