"""How results are written for a terminal: their titles."""

from __future__ import annotations

from lepton.core import printable

__all__ = ["title_of"]

_MAX_CELL = 60


def title_of(task: str, target: str) -> str:
    """`binary of 'income'`, safe to print."""
    return f"{task} of {printable(target, _MAX_CELL)!r}"
