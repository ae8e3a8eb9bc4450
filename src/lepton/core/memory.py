"""Memory that is free again goes back to the system, where the C library can be asked to."""

from __future__ import annotations

import contextlib
import ctypes
import os

__all__ = ["give_back", "keep_little"]


def give_back() -> None:
    """Give back what was freed since: glibc keeps it otherwise, about 90 MB after a fit of 160,000 rows."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def keep_little() -> None:
    """Have Polars give memory back at once, in this process and its children; only before Polars is imported.

    It keeps what it freed for a while otherwise, which was more than half of a table that had been read. For programs,
    not for a library, to decide; what the environment says already stays.
    """
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
