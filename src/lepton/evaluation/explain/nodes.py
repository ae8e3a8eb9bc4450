"""What a graph is made of, read without the `onnx` package; and what stands between its nodes for given rows.

A bundle's graph was walked strictly when it was opened (`lepton.bundle.graph`), so this reader only picks out fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

__all__ = ["Node", "Nodes", "Taps"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_INTS = 8 << 3 | _VARINT
"""Tag of the whole numbers of an attribute, which are written one by one; no other message has it."""
_TAGGED = re.compile(rb"(?:\x40[\x80-\xff]*+[\x00-\x7f])++", re.DOTALL)
_ROWS = 4_096  # of one call
_CELLS = 2**23  # numbers of one call
# Element type → numpy's, and the field that holds its values where they are not raw bytes.
_TYPES = {1: ("<f4", 4), 11: ("<f8", 10), 7: ("<i8", 7), 6: ("<i4", 5), 2: ("u1", 5), 3: ("i1", 5), 9: ("?", 5)}


@dataclass(frozen=True, slots=True)
class Node:
    """One node.

    Attributes:
        operator: its name, with the domain where that is not ONNX's own: `ai.onnx.ml.TreeEnsemble`.
        inputs: names of the values it takes.
        outputs: names of those it makes.
        attributes: numbers, lists of them, bytes, or arrays; graphs and lists of texts are left out.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Nodes:
    """The outermost graph.

    Attributes:
        made: value → the node that makes it.
        constants: name → array of numbers.
        readers: value → nodes that take it.
    """

    made: Mapping[str, Node]
    constants: Mapping[str, NDArray[Any]]
    readers: Mapping[str, tuple[Node, ...]]

    @classmethod
    def of(cls, graph: bytes) -> Nodes:
        """Read a serialized model."""
        made: dict[str, Node] = {}
        constants: dict[str, NDArray[Any]] = {}
        readers: dict[str, list[Node]] = {}
        body = next((value for number, value in _fields(graph) if number == 7), b"")
        for number, value in _fields(body):
            if number == 5:
                name, array = _tensor(value)
                if array is not None:
                    constants[name] = array
            elif number == 1:
                node = _node(value)
                made.update(dict.fromkeys(node.outputs, node))
                for each in set(node.inputs):
                    readers.setdefault(each, []).append(node)
                held = node.attributes.get("value") if node.operator == "Constant" else None
                if isinstance(held, np.ndarray):
                    constants[node.outputs[0]] = held
        return cls(made, constants, {name: tuple(nodes) for name, nodes in readers.items()})


class Taps:
    """A graph of which some inner values are read too.

    Args:
        graph: serialized.
        names: values between its nodes.
        threads: of onnxruntime.
    """

    def __init__(self, graph: bytes, names: Sequence[str], *, threads: int = 1) -> None:
        self.names = tuple(dict.fromkeys(names))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
        self._run_options = onnxruntime.RunOptions()
        self._run_options.only_execute_path_to_fetches = True
        # A message that stands twice is merged: so outputs are added behind the bytes of the graph.
        declared = _outputs(graph)
        more = b"".join(_block(12, _block(1, name.encode())) for name in self.names if name not in declared)
        self._session = onnxruntime.InferenceSession(
            graph + _block(7, more), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [each.name for each in self._session.get_inputs()]

    def read(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The values for rows [N] of the graph's inputs: name → array [N, …]."""
        inputs = {name: tensor for name, tensor in tensors.items() if name in self._inputs}
        num_rows = len(next(iter(inputs.values())))
        width = sum(tensor[0].size for tensor in inputs.values()) if num_rows else 1
        step = max(1, min(_ROWS, _CELLS // max(width, 1)))
        parts = [
            self._session.run(
                list(self.names), {name: t[start : start + step] for name, t in inputs.items()}, self._run_options
            )
            for start in range(0, num_rows, step)
        ]
        return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(self.names)}


def _outputs(graph: bytes) -> set[str]:
    """Names of what the graph gives already."""
    body = next((value for number, value in _fields(graph) if number == 7), b"")
    return {_text_of(value, 1) for number, value in _fields(body) if number == 12}


def _block(number: int, body: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint_bytes(len(body)) + body


def _varint_bytes(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _varint(data: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values of a message: a whole number, an array of a run of them, or the bytes of the rest."""
    start, end = 0, len(data)
    while start < end:
        if data[start] == _INTS:
            stop = _TAGGED.match(data, start).end()  # type: ignore[union-attr]  # one number at least
            yield 8, _run(data[start:stop])[1::2]
            start = stop
            continue
        tag, start = _varint(data, start)
        kind = tag & 7
        if kind == _VARINT:
            value, start = _varint(data, start)
            yield tag >> 3, value
            continue
        size = {_FIXED32: 4, _FIXED64: 8}.get(kind)
        if size is None:
            size, start = _varint(data, start)
        yield tag >> 3, data[start : start + size]
        start += size


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _run(data: bytes) -> NDArray[np.int64]:
    """Varints that stand behind each other, all at once: a forest has hundreds of thousands."""
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    numbers = np.zeros(len(ends), dtype=np.uint64)
    for place in range(int((ends - starts).max(initial=-1)) + 1):
        there = starts + place <= ends
        seven = octets[starts[there] + place].astype(np.uint64) & np.uint64(0x7F)
        numbers[there] |= seven << np.uint64(7 * place)
    return numbers.view(np.int64)


def _packed(values: Sequence[Any]) -> NDArray[np.int64]:
    """Numbers that stand one by one, or behind each other in runs."""
    parts = [
        each if isinstance(each, np.ndarray) else _run(each) if isinstance(each, bytes) else np.array([_signed(each)])
        for each in values
    ]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)


def _text_of(data: bytes, wanted: int) -> str:
    return next((value.decode() for number, value in _fields(data) if number == wanted), "")


def _tensor(data: bytes) -> tuple[str, NDArray[Any] | None]:
    """Name and values of a tensor; None for those of texts and of rare types."""
    found: dict[int, list[Any]] = {}
    for number, value in _fields(data):
        found.setdefault(number, []).append(value)
    name = found[8][0].decode() if 8 in found else ""
    kind = found.get(2, [0])[0]
    if kind not in _TYPES:
        return name, None
    dtype, field = _TYPES[kind]
    shape = _packed(found.get(1, [])).tolist()
    if 9 in found:
        values = np.frombuffer(found[9][0], dtype)
    elif kind in (1, 11):
        values = np.frombuffer(b"".join(found.get(field, [])), dtype)
    else:
        values = _packed(found.get(field, [])).astype(dtype)
    return name, values.reshape(shape) if values.size == int(np.prod(shape)) else None


def _node(data: bytes) -> Node:
    inputs, outputs = [], []
    operator = domain = ""
    attributes: dict[str, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            inputs.append(value.decode())
        elif number == 2:
            outputs.append(value.decode())
        elif number == 4:
            operator = value.decode()
        elif number == 5:
            name, held = _attribute(value)
            if held is not None:
                attributes[name] = held
        elif number == 7:
            domain = value.decode()
    domain = "" if domain in ("", "ai.onnx") else f"{domain}."
    return Node(domain + operator, tuple(inputs), tuple(outputs), attributes)


def _attribute(data: bytes) -> tuple[str, Any]:
    found: dict[int, list[Any]] = {}
    for number, value in _fields(data):
        found.setdefault(number, []).append(value)
    name, kind = found[1][0].decode(), found.get(20, [0])[0]
    match kind:
        case 1:
            return name, float(np.frombuffer(found[2][0], "<f4")[0]) if 2 in found else 0.0
        case 2:
            return name, _signed(found.get(3, [0])[0])
        case 3:
            return name, found.get(4, [b""])[0]
        case 4:
            return name, _tensor(found[5][0])[1]
        case 6:
            return name, np.frombuffer(b"".join(found.get(7, [])), "<f4")
        case 7:
            return name, _packed(found.get(8, []))
        case 8:
            return name, tuple(found.get(9, ()))
    return name, None
