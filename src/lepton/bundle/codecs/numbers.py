"""Numbers from text, codec `parse-number/1`: one way of writing them for a column, and the units that it has."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import polars as pl

from lepton.core import ErrorCode, UsageError, printable

__all__ = ["NUMBER_FORMATS", "NumberParser"]

NUMBER_FORMATS = ("1234.5", "1,234.5", "1234,5", "1.234,5", "1 234.5", "1 234,5", "1'234.5", "1'234,5")
"""How 1234.5 may be written: its group separator, if any, and its decimal mark."""

_SPACE = " \t\r\n\u00a0\u2009\u202f"
_GROUPS = {",": ",", ".": r"\.", " ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}
_SIGN, _MINUS = "^[+\\-−]", "^[-−]"
_MAX_FACTOR, _MAX_UNITS, _MAX_UNIT = 1e30, 200, 32

_LIKE_NUMBER = re.compile("[0-9.,+\\-−]|[eE][0-9]")


class NumberParser:
    """Reads numbers from text, for one column.

    >>> NumberParser("1.234,5").parse("-12.345,6")
    -12345.6
    >>> NumberParser("1.234,5").parse("12.34") is None
    True
    >>> NumberParser(units={"km": 1000.0, "m": 1.0}).parse("3.5 km")
    3500.0

    Args:
        number_format: one of `NUMBER_FORMATS`.
        units: text beside the number → what the number is multiplied with; "" for a number alone. Without any,
            numbers stand alone.

    Raises:
        UsageError: for a format, unit or factor that the specification does not know.
    """

    def __init__(self, number_format: str = "1234.5", units: Mapping[str, float] | None = None) -> None:
        if number_format not in NUMBER_FORMATS:
            raise UsageError(
                ErrorCode.USAGE,
                f"got the number format '{printable(number_format)}'",
                wanted="one of " + "; ".join(NUMBER_FORMATS),
            )
        self._group = number_format[1:-5] if len(number_format) > 6 else ""
        self._decimal = number_format[-2]
        self._group_pattern = _GROUPS.get(self._group, "")
        self.units = {unit: float(factor) for unit, factor in (units or {"": 1.0}).items()}
        _check_units(self.units)
        by_length = sorted(filter(None, self.units), key=lambda unit: (-len(unit), unit))
        self._suffixes = tuple(by_length)
        self._prefixes = tuple(unit for unit in by_length if not any(character.isdigit() for character in unit))
        group, decimal = self._group_pattern, re.escape(self._decimal)
        whole = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
        self._pattern = rf"^(?:(?:{whole})(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?$"
        self._expression = re.compile(self._pattern)

    def parse(self, text: str) -> float | None:
        """The number, or None if `text` is none in this format."""
        body, minus, signed = _unsigned(text.strip(_SPACE))
        unit = next((unit for unit in self._suffixes if body.endswith(unit)), "")
        rest = body.removesuffix(unit).strip(_SPACE)
        if not unit and (unit := next((unit for unit in self._prefixes if body.startswith(unit)), "")):
            rest = body.removeprefix(unit).strip(_SPACE)
            if not signed:
                rest, minus, _ = _unsigned(rest)
        if unit not in self.units or not self._expression.match(rest):
            return None
        plain = re.sub(self._group_pattern, "", rest) if self._group else rest
        multiplier, divisor = _exact(self.units[unit])
        number = float(plain.replace(self._decimal, ".")) * multiplier / divisor
        if not math.isfinite(number):
            return None
        return -number if minus else number

    def parse_series(self, texts: pl.Series) -> pl.Series:
        """`texts` (String) → Float64; null where a text is null or no number in this format."""
        frame = texts.to_frame("text").select(pl.col("text").str.strip_chars(_SPACE))
        frame = frame.select(
            pl.col("text").str.contains(_SIGN).alias("signed"),
            pl.col("text").str.contains(_MINUS).alias("minus"),
            pl.col("text").str.replace(_SIGN, "").str.strip_chars(_SPACE).alias("rest"),
        )
        if self._suffixes:
            frame = self._without_units(frame)
        number = self._number(pl.col("rest"))
        if self._suffixes:
            number = number * pl.col("multiplier") / pl.col("divisor")
        elif self.units[""] != 1.0:
            multiplier, divisor = _exact(self.units[""])
            number = number * multiplier / divisor
        fits = pl.col("rest").str.contains(self._pattern) & number.is_finite()
        return frame.select(
            pl.when(fits).then(pl.when("minus").then(-number).otherwise(number)).alias(texts.name)
        ).to_series()

    def _without_units(self, frame: pl.DataFrame) -> pl.DataFrame:
        rest = pl.col("rest")
        by_unit = [(rest.str.ends_with(unit), unit, rest.str.strip_suffix(unit), False) for unit in self._suffixes]
        by_unit += [(rest.str.starts_with(unit), unit, rest.str.strip_prefix(unit), True) for unit in self._prefixes]
        place, left, front = pl.lit(len(by_unit)), rest, pl.lit(False)
        for number, (there, _, without, is_prefix) in reversed(list(enumerate(by_unit))):
            place = pl.when(there).then(pl.lit(number)).otherwise(place)
            left = pl.when(there).then(without).otherwise(left)
            front = pl.when(there).then(pl.lit(is_prefix)).otherwise(front)
        left = left.str.strip_chars(_SPACE)
        frame = frame.with_columns(place.alias("place"), left.alias("rest"), front.alias("front"))
        late = pl.col("front") & ~pl.col("signed")
        frame = frame.with_columns(
            (pl.col("minus") | (late & rest.str.contains(_MINUS))).alias("minus"),
            pl.when(late).then(rest.str.replace(_SIGN, "").str.strip_chars(_SPACE)).otherwise(rest).alias("rest"),
        )
        factors = [_exact(self.units[unit]) for _, unit, _, _ in by_unit]
        alone = _exact(self.units[""]) if "" in self.units else (None, None)
        place = pl.col("place")
        return frame.with_columns(
            pl.lit(pl.Series([*(m for m, _ in factors), alone[0]], dtype=pl.Float64)).gather(place).alias("multiplier"),
            pl.lit(pl.Series([*(d for _, d in factors), alone[1]], dtype=pl.Float64)).gather(place).alias("divisor"),
        )

    def _number(self, texts: pl.Expr) -> pl.Expr:
        if self._group:
            texts = texts.str.replace_all(self._group_pattern, "")
        if self._decimal != ".":
            texts = texts.str.replace(self._decimal, ".", literal=True)
        return texts.cast(pl.Float64, strict=False)


def _unsigned(text: str) -> tuple[str, bool, bool]:
    """A text without its sign, whether that is minus, and whether there is one."""
    signed = text[:1] in ("+", "-", "−") and text != ""
    return (text[1:].strip(_SPACE) if signed else text), signed and text[0] != "+", signed


def _exact(factor: float) -> tuple[float, float]:
    """Multiplier and divisor of a factor: 0.01 divides by 100, which gives 57 % as 0.57 and not 0.5700000000000001."""
    if 0.0 < factor < 1.0:
        whole = float(round(1.0 / factor))
        if 1.0 / whole == factor:
            return 1.0, whole
    return factor, 1.0


def _check_units(units: Mapping[str, float]) -> None:
    for unit, factor in units.items():
        plain = unit == unit.strip(_SPACE) and len(unit) <= _MAX_UNIT and not _LIKE_NUMBER.match(unit)
        if not plain or not 0.0 < factor <= _MAX_FACTOR:
            raise UsageError(
                ErrorCode.USAGE,
                f"got the unit '{printable(unit)}' with the factor {factor!r}",
                wanted="a text of at most 32 characters that does not begin as a number does, and a positive factor",
            )
    if len(units) > _MAX_UNITS:
        raise UsageError(ErrorCode.USAGE, f"got {len(units):,} units", wanted=f"at most {_MAX_UNITS}")
