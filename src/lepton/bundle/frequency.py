"""Regular steps of time: the frequency of a series, from moments to numbers of steps and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError

__all__ = ["DAY", "Frequency"]

Integers = NDArray[np.int64]
DAY = 86_400_000_000
"""Microseconds of a day."""

_LONGEST = 2**53  # numbers up to here are whole in doubles
_UNITS = {"week": 7 * DAY, "day": DAY, "hour": DAY // 24, "minute": DAY // 1_440, "second": 1_000_000, "microsecond": 1}


@dataclass(frozen=True, slots=True)
class Frequency:
    """A regular step from one time of a series to the next.

    Attributes:
        unit: `duration` (a fixed number of microseconds), `month`, or `number` where times are plain numbers.
        count: microseconds, months or units of one step.
        at_end: whether months are dated by their last day.
        time_zone: IANA name of the clock on which steps are regular, for steps of days; None for UTC.
    """

    unit: str
    count: int
    at_end: bool = False
    time_zone: str | None = None

    def __post_init__(self) -> None:
        known = self.unit in {"duration", "month", "number"} and type(self.at_end) is bool
        if not known or type(self.count) is not int or not 1 <= self.count <= _LONGEST:
            raise UsageError(
                ErrorCode.USAGE, f"got a step of {self.count!r} {self.unit!r}", wanted="whole durations or months"
            )
        if self.time_zone is None:
            return
        try:
            pl.Series([0]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(self.time_zone)
        except (pl.exceptions.PolarsError, TypeError, ValueError):
            came = f"got the time zone {self.time_zone!r}"
            raise UsageError(ErrorCode.USAGE, came, wanted="an IANA name such as 'Europe/Oslo'") from None

    @property
    def text(self) -> str:
        """The step in words: `every hour`, `every 15 minutes`."""
        if self.unit != "duration":
            name, count = ("month" if self.unit == "month" else "unit"), self.count
        else:
            name, size = next((name, size) for name, size in _UNITS.items() if self.count % size == 0)
            count = self.count // size
        return f"every {name}" if count == 1 else f"every {count} {name}s"

    def on_clock(self, times: Integers) -> Integers:
        """Microseconds since 1970 UTC as those that the clock of `time_zone` shows."""
        if self.time_zone is None:
            return times
        moments = pl.Series(times).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(self.time_zone)
        shown: Integers = moments.dt.replace_time_zone(None).to_physical().to_numpy()
        return shown

    def from_clock(self, times: Integers) -> Integers:
        """The other way; a time that a clock change leaves out gives the hour after it."""
        if self.time_zone is None:
            return times
        shown = times.ravel()
        first, later = (self._moments(each) for each in (shown, shown + DAY // 24))
        moments = first.fill_null(later)
        found: Integers = moments.dt.convert_time_zone("UTC").to_physical().to_numpy().reshape(times.shape)
        return found

    def _moments(self, shown: Integers) -> pl.Series:
        return (
            pl.Series(shown)
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone(self.time_zone, ambiguous="earliest", non_existent="null")
        )

    def steps(self, times: Integers) -> Integers:
        """Numbers of steps of moments (microseconds on the clock, or plain numbers); gaps count."""
        if self.unit == "month":
            return _months(times) // self.count
        return times // self.count

    def off_grid(self, times: Integers) -> NDArray[np.bool_]:
        """Which of one series' times are not whole steps away from its first."""
        steps = _months(times) if self.unit == "month" else times
        off: NDArray[np.bool_] = (steps - steps[:1]) % self.count != 0
        return off

    def after(self, last: Integers, horizon: int) -> Integers:
        """The `horizon` times that follow each of `last` [N]: [N, horizon], on the clock."""
        ahead = np.arange(1, horizon + 1, dtype=np.int64)[None, :] * self.count
        if self.unit != "month":
            following: Integers = last[:, None] + ahead
            return following
        days = last // DAY
        in_day = last - days * DAY
        months = _months(last)[:, None] + ahead
        first = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
        length = (months + 1).astype("M8[M]").astype("M8[D]").astype(np.int64) - first
        own_first = _months(last).astype("M8[M]").astype("M8[D]").astype(np.int64)
        day = np.minimum((days - own_first)[:, None], length - 1)
        if self.at_end:
            day = length - 1
        moments: Integers = (first + day) * DAY + in_day[:, None]
        return moments

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Frequency:
        """Read the JSON form; `TypeError` or `UsageError` on anything else."""
        return cls(**raw)


def _months(times: Integers) -> Integers:
    """Months since January 1970 of microseconds."""
    months: Integers = times.astype("M8[us]").astype("M8[M]").astype(np.int64)
    return months
