"""Readers of other libraries in C++: a file from a stranger that breaks one of them must not end this process."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.compute.confine import why_not
from lepton.compute.sandbox import call_confined
from lepton.core import Work, WorkerError
from lepton.training.importers.base import unreadable

__all__ = ["call_apart", "packed_array", "unpacked_array"]


def call_apart(
    entry_point: str, arguments: Mapping[str, Any], parts: Mapping[str, bytes], path: Path, work: Work
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Call a function that reads `path` by a native library: in a confined process, where there can be one.

    Raises:
        DataError: UNREADABLE: the library does not read the file, or died of it.
    """
    if why_not():
        module, _, name = entry_point.partition(":")
        head, found = getattr(importlib.import_module(module), name)(parts=parts, **arguments)
        return dict(head), dict(found)
    try:
        return call_confined(entry_point, arguments, parts, readable=[path], work=work, alternative="")
    except WorkerError as error:
        raise unreadable(path, f"made the library that reads it fail ({error.came})") from None


def packed_array(array: NDArray[Any]) -> bytes:
    """An array of numbers as bytes."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def unpacked_array(data: bytes) -> NDArray[Any]:
    """What `packed_array` has packed.

    Raises:
        ValueError: it is something else.
    """
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
