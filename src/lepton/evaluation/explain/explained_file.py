"""What one picture, text or sound was answered for, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton.core import printable
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.hiding import MARGIN
from lepton.report import Block, Table, Text, plain_table, show_number

__all__ = ["ExplainedFile", "strongest", "told_value"]

_SHOWN = 12
_TOLD = 3
_LETTERS = 60


@dataclass(frozen=True)
class ExplainedFile:
    """One file.

    Attributes:
        kind: `picture`, `text` or `sound`.
        title: what the explained number is.
        label: whose probability it is; None of numbers.
        answer: the number for the whole file.
        base: the number with everything hidden.
        values: what each part adds: of texts [P], of pictures [rows, columns], of sounds [bands, times].
        errors: standard errors of these, of what was sampled; 0 where nothing was.
        parts: names of the parts that are told, P of them.
        added: what each of these adds [P].
        added_errors: its standard error [P].
        method: how.
        asked: how often the model was asked.
        notes: limits.
        drawing: for a page, with what it shows in words.
        margin: standard errors to either side of a 95 % interval.
    """

    kind: str
    title: str
    label: Any
    answer: float
    base: float
    values: Floats
    errors: Floats
    parts: tuple[str, ...]
    added: Floats
    added_errors: Floats
    method: str
    asked: int
    notes: tuple[str, ...]
    drawing: Block | None = None
    margin: float = MARGIN

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": self.kind,
            "title": self.title,
            "label": self.label,
            "answer": _finite(self.answer),
            "base": _finite(self.base),
            "method": self.method,
            "asked": self.asked,
            "margin": self.margin,
            "parts": [
                {"name": name, "value": _finite(value), "error": _finite(error)}
                for name, value, error in zip(self.parts, self.added.tolist(), self.added_errors.tolist(), strict=True)
            ],
            "values": [_finite(value) for value in self.values.ravel().tolist()],
            "errors": [_finite(value) for value in self.errors.ravel().tolist()],
            "shape": list(self.values.shape),
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """For people."""
        lines = [self.lead(), ""]
        if rows := self._rows():
            lines += [plain_table(("part", "adds", "95 % interval"), rows), ""]
        return "\n".join([*lines, f"By {self.method}; the model was asked {self.asked:,} times.", *self.notes])

    def lead(self) -> str:
        """The answer, and what it would be without the file."""
        return f"{self.title} is {show_number(self.answer)}, and {show_number(self.base)} with everything hidden."

    def blocks(self) -> list[Block]:
        """What stands on a page."""
        drawn: list[Block] = [] if self.drawing is None else [self.drawing]
        table = [Table(("part", "adds", "95 % interval"), self._rows())] if len(self.parts) else []
        method = Text(f"By {self.method}; the model was asked {self.asked:,} times.", tone="note")
        return [Text(self.lead(), tone="lead"), *drawn, *table, method, *(Text(n, tone="note") for n in self.notes)]

    def _rows(self) -> list[tuple[str, str, str]]:
        rows = []
        for place in strongest(self.added, _SHOWN):
            value, error = float(self.added[place]), float(self.added_errors[place])
            ends = (
                "exact"
                if error == 0
                else f"{show_number(value - self.margin * error)} to {show_number(value + self.margin * error)}"
            )
            rows.append((printable(self.parts[place], _LETTERS), show_number(value), ends))
        return rows


def strongest(added: Floats, most: int) -> list[int]:
    """Positions of the parts that count most, the strongest first; none of those that add nothing."""
    order = np.argsort(-np.abs(np.nan_to_num(added)), kind="stable")[:most]
    return [place for place in order.tolist() if added[place] != 0]


def told_value(names: Sequence[str], added: Floats, errors: Floats, margin: float = MARGIN) -> str:
    """The strongest parts in words, for those who cannot see a drawing."""
    told = [
        f"{names[place]} ({added[place]:+.3g}" + (f" ± {margin * errors[place]:.2g})" if errors[place] else ")")
        for place in strongest(added, _TOLD)
    ]
    return "Strongest: " + ", ".join(told) + "." if told else "No part changes the answer."


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
