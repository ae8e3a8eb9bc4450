"""Where a search may look: settings of a learner with their ranges, in no library's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Choice", "Dimension", "Real", "Whole"]


@dataclass(frozen=True, slots=True)
class Real:
    """A number from `low` to `high`.

    Attributes:
        low: the least.
        high: the greatest.
        default: what a configuration has that does not name the setting.
        log: whether steps multiply rather than add.
    """

    low: float
    high: float
    default: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`; attributes as of `Real`."""

    low: int
    high: int
    default: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `values`, which have no order.

    Attributes:
        values: texts, numbers, booleans or None.
        default: what a configuration has that does not name the setting.
    """

    values: tuple[Any, ...]
    default: Any


Dimension = Real | Whole | Choice
