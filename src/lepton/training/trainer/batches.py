"""What goes through a training at a time: inputs, targets and weights as tensors of one device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from lepton.core import DataError, ErrorCode, UsageError

__all__ = ["Batch", "Inputs", "as_batch", "as_inputs", "as_tensor", "at_least_one", "each", "leaves", "num_rows"]

Inputs = Any
"""A tensor, a tuple of tensors (`module(*x)`) or a dict of them (`module(**x)`)."""

_WIDER = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}


class Batch(NamedTuple):
    """Rows that are stepped together.

    Attributes:
        x: inputs, [N, …] each.
        y: targets, [N, …], or None.
        weight: weight of each row, [N], or None.
    """

    x: Inputs
    y: Any = None
    weight: Any = None


def as_tensor(value: Any, name: str) -> Any:
    """`value` as a tensor that shares its memory where it can; float64 becomes float32, as modules want it.

    Raises:
        DataError: text, objects, rows of unequal length, or a single number.
    """
    if isinstance(value, torch.Tensor):
        found = value.detach()
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise DataError(
                ErrorCode.WRONG_SHAPE, f"{name} holds rows of unequal shape ({error})", wanted="rows of one shape"
            ) from None
        if array.dtype.kind not in "biuf":
            what = "text" if array.dtype.kind in "US" else f"values of type {array.dtype}"
            first = repr(array.reshape(-1)[0])[:40] if array.size else "nothing"
            raise DataError(
                ErrorCode.BAD_VALUE,
                f"{name} holds {what}, the first is {first}",
                wanted="numbers",
                fix="for labels, classes, numbers = numpy.unique(y, return_inverse=True) gives numbers",
            )
        array = array.astype(_WIDER.get(array.dtype.name, array.dtype.newbyteorder("=")), copy=False)
        if any(stride < 0 for stride in array.strides):
            array = np.ascontiguousarray(array)
        with warnings.catch_warnings():  # read-only memory, such as that of a file, is only read here
            warnings.simplefilter("ignore")
            found = torch.from_numpy(array)
    if found.ndim == 0:
        raise DataError(ErrorCode.WRONG_SHAPE, f"{name} is a single number", wanted="an array with a row a sample")
    return found.float() if found.dtype in {torch.float64, torch.float16} else found


def as_inputs(x: Any) -> Inputs:
    """Inputs as tensors: of an array, of a dict of arrays, or of a tuple of them.

    Raises:
        DataError: no input, or inputs of different numbers of rows.
    """
    if isinstance(x, Mapping):
        found: Inputs = {str(name): as_tensor(value, f"the input {name!r}") for name, value in x.items()}
    elif isinstance(x, tuple):
        found = tuple(as_tensor(value, f"input {place}") for place, value in enumerate(x))
    else:
        found = as_tensor(x, "x")
    sizes = {len(leaf) for leaf in leaves(found)}
    if len(sizes) != 1:
        came = f"the inputs have {', '.join(map(str, sorted(sizes)))} rows" if sizes else "got no input"
        raise DataError(ErrorCode.WRONG_SHAPE, came, wanted="inputs with the same number of rows")
    return found


def as_batch(value: Any) -> Batch:
    """What a data set, a loader or a generator gave: x, (x, y) or (x, y, weight), as tensors.

    Raises:
        DataError: anything else.
    """
    if isinstance(value, Batch):
        parts: tuple[Any, ...] = tuple(value)
    elif isinstance(value, tuple | list):
        parts = tuple(value)
    else:
        parts = (value,)
    if not 1 <= len(parts) <= 3:
        raise DataError(ErrorCode.WRONG_SHAPE, f"a batch has {len(parts)} parts", wanted="x, (x, y) or (x, y, weight)")
    x, y, weight = (*parts, None, None)[:3]
    x = as_inputs(tuple(x) if isinstance(x, list) and x and isinstance(x[0], torch.Tensor) else x)
    y = None if y is None else as_tensor(y, "y")
    weight = None if weight is None else as_tensor(weight, "sample_weight")
    for name, part in (("y", y), ("sample_weight", weight)):
        if part is not None and len(part) != num_rows(x):
            raise DataError(ErrorCode.WRONG_SHAPE, f"x has {num_rows(x)} rows and {name} has {len(part)}")
    return Batch(x, y, weight)


def at_least_one(name: str, value: Any) -> None:
    """Refuse an argument that is no whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UsageError(ErrorCode.USAGE, f"got {name}={value!r}", wanted="a whole number of at least 1")


def leaves(x: Inputs) -> list[Any]:
    """The tensors of inputs."""
    if isinstance(x, Mapping):
        return list(x.values())
    return list(x) if isinstance(x, tuple) else [x]


def each(function: Callable[[Any], Any], x: Inputs) -> Inputs:
    """The inputs with `function` applied to each tensor."""
    if isinstance(x, Mapping):
        return {name: function(leaf) for name, leaf in x.items()}
    return tuple(function(leaf) for leaf in x) if isinstance(x, tuple) else function(x)


def num_rows(x: Inputs) -> int:
    """Rows of a batch."""
    return len(leaves(x)[0])
