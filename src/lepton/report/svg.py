"""Elements of SVG and HTML as escaped text."""

from __future__ import annotations

from html import escape

from lepton.core.names import printable

__all__ = ["coordinate", "element", "shortened", "shown"]


def shown(text: object, limit: int = 2_000) -> str:
    """`text` as markup: escaped, hidden characters made visible, at most `limit` characters of it."""
    return escape(printable(str(text), limit), quote=True)


def shortened(text: object, length: int) -> str:
    """`text` with hidden characters made visible, cut to `length` characters with an ellipsis; not escaped."""
    plain = printable(str(text), length + 1)
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def coordinate(value: float) -> str:
    """A place in the drawing, to a tenth of a unit.

    >>> coordinate(12.04), coordinate(-0.01), coordinate(3.25)
    ('12', '0', '3.2')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def element(name: str, *children: str, **attributes: str | float | None) -> str:
    """`<name attributes>children</name>`.

    Children are markup already; attribute values are escaped here, numbers become coordinates, None is left out.
    Underscores in attribute names become hyphens; a trailing one lets `class_` pass.

    >>> element("text", "a", class_="tick", x=1.5, aria_label='"')
    '<text class="tick" x="1.5" aria-label="&quot;">a</text>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value) if isinstance(value, str) else coordinate(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"
