"""Points of several kinds are well-formed, and stand at equal distances for equal ratios."""

import re

import numpy as np
import pytest

from lepton.core import show_size
from lepton.report import clouds
from tests.report.test_figures import check, count


def places(figure):
    return [float(x) for x in re.findall(r'<circle[^>]*cx="([0-9.]+)"', figure.svg)]


def test_equal_ratios_are_equal_distances():
    figure = clouds({"a": ([1, 10, 100], [1, 2, 3])}, title="t", x_label="bytes", y_label="loss")
    first, second, third = places(figure)
    assert second - first == pytest.approx(third - second, abs=0.2)
    check(figure)


def test_kinds_have_colours_a_legend_and_a_front():
    figure = clouds(
        {"lightgbm": ([1_000, 2_000], [0.3, 0.2]), "<linear>": ([300], [0.4])},
        title="Score against size",
        x_label="size",
        y_label="log_loss",
        joined=[(1_000, 0.3), (300, 0.4), (2_000, 0.2)],
        show=lambda value: show_size(round(value)),
    )
    check(figure)
    assert count(figure, "polyline", "diagonal") == 1
    assert "&lt;linear&gt;" in figure.svg
    assert "kB" in figure.svg
    assert "lightgbm from 0.2 to 0.3" in figure.alt


def test_what_has_no_place_is_counted():
    figure = clouds({"a": ([0, -1, np.nan, 5, 7], [1, 1, 1, 1, np.inf])}, title="t", x_label="x", y_label="y")
    assert len(places(figure)) == 1
    assert "4 points left out" in figure.caption
    assert "nothing to draw" in clouds({"a": ([0], [1])}, title="t", x_label="x", y_label="y").alt


def test_labels_do_not_run_into_each_other():
    figure = clouds({"a": ([30, 99], [1, 2])}, title="t", x_label="x", y_label="y")
    ticks = [float(x) for x in re.findall(r'<text class="tick" x="([0-9.]+)"[^>]*text-anchor="middle"', figure.svg)]
    assert len(ticks) >= 2
    assert min(np.diff(ticks)) > 50


def test_many_kinds_are_cut():
    figure = clouds({f"k{i}": ([i + 1], [i]) for i in range(15)}, title="t", x_label="x", y_label="y")
    assert len(places(figure)) == 12
    assert "3 more kinds not drawn" in figure.caption
