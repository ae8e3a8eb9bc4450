"""What a rule does to a column: read from its text, checked against the column's kind, and done."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lepton.core import ErrorCode, Kind, UsageError, printable
from lepton.evaluation.robustness.base import Perturbation, unknown_name
from lepton.evaluation.robustness.texts import TEXTS

__all__ = ["Change", "read_change", "read_transform"]

_SHARE = re.compile(r"([+-])\s*([0-9.]+)\s*%")
_STEP = re.compile(r"([+-])\s*([0-9.]+)")
_FACTOR = re.compile(r"[*x×]\s*([0-9.]+)")
_SPAN = re.compile(r"([+-])\s*([0-9.]+)\s*(minute|hour|day|week|month|year)s?")
_NOISE = re.compile(r"noise\s+([0-9.]+)\s*%")
_NUMERIC = (_SHARE, _STEP, _FACTOR, _SPAN, _NOISE)
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800, "month": 2_629_746, "year": 31_556_952}
_RANDOM = 3  # draws of what is random, for each row
_FEW_VALUES = 6
_TEXTUAL = (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER)


@dataclass(frozen=True)
class Change:
    """What is done to one column.

    Attributes:
        column: its name.
        form: `share`, `step`, `factor`, `noise`, `values`, `other` or `text`.
        amount: of what moves numbers, with its sign; datetimes move by microseconds.
        values: what it may be set to.
        perturbation: of texts.
    """

    column: str
    form: str
    amount: float = 0.0
    values: tuple[Any, ...] = ()
    perturbation: Perturbation | None = None

    @property
    def direction(self) -> int:
        """1 where numbers rise, -1 where they fall, 0 where neither is sure."""
        if self.form in ("share", "step"):
            return int(np.sign(self.amount))
        return 0

    def idle(self) -> bool:
        """Whether it changes nothing, whatever the row."""
        return (self.form in ("share", "step", "noise") and self.amount == 0) or (
            self.form == "factor" and self.amount == 1
        )

    def num_variants(self, known: pl.Series) -> int:
        """How many ways there are to do it to a row, as far as they are tried."""
        if self.form == "values":
            return len(self.values)
        if self.form == "other":
            others = known.n_unique() - 1
            return max(others if others <= _FEW_VALUES else _RANDOM, 1)
        return _RANDOM if self.form in ("noise", "text") else 1

    def apply(
        self, column: pl.Series, variant: int, known: pl.Series, spread: float, generator: np.random.Generator
    ) -> pl.Series:
        """The column of some rows changed.

        Args:
            column: of N rows.
            variant: which way, from 0.
            known: different values that occur, sorted, without missing ones.
            spread: standard deviation of the column.
            generator: of what is random.
        """
        if self.form == "values":
            value = self.values[variant % len(self.values)]
            if isinstance(value, str) and column.dtype.is_temporal():
                value = dt.datetime.fromisoformat(value)
            return pl.Series(column.name, [value] * len(column), dtype=_wide(column.dtype), strict=False)
        if self.form == "other":
            return self._others(column, variant, known, generator)
        if self.form == "text" and self.perturbation is not None:
            cells = column.cast(pl.String).to_list()
            changed = [None if c is None else self.perturbation.change(c, self.amount, generator) for c in cells]
            return pl.Series(column.name, changed, dtype=pl.String)
        if column.dtype.is_temporal():
            return column + dt.timedelta(microseconds=self.amount)
        values = column.cast(pl.Float64)
        if self.form == "share":
            return values + self.amount * values.abs()
        if self.form == "factor":
            return values * self.amount
        if self.form == "noise":
            return values + pl.Series(self.amount * spread * generator.standard_normal(len(column)))
        return values + self.amount

    def _others(self, column: pl.Series, variant: int, known: pl.Series, generator: np.random.Generator) -> pl.Series:
        """For each row another value than its own: the next in turn where there are few, else a drawn one."""
        num_known = len(known)
        if num_known < 2:
            return column
        own = known.search_sorted(column.fill_null(known[0])).to_numpy().astype(np.int64)
        steps = 1 + variant if num_known - 1 <= _FEW_VALUES else generator.integers(1, num_known, size=len(column))
        return known.gather((own + steps) % num_known).rename(column.name)


def _wide(dtype: pl.DataType) -> pl.DataType:
    return pl.Float64() if dtype.is_numeric() else dtype


def read_change(column: str, written: Any, kind: Kind) -> Change:
    """What a rule says about a column.

    Raises:
        UsageError: what cannot be done to a column of this kind.
    """
    if isinstance(written, Mapping):
        if set(written) not in ({"to"}, {"values"}):
            raise _bad(column, written, "to: a value, or values: some of them")
        return _values(column, [written["to"]] if "to" in written else written["values"], kind)
    if written is None or isinstance(written, list | tuple | bool | int | float | dt.date):
        return _values(column, written if isinstance(written, list | tuple) else [written], kind)
    if not isinstance(written, str) or not written.strip():
        raise _bad(column, written, "text, a value, or a list of values")
    text = written.strip()
    if text == "other":
        return Change(column, "other")
    if text == "missing":
        return Change(column, "values", values=(None,))
    if any(pattern.fullmatch(text) for pattern in _NUMERIC):
        return _moved(column, text, kind)
    if kind in _TEXTUAL:
        name = text.split()[0]
        return read_transform(column, text) if name in TEXTS and kind is Kind.TEXT else _values(column, [text], kind)
    if kind is Kind.DATETIME:
        return _values(column, [text], kind)
    raise _bad(column, written, 'a change of numbers such as "+10%", "-5", "x2", "noise 1%", "other", or a number')


def _moved(column: str, text: str, kind: Kind) -> Change:
    """A change of numbers or of time."""
    if kind is Kind.DATETIME:
        if found := _SPAN.fullmatch(text):
            seconds = _number(column, text, found[2]) * _SECONDS[found[3]]
            return Change(column, "step", float(f"{found[1]}{seconds}") * 1e6)
        raise _bad(column, text, 'of a date "+30 days", "-1 year", "other", or a date', kind)
    if kind is not Kind.NUMBER:
        raise _bad(column, text, '"other", or a value: numbers alone can be moved', kind)
    if found := _SHARE.fullmatch(text):
        return Change(column, "share", float(f"{found[1]}1") * _number(column, text, found[2]) / 100)
    if found := _STEP.fullmatch(text):
        return Change(column, "step", float(f"{found[1]}1") * _number(column, text, found[2]))
    if found := _FACTOR.fullmatch(text):
        return Change(column, "factor", _number(column, text, found[1]))
    if found := _NOISE.fullmatch(text):
        return Change(column, "noise", _number(column, text, found[1]) / 100)
    raise _bad(column, text, 'of a number "+10%", "-5", "x2", "noise 1%", "other", or a number', kind)


def _number(column: str, text: str, digits: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise _bad(column, text, "a number") from None


def _values(column: str, values: Any, kind: Kind) -> Change:
    if not isinstance(values, list | tuple) or not values:
        raise _bad(column, values, "a list of values")
    fitting: dict[Kind, tuple[type, ...]] = {Kind.NUMBER: (int, float), Kind.BOOLEAN: (bool,)}
    for value in values:
        if value is None:
            continue
        if kind is Kind.DATETIME and _is_date(value):
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = isinstance(value, fitting.get(kind, (str, int, float))) and (kind is not Kind.NUMBER or is_number)
        if not fits or kind is Kind.DATETIME:
            raise _bad(column, value, f"values of kind {kind}", kind)
    return Change(column, "values", values=tuple(str(v) if kind in _TEXTUAL and v is not None else v for v in values))


def _is_date(value: Any) -> bool:
    if isinstance(value, dt.date):
        return True
    try:
        dt.datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return True


def read_transform(column: str, written: str, known: Mapping[str, Perturbation] = TEXTS) -> Change:
    """A perturbation by its name, with its amount or that of strength 1: `rotate 5`.

    Raises:
        UsageError: no such perturbation, with the closest name; an amount that there is not.
    """
    name, *rest = written.split()
    if name not in known:
        raise unknown_name("there is no transform", name, known, ErrorCode.BAD_RULE)
    each = known[name]
    if len(rest) > 1:
        raise _bad(column, written, f"a name and an amount, as in {name} {each.amounts[0]:g}")
    amount = _number(column, written, rest[0]) if rest else each.amounts[0]
    low, high = each.limits
    if not low <= amount <= high:
        raise _bad(column, written, f"an amount from {low:g} to {high:g}: {each.says.format('so much')}")
    return Change(column, "text", amount, perturbation=each)


def _bad(column: str, written: Any, wanted: str, kind: Kind | None = None) -> UsageError:
    of = f" of kind {kind}" if kind else ""
    came = f"got {printable(str(written), 80)!r} for the column {printable(column, 80)!r}{of}"
    return UsageError(ErrorCode.BAD_RULE, came if column else f"got {printable(str(written), 80)!r}", wanted=wanted)
