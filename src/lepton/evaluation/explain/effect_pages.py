"""Effects as drawings and tables: curves with their bands, where the rows lie, and where they are few."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lepton.core import Kind, printable
from lepton.evaluation.bootstrap import Estimate
from lepton.report import Figure, bars, heatmap
from lepton.report.frame import Axes, caption_of, empty_figure, finish, legend, range_text
from lepton.report.scales import date_ticks, drawable, nice_ticks, padded
from lepton.report.svg import element, shown

if TYPE_CHECKING:
    from lepton.evaluation.explain.effects import Curve, Effect

__all__ = ["effect_figures", "effect_table", "surface_figures"]

_BARS = 20


def effect_table(found: Effect) -> tuple[list[str], list[list[object]]]:
    """Headings and rows: a place, its rows, and the change there for each label with its interval."""
    columns = [found.column, "rows"]
    for curve in found.curves:
        columns += [curve.label or "change", "95 % interval"]
    if not found.curves:
        return columns, []
    rows: list[list[object]] = []
    for place, text in enumerate(found.point_texts):
        near = found.num_near[place] if place < len(found.num_near) else None
        few = _is_thin(found, place)
        row: list[object] = [text + (" (few rows)" if few else ""), near]
        for curve in found.curves:
            row += _told(curve.values[place])
        rows.append(row)
    if found.curves[0].missing is not None:
        gone: list[object] = ["missing, in every row", None]
        for curve in found.curves:
            gone += _told(curve.missing)
        rows.append(gone)
    return columns, rows


def _told(value: Estimate | None) -> list[object]:
    return [None, ""] if value is None else [value.value, value.interval]


def _is_thin(found: Effect, place: int) -> bool:
    if not found.ordered:
        return place in found.thin
    beside = [stretch for stretch in (place - 1, place) if 0 <= stretch < len(found.num_near)]
    return bool(beside) and all(stretch in found.thin for stretch in beside)


def effect_figures(found: Effect) -> list[Figure]:
    """One figure of lines for numbers and moments, or one of bars for each label."""
    if not found.curves:
        return [empty_figure(f"Effect of {printable(found.column)}", " ".join(found.notes[:1]))]
    if found.ordered:
        return [_lines(found)]
    return [_bars(found, curve) for curve in found.curves]


def _bars(found: Effect, curve: Curve) -> Figure:
    of = f" on {curve.label}" if curve.label else ""
    kept = [place for place, value in enumerate(curve.values) if value.value is not None][:_BARS]
    texts = [found.point_texts[place] + (" *" if place in found.thin else "") for place in kept]
    values = [curve.values[place] for place in kept]
    figure = bars(
        texts,
        [_or(each.value) for each in values],
        title=f"Effect of {printable(found.column)}{printable(of)}",
        lower=[_or(each.lower) for each in values],
        upper=[_or(each.upper) for each in values],
        x_label="change of the answer",
    )
    marked = "* few rows: a guess." if any(place in found.thin for place in kept) else ""
    return Figure(figure.title, figure.svg, figure.alt, caption_of(figure.caption, marked))


def _lines(found: Effect) -> Figure:
    x = np.array(found.points, dtype=np.float64)
    ends = [
        np.array([[np.nan if v.value is None else v.value, _or(v.lower), _or(v.upper)] for v in curve.values])
        for curve in found.curves
    ]
    every = np.concatenate([each.ravel() for each in ends])
    title = f"Effect of {printable(found.column)}"
    if not drawable(x).all() or not drawable(every).any():
        return empty_figure(title, "Not a number that can be drawn.")
    names = [curve.label for curve in found.curves]
    key, height = legend(names, 10)
    lowest, highest = float(np.nanmin(every)), float(np.nanmax(every))
    axes = Axes(
        padded(float(x.min()), float(x.max())),
        padded(lowest, highest, 0.06),
        x_label=found.column,
        y_label="change of the answer",
        top=height,
        x_ticks=date_ticks if found.sort == Kind.DATETIME else nice_ticks,
    )
    marks = [*_thin_stretches(axes, found, x), *key, *axes.marks()]
    if axes.y.low < 0 < axes.y.high:
        zero = axes.y(0)
        marks.append(element("line", class_="diagonal", x1=axes.x.start, x2=axes.x.end, y1=zero, y2=zero))
    for index, (curve, rows) in enumerate(zip(found.curves, ends, strict=True)):
        marks += _line(axes, x, rows, index, curve.label or found.title)
    for mark in found.marks:
        at = axes.x(mark)
        marks.append(element("line", class_="axis", x1=at, x2=at, y1=axes.y.start, y2=axes.y.start - 6))
    told = "; ".join(f"{c.label or 'change'} {range_text(e[:, 0])}" for c, e in zip(found.curves, ends, strict=True))
    grey = "Grey: few rows, the line is a guess." if found.thin else ""
    caption = caption_of(
        "Ticks at the bottom: where the rows lie, each two of a hundred. Shaded: 95 % interval.",
        grey,
    )
    few = " ".join(f"Few rows from {found.point_texts[i]} to {found.point_texts[i + 1]}." for i in found.thin[:5])
    ranges = f"from {found.point_texts[0]} to {found.point_texts[-1]}"
    return finish(marks, title=title, alt=f"{title} {ranges}: {told}. {few}".strip(), caption=caption)


def _or(value: float | None) -> float:
    return float("nan") if value is None else value


def _thin_stretches(axes: Axes, found: Effect, x: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[str]:
    stretches = list(pairwise(x.tolist()))
    marks = []
    for place in found.thin:
        low, high = (axes.x(end) for end in stretches[place])
        height = max(axes.y.start - axes.y.end, 0.0)
        marks.append(element("rect", class_="blank", x=low, y=axes.y.end, width=max(high - low, 1.0), height=height))
    return marks


def _line(
    axes: Axes,
    x: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    index: int,
    name: str,
) -> list[str]:
    good = drawable(rows).all(axis=1)
    x, rows = x[good], rows[good]
    around = [*zip(x, rows[:, 1], strict=True), *zip(x[::-1], rows[::-1, 2], strict=True)]
    tip = element("title", shown(name, 100))
    return [
        element("polygon", class_=f"area f{index % 6}", points=_points(axes, around)),
        element("polyline", tip, class_=f"line s{index % 6}", points=_points(axes, zip(x, rows[:, 0], strict=True))),
    ]


def _points(axes: Axes, pairs: object) -> str:
    return " ".join(f"{axes.x(float(a)):.1f},{axes.y(float(b)):.1f}" for a, b in pairs)  # type: ignore[attr-defined]


def surface_figures(found: Effect) -> list[Figure]:
    """Tables of what two columns do together: beyond the sum of both, and in all."""
    figures = []
    for surface in found.surfaces:
        of = f" on {printable(surface.label)}" if surface.label else ""
        for title, values in (("beyond the sum of both", surface.beyond), ("in all", surface.joint)):
            figure = heatmap(
                np.array(values, dtype=np.float64),
                found.surface_points,
                found.other_points,
                title=f"{printable(found.column)} × {printable(found.other)}{of}: {title}",
                x_label=found.other,
                y_label=found.column,
            )
            figures.append(figure)
    return figures
