"""The most frequent values of a stream in bounded memory, with the error of their counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lepton.data.statistics.encoding import count_of

__all__ = ["FrequentValues"]

Value = str | float


class FrequentValues:
    """Counts of the most frequent values: exact while there are at most `capacity` of them.

    Beyond, counts are too low by at most `error` rows, and a value that is not kept had at most `error`; `error` is
    never more than rows / capacity. (Misra and Gries 1982, merged as in Agarwal et al., PODS 2012.)

    >>> frequent = FrequentValues(2)
    >>> frequent.update([("a", 5), ("b", 3), ("c", 1)])
    >>> frequent.top(), frequent.error
    ([('a', 4), ('b', 2)], 1)

    Args:
        capacity: how many values are counted at most.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows = 0
        self.error = 0
        self._counts: dict[Value, int] = {}

    def update(self, counts: Iterable[tuple[Value, int]], *, rows: int | None = None, error: int = 0) -> None:
        """Add counted values.

        Args:
            counts: values of one type, each once, with their rows.
            rows: rows in all, where `counts` leaves some out.
            error: most rows that a value left out may have.
        """
        seen = 0
        for value, count in counts:
            self._counts[value] = self._counts.get(value, 0) + count
            seen += count
        self.rows += seen if rows is None else rows
        self.error += error
        self._shrink()

    def merge(self, other: FrequentValues) -> None:
        """Add what `other` has seen."""
        self.update(other._counts.items(), rows=other.rows, error=other.error)

    def top(self, limit: int | None = None) -> list[tuple[Value, int]]:
        """The most frequent values with their counts, most frequent first, equals in the order of the values."""
        return sorted(self._counts.items(), key=_by_count)[:limit]

    @property
    def num_kept(self) -> int:
        """How many values are counted."""
        return len(self._counts)

    @property
    def other(self) -> int:
        """Rows that are not in the counts."""
        return self.rows - sum(self._counts.values())

    def limited(self, *, min_rows: int = 0, max_bytes: int = 48_000) -> FrequentValues:
        """A copy of the most frequent values: those with at least `min_rows` that fit in `max_bytes` of JSON."""
        out = FrequentValues(self.capacity)
        out.rows, out.error = self.rows, self.error
        spent = 0
        for value, count in self.top():
            spent += len(str(value).encode("utf-8", "surrogatepass")) * 2 + 16
            if count < min_rows or spent > max_bytes:
                out.error = self.error + count
                break
            out._counts[value] = count
        return out

    def to_dict(self) -> dict[str, Any]:
        """JSON form, most frequent first; at most 64 kB."""
        kept = self.limited()
        top = kept.top()
        return {
            "capacity": self.capacity,
            "rows": self.rows,
            "error": kept.error,
            "values": [value for value, _ in top],
            "counts": [count for _, count in top],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> FrequentValues:
        """Read the JSON form; `ValueError` or `KeyError` on anything else."""
        out = cls(count_of(raw, "capacity"))
        out.rows, out.error = count_of(raw, "rows"), count_of(raw, "error")
        out._counts = dict(zip(raw["values"], raw["counts"], strict=True))
        if not all(isinstance(v, str | float | int) for v in out._counts) or out.other < 0:
            raise ValueError("values that are not text or numbers, or counts above the rows")
        return out

    def _shrink(self) -> None:
        if len(self._counts) <= self.capacity:
            return
        ranked = self.top()
        cut = ranked[self.capacity][1]
        self._counts = {value: count - cut for value, count in ranked[: self.capacity] if count > cut}
        self.error += cut


def _by_count(item: tuple[Value, int]) -> tuple[int, Any]:
    return -item[1], item[0]
