"""A graph as C statements for one row: every value an array on the stack, its size known beforehand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lepton.optimization.export.base import cannot_express
from lepton.optimization.export.c_text import TYPES, Value, array
from lepton.optimization.lean.graphs import parse

__all__ = ["RUNTIME", "Node", "Source"]

RUNTIME = "a C header"

_MOST_ON_STACK = 1 << 20
_MOST_CONSTANTS = 1 << 22
_SHAPES = frozenset({"Shape", "Size"})


class Node:
    """One node of the graph.

    Attributes:
        op: its operator.
        inputs: names of the values that it takes; "" where one is left out.
        outputs: names of those that it gives.
        attributes: name → number, text, list or array.
    """

    def __init__(self, proto: Any) -> None:
        from onnx import helper, numpy_helper

        self.op: str = proto.op_type
        self.inputs = list(proto.input)
        self.outputs = [name for name in proto.output if name]
        self.attributes: dict[str, Any] = {
            each.name: numpy_helper.to_array(each.t) if each.HasField("t") else helper.get_attribute_value(each)
            for each in proto.attribute
        }

    def text(self, name: str, default: str = "") -> str:
        """An attribute that is a text."""
        found = self.attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else str(found)


class Source:
    """What becomes the C file: tables and functions outside, statements inside the function of one row.

    Args:
        graph: of the model.
        row: its inputs, of one row; what the values inside are shaped like is looked up by running it.
        prefix: in front of every name of the file.
        codes: input → the array that holds it.
    """

    def __init__(self, graph: bytes, row: Mapping[str, NDArray[Any]], prefix: str, codes: Mapping[str, str]) -> None:
        from onnx import numpy_helper

        model = parse(graph)
        self.prefix = prefix
        self.nodes = [Node(proto) for proto in model.graph.node]
        self.outputs = [each.name for each in model.graph.output]
        self.outside: list[str] = []
        self.inside: list[str] = []
        self.on_stack = 0
        self.longest_text = 0
        self._numbers = itertools.count()
        self._constants = 0
        self._known: dict[str, Value] = {}
        fixed = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        self._fixed = {name: _texts(data) for name, data in fixed.items()}
        self._met = _met(model, row)
        for each in model.graph.input:
            tensor = row[each.name]
            self._known[each.name] = Value(codes[each.name], str(tensor.dtype), tensor.shape)
        self._fold()

    def _fold(self) -> None:
        """Take for constants what is the same for every row: what no input reaches, and shapes."""
        for node in self.nodes:
            given = [name for name in node.inputs if name]
            if node.op in _SHAPES or all(name in self._fixed for name in given):
                self._fixed |= {name: self._met[name] for name in node.outputs}

    @property
    def is_single(self) -> bool:
        """Whether a value is of single precision."""
        return any(value.dtype == "float32" for value in self._known.values())

    @cached_property
    def live(self) -> list[Node]:
        """The nodes that depend on the row, and that an output depends on."""
        wanted, found = {*self.outputs}, list[Node]()
        for node in reversed(self.nodes):
            if any(name in wanted and name not in self._fixed for name in node.outputs):
                wanted.update(node.inputs)
                found.append(node)
        return found[::-1]

    def fresh(self, stem: str) -> str:
        """A name that nothing else has."""
        return f"{stem}{next(self._numbers)}"

    def value(self, name: str) -> Value:
        """A value that a node takes."""
        if name not in self._known:
            data = self._fixed[name]
            code = self.table(data.ravel(), str(data.dtype))
            self._known[name] = Value(code, str(data.dtype), data.shape, data)
        return self._known[name]

    def fixed(self, name: str, why: str) -> NDArray[Any]:
        """What a value holds that must not depend on the row."""
        if name not in self._fixed:
            raise cannot_express(f"{why} that the row decides", RUNTIME)
        return self._fixed[name]

    def result(self, name: str) -> Value:
        """The place of a value that a node gives."""
        met = self._met[name]
        dtype = str(met.dtype)
        if dtype not in TYPES:
            raise cannot_express(f"values of the type {dtype}", RUNTIME)
        value = Value(self.fresh("v"), dtype, met.shape)
        self.on_stack += value.size * max(met.dtype.itemsize, 8)
        if self.on_stack > _MOST_ON_STACK:
            raise cannot_express(f"a model whose values take more than {_MOST_ON_STACK >> 20} MiB a row", RUNTIME)
        self.inside.append(f"{TYPES[dtype]} {value.code}[{max(value.size, 1)}];".replace("* ", "*"))
        self._known[name] = value
        return value

    def alias(self, name: str, value: Value) -> None:
        """Another shape of a value that is there already."""
        self._known[name] = Value(value.code, value.dtype, self._met[name].shape)

    def table(self, values: NDArray[Any], dtype: str) -> str:
        """A constant array outside of the function; its name."""
        self._constants += len(values)
        if self._constants > _MOST_CONSTANTS:
            raise cannot_express(f"a model of more than {_MOST_CONSTANTS:,} numbers", RUNTIME)
        if dtype not in TYPES:
            raise cannot_express(f"constants of the type {dtype}", RUNTIME)
        if dtype == "object":
            self.longest_text = max([self.longest_text, *(len(text.encode()) for text in values)])
        name = self.fresh(f"{self.prefix}_c")
        self.outside.append(array(name, values, dtype))
        return name

    def emit(self, *lines: str) -> None:
        """Statements of the function."""
        self.inside += lines

    def move(self, to: Value, places: NDArray[Any], source: Value, sources: NDArray[Any]) -> None:
        """Copy elements of `source` to places of `to`, both flat."""
        if len(places):
            left, right = self.place(places), self.place(sources)
            self.emit(f"for (i = 0; i < {len(places)}; i++) {to.code}[{left}] = {source.code}[{right}];")

    def place(self, places: NDArray[Any]) -> str:
        """Flat places as an expression of the loop's `i`."""
        places = places.ravel()
        step = int(places[1] - places[0]) if len(places) > 1 else 0
        if np.array_equal(places, places[0] + step * np.arange(len(places))):
            return " + ".join(filter(None, [str(places[0]) if places[0] or not step else "", _times(step)]))
        return f"{self.table(places.astype(np.int32), 'int32')}[i]"

    def elementwise(self, to: Value, form: str, *values: Value, shapes: Sequence[tuple[int, ...]] = ()) -> None:
        """One number from one of each value, spread as ONNX spreads them; `{0}`, `{1}`, … stand in `form` for them."""
        shapes = shapes or [value.shape for value in values]
        places = [
            np.broadcast_to(np.arange(value.size).reshape(shape), to.shape).ravel()
            for value, shape in zip(values, shapes, strict=True)
        ]
        if to.size:
            taken = [f"{value.code}[{self.place(each)}]" for value, each in zip(values, places, strict=True)]
            self.emit(f"for (i = 0; i < {to.size}; i++) {to.code}[i] = {form.format(*taken)};")


def _times(step: int) -> str:
    return "" if step == 0 else "i" if step == 1 else f"{step} * i"


def _texts(data: NDArray[Any]) -> NDArray[Any]:
    if data.dtype.kind not in "OSU":
        return data
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in data.ravel().tolist()]
    return np.array(texts, dtype=object).reshape(data.shape)


def _met(model: Any, row: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Every value of the graph for one row: their shapes and types hold for all rows."""
    from onnx import ValueInfoProto

    copy = type(model).FromString(model.SerializeToString())
    names = [name for node in model.graph.node for name in node.output if name]
    del copy.graph.output[:]
    copy.graph.output.extend(ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    taken = {each.name: row[each.name] for each in session.get_inputs()}
    return {name: _texts(np.asarray(value)) for name, value in zip(names, session.run(names, taken), strict=True)}
