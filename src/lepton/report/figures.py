"""Figures of the usual kinds; bad numbers are left out and counted in the caption, never drawn as something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

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
    legend,
    plural,
    range_text,
    text_width,
)
from lepton.report.numbers import show_number, show_time
from lepton.report.scales import Scale, date_ticks, drawable, nice_ticks, padded
from lepton.report.style import STEPS
from lepton.report.svg import element, shortened, shown

__all__ = ["bars", "heatmap", "histogram", "lines", "scatter", "small_histogram"]

Floats = npt.NDArray[np.float64]
Series = tuple[npt.ArrayLike, npt.ArrayLike]

_MAX_BARS = 40
_MAX_LINES = 12
_MAX_LINE_POINTS = 800
_MAX_POINTS = 2_000
_DENSITY_CELLS = (54, 32)
_MAX_CELLS = 30


def bars(
    labels: Sequence[object],
    values: npt.ArrayLike,
    *,
    title: str,
    lower: npt.ArrayLike | None = None,
    upper: npt.ArrayLike | None = None,
    x_label: str = "",
    y_label: str = "",
) -> Figure:
    """One horizontal bar a label, in the order given, from 0 to the value.

    Args:
        labels: names of the bars.
        values: their lengths.
        title: what is shown.
        lower: lower ends of intervals around the values, drawn as whiskers together with `upper`.
        upper: upper ends.
        x_label: what the lengths count.
        y_label: what the labels are.
    """
    lengths = as_floats(values)
    good = drawable(lengths)
    kept = np.flatnonzero(good)[:_MAX_BARS]
    more = int(good.sum()) - len(kept)
    caption = caption_of(
        left_out(int((~good).sum())), f"The first {_MAX_BARS} of {int(good.sum()):,} are shown." if more else ""
    )
    if not len(kept):
        return empty_figure(title, caption)
    spans = _intervals(lower, upper, kept)
    ends = [lengths[kept], np.zeros(1), *([spans.ravel()[drawable(spans.ravel())]] if spans is not None else [])]
    low, high = padded(float(min(e.min() for e in ends if len(e))), float(max(e.max() for e in ends if len(e))))
    texts = [shortened(labels[i], 26) for i in kept]
    left = 12 + max(text_width(text) for text in texts)
    top = 26.0 if y_label else 8.0
    step = 26.0
    bottom = top + step * len(kept)
    x = Scale(low, high, left, WIDTH - 64)
    marks = [_heading(y_label)] if y_label else []
    marks.extend(_bar_axis(x, top, bottom, x_label))
    for row, (index, text) in enumerate(zip(kept, texts, strict=True)):
        span = None if spans is None else spans[row]
        marks.append(_bar(x, top + step * row, labels[index], text, float(lengths[index]), span))
    alt = f"{title}. Bars: " + ", ".join(
        f"{t} {show_number(float(lengths[i]))}" for i, t in list(zip(kept, texts, strict=True))[:12]
    )
    return finish(marks, title=title, alt=alt, caption=caption, height=bottom + (42 if x_label else 24))


def _intervals(lower: object, upper: object, kept: npt.NDArray[np.intp]) -> Floats | None:
    if lower is None or upper is None:
        return None
    return np.stack([as_floats(lower)[kept], as_floats(upper)[kept]], axis=1)


def _heading(text: str) -> str:
    return element("text", shown(shortened(text, 70)), class_="label", x=4.0, y=14.0)


def _bar_axis(x: Scale, top: float, bottom: float, label: str) -> list[str]:
    marks = []
    for place, text in zip(*nice_ticks(x.low, x.high, 4), strict=True):
        at = x(place)
        marks.append(element("line", class_="grid", x1=at, x2=at, y1=top, y2=bottom))
        marks.append(element("text", shown(text), class_="tick", x=at, y=bottom + 16, text_anchor="middle"))
    marks.append(element("line", class_="axis", x1=x(0), x2=x(0), y1=top, y2=bottom))
    if label:
        middle = (x.start + x.end) / 2
        text = shown(shortened(label, 70))
        marks.append(element("text", text, class_="label", x=middle, y=bottom + 36, text_anchor="middle"))
    return marks


def _bar(x: Scale, y: float, label: object, text: str, value: float, span: Floats | None) -> str:
    left, right = sorted((x(0), x(value)))
    middle = y + 13
    parts = [
        element("title", shown(f"{label}: {show_number(value)}", 300)),
        element("text", shown(text), class_="name", x=x.start - 8, y=middle + 4, text_anchor="end"),
        element("rect", class_="bar", x=left, y=y + 4, width=max(right - left, 0.5), height=18.0, rx=2.0),
    ]
    end = right
    if span is not None and drawable(span).all():
        low, high = x(float(span[0])), x(float(span[1]))
        path = f"M{low:.1f} {middle - 4:.1f}v8M{low:.1f} {middle:.1f}H{high:.1f}M{high:.1f} {middle - 4:.1f}v8"
        parts.append(element("path", class_="whisker", d=path))
        end = max(end, high)
    parts.append(element("text", show_number(value), class_="value", x=end + 6, y=middle + 4))
    return element("g", *parts)


def histogram(
    edges: npt.ArrayLike,
    counts: npt.ArrayLike,
    *,
    title: str,
    x_label: str = "",
    y_label: str = "rows",
    dates: bool = False,
    caption: str = "",
) -> Figure:
    """Counts between edges. Where the bins differ in width, areas count, and the axis says so.

    Args:
        edges: n + 1 rising places.
        counts: n counts.
        title: what is shown.
        x_label: what the edges measure.
        y_label: what is counted.
        dates: whether edges are microseconds since 1970 UTC.
        caption: more to know.
    """
    places, heights = as_floats(edges), as_floats(counts)
    if len(places) != len(heights) + 1 or not len(heights) or not drawable(places).all():
        return empty_figure(title, caption)
    good = drawable(heights) & (heights >= 0)
    caption = caption_of(caption, left_out(int((~good).sum()), "bin"))
    heights = np.where(good, heights, 0.0)
    widths = np.diff(places)
    if places[-1] - places[0] <= 1e-12 * np.abs(places).max():  # one value: one bar of visible width
        places, heights = np.array(padded(float(places[0]), float(places[-1]))), np.array([heights.sum()])
    elif not np.allclose(widths, widths[0], rtol=1e-6):
        with np.errstate(divide="ignore", invalid="ignore"):
            heights = np.nan_to_num(heights / widths * (widths.sum() / len(widths)), posinf=0.0)
        y_label = f"{y_label} per bin of mean width"
    axes = Axes(
        (float(places[0]), float(places[-1])),
        (0.0, max(float(heights.max()), 1e-9) * 1.05),
        x_label=x_label,
        y_label=y_label,
        x_ticks=date_ticks if dates else nice_ticks,
    )
    show = show_time if dates else show_number
    marks = axes.marks()
    for (low, high), height in zip(pairwise(places.tolist()), heights.tolist(), strict=True):
        start, end, top = axes.x(low), axes.x(high), axes.y(height)
        gap = 0.5 if end - start > 3 else 0.0
        tip = element("title", f"{show(low)} to {show(high)}: {show_number(height)}")
        marks.append(
            element(
                "rect", tip, class_="bar", x=start + gap, y=top, width=max(end - start - 2 * gap, 0.5),
                height=max(axes.y.start - top, 0.0),
            )
        )  # fmt: skip
    peak = int(heights.argmax())
    first, low, high, last = (show(float(places[i])) for i in (0, peak, peak + 1, -1))
    alt = f"{title}. Histogram from {first} to {last}, highest between {low} and {high}."
    return finish(marks, title=title, alt=alt, caption=caption)


def lines(
    series: Mapping[str, Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    band: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike] | None = None,
    diagonal: bool = False,
    dates: bool = False,
) -> Figure:
    """One line a name, in its own colour and, beyond six, its own dashes.

    Args:
        series: name → (x, y); at most 12 are drawn, and of each at most 800 points, which keep peaks and troughs.
        title: what is shown.
        x_label: what the horizontal axis measures.
        y_label: what the vertical one measures.
        band: x, lower and upper ends of a shaded band around the first line.
        diagonal: whether to draw the line where both are equal, for calibration and ROC curves.
        dates: whether x is microseconds since 1970 UTC.
    """
    drawn: dict[str, tuple[Floats, Floats]] = {}
    bad = 0
    for name, (x, y) in list(series.items())[:_MAX_LINES]:
        xs, ys = as_floats(x), as_floats(y)
        good = drawable(xs) & drawable(ys)
        bad += int((~good).sum())
        if good.any():
            drawn[str(name)] = (xs[good], ys[good])
    more = len(series) - _MAX_LINES
    caption = caption_of(left_out(bad, "point"), f"{plural(more, 'more line')} not drawn." if more > 0 else "")
    if not drawn:
        return empty_figure(title, caption)
    edge = None if band is None else _band(band)
    all_x = np.concatenate([x for x, _ in drawn.values()])
    all_y = np.concatenate([y for _, y in drawn.values()] + ([edge[1], edge[2]] if edge is not None else []))
    x_range = padded(float(all_x.min()), float(all_x.max()))
    y_range = padded(float(all_y.min()), float(all_y.max()), 0.04)
    if diagonal:
        x_range = y_range = (min(x_range[0], float(all_y.min())), max(x_range[1], float(all_y.max())))
    names = list(drawn)
    _, legend_height = legend(names, 12)
    axes = Axes(
        x_range,
        y_range,
        x_label=x_label,
        y_label=y_label,
        top=legend_height,
        x_ticks=date_ticks if dates else nice_ticks,
    )
    marks = legend(names, 10)[0] + axes.marks()
    if diagonal:
        marks.append(_diagonal(axes, x_range))
    if edge is not None and len(edge[0]):
        outline = [*zip(edge[0], edge[1], strict=True), *zip(edge[0][::-1], edge[2][::-1], strict=True)]
        marks.append(element("polygon", class_="band", points=_points(axes, outline)))
    for index, (name, (x, y)) in enumerate(drawn.items()):
        x, y = _thinned(x, y)
        style = f"s{index % 6} d{index // 6}"
        if len(x) == 1:
            dot = element("circle", element("title", shown(name)), class_=f"f{index % 6}", cx=axes.x(float(x[0])),
                          cy=axes.y(float(y[0])), r=3.5)  # fmt: skip
            marks.append(dot)
            continue
        points = _points(axes, zip(x, y, strict=True))
        marks.append(element("polyline", element("title", shown(name)), class_=f"line {style}", points=points))
    alt = f"{title}. Lines of {y_label} over {x_label}: " + "; ".join(
        f"{name} {range_text(y)}" for name, (_, y) in drawn.items()
    )
    return finish(marks, title=title, alt=alt, caption=caption)


def _band(band: tuple[Any, Any, Any]) -> tuple[Floats, Floats, Floats]:
    x, low, high = (as_floats(part) for part in band)
    good = drawable(x) & drawable(low) & drawable(high)
    return x[good], low[good], high[good]


def _points(axes: Axes, pairs: Any) -> str:
    return " ".join(f"{axes.x(float(x)):.1f},{axes.y(float(y)):.1f}" for x, y in pairs)


def _diagonal(axes: Axes, span: tuple[float, float]) -> str:
    low, high = span
    return element("line", class_="diagonal", x1=axes.x(low), y1=axes.y(low), x2=axes.x(high), y2=axes.y(high))


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most `_MAX_LINE_POINTS` points: the lowest and the highest of each run, in order, and both ends."""
    if len(x) <= _MAX_LINE_POINTS:
        return x, y
    borders = np.linspace(0, len(x), _MAX_LINE_POINTS // 2, dtype=np.int64)
    kept = {0, len(x) - 1}
    for start, end in pairwise(borders.tolist()):
        kept.update((start + int(y[start:end].argmin()), start + int(y[start:end].argmax())))
    order = np.array(sorted(kept))
    return x[order], y[order]


def scatter(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    diagonal: bool = False,
) -> Figure:
    """Points; beyond 2,000 of them, how many fall in each cell of a grid.

    Args:
        x: places on the horizontal axis.
        y: places on the vertical axis.
        title: what is shown.
        x_label: what the horizontal axis measures.
        y_label: what the vertical one measures.
        diagonal: whether to draw the line where both are equal, with the same range on both axes.
    """
    xs, ys = as_floats(x), as_floats(y)
    good = drawable(xs) & drawable(ys)
    caption = left_out(int((~good).sum()), "point")
    xs, ys = xs[good], ys[good]
    if not len(xs):
        return empty_figure(title, caption)
    x_range = padded(float(xs.min()), float(xs.max()), 0.03)
    y_range = padded(float(ys.min()), float(ys.max()), 0.03)
    if diagonal:
        x_range = y_range = (min(x_range[0], y_range[0]), max(x_range[1], y_range[1]))
    axes = Axes(x_range, y_range, x_label=x_label, y_label=y_label)
    marks = axes.marks(vertical_grid=True)
    if len(xs) > _MAX_POINTS:
        marks.extend(_density(axes, xs, ys))
        caption = caption_of(f"{len(xs):,} points, counted in cells: the stronger, the more.", caption)
    else:
        places = zip(axes.x.many(xs).tolist(), axes.y.many(ys).tolist(), strict=True)
        marks.extend(element("circle", class_="point", cx=a, cy=b, r=2.6) for a, b in places)
    if diagonal:
        marks.append(_diagonal(axes, x_range))
    alt = f"{title}. {plural(len(xs), 'point')}: {x_label or 'x'} {range_text(xs)}, {y_label or 'y'} {range_text(ys)}."
    return finish(marks, title=title, alt=alt, caption=caption)


def _density(axes: Axes, x: Floats, y: Floats) -> list[str]:
    columns, rows = _DENSITY_CELLS
    grid, _, _ = np.histogram2d(
        x, y, bins=[columns, rows], range=[[axes.x.low, axes.x.high], [axes.y.low, axes.y.high]]
    )
    # A logarithm keeps single points visible beside cells of thousands.
    shades = 2 + np.rint(np.log1p(grid) / np.log1p(grid.max()) * (STEPS - 3)).astype(int)
    width = (axes.x.end - axes.x.start) / columns
    height = (axes.y.start - axes.y.end) / rows
    return [
        element("rect", class_=f"q{shades[i, j]}", x=axes.x.start + i * width, y=axes.y.start - (j + 1) * height,
                width=width, height=height)
        for i, j in np.argwhere(grid > 0).tolist()
    ]  # fmt: skip


def heatmap(
    matrix: npt.ArrayLike,
    row_labels: Sequence[object],
    column_labels: Sequence[object],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
) -> Figure:
    """A table of numbers whose cells are the stronger, the larger they are; each says its value.

    Args:
        matrix: [rows, columns]; at most 30 of each are drawn.
        row_labels: names of the rows.
        column_labels: names of the columns.
        title: what is shown.
        x_label: what the columns are.
        y_label: what the rows are.
    """
    whole = np.asarray(matrix, dtype=np.float64)
    values = whole[:_MAX_CELLS, :_MAX_CELLS] if whole.ndim == 2 else whole.reshape(0, 0)
    good = drawable(values)
    cut = f"The first {_MAX_CELLS} rows and columns of {' × '.join(map(str, whole.shape))} are shown."
    caption = caption_of(left_out(int((~good).sum()), "cell"), cut if values.shape != whole.shape else "")
    if not good.any():
        return empty_figure(title, caption)
    rows, columns = values.shape
    row_texts = [shortened(label, 20) for label in row_labels[:rows]]
    column_texts = [shortened(label, 20) for label in column_labels[:columns]]
    left = 14 + max(text_width(text) for text in row_texts)
    widest = max(text_width(text) for text in column_texts)
    slanted = widest > (WIDTH - left - 8) / columns
    rise = 0.7 * widest if slanted else 0.0  # of a label at 45 degrees; it goes as far to the right
    side = (WIDTH - left - 8 - max(rise - 20, 0.0)) / columns
    height = min(max(side * 0.62, 24.0), 46.0)
    top = (22.0 if x_label or y_label else 6.0) + (rise + 14 if slanted else 20.0)
    marks = [_heading(" × ".join(part for part in (y_label, x_label) if part))] if x_label or y_label else []
    for column, text in enumerate(column_texts):
        at = left + side * (column + 0.5)
        turn = f"rotate(-45 {at:.1f} {top - 6:.1f})" if slanted else None
        anchor = "start" if slanted else "middle"
        marks.append(element("text", shown(text), class_="name", x=at, y=top - 6, text_anchor=anchor, transform=turn))
    low, high = padded(min(0.0, float(values[good].min())), float(values[good].max()))
    for row, text in enumerate(row_texts):
        middle = top + height * (row + 0.5) + 4
        marks.append(element("text", shown(text), class_="name", x=left - 8, y=middle, text_anchor="end"))
        for column in np.flatnonzero(good[row]).tolist():
            value = float(values[row, column])
            shade = min(int((value - low) / (high - low) * STEPS), STEPS - 1)
            marks.append(_cell(left + side * column, top + height * row, side, height, value, shade))
    alt = f"{title}. Table of {rows} rows and {columns} columns, values {range_text(values[good])}."
    return finish(marks, title=title, alt=alt, caption=caption, height=top + height * rows + 8)


def _cell(x: float, y: float, width: float, height: float, value: float, shade: int) -> str:
    text = show_number(value, 3)
    parts = [
        element("title", show_number(value)),
        element("rect", class_=f"q{shade}", x=x + 1, y=y + 1, width=width - 2, height=height - 2, rx=3.0),
    ]
    if text_width(text) <= width + 2:
        colour = "strong" if shade >= STEPS // 2 else "pale"
        parts.append(element("text", text, class_=colour, x=x + width / 2, y=y + height / 2 + 4, text_anchor="middle"))
    return element("g", *parts)


def small_histogram(counts: npt.ArrayLike, *, alt: str = "Distribution") -> Figure:
    """A histogram the size of a word, without axes, for a cell of a table.

    Args:
        counts: one number a bar.
        alt: what it says, for those who cannot see it.
    """
    heights = as_floats(counts)
    heights = np.where(drawable(heights) & (heights > 0), heights, 0.0)
    if not len(heights) or heights.max() <= 0:
        return Figure("", "", alt)
    step = 112.0 / len(heights)
    tall = heights / heights.max() * 24
    marks = [
        element("rect", class_="bar", x=step * i + 0.4, y=25 - h, width=max(step - 0.8, 0.4), height=h)
        for i, h in enumerate(np.maximum(tall, 0.8 * (tall > 0)).tolist())
    ]
    drawing = finish(marks, title="", alt=alt, width=112.0, height=26.0)
    return Figure("", drawing.svg.replace('class="chart"', 'class="chart small"', 1), drawing.alt)
