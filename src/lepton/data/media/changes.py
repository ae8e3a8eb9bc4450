"""What can be done to the content of files, one step after the other."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.codecs.resample import resampled
from lepton.core import ErrorCode, Kind, UsageError
from lepton.data.media.images import MAX_PIXELS, fault, pillow

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Crop", "FileChange", "Mono", "NormaliseText", "Resample", "Resize", "Sound", "TrimSilence"]

_RATES = (1_000, 384_000)
_FRAME = 0.01
_HIDDEN = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples `[frames, channels]` in -1 to 1, and their rate."""

    samples: NDArray[np.float32]
    rate: int


class FileChange(ABC):
    """One change of the content of a file, on files of one kind."""

    kind: Kind

    @abstractmethod
    def apply(self, content: Any) -> Any:
        """The changed content: an image (`L` or `RGB`), a `Sound`, or a text.

        Raises:
            DataError: it cannot be done to this file.
        """


@dataclass(frozen=True)
class Resize(FileChange):
    """Another size in pixels.

    Attributes:
        width: wanted.
        height: wanted.
        how: `crop` fills the size and cuts what stands over, evenly; `fit` makes the whole image fit in, without
            making it larger; `stretch` gives up the proportions.
    """

    width: int
    height: int
    how: Literal["crop", "fit", "stretch"] = "crop"
    kind = Kind.IMAGE

    def __post_init__(self) -> None:
        """Check the size."""
        _check_size(self.width, self.height)
        if self.how not in ("crop", "fit", "stretch"):
            raise UsageError(ErrorCode.USAGE, f"got how={self.how!r}", wanted="crop, fit or stretch")

    def apply(self, content: Image) -> Image:
        """The image in the new size."""
        best = pillow().Resampling.LANCZOS
        if self.how == "fit":
            small = content.copy()
            small.thumbnail((self.width, self.height), best)
            return small
        box = None
        if self.how == "crop":
            width, height = content.size
            scale = min(width / self.width, height / self.height)
            left, top = (width - scale * self.width) / 2, (height - scale * self.height) / 2
            box = (left, top, left + scale * self.width, top + scale * self.height)
        return content.resize((self.width, self.height), best, box)


@dataclass(frozen=True)
class Crop(FileChange):
    """The middle of an image, so many pixels of it."""

    width: int
    height: int
    kind = Kind.IMAGE

    def __post_init__(self) -> None:
        """Check the size."""
        _check_size(self.width, self.height)

    def apply(self, content: Image) -> Image:
        """The middle of the image."""
        width, height = content.size
        if width < self.width or height < self.height:
            wanted = f"{self.width:,} x {self.height:,}"
            raise fault("too small", f"{width:,} x {height:,} pixels, where {wanted} are cut out")
        left, top = (width - self.width) // 2, (height - self.height) // 2
        return content.crop((left, top, left + self.width, top + self.height))


@dataclass(frozen=True)
class Mono(FileChange):
    """One channel: the mean of all."""

    kind = Kind.AUDIO

    def apply(self, content: Sound) -> Sound:
        """The sound in one channel."""
        return Sound(content.samples.mean(axis=1, keepdims=True), content.rate)


@dataclass(frozen=True)
class Resample(FileChange):
    """Another rate, in samples a second; see `lepton.bundle.codecs.resample`."""

    rate: int
    kind = Kind.AUDIO

    def __post_init__(self) -> None:
        """Check the rate."""
        if not _RATES[0] <= self.rate <= _RATES[1]:
            came = f"got a rate of {self.rate}"
            raise UsageError(ErrorCode.USAGE, came, wanted=f"{_RATES[0]:,} to {_RATES[1]:,} samples a second")

    def apply(self, content: Sound) -> Sound:
        """The sound at the new rate."""
        return Sound(resampled(content.samples, content.rate, self.rate), self.rate)


@dataclass(frozen=True)
class TrimSilence(FileChange):
    """A sound without the silence at both ends.

    Attributes:
        decibels: silent is what stays so far below the loudest hundredth of a second.
        keep: seconds of silence that stay at each end.
    """

    decibels: float = 40.0
    keep: float = 0.05
    kind = Kind.AUDIO

    def __post_init__(self) -> None:
        """Check the level and the length."""
        if not 0 < self.decibels <= 120 or not 0 <= self.keep <= 60:
            came = f"got decibels={self.decibels}, keep={self.keep}"
            raise UsageError(ErrorCode.USAGE, came, wanted="more than 0 to 120 decibels, 0 to 60 seconds")

    def apply(self, content: Sound) -> Sound:
        """The sound without silence around it; one that is silent throughout is refused."""
        size = max(round(_FRAME * content.rate), 1)
        power = np.square(content.samples, dtype=np.float64).mean(axis=1)
        sums = np.add.reduceat(power, np.arange(0, len(power), size)) if len(power) else np.zeros(1)
        if not sums.max() > 0:
            raise fault("silent", "there is nothing to keep")
        loud = np.flatnonzero(sums > sums.max() * 10 ** (-self.decibels / 10))
        margin = round(self.keep * content.rate)
        start, stop = max(int(loud[0]) * size - margin, 0), (int(loud[-1]) + 1) * size + margin
        return Sound(content.samples[start:stop], content.rate)


@dataclass(frozen=True)
class NormaliseText(FileChange):
    """Text in NFC, with one line feed as line end, single spaces, at most one blank line, and no invisible characters.

    Attributes:
        lower: in lower case too.
    """

    lower: bool = False
    kind = Kind.TEXT

    def apply(self, content: str) -> str:
        """The text in one form."""
        text = unicodedata.normalize("NFC", content).replace("\r\n", "\n").replace("\r", "\n")
        text = "\n".join(line.strip() for line in _SPACES.sub(" ", _HIDDEN.sub("", text)).split("\n"))
        text = _BLANK_LINES.sub("\n\n", text).strip() + "\n"
        return text.lower() if self.lower else text


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        came = f"got a size of {width} x {height}"
        raise UsageError(ErrorCode.USAGE, came, wanted=f"at least 1 x 1, and at most {MAX_PIXELS:,} pixels")
