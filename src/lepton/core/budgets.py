"""Budgets are contracts: they are parsed once, checked on the final file, and fail closed (contract 8)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lepton.core.errors import ErrorCode, UsageError

__all__ = ["BudgetVerdict", "parse_duration", "parse_size", "show_duration", "show_size", "time_allowed", "within_time"]

_TIME_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_NUMBER_UNIT = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*", re.ASCII)


def parse_duration(text: str | float, what: str = "within") -> float:
    """Seconds in `"60s"`, `"5m"`, `"1.5h"`, `"2ms"` or a number of seconds; `UsageError` unless it is above 0."""
    return _parse(text, what, _TIME_UNITS, default_unit="s", example='a time such as "60s", "5m", "1h" or "2ms"')


def parse_size(text: str | int, what: str = "max_size") -> int:
    """Bytes in `"1MB"` (10^6), `"200KiB"` (2^10) or a number of bytes; `UsageError` unless it is above 0."""
    example = 'a size such as "200KB" or "1MB"'
    return math.floor(_parse(text, what, _SIZE_UNITS, default_unit="b", example=example, least=1))


def _parse(
    text: object, what: str, units: Mapping[str, float], default_unit: str, example: str, least: float = 0
) -> float:
    wanted = f"{example}, above 0"
    if isinstance(text, bool):
        raise UsageError(ErrorCode.BAD_BUDGET, f"got {what}={text!r}", wanted=wanted)
    if isinstance(text, int | float):
        value = float(text) if abs(text) < 1e300 else math.inf  # whole numbers may be larger than any float
    else:
        match = _NUMBER_UNIT.fullmatch(text) if isinstance(text, str) else None
        unit = (match[2].lower() or default_unit) if match else ""
        if match is None or unit not in units:
            raise UsageError(ErrorCode.BAD_BUDGET, f"got {what}={text!r}", wanted=wanted)
        value = float(match[1]) * units[unit]
    if not math.isfinite(value) or value <= 0 or value < least:
        raise UsageError(ErrorCode.BAD_BUDGET, f"got {what}={text!r}", wanted=wanted)
    return value


def time_allowed(seconds: float) -> float:
    """The latest that work `within` so many seconds may end: over by 10 % or 2 s, whichever is more."""
    return seconds + max(0.1 * seconds, 2.0)


def within_time(spent: float, seconds: float) -> bool:
    """Whether `spent` seconds keep the budget."""
    return spent <= time_allowed(seconds)


def show_duration(seconds: float) -> str:
    """`0.0123` → `"12.3 ms"`; `75` → `"1 min 15 s"`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def show_size(size: int) -> str:
    """`1234567` → `"1.23 MB"`."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B"


@dataclass(frozen=True, slots=True)
class BudgetVerdict:
    """Whether one budget was kept on the final file.

    Attributes:
        name: `within`, `max_loss`, `max_latency`, `max_size` or `max_cost`.
        limit: what was allowed, in seconds, bytes, metric units or currency.
        measured: what came; None when it could not be measured.
        kept: False also when it could not be measured: budgets fail closed.
    """

    name: str
    limit: float
    measured: float | None
    kept: bool
