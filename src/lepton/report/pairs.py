"""Figures that set two things beside each other: before and after, then and now; and rows that flow through steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lepton.report.frame import (
    WIDTH,
    Axes,
    Figure,
    as_floats,
    caption_of,
    empty_figure,
    finish,
    left_out,
    plural,
    text_width,
)
from lepton.report.numbers import show_number, show_share, show_time
from lepton.report.scales import Scale, date_ticks, drawable, nice_ticks, padded
from lepton.report.svg import element, shortened, shown

__all__ = ["flow", "overlaid", "paired_bars"]

Floats = npt.NDArray[np.float64]

_MAX_PAIRS = 24
_MAX_STEPS = 8
_STYLES = ("s1 d1", "s0")
"""Of the first and of the second: told apart by dashes, too."""


def overlaid(
    edges: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    title: str,
    names: tuple[str, str] = ("before", "after"),
    x_label: str = "",
    dates: bool = False,
    caption: str = "",
) -> Figure:
    """Two distributions between the same edges, one over the other, each as shares of its own rows.

    Args:
        edges: n + 1 rising places.
        first: n counts, drawn with dashes.
        second: n counts, drawn with a whole line.
        title: what is shown.
        names: of the two.
        x_label: what the edges measure.
        dates: whether edges are microseconds since 1970 UTC.
        caption: more to know.
    """
    places, pair = as_floats(edges), [as_floats(first), as_floats(second)]
    fits = len(places) > 1 and all(len(each) == len(places) - 1 for each in pair)
    if not fits or not drawable(places).all() or not any(each.sum() > 0 for each in pair):
        return empty_figure(title, caption)
    bad = sum(int((~drawable(each)).sum()) for each in pair)
    shares = [_of_whole(np.where(drawable(each) & (each >= 0), each, 0.0)) for each in pair]
    if places[-1] - places[0] <= 1e-12 * np.abs(places).max():  # one value: one bar of visible width
        places, shares = np.array(padded(float(places[0]), float(places[-1]))), [_of_whole(s[:1]) for s in shares]
    axes = Axes(
        (float(places[0]), float(places[-1])),
        (0.0, max(float(max(s.max() for s in shares)), 1e-9) * 1.05),
        x_label=x_label,
        y_label="% of the rows",
        top=20.0,
        x_ticks=date_ticks if dates else nice_ticks,
    )
    marks = [*_legend(names), *axes.marks()]
    for share, name, style in zip(shares, names, _STYLES, strict=True):
        points = _steps(axes, places, share)
        fill = "f" + style[1]
        marks.append(element("polygon", element("title", shown(name)), class_=f"area {fill}", points=points))
        marks.append(element("polyline", class_=f"line {style}", points=points))
    show = show_time if dates else show_number
    peaks = [
        f"{name} most often {show(float(places[i]))} to {show(float(places[i + 1]))}"
        for name, i in zip(names, (int(s.argmax()) for s in shares), strict=True)
    ]
    span = f"from {show(float(places[0]))} to {show(float(places[-1]))}"
    alt = f"{title}. Two distributions {span}: {'; '.join(peaks)}."
    return finish(marks, title=title, alt=alt, caption=caption_of(caption, left_out(bad, "bin")))


def _of_whole(counts: Floats) -> Floats:
    total = float(counts.sum())
    return counts / total * 100 if total > 0 else counts


def _steps(axes: Axes, places: Floats, heights: Floats) -> str:
    x = np.repeat(axes.x.many(places), 2)
    y = axes.y.many(np.concatenate([[0.0], np.repeat(heights, 2), [0.0]]))
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _legend(names: Sequence[str]) -> list[str]:
    marks, x = [], 4.0
    for name, style in zip(names, _STYLES, strict=True):
        text = shortened(name, 30)
        marks.append(element("line", class_=f"line {style}", x1=x, x2=x + 24, y1=10.0, y2=10.0))
        marks.append(element("text", shown(text), class_="label", x=x + 30, y=14.0))
        x += 46 + text_width(text)
    return marks


def paired_bars(
    labels: Sequence[object],
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    title: str,
    names: tuple[str, str] = ("before", "after"),
    x_label: str = "share of the rows",
    caption: str = "",
) -> Figure:
    """Two bars a label: shares of 1, then and now.

    Args:
        labels: what the bars are; at most 24 are drawn.
        first: one share a label, drawn as an outline.
        second: one share a label, drawn full.
        title: what is shown.
        names: of the two.
        x_label: what the lengths measure.
        caption: more to know.
    """
    pair = np.stack([as_floats(first), as_floats(second)])
    good = drawable(pair).all(axis=0) & (pair >= 0).all(axis=0)
    kept = np.flatnonzero(good)[:_MAX_PAIRS]
    more = int(good.sum()) - len(kept)
    cut = f"The first {_MAX_PAIRS} of {int(good.sum()):,} are shown." if more else ""
    caption = caption_of(caption, left_out(int((~good).sum())), cut)
    if not len(kept):
        return empty_figure(title, caption)
    texts = [shortened(labels[i], 26) for i in kept]
    left, top, step = 12 + max(map(text_width, texts)), 30.0, 38.0
    x = Scale(0.0, max(float(pair[:, kept].max()), 1e-9), left, WIDTH - 64)
    bottom = top + step * len(kept)
    marks = [*_legend(names), element("line", class_="axis", x1=left, x2=left, y1=top, y2=bottom)]
    said = []
    for row, (index, text) in enumerate(zip(kept.tolist(), texts, strict=True)):
        shares = pair[:, index].tolist()
        marks.append(_pair(x, top + step * row, labels[index], text, shares, names))
        said.append(f"{text} {show_share(shares[0])}, then {show_share(shares[1])}")
    middle = (x.start + x.end) / 2
    marks.append(element("text", shown(x_label), class_="label", x=middle, y=bottom + 18, text_anchor="middle"))
    alt = f"{title}. {names[0]} and {names[1]}: " + "; ".join(said[:12])
    return finish(marks, title=title, alt=alt, caption=caption, height=bottom + 26)


def _pair(x: Scale, y: float, label: object, text: str, shares: Sequence[float], names: Sequence[str]) -> str:
    tip = ", ".join(f"{name} {show_share(share)}" for name, share in zip(names, shares, strict=True))
    parts = [
        element("title", shown(f"{label}: {tip}", 300)),
        element("text", shown(text), class_="name", x=x.start - 8, y=y + 22, text_anchor="end"),
    ]
    for place, (share, kind) in enumerate(zip(shares, ("hollow", "bar"), strict=True)):
        top = y + 4 + 15 * place
        parts.append(
            element("rect", class_=kind, x=x.start, y=top, width=max(x(share) - x.start, 0.5), height=13.0, rx=2.0)
        )
        parts.append(element("text", shown(show_share(share)), class_="value", x=x(share) + 6, y=top + 11))
    return element("g", *parts)


def flow(steps: Sequence[tuple[str, int]], *, title: str) -> Figure:
    """How many rows are left after each step: a band that narrows and widens.

    Args:
        steps: (name, rows after it); the first is where the rows come in. Of more than eight, the first three and the
            last five are drawn.
        title: what is shown.
    """
    steps = list(steps)
    caption = f"{plural(len(steps) - _MAX_STEPS, 'step')} between are not drawn." if len(steps) > _MAX_STEPS else ""
    said = ", ".join(f"{name} {rows:,}" for name, rows in steps[:40])
    if len(steps) > _MAX_STEPS:
        steps = [*steps[:3], *steps[3 - _MAX_STEPS :]]
    most = max((rows for _, rows in steps), default=0)
    if most <= 0:
        return empty_figure(title, caption)
    slot, middle, tall = (WIDTH - 8) / len(steps), 84.0, 84.0
    ends = [max(tall * rows / most, 0.8) / 2 for _, rows in steps]
    marks = []
    for number, (name, rows) in enumerate(steps):
        start, half = 4 + slot * number, ends[number]
        end = start + slot * 0.55
        tip = element("title", shown(f"{name}: {rows:,} rows", 300))
        marks.append(element("rect", tip, class_="bar", x=start, y=middle - half, width=end - start, height=2 * half))
        if number + 1 < len(steps):
            after, to = ends[number + 1], start + slot
            points = f"{end:.1f},{middle - half:.1f} {to:.1f},{middle - after:.1f} "
            points += f"{to:.1f},{middle + after:.1f} {end:.1f},{middle + half:.1f}"
            marks.append(element("polygon", class_="band", points=points))
        # Where slots are narrow, every second text stands a line further out and may be as wide as two.
        stagger = 16 * (number % 2) if len(steps) > 4 else 0
        room = slot * (2 if len(steps) > 4 and number + 1 < len(steps) else 1)
        label = shown(shortened(name, max(int(room / 7.6), 4)))
        marks.append(element("text", shown(f"{rows:,}"), class_="value", x=start, y=30.0 - stagger))
        marks.append(element("text", label, class_="name", x=start, y=140.0 + stagger))
    return finish(marks, title=title, alt=f"{title}. Rows: {said}.", caption=caption, height=166.0)
