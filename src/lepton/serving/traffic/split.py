"""One name, several models behind it: who goes where, how each side does, and when a side is left out."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from lepton.serving.protocols.base import Request
from lepton.serving.traffic.rules import BoundsRecord, SplitRecord, Target

__all__ = ["RolledBack", "Split", "percentile_ms", "position", "surely_above", "surely_more"]

_logger = logging.getLogger("lepton.serving")

_QUANTILE = 3.0902
"""Of the normal distribution at 99.9 %, one-sided: a side is judged at each of its bad answers, so many a time."""

_SLOW_SHARE = 0.05
_BUCKETS = 10
_RECENT = 1024


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Why and when a side was left out."""

    reason: str
    time: str


class Split:
    """A split at work. Its methods may be called from several threads.

    Args:
        name: that requests use.
        record: what the file says.
        clock: seconds, for windows.
    """

    def __init__(self, name: str, record: SplitRecord, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.record = record
        self.rolled_back: dict[Target, RolledBack] = {}
        self._sides = {target: _Side() for target in (*record.shares, *(header.to for header in record.headers))}
        self._clock = clock
        self._lock = threading.Lock()  # guards the counts
        self._judged = {target: (bounds, _Window(bounds), _Window(bounds)) for target, bounds in record.bounds.items()}

    def choose(self, request: Request, without: Collection[Target] = ()) -> Target | None:
        """Where a request goes; the same for the same header or request id, as long as that side is there.

        Args:
            request: with its head.
            without: sides that cannot answer now, beside those that were rolled back.

        Returns:
            None if no side is left.
        """
        headers, gone = request.headers, self.rolled_back
        for rule in self.record.headers:
            if headers.get(rule.name) == rule.equals and rule.to not in gone and rule.to not in without:
                return rule.to
        caller = None if self.record.by is None else headers.get(self.record.by)
        caller = request.id if caller is None else caller
        shares = self.record.shares
        chosen = _share_at(shares, position(self.name, caller))
        if chosen not in gone and chosen not in without:
            return chosen
        # Callers of the other sides stay where they are: those of this one alone are dealt anew.
        left = {target: share for target, share in shares.items() if target not in gone and target not in without}
        return _share_at(left, position(self.name, "again", caller)) if left else None

    def is_shadowed(self, request: Request) -> bool:
        """Whether a request is of the share that is run on the shadow as well."""
        shadow = self.record.shadow
        return shadow is not None and (shadow.share >= 1.0 or position(self.name, "shadow", request.id) < shadow.share)

    @property
    def digest(self) -> str:
        """The same in processes whose files say the same of this split."""
        return blake2b(repr(self.record).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def count(self, target: Target, seconds: float, *, failed: bool) -> bool:
        """Take note of an answer, or of a failure inside the server; a side that passes its bounds is left out.

        Returns:
            Whether it is left out from now on.
        """
        now = self._clock()
        with self._lock:
            self._sides[target].add(seconds, failed)
            for side, (bounds, own, rest) in self._judged.items():
                slow = not failed and bounds.p95_ms is not None and seconds * 1e3 > bounds.p95_ms
                (own if side == target else rest).add(now, failed, slow)
            judged = self._judged.get(target)
            if judged is None or target in self.rolled_back:
                return False
            bounds, own, rest = judged
            slow = bounds.p95_ms is not None and seconds * 1e3 > bounds.p95_ms
            reason = _reason(bounds, own.sums(now), rest.sums(now)) if failed or slow else None
        return reason is not None and self.roll_back(target, reason)

    def roll_back(self, target: Target, reason: str) -> bool:
        """Send nobody to a side any more, until the file says something else of this split; whether that is new."""
        with self._lock:
            if target not in self.record.shares or target in self.rolled_back:
                return False
            told = RolledBack(reason, datetime.now(UTC).isoformat(timespec="seconds"))
            self.rolled_back = {**self.rolled_back, target: told}
        _logger.error("'%s' is rolled back: '%s' gets no more requests: %s", self.name, target, reason)
        return True

    def report(self) -> dict[str, Any]:
        """Shares as they are now, and how each side has done."""
        with self._lock:
            sides = {str(target): side.report() for target, side in self._sides.items()}
        for target, share in self.record.shares.items():
            told = self.rolled_back.get(target)
            sides[str(target)]["share"] = share if told is None else 0.0
            if told is not None:
                sides[str(target)]["rolled_back"] = {"reason": told.reason, "time": told.time}
        return {"by": self.record.by or "x-request-id", "sides": sides}


class _Side:
    """How one side has done since the split was made."""

    __slots__ = ("_recent", "answers", "errors")

    def __init__(self) -> None:
        self.answers = self.errors = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def add(self, seconds: float, failed: bool) -> None:
        if failed:
            self.errors += 1
        else:
            self.answers += 1
            self._recent.append(seconds)

    def report(self) -> dict[str, Any]:
        recent = sorted(self._recent)
        return {
            "answers": self.answers,
            "errors": self.errors,
            "p50_ms": percentile_ms(recent, 0.5),
            "p95_ms": percentile_ms(recent, 0.95),
        }


class _Window:
    """Answers, failures and slow answers of the last seconds, in buckets."""

    __slots__ = ("_buckets", "_width")

    def __init__(self, bounds: BoundsRecord) -> None:
        self._width = bounds.window / _BUCKETS
        self._buckets: deque[tuple[int, list[int]]] = deque(maxlen=_BUCKETS)

    def add(self, now: float, failed: bool, slow: bool) -> None:
        number = int(now / self._width)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, [0, 0, 0]))
        counts = self._buckets[-1][1]
        counts[0] += 1
        counts[1] += failed
        counts[2] += slow

    def sums(self, now: float) -> tuple[int, int, int]:
        oldest = int(now / self._width) - _BUCKETS
        counted = [counts for number, counts in self._buckets if number > oldest]
        total, failed, slow = (sum(each) for each in zip(*counted, strict=True)) if counted else (0, 0, 0)
        return total, failed, slow


def _reason(bounds: BoundsRecord, own: tuple[int, int, int], rest: tuple[int, int, int]) -> str | None:
    """Why a side is left out; None while it is not surely worse than its bounds, and than the others."""
    total, failed, slow = own
    if total < bounds.count:
        return None
    answered, of_rest = total - failed, rest[0] - rest[1]
    compared = rest[0] >= bounds.count
    if (
        bounds.errors is not None
        and surely_above(failed, total, bounds.errors)
        and (not compared or surely_more(failed, total, rest[1], rest[0]))
    ):
        beside = f", of the others {rest[1] / rest[0]:.1%}" if rest[0] else ""
        return f"{failed / total:.1%} of {total} requests failed{beside}; the bound is {bounds.errors:.1%}"
    if (
        bounds.p95_ms is not None
        and answered
        and surely_above(slow, answered, _SLOW_SHARE)
        and (not compared or not of_rest or surely_more(slow, answered, rest[2], of_rest))
    ):
        beside = f", of the others {rest[2] / of_rest:.1%}" if of_rest else ""
        return (
            f"{slow / answered:.1%} of {answered} answers took more than {bounds.p95_ms:g} ms{beside}; the bound is 5 %"
        )
    return None


def surely_above(count: int, total: int, share: float) -> bool:
    """Whether the lower end of Wilson's one-sided 99.9 % interval of `count / total` lies above `share`.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    found, square = count / total, _QUANTILE**2
    middle = found + square / (2 * total)
    spread = _QUANTILE * math.sqrt(found * (1 - found) / total + square / (4 * total**2))
    return (middle - spread) / (1 + square / total) > share


def surely_more(count: int, total: int, other_count: int, other_total: int) -> bool:
    """Whether one share is above another by the one-sided test of two proportions at 99.9 %."""
    pooled = (count + other_count) / (total + other_total)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / total + 1 / other_total))
    difference = count / total - other_count / other_total
    return difference > _QUANTILE * spread if spread else difference > 0


def position(*texts: str) -> float:
    """A number in [0, 1) that is the same for the same texts, in every process."""
    digest = blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def percentile_ms(seconds: list[float], share: float) -> float | None:
    """A percentile of sorted times, in milliseconds; None of none."""
    return round(seconds[min(int(share * len(seconds)), len(seconds) - 1)] * 1e3, 3) if seconds else None


def _share_at(shares: Mapping[Target, float], at: float) -> Target:
    """The side that holds a place in [0, 1), its width being its part of all that are given."""
    left = at * math.fsum(shares.values())
    for target, share in shares.items():
        if left < share:
            return target
        left -= share
    return max(shares, key=lambda target: shares[target])  # all are 0, or the sum was rounded
