"""One kind of personal data in one column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["PersonalFinding"]


@dataclass(frozen=True)
class PersonalFinding:
    """One kind of personal data in one column.

    Attributes:
        column: its name.
        kind: such as `e-mail`, `card number`, `name of a person`.
        count: cells that hold it, among the rows seen.
        share: of the cells that are not missing.
        confidence: 0 to 1: how well the form, its check digits and the name of the column agree.
        in_text: whether it stands inside longer texts.
        examples: up to three, every letter and digit masked.
    """

    column: str
    kind: str
    count: int
    share: float
    confidence: float
    in_text: bool
    examples: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "column": self.column,
            "kind": self.kind,
            "count": self.count,
            "share": self.share,
            "confidence": self.confidence,
            "in_text": self.in_text,
            "examples": list(self.examples),
        }
