"""Memory that is free again goes back to the system, where the C library can be asked to."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["give_back", "keep_little", "reusing_freed"]

_TRIM, _MAPPED = -1, -3  # numbers of options in glibc's malloc.h
_LARGEST_PIECE = 32 << 20  # glibc takes no more: larger pieces are mapped, and unmapped, each time


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


@contextmanager
def reusing_freed() -> Iterator[None]:
    """Have glibc use what was freed again inside, rather than give it back and ask for it anew.

    A step of a training frees and takes the same few megabytes; each time they come from the system they come as pages
    that have to be cleared, some 12,000 a step of a small net. Afterwards the limits are where glibc itself puts them
    once a large piece was freed.
    """
    limit = None
    with contextlib.suppress(OSError, AttributeError):
        limit = ctypes.CDLL("libc.so.6").mallopt
    if limit is None:
        yield
        return
    limit(_MAPPED, _LARGEST_PIECE)
    limit(_TRIM, (1 << 31) - 1)
    try:
        yield
    finally:
        limit(_TRIM, 2 * _LARGEST_PIECE)
