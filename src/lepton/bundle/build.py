"""Writing graphs: one builder over `onnx.helper` that keeps the contract's versions, names and determinism.

The only module of this room that needs `onnx`; opening and predicting never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import BundleError, ErrorCode, MissingExtraError, UsageError

__all__ = ["IR_VERSION", "ML_DOMAIN", "ML_OPSET", "OPSET", "GraphBuilder"]

OPSET = 20
ML_DOMAIN = "ai.onnx.ml"
ML_OPSET = 5
IR_VERSION = 10

_ELEMENT_TYPES = {
    "double": "DOUBLE",
    "float": "FLOAT",
    "int64": "INT64",
    "int32": "INT32",
    "uint8": "UINT8",
    "bool": "BOOL",
    "string": "STRING",
}


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtraError("onnx", "train", "Writing a model's graph") from None
    return onnx


class GraphBuilder:
    """Builds one graph, node by node; use it wherever a learner or a step is written as ONNX.

    Values are named by the builder, in the order in which they are made, so the same calls give the same bytes.

    >>> import numpy as np
    >>> builder = GraphBuilder()
    >>> numbers = builder.input("numbers", "double", ["N", 2])
    >>> weights = builder.constant(np.array([[2.0], [3.0]]))
    >>> product = builder.node("MatMul", [numbers, weights])
    >>> column = builder.node("Squeeze", [product, builder.constant(np.array([1]))])
    >>> builder.output("prediction", column, "double", ["N"])
    >>> graph = builder.finish({"lepton.inputs": "{}"})
    """

    def __init__(self, name: str = "lepton") -> None:
        self._onnx = _onnx()
        self._name = name
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[Any] = []
        self._counts: dict[str, int] = {}
        self._made: set[str] = set()  # values that nodes made and that may still be given a name of their own
        self._taken: set[str] = set()  # names given by the caller
        self._renamed: dict[str, str] = {}
        self._of_parts: dict[bytes, list[str]] = {}  # hash of a node → its values
        self._marking = True
        self.inner: dict[str, str] = {}
        """Inner points so far, mark → tensor name, as the manifest records them."""

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """Declare a graph input.

        Args:
            name: its name.
            dtype: one of `double float int64 int32 uint8 bool string`.
            shape: sizes; a text such as `"N"` is a size known only when called.

        Returns:
            The name, to be used as an input of nodes.
        """
        self._take(name)
        self._inputs.append(self._value_info(name, dtype, shape))
        return name

    def constant(self, value: NDArray[Any] | np.generic | Sequence[Any] | float | str) -> str:
        """A constant tensor; equal constants are stored once.

        Numbers keep the dtype of the array (a Python float is a double, an int int64); texts become a string tensor.
        """
        tensor = self._tensor(value)
        key = (str(tensor.data_type), tuple(tensor.dims), tensor.SerializeToString(deterministic=True))
        if key not in self._constants:
            tensor.name = self._fresh("constant")
            self._constants[key] = tensor.name
            self._initializers.append(tensor)
        return self._constants[key]

    def node(self, op: str, inputs: Sequence[str], *, domain: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """Add a node.

        Args:
            op: operator, for example `"MatMul"`.
            inputs: names of values made before; `""` leaves an optional input out.
            domain: `""` or `ML_DOMAIN`.
            outputs: how many values it makes.
            **attributes: numbers, texts, lists of them; a numpy array becomes a tensor attribute; None is left out.

        Returns:
            The name of the value, or a tuple of names if `outputs` is above 1.
        """
        names = [self._fresh(op.lower()) for _ in range(outputs)]
        given = {
            key: self._tensor(value) if isinstance(value, np.ndarray) else value
            for key, value in attributes.items()
            if value is not None
        }
        node = self._onnx.helper.make_node(op, list(inputs), names, name=names[0], domain=domain, **given)
        if not self._marking:
            names = self._once(node, names)
        if names[0] == node.name:
            self._nodes.append(node)
            self._made.update(names)
        return names[0] if outputs == 1 else tuple(names)

    def _once(self, node: Any, names: list[str]) -> list[str]:
        """The values of an equal node of an earlier part, or `names`."""
        bare = type(node)()
        bare.CopyFrom(node)
        bare.name = ""
        del bare.output[:]
        return self._of_parts.setdefault(sha256(bare.SerializeToString(deterministic=True)).digest(), names)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Build a part of a larger model: inner points are not marked, and what parts have in common is made once."""
        self._marking = False
        try:
            yield
        finally:
            self._marking = True

    def mark(self, name: str, value: str) -> str:
        """Give an inner point (`"features"`, `"raw"`) its stable name and record it in `inner`.

        Returns:
            The value to go on with.
        """
        if not self._marking:
            return value
        self.inner[name] = name
        return self._give_name(name, value)

    def output(self, name: str, value: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Declare a graph output called `name` that gives `value`."""
        self._give_name(name, value)
        self._outputs.append(self._value_info(name, dtype, shape))

    def finish(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Check the graph and return its bytes; the same calls always give the same bytes.

        Args:
            metadata: `metadata_props`, such as `lepton.inputs`.

        Raises:
            BundleError: if onnx's checker refuses the graph.
        """
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [self._renamed.get(name, name) for name in names]
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._initializers)
        model = helper.make_model(
            graph,
            producer_name="lepton",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, ML_OPSET)],
        )
        helper.set_model_props(model, dict(sorted((metadata or {}).items())))
        try:
            self._onnx.checker.check_model(model, full_check=True)
        except (self._onnx.checker.ValidationError, self._onnx.shape_inference.InferenceError, ValueError) as error:
            raise BundleError(
                ErrorCode.GRAPH_REFUSED, f"the graph that was built is not valid ONNX: {error}"
            ) from error
        serialized: bytes = model.SerializeToString(deterministic=True)
        return serialized

    def _give_name(self, name: str, value: str) -> str:
        # A value that a node made is renamed, which costs nothing at run time; an input, a constant and a value that
        # already has a name of its own are copied instead.
        self._take(name)
        if value in self._made:
            self._made.remove(value)
            self._renamed[value] = name
            return value
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))
        return name

    def _take(self, name: str) -> None:
        if name in self._taken:
            raise UsageError(ErrorCode.USAGE, f"the graph has two values called {name!r}", wanted="names that differ")
        self._taken.add(name)

    def _fresh(self, stem: str) -> str:
        while True:
            number = self._counts.get(stem, 0)
            self._counts[stem] = number + 1
            name = f"{stem}_{number}"
            if name not in self._taken:
                return name

    def _value_info(self, name: str, dtype: str, shape: Sequence[int | str]) -> Any:
        if dtype not in _ELEMENT_TYPES:
            raise UsageError(ErrorCode.USAGE, f"got the dtype {dtype!r}", wanted="one of " + ", ".join(_ELEMENT_TYPES))
        element = getattr(self._onnx.TensorProto, _ELEMENT_TYPES[dtype])
        return self._onnx.helper.make_tensor_value_info(name, element, list(shape))

    def _tensor(self, value: Any) -> Any:
        array = np.asarray(value)
        if array.dtype.kind in "UOT":
            texts = [str(text).encode() for text in array.ravel()]
            return self._onnx.helper.make_tensor("", self._onnx.TensorProto.STRING, array.shape, texts)
        return self._onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), "")
