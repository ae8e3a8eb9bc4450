"""The binary tensor extension: tensors as little-endian bytes behind the JSON of a request or an answer.

Source: the binary tensor data extension of the Open Inference Protocol, as NVIDIA's Triton specifies it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, SchemaError, ServingError, printable
from lepton.serving.datatypes import DATATYPES, datatype_of
from lepton.serving.protocols.tensors import Tensor, read_head

__all__ = ["BINARY", "HEADER", "BinaryReader", "as_bytes", "read_bytes", "split_body", "write_binary"]

BINARY = "application/octet-stream"
"""Content type of a body that holds binary tensors."""

HEADER = "inference-header-content-length"
"""The header that says how many bytes of the body are JSON."""

_SIZE = "binary_data_size"
_PREFIX = 4
_IS_LITTLE = sys.byteorder == "little"


def split_body(body: bytes, headers: Mapping[str, str]) -> tuple[bytes, BinaryReader | None]:
    """The JSON of a body, and a reader of the bytes behind it; None where the request announces no such bytes.

    Raises:
        ServingError: an announced length that is no number, or not within the body.
    """
    announced = headers.get(HEADER)
    if announced is None:
        return body, None
    length = int(announced) if announced.isascii() and announced.isdigit() and len(announced) <= 18 else -1
    if not 0 < length <= len(body):
        raise _bad(
            f"the header Inference-Header-Content-Length is {printable(announced, 40)!r}",
            f"the length of the request's JSON, from 1 to the {len(body)} bytes of the body",
        )
    return body[:length], BinaryReader(body, length)


class BinaryReader:
    """Takes the tensors out of a body, one behind the other, so that no two can claim the same bytes."""

    def __init__(self, body: bytes, start: int) -> None:
        self._body = body
        self._position = start

    def read(self, raw: Any, position: int, *, files: bool = False) -> Tensor:
        """Read one entry of `inputs` whose data stands in the body; `position` is its place, for messages.

        BYTES are texts, or with `files` whatever they are.

        Raises:
            ServingError: something that is no such tensor, or a size that is not its shape's or runs over the end.
            SchemaError: BOOL other than 0 and 1, BYTES that are no texts in UTF-8.
        """
        name, datatype, shape, parameters = read_head(raw, position)
        if "data" in raw:
            raise _bad(f"{_called(name)} has both the field data and {_SIZE}", "one of them")
        size = parameters[_SIZE]
        left = len(self._body) - self._position
        if type(size) is not int or size < 0:
            raise _bad(f"the {_SIZE} of {_called(name)} is {printable(repr(size), 40)}", "a whole number of at least 0")
        if size > left:
            raise _bad(f"the {_SIZE} of {_called(name)} is {size}", f"at most {left}, the bytes that are left for it")
        start = self._position
        self._position += size
        return read_bytes(self._body, start, size, (name, datatype, shape), _SIZE, files=files)

    def finish(self) -> None:
        """Raise `ServingError` if the body holds bytes that no input claims."""
        if left := len(self._body) - self._position:
            raise _bad(f"{left} bytes of the body belong to no input", f"{_SIZE} for every input that is sent as bytes")


def read_bytes(
    body: bytes, start: int, size: int, head: tuple[str, str, tuple[int, ...]], what: str, *, files: bool = False
) -> Tensor:
    """The tensor of a name, datatype and shape whose values are `size` bytes of a body, from `start` on.

    Numbers are a view of the body where their bytes are aligned there, else a copy.

    Args:
        body: at least `start + size` bytes.
        start: of the tensor.
        size: of the tensor.
        head: name, datatype and shape, checked.
        what: what the size is called, for messages.
        files: whether BYTES are the bytes of files, and no texts.

    Raises:
        ServingError: a size that is not its shape's.
        SchemaError: BOOL other than 0 and 1, BYTES that are no texts in UTF-8.
    """
    name, datatype, shape = head
    count = math.prod(shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, _texts(body[start : start + size], count, name, what, files=files))
    dtype = DATATYPES[datatype].newbyteorder("<")
    if size != count * dtype.itemsize:
        raise _bad(
            f"the {what} of {_called(name)} is {size}",
            f"{printable(str(count * dtype.itemsize), 40)}: {datatype} in the shape that it has",
        )
    if datatype == "BOOL":
        _check_booleans(body[start : start + size], name)
    values: NDArray[Any] = np.frombuffer(body, dtype, count, start)
    if not values.flags.aligned:
        values = values.copy()
    return Tensor(name, datatype, shape, values)


def as_bytes(array: NDArray[Any]) -> bytes:
    """An array as it travels: little-endian, row by row; texts with their lengths before them."""
    if array.dtype.kind in "biuf":
        return array.tobytes() if _IS_LITTLE else array.byteswap().tobytes()
    return _prefixed(array.ravel().tolist())


def write_binary(answers: Iterable[tuple[str, NDArray[Any]]]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Entries of `outputs`, and the bytes that stand behind the JSON for each."""
    entries, parts = [], []
    for name, array in answers:
        part = as_bytes(array)
        parts.append(part)
        head = {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}
        entries.append({**head, "parameters": {_SIZE: len(part)}})
    return entries, parts


def _texts(data: bytes, count: int, name: str, what: str, *, files: bool) -> list[Any]:
    """The texts (or `files`) of a BYTES tensor: each is four bytes with its length, then itself."""
    if count * _PREFIX > len(data):  # before anything is made for a count that is a lie
        raise _bad(
            f"the {what} of {_called(name)} is {len(data)}",
            f"at least {printable(str(count * _PREFIX), 40)}: {_PREFIX} bytes for each text's length, and the texts",
        )
    texts: list[Any] = []
    start, end = 0, len(data)
    try:
        for _ in range(count):
            text = start + _PREFIX
            start = text + int.from_bytes(data[start:text], "little")
            if start > end:
                left = max(end - text, 0)
                raise _bad(
                    f"text {len(texts)} of {_called(name)} claims {start - text} bytes, and {left} are left",
                    "texts that end within their tensor",
                )
            texts.append(data[text:start] if files else data[text:start].decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _not_text(name, len(texts), f"is not UTF-8 (byte {error.start})") from None
    if start != end:
        raise _bad(f"{end - start} bytes of {_called(name)} are behind its last text", f"{count} texts alone")
    if files:
        return texts
    if b"\0" in data and (nul := next((i for i, text in enumerate(texts) if "\0" in text), None)) is not None:
        raise _not_text(name, nul, "holds a NUL character")  # onnxruntime would end the text there
    return texts


def _not_text(name: str, position: int, what: str) -> SchemaError:
    return SchemaError(
        ErrorCode.BAD_VALUE,
        f"text {position} of {_called(name)} {what}",
        wanted="texts in UTF-8 without NUL",
        details={"input": name[:128], "position": position},
    )


def _check_booleans(data: bytes, name: str) -> None:
    if odd := data.translate(None, b"\0\1"):
        position = data.index(odd[0])
        raise SchemaError(
            ErrorCode.BAD_VALUE,
            f"value {position} of {_called(name)} is the byte {odd[0]}",
            wanted="BOOL: 0 or 1",
            details={"input": name[:128], "position": position},
        )


def _prefixed(texts: Sequence[str]) -> bytes:
    parts: list[bytes] = []
    for text in texts:
        data = str(text).encode("utf-8")
        parts += (len(data).to_bytes(_PREFIX, "little"), data)
    return b"".join(parts)


def _called(name: str) -> str:
    return f"the input '{printable(name, 80)}'"


def _bad(came: str, wanted: str) -> ServingError:
    return ServingError(ErrorCode.BAD_REQUEST, came, wanted=wanted)
