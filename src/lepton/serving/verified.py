"""What a server asks of a model before it serves it: that it was verified, passed, and by somebody trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lepton.bundle import Bundle
from lepton.core import ErrorCode, SecurityError, UsageError
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton import security
    from lepton.evaluation.verify import report as verification
    from lepton.security import TrustList
else:  # for servers that ask for it
    security, verification = LazyModule("lepton.security"), LazyModule("lepton.evaluation.verify.report")

__all__ = ["Required", "keep_checking"]

CHECK_SECONDS = 60.0
"""Time between two looks at the models that answer: a verification, or the trust in a key, may have ended."""


@dataclass(frozen=True, slots=True)
class Required:
    """What models must show.

    Attributes:
        trusted: keys, one of which must have signed the verification; None takes any that is in the file.
    """

    trusted: TrustList | None

    @classmethod
    def of(
        cls, require: str | None, trusted: str | Path | None = None, *, insecure_unsigned: bool = False
    ) -> Required | None:
        """What the options of a server ask for; None where models may be served unverified.

        Raises:
            UsageError: `require` is something else; `trusted` or `insecure_unsigned` without it, or both.
            SecurityError: UNTRUSTED, neither keys nor the word that none are wanted; BAD_KEY, a list of no keys.
        """
        if require is None:
            if trusted is not None or insecure_unsigned:
                given = "trusted keys" if trusted is not None else "insecure-unsigned"
                came = f"got {given} and nothing that is required"
                raise UsageError(ErrorCode.USAGE, came, fix="add --require verified")
            return None
        if require != "verified":
            raise UsageError(ErrorCode.USAGE, f"got require={require!r}", wanted="verified")
        if trusted is not None and insecure_unsigned:
            raise UsageError(ErrorCode.USAGE, "got trusted keys and insecure-unsigned", wanted="one of them")
        if trusted is None and not insecure_unsigned:
            raise SecurityError(
                ErrorCode.UNTRUSTED,
                "verified models are required, and it is not said whose word counts",
                wanted="keys of those who verify: anybody who can write the file can write an unsigned verification",
                fix="--trusted KEYS, or --insecure-unsigned if nobody else can write these files",
            )
        return cls(None if trusted is None else security.read_trusted(trusted))

    def check(self, bundle: Bundle) -> None:
        """Raise `SecurityError` unless an opened model file may be served."""
        verification.check_verified(bundle, self.trusted)


async def keep_checking(recheck: Callable[[], None], seconds: float = CHECK_SECONDS) -> None:
    """Call `recheck` in another thread, again and again, until this task is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(seconds)
        await loop.run_in_executor(None, recheck)
