"""What every figure has: alternative text, axes with round ticks, a caption that counts what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

import numpy as np
import numpy.typing as npt

from lepton.core.names import printable
from lepton.report.numbers import show_number
from lepton.report.scales import Scale, Ticks, nice_ticks
from lepton.report.style import FIGURE_STYLE
from lepton.report.svg import element, shortened, shown

__all__ = [
    "WIDTH",
    "Axes",
    "Figure",
    "as_floats",
    "caption_of",
    "empty_figure",
    "finish",
    "left_out",
    "legend",
    "plural",
    "range_text",
    "text_width",
]

WIDTH = 540.0
HEIGHT = 320.0
_DIGIT = 6.6
_WIDE = frozenset("mwMW@%<>=+~")
"""Width allowed for one character of a tick label."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One drawing.

    Attributes:
        title: what it shows, one line.
        svg: the drawing; it takes its colours from the page, so it follows light and dark.
        alt: what it says, for those who cannot see it.
        caption: what to know when reading it, with what was left out; may be empty.
    """

    title: str
    svg: str
    alt: str
    caption: str = ""

    def render(self) -> str:
        """The block for a page."""
        note = f'<span class="caption">{shown(self.caption)}</span>' if self.caption else ""
        title = f"<strong>{shown(self.title)}</strong>" if self.title else ""
        return f"<figure><figcaption>{title}{note}</figcaption>{self.svg}</figure>"

    def _repr_html_(self) -> str:
        return f'<div class="lepton"><style>{FIGURE_STYLE}</style>{self.render()}</div>'


def as_floats(values: object) -> npt.NDArray[np.float64]:
    """`values` as a flat float64 array; None becomes NaN."""
    return np.asarray(values, dtype=np.float64).ravel()


def plural(count: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def left_out(count: int, noun: str = "value") -> str:
    """A sentence about what could not be drawn, or ""."""
    return f"{plural(count, noun)} left out: not a number that can be drawn." if count else ""


def caption_of(*parts: str) -> str:
    """The parts that say something, joined."""
    return " ".join(part for part in parts if part)


def finish(
    marks: Iterable[str], *, title: str, alt: str, caption: str = "", width: float = WIDTH, height: float = HEIGHT
) -> Figure:
    """A figure of `marks` in a drawing of `width` × `height`."""
    alt = printable(alt, 2_000)
    svg = element(
        "svg",
        element("title", shown(title or alt)),
        element("desc", shown(alt)),
        *marks,
        viewBox=f"0 0 {width:g} {height:g}",
        class_="chart",
        role="img",
        aria_label=alt,
    )
    return Figure(title, svg, alt, caption)


def empty_figure(title: str, caption: str = "") -> Figure:
    """What stands where there is nothing to draw."""
    text = element("text", "nothing to draw", class_="empty", x=WIDTH / 2, y=60.0, text_anchor="middle")
    return finish(
        [text], title=title, alt=f"{title}: nothing to draw. {caption}".strip(), caption=caption, height=120.0
    )


class Axes:
    """The area of a drawing with a horizontal and a vertical scale.

    Args:
        x_range: lowest and highest value on the horizontal axis.
        y_range: the same for the vertical one.
        x_label: what the horizontal axis counts.
        y_label: the same for the vertical one; it stands above the axis, where it reads without turning the head.
        x_ticks: where ticks stand and what they say, from `low, high, count`.
        top: space above, for a legend.
    """

    def __init__(
        self,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        *,
        x_label: str = "",
        y_label: str = "",
        x_ticks: Ticks = nice_ticks,
        top: float = 0.0,
    ) -> None:
        self.y_places, self.y_texts = nice_ticks(*y_range)
        left = 14 + _DIGIT * max(len(text) for text in self.y_texts)
        upper = 12 + top + (18 if y_label else 0)
        self.x_places, self.x_texts = x_ticks(*x_range, 6)
        self.x = Scale(*x_range, left, WIDTH - 16)
        self.y = Scale(*y_range, HEIGHT - (44 if x_label else 26), upper)
        self.x_label, self.y_label = x_label, y_label

    def marks(self, *, vertical_grid: bool = False) -> list[str]:
        """Grid, ticks and labels; drawn before the data."""
        out = []
        for place, text in zip(self.y_places, self.y_texts, strict=True):
            y = self.y(place)
            out.append(element("line", class_="grid", x1=self.x.start, x2=self.x.end, y1=y, y2=y))
            out.append(element("text", shown(text), class_="tick", x=self.x.start - 7, y=y + 4, text_anchor="end"))
        out.append(element("line", class_="axis", x1=self.x.start, x2=self.x.end, y1=self.y.start, y2=self.y.start))
        for place, text in self._spaced():
            x = self.x(place)
            end = self.y.end if vertical_grid else self.y.start + 4
            out.append(element("line", class_="grid", x1=x, x2=x, y1=self.y.start, y2=end))
            anchor = "end" if x + _DIGIT * len(text) / 2 > WIDTH else "middle"
            out.append(element("text", shown(text), class_="tick", x=x, y=self.y.start + 18, text_anchor=anchor))
        if self.x_label:
            middle = (self.x.start + self.x.end) / 2
            label = shown(shortened(self.x_label, 70))
            out.append(element("text", label, class_="label", x=middle, y=self.y.start + 38, text_anchor="middle"))
        if self.y_label:
            label = shown(shortened(self.y_label, 70))
            out.append(element("text", label, class_="label", x=4.0, y=self.y.end - 12))
        return out

    def _spaced(self) -> list[tuple[float, str]]:
        """Ticks of the horizontal axis, every second one where they would touch."""
        pairs = list(zip(self.x_places, self.x_texts, strict=True))
        while len(pairs) > 2:
            widest = _DIGIT * max(len(text) for _, text in pairs) + 10
            if abs(self.x(pairs[1][0]) - self.x(pairs[0][0])) >= widest:
                break
            pairs = pairs[::2]
        return pairs


def legend(names: Sequence[str], y: float) -> tuple[list[str], float]:
    """One swatch and name for each series from `y` down, and the height it takes; nothing for a single series."""
    if len(names) < 2:
        return [], 0.0
    marks, x, row = [], 4.0, 0
    for index, name in enumerate(names):
        text = shortened(name, 34)
        width = 38 + text_width(text)
        if x + width > WIDTH and x > 4:
            x, row = 4.0, row + 1
        middle = y + 18 * row
        marks.append(element("line", class_=f"line s{index % 6} d{index // 6}", x1=x, x2=x + 18, y1=middle, y2=middle))
        marks.append(element("text", shown(text), class_="label", x=x + 24, y=middle + 4))
        x += width
    return marks, 18.0 * (row + 1)


def text_width(text: str) -> float:
    """The width that `text` may take as a label, generous: fonts differ, and wide scripts and capitals are wide."""
    return sum(map(_character_width, text))


def _character_width(character: str) -> float:
    if east_asian_width(character) in "WF":
        return 13.0
    if character in _WIDE:
        return 11.5
    return 9.2 if character.isupper() else 7.2


def range_text(values: npt.NDArray[np.float64]) -> str:
    """`from 1 to 9`."""
    return f"from {show_number(float(values.min()))} to {show_number(float(values.max()))}"
