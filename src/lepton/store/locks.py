"""One writer at a time: a lock on a file, which the system takes back when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton.core import ErrorCode, StoreError, Work

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: names that are published once keep writers apart there
    fcntl = None  # type: ignore[assignment]

__all__ = ["locked"]

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)

_PAUSE = 0.05


@contextmanager
def locked(path: str | os.PathLike[str], work: Work | None = None) -> Iterator[None]:
    """Hold the lock file `path`; while another process or thread has it, wait, and say so to `work`.

    Args:
        path: a file that is made if need be and stays; nothing is ever written to it. Its folder must exist.
        work: stops the waiting, and hears of it.

    Raises:
        Interrupted: the work was stopped while it waited.
        StoreError: the disk refuses.
    """
    work = Work.of(work)
    try:
        handle = os.open(path, _FLAGS, 0o644)
    except OSError as error:
        name = Path(path).name
        raise StoreError(ErrorCode.STORE_FAILED, f"the lock {name!r} cannot be taken: {error.strerror}") from None
    try:
        while fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                work.check()
                work.report(0, note="waits until another writer is done")
                time.sleep(_PAUSE)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(handle)
