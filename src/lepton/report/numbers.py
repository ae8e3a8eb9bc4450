"""Numbers, as people read them: few digits, thousands separators, no float noise."""

from __future__ import annotations

import math
from datetime import UTC, datetime

__all__ = ["show_number", "show_share", "show_time"]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MISSING = "–"


def show_number(value: float | None, digits: int = 4) -> str:
    """`value` with at most `digits` significant digits.

    >>> [show_number(v) for v in (20640, 0.1 + 0.2, 1234567.8, 0.0000123, -0.0, None, float("inf"))]
    ['20,640', '0.3', '1,234,568', '1.23×10⁻⁵', '0', '–', '∞']
    """
    if value is None or math.isnan(value):
        return _MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e15 or size < 1e-4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return _minus(f"{_trim(mantissa)}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}")
    if isinstance(value, int) or size >= 10 ** (digits - 1):
        return _minus(f"{round(value):,}")
    decimals = digits - 1 - math.floor(math.log10(size))
    return _minus(_trim(f"{value:,.{decimals}f}"))


def show_share(share: float | None) -> str:
    r"""A share of 1 in per cent; small ones are not rounded to nothing. Its spaces do not break.

    >>> [show_share(v).replace("\u00a0", "_") for v in (0.0, 0.00002, 0.1234, 1.0, 0.99999)]
    ['0_%', '<_0.1_%', '12.3_%', '100_%', '>_99.9_%']
    """
    if share is None or not math.isfinite(share):
        return _MISSING
    if 0 < share < 0.001:
        return "<\u00a00.1\u00a0%"
    if 0.999 < share < 1:
        return ">\u00a099.9\u00a0%"
    return f"{_trim(f'{100 * share:.1f}')}\u00a0%"


def show_time(microseconds: float | None) -> str:
    """A moment, given as microseconds since 1970 UTC, to the second; the time of day only where there is one."""
    if microseconds is None or not math.isfinite(microseconds):
        return _MISSING
    try:
        moment = datetime.fromtimestamp(microseconds / 1e6, UTC)
    except (OverflowError, OSError, ValueError):
        return show_number(microseconds)
    midnight = moment.hour == moment.minute == moment.second == 0
    return moment.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S")


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _minus(text: str) -> str:
    return text.replace("-", "−")
