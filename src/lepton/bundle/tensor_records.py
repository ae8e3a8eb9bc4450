"""What a graph takes where it is not a table: tensors, and the one column of files, texts or arrays that they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from lepton.core import ColumnRecord, ErrorCode, Kind, UsageError, check_label, printable

__all__ = ["NUMPY_TYPES", "TENSOR_KINDS", "TensorRecord", "check_tensors", "describe_tensors"]

NUMPY_TYPES: Mapping[str, Any] = MappingProxyType(
    {
        "double": np.float64,
        "float": np.float32,
        "float16": np.float16,
        "int64": np.int64,
        "int32": np.int32,
        "int16": np.int16,
        "int8": np.int8,
        "uint64": np.uint64,
        "uint32": np.uint32,
        "uint16": np.uint16,
        "uint8": np.uint8,
        "bool": np.bool_,
        "string": object,
    }
)
"""Types of tensors, as ONNX calls them, and numpy's."""

TENSOR_KINDS = frozenset({Kind.IMAGE, Kind.AUDIO, Kind.SERIES, Kind.TEXT})
"""Kinds of the one column that a model of tensors may have."""

_MAX_RANK = 8
_MAX_SIZE = 2**31
_MAX_TENSORS = 64
_RATES = range(1_000, 384_001)


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """One input of a graph that takes tensors.

    Attributes:
        name: of the graph's input.
        dtype: `double`, `float`, `int64`, `uint8`, `string`, …: a key of `NUMPY_TYPES`.
        shape: sizes, None where one is known only when called; the first, the rows, always is None.
        rate: of sounds, samples a second.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    rate: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `rate` only where it says something."""
        out = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        return out if self.rate is None else out | {"rate": self.rate}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> TensorRecord:
        """Read the JSON form; `ValueError` or `KeyError` on anything else."""
        if unknown := set(raw) - set(cls.__dataclass_fields__):
            raise ValueError(f"unknown fields of a tensor {sorted(unknown)}")
        if not isinstance(raw["shape"], list):
            raise ValueError(f"the shape of a tensor is {raw['shape']!r}")
        return cls(raw["name"], raw["dtype"], tuple(raw["shape"]), raw.get("rate"))

    def __str__(self) -> str:
        sizes = ", ".join(["N", *("?" if size is None else str(size) for size in self.shape[1:])])
        return f"{self.name} {self.dtype} [{sizes}]"


def describe_tensors(
    tensors: Sequence[TensorRecord], columns: Sequence[ColumnRecord], codecs: Mapping[str, str]
) -> dict[str, Any]:
    """What stands under `lepton.inputs` in the metadata of a graph that takes tensors."""
    described = [
        {"name": c.name, "kind": str(c.kind), **({"codec": codecs[c.name]} if c.name in codecs else {})}
        for c in columns
    ]
    return {"tensors": [tensor.to_dict() for tensor in tensors], "columns": described}


def check_tensors(tensors: Sequence[TensorRecord], columns: Sequence[ColumnRecord], codecs: Mapping[str, str]) -> None:
    """Raise `UsageError` unless the tensors are as the format says, and such as the column and its codec give."""
    if len(tensors) > _MAX_TENSORS:
        _wrong(f"there are {len(tensors)} tensors", f"at most {_MAX_TENSORS}")
    for tensor in tensors:
        _check_tensor(tensor)
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        _wrong("two tensors have the same name", "different names")
    if len(columns) > 1:
        _wrong(f"there are {len(columns)} columns beside tensors", "one, or none")
    if columns:
        _check_kind(tensors, columns[0], codecs.get(columns[0].name))
    elif any(tensor.rate is not None for tensor in tensors):
        _wrong("a tensor has a rate", "a rate of sounds only")


def _check_tensor(tensor: TensorRecord) -> None:
    if check_label(tensor.name, "name of a tensor") != tensor.name:
        _wrong(f"the tensor '{printable(tensor.name)}' is not in NFC", "Unicode normal form C")
    if tensor.dtype not in NUMPY_TYPES:
        _wrong(f"a tensor has the dtype {_show(tensor.dtype)}", "one of " + ", ".join(NUMPY_TYPES))
    rows, *sizes = tensor.shape or (0,)
    known = all(size is None or (type(size) is int and 1 <= size <= _MAX_SIZE) for size in sizes)
    if rows is not None or not known or len(sizes) >= _MAX_RANK:
        _wrong(f"the tensor {tensor.name} has the shape {_show(tensor.shape)}", "null for the rows, then sizes or null")
    if tensor.rate is not None and (type(tensor.rate) is not int or tensor.rate not in _RATES):
        _wrong(f"the rate is {_show(tensor.rate)}", f"{_RATES.start} to {_RATES.stop - 1} samples a second")


def _check_kind(tensors: Sequence[TensorRecord], column: ColumnRecord, codec: str | None) -> None:
    if column.kind not in TENSOR_KINDS:
        _wrong(f"a column beside tensors has the kind {column.kind}", "one of " + ", ".join(sorted(TENSOR_KINDS)))
    wanted, codecs, fits = _OF_KIND[column.kind]
    shown = ", ".join(map(str, tensors))
    if codec not in codecs:
        _wrong(f"a column of {column.kind} has the codec {_show(codec)}", "one of " + ", ".join(map(str, codecs)))
    if not fits(tensors, codec) or any(t.rate is not None for t in tensors if t.name != "audio"):
        _wrong(f"the tensors of a column of {column.kind} are {shown}", wanted)


def _fits_images(tensors: Sequence[TensorRecord], codec: str | None) -> bool:
    (tensor, *others) = tensors
    plain = not others and tensor.name == "image" and len(tensor.shape) == 4
    if codec is None:
        return plain and tensor.dtype in {"uint8", "float", "double"}
    return plain and tensor.dtype == "uint8" and tensor.shape[3] in {1, 3}


def _fits_sounds(tensors: Sequence[TensorRecord], codec: str | None) -> bool:
    (tensor, *others) = tensors
    plain = not others and tensor.name == "audio" and tensor.dtype == "float" and len(tensor.shape) == 2
    return plain and (tensor.rate is not None) == (codec is not None)


def _fits_series(tensors: Sequence[TensorRecord], codec: str | None) -> bool:
    (tensor, *others) = tensors
    return not others and tensor.name == "series" and tensor.dtype in {"double", "float"} and len(tensor.shape) == 3


def _fits_texts(tensors: Sequence[TensorRecord], codec: str | None) -> bool:
    tokens, *others = tensors
    mask = not others or (len(others) == 1 and others[0].name == "mask" and others[0].shape == tokens.shape)
    return mask and tokens.name == "tokens" and tokens.dtype == "int64" and len(tokens.shape) == 2


_OF_KIND: Mapping[Kind, tuple[str, tuple[str | None, ...], Callable[[Sequence[TensorRecord], str | None], bool]]] = {
    Kind.IMAGE: (
        "one tensor image [N, H, W, C]: uint8 with 1 or 3 channels where it has a codec",
        ("jpeg-png-to-rgb8/1", None),
        _fits_images,
    ),
    Kind.AUDIO: (
        "one tensor audio float [N, T], with its rate where it has a codec",
        ("wav-flac-to-f32/1", None),
        _fits_sounds,
    ),
    Kind.SERIES: ("one tensor series [N, T, F], double or float", (None,), _fits_series),
    Kind.TEXT: (
        "tokens int64 [N, L], with or without a mask of the same shape",
        ("code-points/1", "tokenizer-json/1"),
        _fits_texts,
    ),
}


def _wrong(came: str, wanted: str) -> NoReturn:
    raise UsageError(ErrorCode.USAGE, came, wanted=wanted)


def _show(value: Any) -> str:
    return printable(repr(value))
