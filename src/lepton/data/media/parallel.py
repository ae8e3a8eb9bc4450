"""Many files side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lepton.core import Work

__all__ = ["in_parallel"]

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(function: Callable[[T], R], items: Sequence[T], work: Work) -> list[R]:
    """`function` of every item, side by side, in order.

    Decoders warn of much that is told otherwise here. Filters of warnings belong to the process, not to a thread, so
    they are set around all threads at once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if work.resources.cpus == 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(work.resources.cpus) as pool:
            return list(pool.map(function, items))
