"""Counts as text for Prometheus.

Source: the Prometheus documentation, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["CONTENT_TYPE", "Family", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Family:
    """All values of one name.

    Args:
        name: without a suffix of a histogram.
        kind: `counter`, `gauge` or `histogram`.
        does: what it counts, in a sentence.
    """

    def __init__(self, name: str, kind: str, does: str) -> None:
        self.name = name
        self._lines = [f"# HELP {name} {does}", f"# TYPE {name} {kind}"]

    def add(self, value: float, **labels: str) -> None:
        """One value, with the labels that tell it from others."""
        self._line("", value, labels)

    def add_histogram(self, bounds: Sequence[float], counts: Sequence[int], total: float, **labels: str) -> None:
        """One histogram.

        Args:
            bounds: upper ends of the buckets but the last, rising.
            counts: of each bucket alone, one more than there are bounds.
            total: sum of what was counted.
            labels: that tell it from others.
        """
        so_far = 0
        for bound, count in zip([*bounds, math.inf], counts, strict=True):
            so_far += count
            self._line("_bucket", so_far, {**labels, "le": _number(bound)})
        self._line("_sum", total, labels)
        self._line("_count", so_far, labels)

    def _line(self, suffix: str, value: float, labels: Mapping[str, str]) -> None:
        shown = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in labels.items())
        self._lines.append(f"{self.name}{suffix}{'{' + shown + '}' if shown else ''} {_number(value)}")

    @property
    def lines(self) -> Sequence[str]:
        """The family as text; nothing where it has no value."""
        return self._lines if len(self._lines) > 2 else ()


def exposition(families: Iterable[Family]) -> bytes:
    """All families as the body of an answer."""
    return "".join(f"{line}\n" for family in families for line in family.lines).encode()


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(value) if isinstance(value, int) or math.isnan(value) else repr(float(value))
