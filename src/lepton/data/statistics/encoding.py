"""Arrays in JSON: base64 of little-endian bytes, exact and a third longer than the bytes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.core import ErrorCode, UsageError

__all__ = ["Floats", "Hashes", "array_to_text", "count_of", "refuse_final", "text_to_array"]

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]


def array_to_text(values: npt.NDArray[Any]) -> str:
    """Base64 of the 8-byte items of `values`."""
    return b64encode(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()).decode("ascii")


def text_to_array(text: object, dtype: str) -> npt.NDArray[Any]:
    """The array that `array_to_text` wrote; `ValueError` on anything else."""
    if not isinstance(text, str):
        raise ValueError(f"wanted base64 text, got {type(text).__name__}")
    return np.frombuffer(b64decode(text, validate=True), dtype=np.dtype(dtype).newbyteorder("<")).astype(dtype)


def count_of(raw: Mapping[str, Any], name: str) -> int:
    """The whole number of at least 0 under `name`; `ValueError` on anything else."""
    value = raw.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"wanted a count under {name!r}, got {value!r}")
    return value


def refuse_final(is_final: bool) -> None:
    """Raise `UsageError` where rows are offered to a summary."""
    if is_final:
        raise UsageError(
            ErrorCode.USAGE,
            "got more rows for a summary of statistics, which is final",
            fix="update and merge the statistics first, then summarise",
        )
