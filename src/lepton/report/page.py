"""Pages: text, facts, tables and figures as one HTML file that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from pathlib import Path
from typing import Literal, Protocol

from lepton.report.frame import Figure
from lepton.report.numbers import show_number
from lepton.report.style import FIGURE_STYLE, PAGE_STYLE
from lepton.report.svg import shown
from lepton.store.files import write_text

__all__ = ["Block", "Facts", "Page", "Points", "Table", "Text", "show_value"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_ALIGNMENTS = {"l": "", "r": "right", "c": "center"}


class Block(Protocol):
    """Something that can stand in a section."""

    def render(self) -> str:
        """Its markup, with everything that came from outside escaped."""
        ...


def show_value(value: object) -> str:
    """A cell's text: numbers with few digits, `yes` or `no`, a dash for what is missing; not escaped."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Real):
        return show_number(int(value) if isinstance(value, Integral) else float(value))
    return str(value)


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text; each line is a paragraph.

    Attributes:
        text: what it says; no markup, it is shown as it stands.
        tone: `plain`, `lead` (what the page says first), `note` (small) or `warning` (set off).
    """

    text: str
    tone: Literal["plain", "lead", "note", "warning"] = "plain"

    def render(self) -> str:
        """The block for a page."""
        kind = "" if self.tone == "plain" else f' class="{self.tone}"'
        return "".join(f"<p{kind}>{shown(line, 20_000)}</p>" for line in self.text.splitlines() if line.strip())


@dataclass(frozen=True, slots=True)
class Points:
    """Sentences in a list.

    Attributes:
        items: plain text each; no markup, it is shown as it stands.
        most: how many are shown; the last point counts the others.
    """

    items: Sequence[str]
    most: int = 50

    def render(self) -> str:
        """The block for a page."""
        more = len(self.items) - self.most
        items = [*self.items[: self.most], *([f"and {more:,} more"] if more > 0 else [])]
        return f'<ul class="points">{"".join(f"<li>{shown(item)}</li>" for item in items)}</ul>' if items else ""


@dataclass(frozen=True, slots=True)
class Facts:
    """A few named values, set large."""

    values: Mapping[str, object]

    def render(self) -> str:
        """The block for a page."""
        pairs = (
            f"<div><dt>{shown(name, 200)}</dt><dd>{shown(show_value(value), 200)}</dd></div>"
            for name, value in self.values.items()
        )
        return f'<dl class="facts">{"".join(pairs)}</dl>'


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; the first column names the row.

    Attributes:
        columns: headings.
        rows: cells: text, numbers, booleans, None, or a `Figure` (a small histogram, say).
        caption: what the table holds.
        align: one letter a column, `l`, `r` or `c`; by default columns that hold numbers alone stand right.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    align: str = ""

    def render(self) -> str:
        """The block for a page."""
        kinds = [_ALIGNMENTS[letter] for letter in self.align or self._alignment()]
        head = "".join(
            f'<th scope="col"{_class(kind)}>{shown(name, 200)}</th>'
            for name, kind in zip(self.columns, kinds, strict=True)
        )
        body = "".join(f"<tr>{self._row(row, kinds)}</tr>" for row in self.rows)
        caption = f"<caption>{shown(self.caption)}</caption>" if self.caption else ""
        label = shown(self.caption or "Table", 200)
        return (
            f'<div class="table" role="region" tabindex="0" aria-label="{label}">'
            f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def _row(self, row: Sequence[object], kinds: Sequence[str]) -> str:
        cells = []
        for position, (cell, kind) in enumerate(zip(row, kinds, strict=True)):
            inner = cell.svg if isinstance(cell, Figure) else shown(show_value(cell), 500)
            opening, closing = ('<th scope="row"', "</th>") if position == 0 else ("<td", "</td>")
            cells.append(f"{opening}{_class(kind)}>{inner}{closing}")
        return "".join(cells)

    def _alignment(self) -> str:
        return "".join("r" if self._numeric(position) else "l" for position in range(len(self.columns)))

    def _numeric(self, position: int) -> bool:
        cells = [row[position] for row in self.rows if len(row) > position and row[position] is not None]
        return bool(cells) and all(isinstance(cell, Real) and not isinstance(cell, bool) for cell in cells)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


class Page:
    """One self-contained HTML page; use it for every report.

    It holds no script and refers to nothing outside, follows light and dark, prints, and reads well aloud. The same
    content gives the same bytes.

    >>> page = Page("Houses", "20,640 rows").section("Size", Facts({"rows": 20640}))
    >>> "<h1>Houses</h1>" in page.html()
    True

    Args:
        title: heading of the page and of its window.
        subtitle: a sentence under it.
        language: of the content, an IETF tag.
    """

    def __init__(self, title: str, subtitle: str = "", *, language: str = "en") -> None:
        self.title = title
        self.subtitle = subtitle
        self.language = language
        self._sections: list[tuple[str, tuple[Block, ...]]] = []

    def section(self, heading: str, *blocks: Block) -> Page:
        """Add a section; neighbouring figures stand side by side where there is room. Gives the page back."""
        self._sections.append((heading, blocks))
        return self

    def extend(self, other: Page) -> Page:
        """Add the sections of `other`. Gives the page back."""
        self._sections += other._sections
        return self

    def html(self) -> str:
        """The whole document."""
        title = shown(self.title, 300)
        subtitle = f'<p class="subtitle">{shown(self.subtitle)}</p>' if self.subtitle else ""
        sections = "".join(
            f'<section aria-labelledby="part-{number}"><h2 id="part-{number}">{shown(heading, 300)}</h2>'
            f"{_blocks(blocks)}</section>"
            for number, (heading, blocks) in enumerate(self._sections, 1)
        )
        return (
            f'<!DOCTYPE html>\n<html lang="{escape(self.language)}">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
            f"<title>{title}</title>\n<style>{FIGURE_STYLE}{PAGE_STYLE}</style>\n</head>\n"
            '<body class="lepton">\n<a class="skip" href="#content">Skip to the content</a>\n<div class="wrap">\n'
            f'<header class="page-head"><h1>{title}</h1>{subtitle}</header>\n{self._contents()}'
            f'<main id="content">{sections}</main>\n<footer>Made with Lepton.</footer>\n</div>\n</body>\n</html>\n'
        )

    def write(self, path: str | Path) -> None:
        """Write the document to `path`, whole or not at all; the errors are those of `store.write_text`."""
        write_text(Path(path), self.html())

    def _contents(self) -> str:
        if len(self._sections) < 3:
            return ""
        links = "".join(
            f'<li><a href="#part-{number}">{shown(heading, 60)}</a></li>'
            for number, (heading, _) in enumerate(self._sections, 1)
        )
        return f'<nav aria-label="On this page"><ul>{links}</ul></nav>\n'

    def _repr_html_(self) -> str:
        """For notebooks: in a frame of its own, so that neither page styles the other."""
        return (
            f'<iframe title="{shown(self.title, 300)}" sandbox srcdoc="{escape(self.html(), quote=True)}" '
            'style="width:100%;height:720px;border:0;border-radius:8px"></iframe>'
        )


def _blocks(blocks: Sequence[Block]) -> str:
    out: list[str] = []
    figures: list[str] = []
    for block in blocks:
        if isinstance(block, Figure):
            figures.append(block.render())
            continue
        out.extend(_side_by_side(figures))
        figures = []
        out.append(block.render())
    return "".join((*out, *_side_by_side(figures)))


def _side_by_side(figures: Sequence[str]) -> list[str]:
    return [f'<div class="figures">{"".join(figures)}</div>'] if figures else []
