"""What reading decided by itself: each decision with its evidence and the argument that overrides it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

from lepton.core import printable

__all__ = ["DecisionRecord", "Decisions"]


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision.

    Attributes:
        column: the column it speaks of, or None for the whole table.
        what: what was decided about (`"delimiter"`, `"kind"`, `"missing"`, `"constant"`, ...).
        decided: the outcome, ready to show.
        evidence: what it rests on, with counts or an example.
        override: the argument of `read` that decides otherwise, or "" where there is none.
    """

    column: str | None
    what: str
    decided: str
    evidence: str
    override: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


class Decisions(Sequence[DecisionRecord]):
    """All decisions of one reading, in order; shown as a table.

    >>> print(Decisions([DecisionRecord(None, "delimiter", "';'", "3 fields in each of 10 rows", "delimiter=';'")]))
    column  about      decided  because                      to override
            delimiter  ';'      3 fields in each of 10 rows  delimiter=';'
    """

    def __init__(self, records: Sequence[DecisionRecord] = ()) -> None:
        self._records = tuple(records)

    @overload
    def __getitem__(self, index: int) -> DecisionRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Decisions: ...
    def __getitem__(self, index: int | slice) -> DecisionRecord | Decisions:
        return Decisions(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[DecisionRecord]:
        return iter(self._records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decisions) and self._records == other._records

    def __hash__(self) -> int:
        return hash(self._records)

    def about(self, column: str | None) -> Decisions:
        """Those that speak of `column`; None: of the whole table."""
        return Decisions([r for r in self._records if r.column == column])

    def to_list(self) -> list[dict[str, Any]]:
        """JSON form."""
        return [r.to_dict() for r in self._records]

    def text(self, width: int = 60) -> str:
        """A table, one decision a line; longer cells are cut at `width` characters."""
        head = ("column", "about", "decided", "because", "to override")
        cells = [(r.column or "", r.what, r.decided, r.evidence, r.override) for r in self._records]
        rows = [tuple(printable(cell, width) for cell in row) for row in (head, *cells)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    __str__ = text
    __repr__ = text
