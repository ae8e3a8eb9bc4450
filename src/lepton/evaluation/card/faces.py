"""The faces of a card: a page and Markdown, in which what comes from outside is text and nothing else."""

from __future__ import annotations

import re

from lepton.core import printable
from lepton.evaluation.card.facts import Fact, Part
from lepton.report import Block, Page, Points, Table, Text

__all__ = ["card_markdown", "card_page", "escaped"]

_SPECIAL = re.compile(r"([\\`*_\[\]|~$!#@])")
_LINKS = re.compile(r"(?i)(www)\.|(:)//")
_START = re.compile(r"^([^\w\s\\&]|\d+(?=[.)]))")
_CELL = 500
"""Characters of a cell of a page; longer texts stand below the table as well."""
_HEAD = ("", "value", "95 % interval", "note", "from")
_RULE = "Made from the model file and its reports. The only text that a person wrote for it is what the model is for."


def card_page(title: str, subtitle: str, use: tuple[str, str], parts: tuple[Part, ...], notes: tuple[str, ...]) -> Page:
    """The card as a page that needs nothing else."""
    page = Page(title, subtitle=subtitle)
    page.section("What it is for", *_use(use))
    page.section(
        "What is not known", Points([f"{each.what} ({each.how})" for part in parts for each in part.missing], most=100)
    )
    for part in parts:
        blocks: list[Block] = []
        if part.facts:
            rows = [(fact.name, fact.shown, fact.interval, fact.note, str(fact.source)) for fact in part.facts]
            blocks.append(Table(_HEAD, rows, align="lllll"))
            blocks += [Text(f"{fact.name}: {fact.shown}") for fact in part.facts if len(fact.shown) > _CELL]
        page.section(part.title, *blocks, *(Text(each.what, tone="warning") for each in part.missing))
    page.section("How this card came about", Text(_RULE, tone="note"), Points(notes))
    return page


def _use(use: tuple[str, str]) -> tuple[Text, ...]:
    intended = Text(use[0]) if use[0] else Text("Nobody has said what it is for.", tone="warning")
    outside = (
        Text(f"Not for: {use[1]}") if use[1] else Text("Nobody has said what it must not be used for.", tone="warning")
    )
    return intended, outside


def card_markdown(
    title: str, subtitle: str, use: tuple[str, str], parts: tuple[Part, ...], notes: tuple[str, ...]
) -> str:
    """The card as Markdown with tables, as GitHub reads it."""
    lines = [f"# {escaped(title)}", "", escaped(subtitle), "", "## What it is for", ""]
    lines += _quoted(use[0]) or ["**Nobody has said what it is for.**"]
    lines += ["", "Not for:", ""] if use[1] else [""]
    lines += _quoted(use[1]) or ["**Nobody has said what it must not be used for.**"]
    missing = [each for part in parts for each in part.missing]
    lines += ["", "## What is not known", ""]
    lines += [f"- {escaped(each.what)} ({escaped(each.how)})" for each in missing] or [
        "- Nothing that a card asks for."
    ]
    for part in parts:
        lines += ["", f"## {escaped(part.title)}", ""]
        if part.facts:
            lines += ["| | value | 95 % interval | note | from |", "|---|---|---|---|---|"]
            lines += [_row(fact) for fact in part.facts]
            lines += [""] if part.missing else []
        lines += [f"**{escaped(each.what)}**" for each in part.missing[:1]]
        lines += [f"\n**{escaped(each.what)}**" for each in part.missing[1:]]
    lines += ["", "## How this card came about", "", _RULE, ""]
    lines += [f"- {escaped(note)}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def _row(fact: Fact) -> str:
    cells = (escaped(fact.name), escaped(fact.shown), fact.interval, escaped(fact.note), escaped(str(fact.source)))
    return f"| {' | '.join(cells)} |"


def _quoted(text: str) -> list[str]:
    """Free text as a quotation, line by line; empty for none."""
    return [f"> {_START.sub(_escape_start, escaped(line, 20_000))}".rstrip() for line in text.splitlines()]


def _escape_start(found: re.Match[str]) -> str:
    """What would begin a list, a heading or a rule at the start of a line."""
    return f"{found[1]}\\" if found[1].isdigit() else f"\\{found[1]}"


def escaped(text: str, limit: int = 2_000) -> str:
    r"""A text as Markdown that shows it: no markup, no HTML, no link, on one line.

    >>> escaped("<b>*bold*</b> | [x](http://y)")
    '&lt;b&gt;\\*bold\\*&lt;/b&gt; \\| \\[x\\](http\\://y)'
    """
    plain = printable(" ".join(text.split()), limit)
    safe = _SPECIAL.sub(r"\\\1", plain).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINKS.sub(lambda found: f"{found[1]}\\." if found[1] else "\\://", safe)
