"""The page of suspect labels says what is mistaken for what, and which rows to look at."""

from __future__ import annotations

import pytest

from lepton.data.quality import LabelErrors
from tests.report.test_page import PAYLOADS, Reader


def html(*found) -> str:
    rows = tuple(range(len(found)))
    given, suggested = tuple(a for a, _ in found), tuple(b for _, b in found)
    return LabelErrors(rows, given, suggested, tuple(0.5 for _ in found)).page().html()


def test_classes_are_told_by_pair():
    page = html(("a", "b"), ("b", "a"), ("a", "b"))
    assert "3 labels look wrong. Most often &#x27;a&#x27; may be &#x27;b&#x27;: 2 rows." in page
    assert "Bars: a → b 2, b → a 1" in page
    assert "All 3, the most suspect first" in page
    assert "1 label looks wrong." in html((1, 2))


def test_numbers_are_told_by_side():
    page = html((10.0, 1.0), (-5.0, 1.0), (20.0, 2.0))
    assert "3 numbers lie far from what a model expects: 2 above, 1 below." in page
    assert "What is given and what is expected" in page


def test_nothing_found_is_said():
    assert "No label looks wrong." in html()


def test_many_are_counted_and_the_page_stays_small():
    page = html(*((f"class {i % 300}", "x") for i in range(5_000)))
    assert "The 200 most suspect of 5,000, the most suspect first" in page
    assert "the first 15 of 300" in page
    assert len(page) < 100_000


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_labels_stay_text(payload):
    assert Reader(html((payload, payload + "b"))).tags == Reader(html(("a", "b"))).tags
