"""A small tree as a drawing: one line a node, indented, with a bar at each leaf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lepton.report import Figure, show_number
from lepton.report.frame import WIDTH, caption_of, finish, text_width
from lepton.report.scales import Scale, padded
from lepton.report.svg import element, shortened, shown

if TYPE_CHECKING:
    from lepton.evaluation.explain.surrogate import Surrogate

__all__ = ["tree_figure"]

_STEP, _INDENT = 24.0, 16.0
_BARS_FROM, _BARS_TO = 330.0, 445.0


def tree_figure(found: Surrogate) -> Figure:
    """Questions from top to bottom; at a leaf a bar from 0 to the answer, of several labels the largest's."""
    lines = list(found.lines())
    tops = [max(node.value) if found.labels else node.value[0] for _, _, _, node in lines]
    at_leaves = [top for top, (_, _, told, _) in zip(tops, lines, strict=True) if told]
    low, high = padded(min(0.0, *at_leaves), max(0.0, *at_leaves))
    scale = Scale(low, high, _BARS_FROM, _BARS_TO)
    bottom = _STEP * len(lines) + 6
    marks = [element("line", class_="axis", x1=scale(0), x2=scale(0), y1=4.0, y2=bottom)]
    for row, (depth, condition, told, node) in enumerate(lines):
        y = 4 + _STEP * row
        left = 4 + _INDENT * depth
        text = condition or "all rows"
        room = _BARS_FROM - 8 - left
        while text and text_width(text) > room:
            text = shortened(condition, len(text) - 1) if len(text) > 2 else ""
        marks += _branches(lines, row, left)
        parts = [element("title", shown(f"{condition}{told}", 300))]
        parts.append(element("text", shown(text), class_="name" if told else "label", x=left, y=y + 16))
        if told:
            start, end = sorted((scale(0), scale(tops[row])))
            width = max(end - start, 0.5)
            parts.append(element("rect", class_="bar", x=start, y=y + 4, width=width, height=16.0, rx=2.0))
            value = show_number(tops[row], 3)
            if found.labels:
                value = shortened(f"{found.labels[node.value.index(max(node.value))]} {value}", 14)
            parts.append(element("text", shown(value), class_="value", x=max(end, scale(0)) + 6, y=y + 16))
        marks.append(element("g", *parts))
    rules = [f"{condition}{told}" for _, condition, told, _ in lines if told]
    alt = f"Tree that imitates {found.title}. " + "; ".join(rules[:16])
    refused = "It does not do what the model does." if found.verdict == "refused" else ""
    fidelity = f"It explains R² = {found.fidelity} of the model's answers on other rows."
    return finish(
        marks, title="The tree", alt=alt, caption=caption_of(refused, fidelity), height=bottom + 8, width=WIDTH
    )


def _branches(lines: Sequence[tuple[int, str, str, object]], row: int, left: float) -> list[str]:
    """The line from a node down to its children's rows."""
    depth = lines[row][0]
    below = [other for other in range(row + 1, len(lines)) if lines[other][0] <= depth]
    last = below[0] if below else len(lines)
    children = [other for other in range(row + 1, last) if lines[other][0] == depth + 1]
    if not children:
        return []
    x, top, end = left + 5, 4 + _STEP * row + 21, 4 + _STEP * children[-1] + 12
    marks = [element("line", class_="grid", x1=x, x2=x, y1=top, y2=end)]
    for child in children:
        y = 4 + _STEP * child + 12
        marks.append(element("line", class_="grid", x1=x, x2=x + _INDENT - 8, y1=y, y2=y))
    return marks
