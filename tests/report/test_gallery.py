"""Small pictures side by side."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from lepton.report.gallery import Gallery, Thumbnail, waveform


def test_a_gallery_escapes_everything_that_comes_from_outside():
    evil = '"><script>alert(1)</script>'
    html = Gallery(
        [Thumbnail(evil, evil, words=evil), Thumbnail(evil, evil, uri="data:image/png;base64,AA==")], evil
    ).render()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 5


def test_only_data_of_pictures_is_shown():
    for uri in ("https://example.org/a.png", "data:image/svg+xml;base64,AA==", 'data:image/png;base64,AA=="x'):
        assert "<img" not in Thumbnail("a", uri=uri, words="none").render()
    assert 'alt="a cat"' in Thumbnail("a", "a cat", uri="data:image/jpeg;base64,AAA=").render()


def test_a_waveform_reaches_as_far_as_the_sound():
    drawing = ET.fromstring(waveform(np.array([0.0, 1.0, -0.5, 0.0]), "A sound"))
    assert drawing.get("aria-label") == "A sound"
    places = drawing[0].get("d", "")[1:-1].split("L")
    heights = [float(place.split()[1]) for place in places]
    assert (min(heights), max(heights)) == (0.0, 45.0)


def test_long_sounds_give_small_drawings_and_one_sample_is_enough():
    assert len(waveform(np.sin(np.arange(100_000)), "x")) < 4_000
    assert "<path" in waveform(np.array([2.0]), "x")
