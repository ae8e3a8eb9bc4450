"""Several tokens, each with a name and with what its holder may take: how often, how much at once, how urgently."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.core import ErrorCode, ServingError, UsageError, check_name, printable
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton.store import documents
else:
    documents = LazyModule("lepton.store.documents")  # for servers that are given such a file

__all__ = ["DEFAULT_PRIORITY", "LAST_PRIORITY", "Allowance", "Allowances", "read_allowances"]

DEFAULT_PRIORITY, LAST_PRIORITY = 5, 9
"""What a request has that asks for none, and the least urgent; 1 is the most urgent."""

_HASH = re.compile(r"[0-9a-f]{64}")
_FIELDS = ("sha256", "rate", "burst", "concurrent", "priority", "control")


@dataclass(frozen=True, slots=True)
class Limit:
    """What one token allows.

    Attributes:
        rate: requests a second, on average; None for any.
        burst: requests that may come at once where none came before.
        concurrent: requests to models that may be under way in threads; None for any.
        priority: the most urgent that its requests may ask for.
        control: whether it may change what is served.
    """

    rate: float | None = None
    burst: float = 1.0
    concurrent: int | None = None
    priority: int = DEFAULT_PRIORITY
    control: bool = False


class Allowance:
    """What the holder of one token has taken of what it may take. Safe to use from any thread.

    Args:
        name: of the token, in logs and for fairness.
        limit: what it allows.
        clock: in seconds.
    """

    def __init__(self, name: str, limit: Limit, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()  # guards all that follows
        self._left = limit.burst
        self._seen = clock()
        self._under_way = 0

    def take(self) -> None:
        """Count a request.

        Raises:
            ServingError: RATE_LIMITED, with when to try again.
        """
        rate = self.limit.rate
        if rate is None:
            return
        with self._lock:
            now = self._clock()
            self._left = min(self.limit.burst, self._left + (now - self._seen) * rate)
            self._seen = now
            if self._left >= 1.0:
                self._left -= 1.0
                return
            wait = (1.0 - self._left) / rate
        raise _limited(f"the token '{self.name}' is used more than {rate:g} times a second", wait)

    def enter(self) -> None:
        """Count a request as under way.

        Raises:
            ServingError: RATE_LIMITED, too many are.
        """
        with self._lock:
            if self.limit.concurrent is not None and self._under_way >= self.limit.concurrent:
                raise _limited(f"the token '{self.name}' has {self._under_way} requests under way already", 1.0)
            self._under_way += 1

    def leave(self) -> None:
        """Count a request as over."""
        with self._lock:
            self._under_way -= 1


class Allowances:
    """Tokens by the sha256 of each.

    Args:
        held: hash to allowance.
    """

    def __init__(self, held: Mapping[bytes, Allowance]) -> None:
        self._held = dict(held)

    def of(self, shown: bytes) -> Allowance | None:
        """The allowance of the token with this sha256."""
        return self._held.get(shown)


def read_allowances(path: str | Path, share: float = 1.0) -> Allowances:
    """The tokens in a YAML or JSON file: `tokens` holds, by name, `sha256` and what the token allows.

    Args:
        path: of the file. It holds no token, only hashes.
        share: of rates and numbers that is given here; of one of several processes.

    Raises:
        DataError: no such file, or no plain YAML.
        UsageError: BAD_SETTING, what it says cannot be meant.
    """
    raw = documents.read_yaml(path)
    tokens = raw.get("tokens") if isinstance(raw, dict) else None
    if not isinstance(tokens, dict) or not tokens or set(raw) != {"tokens"}:
        raise _bad("the file of tokens holds no 'tokens'", "tokens: {shop: {sha256: …, rate: 100}}")
    held: dict[bytes, Allowance] = {}
    for given, fields in tokens.items():
        name = check_name(str(given), "name of a token")
        if not isinstance(fields, dict) or set(fields) - set(_FIELDS):
            raise _bad(f"the token '{name}' holds {printable(repr(fields), 60)}", "some of " + ", ".join(_FIELDS))
        digest = fields.get("sha256")
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            raise _bad(f"the token '{name}' has no sha256", "the 64 hexadecimal digits of sha256sum, in small letters")
        if (key := bytes.fromhex(digest)) in held:
            raise _bad(f"the token '{name}' is the same as another", "one name for each token")
        held[key] = Allowance(name, _limit(name, fields, share))
    return Allowances(held)


def _limit(name: str, fields: Mapping[str, Any], share: float) -> Limit:
    rate = _number(name, fields, "rate", 0.001, 1e9)
    burst = _number(name, fields, "burst", 1, 1e9)
    concurrent = _number(name, fields, "concurrent", 1, 1e6)
    priority = _number(name, fields, "priority", 1, LAST_PRIORITY)
    control = fields.get("control", False)
    if not isinstance(control, bool):
        raise _bad(f"control of the token '{name}' is {printable(repr(control), 40)}", "true or false")
    return Limit(
        rate=None if rate is None else rate * share,
        burst=max(1.0, (rate or 1.0) * share if burst is None else burst * share),
        concurrent=None if concurrent is None else max(1, math.floor(concurrent * share)),
        priority=DEFAULT_PRIORITY if priority is None else int(priority),
        control=control,
    )


def _number(name: str, fields: Mapping[str, Any], field: str, least: float, most: float) -> float | None:
    value = fields.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise _bad(
            f"{field} of the token '{name}' is {printable(repr(value), 40)}", f"a number from {least:g} to {most:g}"
        )
    return float(value)


def _bad(came: str, wanted: str) -> UsageError:
    return UsageError(ErrorCode.BAD_SETTING, came, wanted=wanted)


def _limited(came: str, wait: float) -> ServingError:
    seconds = max(1, math.ceil(wait))
    return ServingError(ErrorCode.RATE_LIMITED, came, fix=f"try again in {seconds} s", details={"retry_after": seconds})
