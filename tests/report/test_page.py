"""Pages hold nothing active, escape everything, and can be read by everybody."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lepton.core import DataError
from lepton.report import (
    Facts,
    Page,
    Points,
    Table,
    Text,
    bars,
    flow,
    heatmap,
    histogram,
    lines,
    overlaid,
    paired_bars,
    place_map,
    scatter,
    small_histogram,
)

PAYLOADS = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "javascript:alert(1)",
    "</title><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)",
    "${alert(1)}{{7*7}}`",
    "</style></svg><iframe src=//evil>",
    "]]><!--",
    "a\x00b\x1b[31m\tc",
    "\u202eevil\u200b",
    "\ud800",
]
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """Tags, attributes and whether everything that opens closes in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((name, value or "") for name, value in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((name, value or "") for name, value in attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def full_page(text: str = "name") -> Page:
    """A page with `text` wherever text can stand."""
    page = Page(text, text)
    page.section(text, Text(text), Text(text, tone="warning"), Points([text, "b"], most=1), Facts({text: text}))
    page.section(text, Table([text, "n"], [[text, 1], [text, small_histogram([1, 2], alt=text)]], caption=text))
    page.section(
        text,
        bars([text], [1], title=text, x_label=text, y_label=text),
        histogram([0, 1], [1], title=text, x_label=text, y_label=text, caption=text),
        lines({text: ([0, 1], [0, 1]), "b": ([0, 1], [0, 1])}, title=text, x_label=text, y_label=text),
        scatter([0, 1], [0, 1], title=text, x_label=text, y_label=text),
        heatmap([[1.0]], [text], [text], title=text, x_label=text, y_label=text),
        overlaid([0, 1, 2], [1, 2], [2, 1], title=text, names=(text, text), x_label=text, caption=text),
        paired_bars([text], [0.1], [0.2], title=text, names=(text, text), x_label=text, caption=text),
        place_map([text], [[0.0, 0.5]], [0, 10, 20], title=text, caption=text),
        flow([(text, 10), (text, 5)], title=text),
    )
    return page


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_that_comes_from_outside_becomes_markup(payload):
    harmless, hostile = Reader(full_page().html()), Reader(full_page(payload).html())
    assert hostile.tags == harmless.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in harmless.attributes]
    assert hostile.open == []
    full_page(payload).html().encode()


@pytest.mark.parametrize("payload", PAYLOADS[-3:])
def test_hidden_characters_are_shown_as_escapes(payload):
    html = full_page(payload).html()
    assert not set(payload) & set("\x00\x1b\t\u202e\u200b\ud800") & set(html)


def test_a_page_is_self_contained_and_runs_nothing():
    html = full_page().html()
    reader = Reader(html)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in {"src", "style"}]
    assert all(value.startswith("#") for name, value in reader.attributes if name == "href")
    assert "url(" not in html
    assert "@import" not in html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_a_page_reads_well_aloud():
    html = full_page().html()
    reader = Reader(html)
    assert {"header", "nav", "main", "footer"} <= set(reader.tags)
    headings = [int(tag[1]) for tag in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings == [1, 2, 2, 2]
    assert 'lang="en"' in html
    assert '<th scope="col">' in html
    assert '<th scope="row">' in html
    assert "<caption>" in html
    assert html.count("<svg") == html.count('role="img"')
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for name, value in reader.attributes if name == "href"}
    assert targets <= set(ids)


def test_a_page_follows_light_and_dark_and_prints():
    html = Page("t").html()
    assert "prefers-color-scheme:dark" in html
    assert "@media print" in html


def test_the_same_content_gives_the_same_bytes():
    assert full_page().html() == full_page().html()


def test_short_pages_need_no_list_of_contents():
    assert "<nav" not in Page("t").section("a").section("b").html()


def test_cells_are_formatted_and_numbers_stand_right():
    html = Table(["a", "b"], [["x", 20640], ["y", None]]).render()
    assert '<td class="right">20,640</td>' in html
    assert '<td class="right">–</td>' in html
    assert '<td class="center">yes</td>' in Table(["a", "b"], [["x", True]], align="lc").render()


def test_ragged_tables_are_refused():
    with pytest.raises(ValueError, match="zip"):
        Table(["a", "b"], [["x"]]).render()


def test_text_keeps_its_lines():
    assert Text("a\n\nb").render() == "<p>a</p><p>b</p>"


def test_a_page_is_written(tmp_path: Path):
    page = full_page("é 房")
    page.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page.html()
    with pytest.raises(DataError, match="nowhere"):
        page.write(tmp_path / "nowhere" / "page.html")


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    shown = full_page(PAYLOADS[0])._repr_html_()
    reader = Reader(shown)
    assert reader.tags == ["iframe"]
    assert ("sandbox", "") in reader.attributes
    assert dict(reader.attributes)["srcdoc"] == full_page(PAYLOADS[0]).html()


def test_points_are_counted_where_there_are_too_many():
    assert Points(["a", "b", "c"], most=2).render() == (
        '<ul class="points"><li>a</li><li>b</li><li>and 1 more</li></ul>'
    )
    assert Points([]).render() == ""
