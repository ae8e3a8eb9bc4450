"""Colours that can be read: the Web Content Accessibility Guidelines' contrast, in light and dark."""

from __future__ import annotations

import itertools

import pytest

from lepton.report.style import DARK, LIGHT, STEPS


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


SCHEMES = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])


@SCHEMES
@pytest.mark.parametrize("text", ["ink", "soft", "accent"])
@pytest.mark.parametrize("ground", ["paper", "card", "grid"])
def test_text_can_be_read(colours, text, ground):
    assert contrast(colours[text], colours[ground]) >= 4.5


@SCHEMES
def test_warnings_can_be_read(colours):
    assert contrast(colours["warm-ink"], colours["warm"]) >= 4.5


@SCHEMES
@pytest.mark.parametrize("series", range(6))
def test_marks_can_be_seen(colours, series):
    assert contrast(colours[f"s{series}"], colours["card"]) >= 3


@SCHEMES
@pytest.mark.parametrize("step", range(STEPS))
def test_values_in_cells_can_be_read(colours, step):
    text = colours["on-strong" if step >= STEPS // 2 else "on-pale"]
    assert contrast(text, colours[f"q{step}"]) >= 4.5


@SCHEMES
def test_shades_go_one_way(colours):
    shades = [luminance(colours[f"q{i}"]) for i in range(STEPS)]
    assert shades == sorted(shades) or shades == sorted(shades, reverse=True)


def test_light_and_dark_name_the_same_colours():
    assert LIGHT.keys() == DARK.keys()
    assert all(a != b for a, b in itertools.combinations([LIGHT[f"s{i}"] for i in range(6)], 2))
