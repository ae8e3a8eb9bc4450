"""Small pictures side by side, each with its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lepton.report.svg import coordinate, element, shown

__all__ = ["Gallery", "Thumbnail", "waveform"]

_URI = re.compile(r"data:image/(?:jpeg|png);base64,[A-Za-z0-9+/]+={0,2}", re.ASCII)
_GRID = "display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr));gap:1rem;margin:0 0 1.4rem"
_CELL = "margin:0;min-width:0"
_PICTURE = "max-width:100%;height:6rem;object-fit:contain;object-position:left bottom;display:block"
_NAME = "font-size:.78rem;color:var(--soft);overflow-wrap:anywhere;display:block"
_WAVE_WIDTH, _WAVE_HEIGHT = 120, 60


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One small picture.

    Attributes:
        name: what stands under it.
        alt: what it shows, for those who cannot see it.
        uri: a data URI of a JPEG or PNG, if it is one.
        svg: the drawing as `waveform` gives it, if it is one.
        words: what to say instead of a picture.
    """

    name: str
    alt: str = ""
    uri: str = ""
    svg: str = ""
    words: str = ""

    def render(self) -> str:
        """The cell of a gallery."""
        if _URI.fullmatch(self.uri):
            inside = f'<img src="{self.uri}" alt="{shown(self.alt, 200)}" style="{_PICTURE}">'
        else:
            inside = self.svg or f'<span class="note">{shown(self.words, 200)}</span>'
        return (
            f'<figure style="{_CELL}">{inside}<figcaption style="{_NAME}">{shown(self.name, 80)}</figcaption></figure>'
        )


@dataclass(frozen=True, slots=True)
class Gallery:
    """Small pictures side by side.

    Attributes:
        thumbnails: in order.
        caption: what they are.
    """

    thumbnails: Sequence[Thumbnail]
    caption: str = ""

    def render(self) -> str:
        """The block for a page."""
        caption = f'<p class="note">{shown(self.caption)}</p>' if self.caption else ""
        return f'{caption}<div style="{_GRID}">{"".join(each.render() for each in self.thumbnails)}</div>'


def waveform(samples: npt.NDArray[np.floating], alt: str) -> str:
    """The course of a sound in -1 to 1 as a drawing: from the least to the largest value at each place.

    Args:
        samples: of one channel, at least one.
        alt: what it shows.
    """
    edges = np.linspace(0, len(samples), min(_WAVE_WIDTH, len(samples)) + 1).astype(np.int64)[:-1]
    high = np.clip(np.maximum.reduceat(samples, edges), -1, 1)
    low = np.clip(np.minimum.reduceat(samples, edges), -1, 1)
    middle = _WAVE_HEIGHT / 2
    steps = _WAVE_WIDTH / len(edges)
    # A line of half a unit is seen where there is silence.
    points = [(n * steps, middle - max(float(v), 0.01) * middle) for n, v in enumerate(high.tolist())]
    points += [(n * steps, middle - min(v, -0.01) * middle) for n, v in reversed(list(enumerate(low.tolist())))]
    line = "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points) + "Z"
    return element(
        "svg",
        element("path", d=line, class_="f0"),
        class_="chart",
        viewBox=f"0 0 {_WAVE_WIDTH} {_WAVE_HEIGHT}",
        role="img",
        aria_label=alt,
        style=_PICTURE,
    )
