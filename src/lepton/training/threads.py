"""Threads of products of matrices: as many as the work may use, so that the same work gives the same last digits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lepton.core import MissingExtraError

__all__ = ["blas_threads"]


@contextmanager
def blas_threads(number: int) -> Iterator[None]:
    """Have numpy's products run on so many threads inside; how they add up depends on that.

    Raises:
        MissingExtraError: threadpoolctl is not installed.
    """
    try:
        import threadpoolctl
    except ImportError:
        raise MissingExtraError("threadpoolctl", "train", "Training") from None
    with threadpoolctl.threadpool_limits(number):
        yield
