"""The graph walker of the base install: what onnxruntime would be given is bounded and understood before it sees it.

It needs no `onnx` package: it walks the protobuf wire format by position, once for definitions and once for nodes,
without copying tensors, and refuses what contract 1 does not allow (decision 0021). Types of values are left to
onnxruntime, which checks them when it loads the graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from lepton.bundle.wire import BYTES, FIXED32, FIXED32_LIST, VARINT, VARINT_LIST, Message, WireReader, refuse
from lepton.core import printable

__all__ = ["GraphSummary", "ValueRecord", "summarize_graph"]

MAX_IR = 10
MAX_OPSETS = MappingProxyType({"ai.onnx": 20, "ai.onnx.ml": 5})
MAX_NODES = 100_000  # several times the largest known exports; onnxruntime takes half a minute to open as many
MAX_NESTING = 8
MAX_TRIPS = 2**20
_MAX_RANK = 64
_MAX_NAME = 65_536
_MAX_METADATA = 16_000_000
_MAX_ELEMENTS = 2**62

_MODEL = Message(
    "the model",
    {1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES},
    {8: BYTES, 14: BYTES, 20: BYTES, 25: BYTES},
)
_OPSET = Message("an opset", {1: BYTES, 2: VARINT})
_ENTRY = Message("a metadata entry", {1: BYTES, 2: BYTES})
_GRAPH = Message(
    "a graph",
    {2: BYTES, 10: BYTES},
    {1: BYTES, 5: BYTES, 11: BYTES, 12: BYTES, 13: BYTES, 14: BYTES, 15: BYTES, 16: BYTES},
)
_NODE = Message("a node", {3: BYTES, 4: BYTES, 6: BYTES, 7: BYTES, 8: BYTES}, {1: BYTES, 2: BYTES, 5: BYTES, 9: BYTES})
_ATTRIBUTE = Message(
    "an attribute",
    {
        1: BYTES,
        2: FIXED32,
        3: VARINT,
        4: BYTES,
        5: BYTES,
        6: BYTES,
        13: BYTES,
        14: BYTES,
        20: VARINT,
        21: BYTES,
        22: BYTES,
    },
    {7: FIXED32_LIST, 8: VARINT_LIST, 9: BYTES, 10: BYTES, 11: BYTES, 15: BYTES, 23: BYTES},
)
_TENSOR = Message(
    "a tensor",
    {2: VARINT, 4: BYTES, 5: BYTES, 7: BYTES, 8: BYTES, 9: BYTES, 10: BYTES, 11: BYTES, 12: BYTES, 14: VARINT},
    {1: VARINT_LIST, 6: BYTES, 13: BYTES, 16: BYTES},
)
_VALUE = Message("a value", {1: BYTES, 2: BYTES, 3: BYTES}, {4: BYTES})
_TYPE = Message("a type", {1: BYTES, 4: BYTES, 5: BYTES, 6: BYTES, 8: BYTES, 9: BYTES})
_TENSOR_TYPE = Message("a tensor type", {1: VARINT, 2: BYTES})
_ELEMENT_TYPE = Message("a type", {1: BYTES})
_MAP_TYPE = Message("a map type", {1: VARINT, 2: BYTES})
_SHAPE = Message("a shape", {}, {1: BYTES})
_DIMENSION = Message("a dimension", {1: VARINT, 2: BYTES, 3: BYTES})
_ANNOTATION = Message("an annotation", {1: BYTES}, {2: BYTES})


# The type of an attribute → the field that holds its value; sparse tensors (11 and 12) are refused.
_ATTRIBUTE_FIELDS = {1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 9, 9: 10, 10: 11, 13: 14, 14: 15}
_ATTRIBUTE_VALUES = frozenset(_ATTRIBUTE_FIELDS.values())


class _Element(NamedTuple):
    """One element type: its name, bits in `raw_data`, and field and numbers per element (pair) where it is not raw."""

    name: str
    bits: int
    typed_field: int
    numbers: int = 1


_FLOAT_DATA, _INT32_DATA, _STRING_DATA, _INT64_DATA, _RAW_DATA, _DOUBLE_DATA, _UINT64_DATA = 4, 5, 6, 7, 9, 10, 11
_INT64 = 7
_ELEMENTS = {
    1: _Element("float", 32, _FLOAT_DATA),
    2: _Element("uint8", 8, _INT32_DATA),
    3: _Element("int8", 8, _INT32_DATA),
    4: _Element("uint16", 16, _INT32_DATA),
    5: _Element("int16", 16, _INT32_DATA),
    6: _Element("int32", 32, _INT32_DATA),
    7: _Element("int64", 64, _INT64_DATA),
    8: _Element("string", 0, _STRING_DATA),
    9: _Element("bool", 8, _INT32_DATA),
    10: _Element("float16", 16, _INT32_DATA),
    11: _Element("double", 64, _DOUBLE_DATA),
    12: _Element("uint32", 32, _UINT64_DATA),
    13: _Element("uint64", 64, _UINT64_DATA),
    14: _Element("complex64", 64, _FLOAT_DATA, 2),
    15: _Element("complex128", 128, _DOUBLE_DATA, 2),
    16: _Element("bfloat16", 16, _INT32_DATA),
    17: _Element("float8e4m3fn", 8, _INT32_DATA),
    18: _Element("float8e4m3fnuz", 8, _INT32_DATA),
    19: _Element("float8e5m2", 8, _INT32_DATA),
    20: _Element("float8e5m2fnuz", 8, _INT32_DATA),
    21: _Element("uint4", 4, _INT32_DATA),
    22: _Element("int4", 4, _INT32_DATA),
}


@dataclass(frozen=True, slots=True)
class ValueRecord:
    """An input or output of the graph: a tensor.

    Attributes:
        name: its name.
        dtype: `double`, `int64`, `string`, …, as ONNX says it.
        shape: sizes; a text where a size is known only when called (`""` without a name); None for any rank.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True)
class GraphSummary:
    """What a graph is, as far as one can say without running it.

    Attributes:
        ir_version: of the file.
        opsets: domain → version; the empty domain is called `ai.onnx`.
        inputs: in order.
        outputs: in order.
        num_nodes: with those of subgraphs.
        operators: operator → how often; those of `ai.onnx.ml` carry the domain (`ai.onnx.ml.TreeEnsemble`).
        metadata: `metadata_props`.
        tensor_bytes: of all constants, as stored.
        values: names of the values of the outermost graph.
    """

    ir_version: int
    opsets: Mapping[str, int]
    inputs: tuple[ValueRecord, ...]
    outputs: tuple[ValueRecord, ...]
    num_nodes: int
    operators: Mapping[str, int]
    metadata: Mapping[str, str]
    tensor_bytes: int
    values: frozenset[str] = field(repr=False)


def summarize_graph(data: bytes) -> GraphSummary:
    """Walk the serialised model `data`, in time linear in its size without tensors.

    Raises:
        BundleError: `GRAPH_REFUSED`: it is damaged, or holds what a bundle's graph must not: other domains, newer
            versions, functions, external data, sparse tensors, deep nesting, unbounded loops, cycles.
    """
    return _Walker(data).model()


Scope = dict[str, int | None]  # values defined so far → the number, if it is a constant int64 of one element


class _Value(NamedTuple):
    name: str
    dtype: str | None
    shape: tuple[int | str, ...] | None


class _Walker(WireReader):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.operators: Counter[tuple[str, str]] = Counter()
        self.opsets: dict[str, int] = {}
        self.num_nodes = 0
        self.tensor_bytes = 0

    # --- the model -------------------------------------------------------------------------------------------

    def model(self) -> GraphSummary:
        ir_version, graph, metadata = 0, None, {}
        for number, start, end in self.fields(_MODEL, 0, len(self.data)):
            match number:
                case 1:
                    ir_version = start
                case 7:
                    graph = start, end
                case 8:
                    self.opset(start, end)
                case 14:
                    key, value = self.entry(start, end)
                    if key in metadata:
                        refuse(f"the metadata hold '{printable(key)}' twice", "it once")
                    metadata[key] = value
                case 20:
                    refuse("the model holds information for training", "a graph that answers, alone")
                case 25:
                    refuse("the model brings functions of its own", "operators of ONNX only", "inline the functions")
        if not 3 <= ir_version <= MAX_IR:
            refuse(f"the model has IR version {ir_version}", f"3 to {MAX_IR}", f"export it with IR {MAX_IR}")
        if graph is None:
            refuse("the model holds no graph", "a serialised ONNX model")
        scope, inputs, outputs = self.graph(*graph, (), 1)
        return GraphSummary(
            ir_version=ir_version,
            opsets=self.opsets,
            inputs=tuple(map(_as_tensor, inputs)),
            outputs=tuple(map(_as_tensor, outputs)),
            num_nodes=self.num_nodes,
            operators={
                (operator if domain == "ai.onnx" else f"{domain}.{operator}"): count
                for (domain, operator), count in sorted(self.operators.items())
            },
            metadata=metadata,
            tensor_bytes=self.tensor_bytes,
            values=frozenset(scope),
        )

    def opset(self, start: int, end: int) -> None:
        domain, version = "", 0
        for number, value, stop in self.fields(_OPSET, start, end):
            if number == 1:
                domain = self.name(value, stop)
            else:
                version = value
        domain = domain or "ai.onnx"
        if domain not in MAX_OPSETS:
            refuse(f"the model imports the domain '{printable(domain)}'", "ai.onnx and ai.onnx.ml only")
        if domain in self.opsets:
            refuse(f"the model imports {domain} twice", "it once")
        if not 1 <= version <= MAX_OPSETS[domain]:
            refuse(f"the model has opset {version} of {domain}", f"1 to {MAX_OPSETS[domain]}", "export it with that")
        self.opsets[domain] = version

    def entry(self, start: int, end: int) -> tuple[str, str]:
        found = {1: "", 2: ""}
        for number, low, high in self.fields(_ENTRY, start, end):
            found[number] = self.text(low, high, _MAX_METADATA)
        return found[1], found[2]

    def name(self, start: int, end: int) -> str:
        return self.text(start, end, _MAX_NAME)

    # --- graphs and nodes ------------------------------------------------------------------------------------

    def graph(
        self, start: int, end: int, outer: tuple[Scope, ...], trips: int
    ) -> tuple[Scope, list[_Value], list[_Value]]:
        """Walk a graph within the scopes `outer`, whose body runs `trips` times; return its scope and its ends."""
        if len(outer) > MAX_NESTING:
            refuse(f"graphs are nested more than {MAX_NESTING} deep", f"at most {MAX_NESTING}")
        constants: Scope = {}
        given: Scope = {}
        inputs, outputs = [], []
        for number, low, high in self.fields(_GRAPH, start, end):
            match number:
                case 1:
                    self.num_nodes += 1
                    if self.num_nodes > MAX_NODES:
                        refuse(f"the graph has more than {MAX_NODES} nodes", f"at most {MAX_NODES}")
                case 5:
                    name, constant = self.tensor(low, high)
                    self.define(name, constant, (constants,))
                case 11:
                    inputs.append(self.value(low, high))
                    self.define(inputs[-1].name, None, (given,))
                case 12:
                    outputs.append(self.value(low, high))
                case 13:
                    self.value(low, high)
                case 14:
                    self.annotation(low, high)
                case 15:
                    _refuse_sparse()
                case 16:
                    self.entry(low, high)
        scope = constants | given  # a constant that is an input too is its default: whoever calls may override it
        scopes = (*outer, scope)
        for number, low, high in self.fields(_GRAPH, start, end):
            if number == 1:
                self.node(low, high, scopes, trips)
        for output in outputs:
            if not _defined(output.name, scopes):
                refuse(f"the output '{printable(output.name)}' is made by no node", "outputs that are defined")
        return scope, inputs, outputs

    def define(self, name: str, constant: int | None, scopes: tuple[Scope, ...]) -> None:
        """Add a value to the innermost scope, unless one of `scopes` has it."""
        if not name:
            refuse("a constant or an input has no name", "names")
        if _defined(name, scopes):
            refuse(f"the value '{printable(name)}' is defined twice", "each once")
        scopes[-1][name] = constant

    def node(self, start: int, end: int, scopes: tuple[Scope, ...], trips: int) -> None:
        inputs, outputs, attributes = [], [], []
        operator = domain = ""
        for number, low, high in self.fields(_NODE, start, end):
            match number:
                case 1:
                    inputs.append(self.name(low, high))
                case 2:
                    outputs.append(self.name(low, high))
                case 4:
                    operator = self.name(low, high)
                case 5:
                    attributes.append((low, high))
                case 7:
                    domain = self.name(low, high)
                case 8 if low != high:
                    refuse("a node calls an overload of a function", "operators of ONNX only")
                case 9:
                    self.entry(low, high)
        domain = domain or "ai.onnx"
        if domain not in self.opsets:
            refuse(
                f"a node has the operator '{printable(operator)}' of the domain '{printable(domain)}'",
                "domains that the model imports: " + ", ".join(self.opsets),
            )
        self.operators[domain, operator] += 1
        for name in inputs:
            if name and not _defined(name, scopes):
                refuse(
                    f"a node ({printable(operator)}) takes '{printable(name)}', which no earlier one makes",
                    "nodes in the order in which they run, without cycles",
                )
        if operator == "Loop":
            trips *= max(_loop_trips(inputs, scopes), 1)
            if trips > MAX_TRIPS:
                refuse(f"a Loop runs its body {trips} times", f"at most {MAX_TRIPS}, all loops around it counted")
        constants = self.attributes(attributes, scopes, trips)
        constant = constants[0] if operator == "Constant" and len(constants) == 1 else None
        for name in outputs:
            if name:
                self.define(name, constant, scopes)

    def attributes(self, spans: list[tuple[int, int]], scopes: tuple[Scope, ...], trips: int) -> list[int | None]:
        """Walk the attributes of a node; for each the int64 that it holds, if it is one."""
        constants: list[int | None] = []
        names = set()
        for start, end in spans:
            name, constant = self.attribute(start, end, scopes, trips)
            if name in names:
                refuse(f"a node has the attribute '{printable(name)}' twice", "it once")
            names.add(name)
            constants.append(constant if name in {"value", "value_int"} else None)
        return constants

    def attribute(self, start: int, end: int, scopes: tuple[Scope, ...], trips: int) -> tuple[str, int | None]:
        name, constant = "", None
        kind, seen = 0, set()
        for number, low, high in self.fields(_ATTRIBUTE, start, end):
            seen.add(number)
            match number:
                case 1:
                    name = self.name(low, high)
                case 20:
                    kind = low
                case 3:
                    constant = _signed(low)
                case 5 | 10:
                    _, constant = self.tensor(low, high)
                case 6 | 11:
                    self.graph(low, high, scopes, trips)
                case 14 | 15:
                    self.type(low, high)
                case 21:
                    refuse("an attribute refers to a function's", "values")
                case 22 | 23:
                    _refuse_sparse()
        if kind not in _ATTRIBUTE_FIELDS or not seen & _ATTRIBUTE_VALUES <= {_ATTRIBUTE_FIELDS[kind]}:
            refuse(f"the attribute '{printable(name)}' holds other values than its type {kind} says", "those alone")
        return name, constant

    # --- tensors ---------------------------------------------------------------------------------------------

    def tensor(self, start: int, end: int) -> tuple[str, int | None]:
        """Walk a tensor; return its name and, for an int64 of one element, its value."""
        name, element_type, dims = "", 0, []
        found: dict[int, int] = {}  # data field → numbers or bytes in it
        place = 0, 0
        for number, low, high in self.fields(_TENSOR, start, end):
            match number:
                case 1:
                    dims += self.run(low, high)
                case 2:
                    element_type = low
                case 4 | 5 | 7 | 9 | 10 | 11:
                    found[number] = self.count(number, low, high)
                    place = low, high
                    self.tensor_bytes += high - low
                case 6:
                    found[6] = found.get(6, 0) + 1
                    self.tensor_bytes += high - low
                case 8:
                    name = self.name(low, high)
                case 13:
                    refuse("a tensor names external data", "all data within the graph")
                case 14 if low != 0:
                    refuse(f"a tensor's data lie elsewhere (location {low})", "all data within the graph")
                case 16:
                    self.entry(low, high)
        num_elements = _checked_data(name, element_type, dims, found)
        if element_type != _INT64 or num_elements != 1:
            return name, None
        if _RAW_DATA in found:
            return name, int.from_bytes(self.data[place[0] : place[1]], "little", signed=True)
        return name, _signed(self.varint(*place)[0])

    def count(self, number: int, start: int, end: int) -> int:
        """How many numbers the data field `number` of a tensor holds; bytes for raw data."""
        if number == _RAW_DATA:
            return end - start
        if number in {_FLOAT_DATA, _DOUBLE_DATA}:
            size = 4 if number == _FLOAT_DATA else 8
            if (end - start) % size:
                refuse(f"a tensor has {end - start} bytes of numbers of {size} bytes", "whole numbers")
            return (end - start) // size
        return self.count_packed(start, end)

    # --- values and types ------------------------------------------------------------------------------------

    def value(self, start: int, end: int) -> _Value:
        name: str = ""
        dtype: str | None = None
        shape: tuple[int | str, ...] | None = None
        for number, low, high in self.fields(_VALUE, start, end):
            match number:
                case 1:
                    name = self.name(low, high)
                case 2:
                    dtype, shape = self.type(low, high)
                case 4:
                    self.entry(low, high)
        return _Value(name, dtype, shape)

    def type(self, start: int, end: int, depth: int = 0) -> tuple[str | None, tuple[int | str, ...] | None]:
        """Walk a type; return element type and shape of a tensor, None and None for any other."""
        if depth > MAX_NESTING:
            refuse(f"a type is nested more than {MAX_NESTING} deep", f"at most {MAX_NESTING}")
        found: list[tuple[str | None, tuple[int | str, ...] | None]] = []
        for number, low, high in self.fields(_TYPE, start, end):
            match number:
                case 1:
                    found.append(self.tensor_type(low, high))
                case 8:
                    self.tensor_type(low, high)
                    found.append((None, None))
                case 4 | 5 | 9:
                    for inner, first, last in self.fields(_MAP_TYPE if number == 5 else _ELEMENT_TYPE, low, high):
                        if number != 5 or inner == 2:
                            self.type(first, last, depth + 1)
                    found.append((None, None))
        if len(found) > 1:
            refuse("a type says two things at once", "one")
        return found[0] if found else (None, None)

    def tensor_type(self, start: int, end: int) -> tuple[str | None, tuple[int | str, ...] | None]:
        element_type, shape = 0, None
        for number, low, high in self.fields(_TENSOR_TYPE, start, end):
            if number == 1:
                element_type = low
            else:
                shape = tuple(self.dimension(first, last) for _, first, last in self.fields(_SHAPE, low, high))
                _check_rank(shape)
        if element_type not in _ELEMENTS:
            refuse(f"a value has the element type {element_type}", "one of ONNX IR 10")
        return _ELEMENTS[element_type].name, shape

    def dimension(self, start: int, end: int) -> int | str:
        found: list[int | str] = []
        for number, low, high in self.fields(_DIMENSION, start, end):
            if number == 1:
                if _signed(low) < 0:
                    refuse(f"a value has the size {_signed(low)}", "0 or more")
                found.append(low)
            elif number == 2:
                found.append(self.name(low, high))
        if len(found) > 1:
            refuse("a dimension says two things at once", "one")
        return found[0] if found else ""

    def annotation(self, start: int, end: int) -> None:
        for number, low, high in self.fields(_ANNOTATION, start, end):
            if number == 2:
                self.entry(low, high)


def _defined(name: str, scopes: tuple[Scope, ...]) -> bool:
    for scope in scopes:  # noqa: SIM110 - a generator would cost more than all the rest
        if name in scope:
            return True
    return False


def _loop_trips(inputs: list[str], scopes: tuple[Scope, ...]) -> int:
    name = inputs[0] if inputs else ""
    trips = next((scope[name] for scope in reversed(scopes) if name in scope), None)
    if trips is None:
        refuse("a Loop has no trip count that is a constant", f"a constant int64, at most {MAX_TRIPS}")
    return trips


def _checked_data(name: str, element_type: int, dims: list[int], found: dict[int, int]) -> int:
    """The number of elements that `dims` say, if the data have as many."""
    shown = f"the tensor '{printable(name)}'"
    element = _ELEMENTS.get(element_type)
    if element is None:
        refuse(f"{shown} has the element type {element_type}", "one of ONNX IR 10")
    _check_rank(dims)
    num_elements = bound = 1
    for dim in map(_signed, dims):
        if dim < 0:
            refuse(f"{shown} has the size {dim}", "0 or more")
        num_elements *= dim
        bound *= max(dim, 1)
    if bound > _MAX_ELEMENTS:
        refuse(f"{shown} has the sizes {dims}", "fewer elements than 64 bits can count")
    if len(found) > 1:
        refuse(f"{shown} holds its data twice", "once")
    wanted = {element.typed_field: (num_elements * element.numbers)}
    if element.bits:
        wanted[_RAW_DATA] = (num_elements * element.bits + 7) // 8
    if element.bits == 4:
        wanted[element.typed_field] = (num_elements + 1) // 2
    for number, count in found.items():
        if wanted.get(number) != count:
            refuse(
                f"{shown} holds {count} numbers or bytes in its field {number}", f"{wanted} for {element.name} {dims}"
            )
    if num_elements and not found:
        refuse(f"{shown} of sizes {dims} holds no data", "all data within the graph")
    return num_elements


def _check_rank(dims: tuple[int | str, ...] | list[int]) -> None:
    if len(dims) > _MAX_RANK:
        refuse(f"a tensor has {len(dims)} dimensions", f"at most {_MAX_RANK}")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _as_tensor(value: _Value) -> ValueRecord:
    if value.dtype is None:
        refuse(f"'{printable(value.name)}' goes in or out and is not a tensor", "no maps, sequences or sparse tensors")
    return ValueRecord(value.name, value.dtype, value.shape)


def _refuse_sparse() -> None:
    refuse("the graph holds a sparse tensor", "dense ones: a few bytes of a sparse one can stand for gigabytes")
