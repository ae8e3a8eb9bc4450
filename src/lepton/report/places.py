"""A map of shares along the rows of a table: one line a column, from the first row to the last."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from lepton.report.frame import WIDTH, Figure, as_floats, caption_of, empty_figure, finish, text_width
from lepton.report.numbers import show_number, show_share
from lepton.report.scales import Scale, drawable, nice_ticks
from lepton.report.style import STEPS
from lepton.report.svg import element, shortened, shown

__all__ = ["place_map"]

_MAX_LINES = 40
_HEIGHT = 16.0


def place_map(
    labels: Sequence[object], shares: npt.ArrayLike, edges: npt.ArrayLike, *, title: str, caption: str = ""
) -> Figure:
    """How large a share is in each run of rows, for each label.

    Args:
        labels: of the lines; at most 40 are drawn.
        shares: 0 to 1 [labels, runs]; 0 is left blank.
        edges: numbers of the rows between which the runs lie [runs + 1], rising.
        title: what is shown.
        caption: more to know.
    """
    values, places = np.atleast_2d(np.asarray(shares, dtype=np.float64)), as_floats(edges)
    fits = values.shape == (len(labels), len(places) - 1) and len(labels) and len(places) > 1
    if not fits or not drawable(places).all() or places[-1] <= places[0]:
        return empty_figure(title, caption)
    values = np.clip(np.nan_to_num(values), 0.0, 1.0)
    cut = f"The first {_MAX_LINES} of {len(labels):,} are shown." if len(labels) > _MAX_LINES else ""
    texts = [shortened(label, 24) for label in labels[:_MAX_LINES]]
    left = 12 + max(map(text_width, texts))
    x, top = Scale(float(places[0]), float(places[-1]), left, WIDTH - 10), 6.0
    bottom = top + _HEIGHT * len(texts)
    marks = []
    for line, text in enumerate(texts):
        y = top + _HEIGHT * line
        tip = element("title", shown(f"{labels[line]}: {_ranges(values[line], places)}", 600))
        back = element("rect", class_="blank", x=left, y=y + 1, width=x.end - left, height=_HEIGHT - 2)
        runs = _runs(values[line], places, x, y)
        name = element("text", shown(text), class_="name", x=left - 8, y=y + 12, text_anchor="end")
        marks.append(element("g", tip, name, back, *runs))
    ticks = [(at, said) for at, said in zip(*nice_ticks(x.low, x.high, 4), strict=True) if x.low <= at <= x.high]
    for at, said in ticks:
        here = x(at)
        anchor = "end" if here > WIDTH - 40 else "middle"
        marks.append(element("line", class_="axis", x1=here, x2=here, y1=bottom, y2=bottom + 4))
        marks.append(element("text", shown(said), class_="tick", x=here, y=bottom + 18, text_anchor=anchor))
    middle = (x.start + x.end) / 2
    marks.append(element("text", "row of the table", class_="label", x=middle, y=bottom + 36, text_anchor="middle"))
    said = "; ".join(f"{text} {_ranges(values[line], places)}" for line, text in enumerate(texts[:10]))
    alt = f"{title}. {said}."
    return finish(marks, title=title, alt=alt, caption=caption_of(caption, cut), height=bottom + 44)


def _runs(shares: npt.NDArray[np.float64], places: npt.NDArray[np.float64], x: Scale, y: float) -> list[str]:
    """One rectangle for neighbours of the same shade; a small share is seen, too."""
    shades = np.where(shares > 0, np.clip(np.ceil(shares * (STEPS - 2)).astype(int) + 1, 2, STEPS - 1), -1)
    marks, start = [], 0
    for shade, group in groupby(shades.tolist()):
        end = start + len(list(group))
        if shade >= 0:
            a, b = x(float(places[start])), x(float(places[end]))
            marks.append(element("rect", class_=f"q{shade}", x=a, y=y + 1, width=max(b - a, 0.5), height=_HEIGHT - 2))
        start = end
    return marks


def _ranges(shares: npt.NDArray[np.float64], places: npt.NDArray[np.float64]) -> str:
    """Where most and least is, in words."""
    most = int(shares.argmax())
    rows = f"rows {show_number(int(places[most]) + 1, 9)} to {show_number(int(places[most + 1]), 9)}"
    return f"at most {show_share(float(shares[most]))} ({rows}), at least {show_share(float(shares.min()))}"
