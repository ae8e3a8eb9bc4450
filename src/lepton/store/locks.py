"""One writer at a time in a folder, by a lock that the system takes back when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton.core import DataError, ErrorCode, Work, printable

if os.name != "nt":
    import fcntl

__all__ = ["locked"]

_PAUSE = 0.05


@contextmanager
def locked(folder: str | os.PathLike[str], work: Work | None = None) -> Iterator[None]:
    """Hold the lock of a folder; while another process or thread has it, wait, and say so to `work`.

    Nothing is written: it is the folder itself that is locked. Where a file system has no locks, nobody is kept out.

    Args:
        folder: it must exist.
        work: stops the waiting, and hears of it.

    Raises:
        DataError: there is no such folder.
        Interrupted: the work was stopped while it waited.
    """
    work = Work.of(work)
    if os.name == "nt":  # pragma: no cover - there, names that are published once keep writers apart
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        name = printable(Path(folder).name)
        raise DataError(ErrorCode.NOT_FOUND, f"the folder '{name}' cannot be opened: {error.strerror}") from None
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                work.check()
                work.report(0, note="waits until another writer is done")
                time.sleep(_PAUSE)
            except OSError:
                break
        yield
    finally:
        os.close(handle)
