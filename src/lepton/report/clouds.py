"""Points of several kinds on one plane, along an axis of powers where sizes differ much, with the best ones joined."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lepton.report.frame import (
    Axes,
    Figure,
    as_floats,
    caption_of,
    empty_figure,
    finish,
    left_out,
    legend,
    plural,
    range_text,
)
from lepton.report.numbers import show_number
from lepton.report.scales import drawable, padded
from lepton.report.svg import element, shown

__all__ = ["clouds"]

Points = tuple[npt.ArrayLike, npt.ArrayLike]

_MAX_NAMES = 12
_MAX_POINTS = 1_000
_MAX_TICKS = 6


def clouds(
    groups: Mapping[str, Points],
    *,
    title: str,
    x_label: str,
    y_label: str,
    joined: Sequence[tuple[float, float]] = (),
    show: Callable[[float], str] = show_number,
    caption: str = "",
) -> Figure:
    """One colour a name, and equal distances across for equal ratios.

    Args:
        groups: name → (x above 0, y); at most 12, and at most 1,000 points of each.
        title: what is shown.
        x_label: what the horizontal axis measures.
        y_label: what the vertical one measures.
        joined: points that a dashed line goes through, in the order of x: those that none beats, say.
        show: how a place on the horizontal axis is written.
        caption: more to know.
    """
    kept: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = {}
    bad = 0
    for name, (x, y) in list(groups.items())[:_MAX_NAMES]:
        xs, ys = as_floats(x), as_floats(y)
        good = drawable(xs) & drawable(ys) & (xs > 0)
        bad += int((~good).sum())
        if good.any():
            kept[str(name)] = (np.log10(xs[good])[:_MAX_POINTS], ys[good][:_MAX_POINTS])
    more = len(groups) - _MAX_NAMES
    caption = caption_of(caption, left_out(bad, "point"), f"{plural(more, 'more kind')} not drawn." if more > 0 else "")
    if not kept:
        return empty_figure(title, caption)
    across = np.concatenate([x for x, _ in kept.values()])
    up = np.concatenate([y for _, y in kept.values()])
    names = list(kept)
    marks, height = legend(names, 10)
    axes = Axes(
        padded(float(across.min()), float(across.max()), 0.04),
        padded(float(up.min()), float(up.max()), 0.05),
        x_label=x_label,
        y_label=y_label,
        top=height,
        x_ticks=lambda low, high, count: _powers(low, high, show),
    )
    marks += axes.marks()
    if len(joined) > 1:
        line = " ".join(f"{axes.x(math.log10(x)):.1f},{axes.y(y):.1f}" for x, y in sorted(joined) if x > 0)
        marks.append(element("polyline", class_="diagonal", points=line))
    for index, (name, (x, y)) in enumerate(kept.items()):
        for place, value in zip(x.tolist(), y.tolist(), strict=True):
            tip = element("title", shown(f"{name}: {show_number(value)} at {show(10.0**place)}", 300))
            marks.append(element("circle", tip, class_=f"f{index % 6}", cx=axes.x(place), cy=axes.y(value), r=3.6))
    alt = f"{title}. Points of {y_label} over {x_label}: " + "; ".join(
        f"{name} {range_text(y)}" for name, (_, y) in kept.items()
    )
    return finish(marks, title=title, alt=alt, caption=caption)


def _powers(low: float, high: float, show: Callable[[float], str]) -> tuple[list[float], list[str]]:
    """Places of powers of ten between two logarithms; of 2 and 5 times those too, where that would be few."""
    whole = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1,), (1, 2, 5), range(1, 10)):
        places = [math.log10(step) + power for power in whole for step in steps]
        places = [place for place in places if low <= place <= high]
        if len(places) >= 3:
            break
    else:
        places = [low, (low + high) / 2.0, high]
    kept = places[:1]
    for place in places[1:]:  # a label each, and none into the next
        if place - kept[-1] >= (high - low) / _MAX_TICKS:
            kept.append(place)
    return kept, [show(10.0**place) for place in kept]
