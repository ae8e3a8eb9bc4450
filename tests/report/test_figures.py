"""Figures are well-formed and honest about what they leave out."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.report import Figure, bars, heatmap, histogram, lines, scatter, small_histogram

ANY = st.floats(allow_nan=True, allow_infinity=True)
MANY = st.lists(ANY, max_size=12)
PLACE = re.compile(r'(?:^| )(?:x|y|x1|x2|y1|y2|cx|cy|width|height)="([^"]*)"')


def check(figure: Figure) -> ElementTree.Element:
    """The parsed drawing, after what holds for every figure."""
    root = ElementTree.fromstring(figure.svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == figure.alt != ""
    assert root[0].tag == "title"
    assert root[1].tag == "desc"
    width, height = map(float, root.get("viewBox", "").split()[2:])
    for text in PLACE.findall(figure.svg):
        assert -width <= float(text) <= 3 * max(width, height)
    for item in root.iter("rect"):
        assert float(item.get("width", "")) >= 0
        assert float(item.get("height", "")) >= 0
    assert "nan" not in figure.svg.replace("nan.", "")
    return root


def count(figure: Figure, tag: str, kind: str) -> int:
    return sum(1 for item in check(figure).iter(tag) if kind in (item.get("class") or "").split())


@given(MANY)
def test_bars_of_anything(values):
    figure = bars([f"b{i}" for i in range(len(values))], values, title="t", lower=values, upper=values)
    good = sum(1 for v in values if abs(v) <= 1e300)
    assert count(figure, "rect", "bar") == good
    assert (str(len(values) - good) in figure.caption) == (good < len(values))


@given(MANY)
def test_histograms_of_any_counts(counts):
    check(histogram(range(len(counts) + 1), counts, title="t", x_label="x"))


@given(st.lists(ANY, min_size=2, max_size=6))
def test_histograms_of_any_edges(edges):
    check(histogram(sorted(edges), [1] * (len(edges) - 1), title="t"))


@given(MANY, st.booleans())
def test_lines_of_anything(values, diagonal):
    figure = lines({"a": (range(len(values)), values), "b": (values, values)}, title="t", x_label="x", y_label="y",
                   band=(values, values, values), diagonal=diagonal)  # fmt: skip
    bad = 2 * sum(1 for v in values if not abs(v) <= 1e300)
    check(figure)
    assert figure.caption.startswith(f"{bad} points left out") == (bad > 0)


@given(MANY, st.booleans())
def test_scatters_of_anything(values, diagonal):
    figure = scatter(values, values, title="t", diagonal=diagonal)
    assert count(figure, "circle", "point") == sum(1 for v in values if abs(v) <= 1e300)


@given(st.lists(st.lists(ANY, min_size=3, max_size=3), max_size=4))
def test_heatmaps_of_anything(matrix):
    figure = heatmap(matrix, range(len(matrix)), "abc", title="t")
    assert len(list(check(figure).iter("rect"))) == sum(1 for row in matrix for v in row if abs(v) <= 1e300)


@given(MANY)
def test_small_histograms_of_anything(counts):
    figure = small_histogram(counts)
    if figure.svg:
        check(figure)
    else:
        assert not any(0 < v <= 1e300 for v in counts)


def test_a_bar_is_as_long_as_its_value():
    root = check(bars(["a", "b"], [10, 5], title="t"))
    widths = [float(item.get("width", "")) for item in root.iter("rect")]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)


def test_whiskers_and_negative_bars():
    figure = bars(["a", "b"], [1, -1], title="t", lower=[0.5, -2], upper=[1.5, 0], x_label="metres", y_label="place")
    assert count(figure, "path", "whisker") == 2
    assert "metres" in figure.svg
    assert "place" in figure.svg


def test_too_many_bars_and_lines_are_cut_and_counted():
    assert bars(range(50), range(50), title="t").caption == "The first 40 of 50 are shown."
    many = {str(i): ([0, 1], [0, i]) for i in range(20)}
    assert lines(many, title="t", x_label="x", y_label="y").caption == "8 more lines not drawn."


def test_unequal_bins_count_by_area():
    figure = histogram([0, 1, 3], [10, 10], title="t")
    heights = [float(item.get("height", "")) for item in check(figure).iter("rect")]
    assert heights[0] == pytest.approx(2 * heights[1], rel=0.01)
    assert "mean width" in figure.svg


def test_one_value_is_one_bar():
    figure = histogram([3.0, 3.0], [7], title="t")
    (bar,) = check(figure).iter("rect")
    assert float(bar.get("width", "")) > 10


def test_dates_on_the_axis():
    figure = histogram(np.linspace(0, 20 * 365 * 86_400e6, 5), [1, 2, 3, 4], title="t", dates=True)
    assert ">1980<" in figure.svg
    assert "highest between 1984-12-28 and 1989-12-27" in figure.alt


def test_a_million_points_stay_small_and_keep_their_peak():
    y = np.zeros(1_000_000)
    y[123_456] = 9.0
    figure = lines({"a": (np.arange(1_000_000), y)}, title="t", x_label="x", y_label="y")
    assert len(figure.svg) < 30_000
    assert "to 9" in figure.alt
    points = next(check(figure).iter("polyline")).get("points", "").split()
    assert len({p.split(",")[1] for p in points}) == 2

    cloud = scatter(np.arange(1_000_000), y, title="t")
    assert len(cloud.svg) < 200_000
    assert cloud.caption.startswith("1,000,000 points, counted in cells")


def test_a_line_of_one_point_is_a_dot():
    assert len(list(check(lines({"a": ([1], [2])}, title="t", x_label="x", y_label="y")).iter("circle"))) == 1


def test_the_legend_names_several_lines_only():
    one = lines({"only": ([0, 1], [0, 1])}, title="t", x_label="x", y_label="y")
    assert ">only</text>" not in one.svg
    two = lines({"first": ([0, 1], [0, 1]), "second": ([0, 1], [1, 0])}, title="t", x_label="x", y_label="y")
    assert ">first</text>" in two.svg
    assert ">second</text>" in two.svg


def test_cells_say_their_value_and_stronger_means_more():
    figure = heatmap([[0.0, 1.0], [0.5, np.nan]], "ab", "cd", title="t", x_label="predicted", y_label="actual")
    assert [item.get("class") for item in check(figure).iter("rect")] == ["q0", "q7", "q4"]
    assert ">0.5</text>" in figure.svg
    assert figure.caption == "1 cell left out: not a number that can be drawn."


def test_wide_heatmaps_are_cut_and_their_labels_turn():
    names = [f"a long class name {i}" for i in range(40)]
    figure = heatmap(np.eye(40), names, names, title="t")
    assert "rotate(-45" in figure.svg
    assert figure.caption == "The first 30 rows and columns of 40 × 40 are shown."


def test_the_same_input_gives_the_same_bytes():
    x = np.random.default_rng(0).normal(size=(2, 5_000))
    assert scatter(x[0], x[1], title="t") == scatter(x[0].copy(), x[1].copy(), title="t")


def test_a_figure_shows_itself_in_a_notebook():
    shown = bars(["a"], [1], title="t")._repr_html_()
    assert shown.startswith('<div class="lepton"><style>')
    assert "<svg" in shown


def test_labels_of_wide_characters_have_room():
    narrow, wide = (bars([text], [1.0], title="t").svg for text in ("illii", "<mWm>"))
    axes = [float(re.findall(r'<line class="axis" x1="([0-9.]+)"', svg)[0]) for svg in (narrow, wide)]
    assert axes[1] - axes[0] > 5 * 3
