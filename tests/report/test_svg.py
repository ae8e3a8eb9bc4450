"""Elements are escaped."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given, strategies as st

from lepton.report.svg import element, shortened, shown


@given(st.text())
def test_text_and_attributes_survive_parsing(text):
    root = ElementTree.fromstring(element("text", shown(text, 50), aria_label=shortened(text, 50)))
    assert root.tag == "text"
    assert list(root) == []
    assert set(root.attrib) == {"aria-label"}


def test_long_text_is_cut():
    assert shortened("x" * 30, 10) == "x" * 9 + "…"
    assert shortened("x" * 10, 10) == "x" * 10
    assert shown("<" * 5, 3) == "&lt;&lt;&lt;..."
