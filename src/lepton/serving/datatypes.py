"""Datatypes of the Open Inference Protocol and what they are in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DATATYPES", "datatype_of"]

DATATYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "BOOL": np.dtype(np.bool_),
        **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
        **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
        **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
        "BYTES": np.dtype(object),
    }
)
"""Datatypes of the protocol and what they are in numpy."""

_NAMES = {dtype: name for name, dtype in DATATYPES.items()}


def datatype_of(array: NDArray[Any]) -> str:
    """Name of an array's datatype in the protocol."""
    return _NAMES.get(array.dtype, "BYTES")
