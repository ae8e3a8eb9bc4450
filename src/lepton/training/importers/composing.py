"""Graphs of others made to take and give what a bundle says: casts and names around them, versions bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lepton.bundle import OutputRecord
from lepton.bundle.build import IR_VERSION, ML_DOMAIN, ML_OPSET, OPSET
from lepton.bundle.graph import summarize_graph
from lepton.core import MissingExtraError, printable
from lepton.training.importers.base import cannot_hold

__all__ = ["Composer", "bounded", "onnx_library"]

_PREFIX = "model/"


def onnx_library() -> Any:
    """The library `onnx`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnx
        import onnx.compose
        import onnx.inliner
        import onnx.reference
        import onnx.version_converter
    except ImportError:
        raise MissingExtraError("onnx", "train", "Importing a model") from None
    return onnx


def bounded(model: Any) -> Any:
    """The model in versions that a bundle may hold: opset and IR lowered where they are too new, raised where too old.

    Raises:
        DataError: NO_GRAPH_FORM where it cannot be.
    """
    onnx = onnx_library()
    versions: dict[str, int] = {}
    for opset in model.opset_import:  # some writers name a domain twice
        domain = opset.domain or "ai.onnx"
        versions[domain] = max(versions.get(domain, 0), opset.version)
    if strangers := sorted(set(versions) - {"ai.onnx", ML_DOMAIN}):
        used = sorted({node.op_type for node in model.graph.node if (node.domain or "ai.onnx") in strangers})
        if used or model.functions:
            raise cannot_hold(
                f"the graph has operators of the domain '{printable(strangers[0])}': "
                + (", ".join(map(printable, used[:10])) or "functions"),
                "export with operators of ONNX alone",
            )
    version = versions.get("ai.onnx", OPSET)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", version))
    if versions.get(ML_DOMAIN) == 1 and all(node.op_type != "LabelEncoder" for node in model.graph.node):
        versions[ML_DOMAIN] = 2  # which differs in that operator alone, and has it as it is written here
    if ML_DOMAIN in versions:
        model.opset_import.append(onnx.helper.make_opsetid(ML_DOMAIN, versions[ML_DOMAIN]))
    if not 7 <= version <= OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:  # of C++, without a common class
            why = printable(" ".join(str(error).split()), 300)
            raise cannot_hold(
                f"the graph is of opset {version}, and cannot be turned into {OPSET}: {why}",
                f"export it with opset {OPSET}",
            ) from error
    if versions.get(ML_DOMAIN, 1) > ML_OPSET:
        raise cannot_hold(
            f"the graph is of opset {versions[ML_DOMAIN]} of {ML_DOMAIN}", f"export it with opset {ML_OPSET} of it"
        )
    model.ir_version = min(max(model.ir_version, 3), IR_VERSION)
    return model


class Composer:
    """Puts nodes in front of and behind the graph of a foreign model; a `Forest` can be emitted behind it.

    Args:
        model: an ONNX model.
    """

    def __init__(self, model: Any) -> None:
        self._onnx = onnx_library()
        self._model = self._onnx.compose.add_prefix(bounded(model), _PREFIX)
        self._front: list[Any] = []
        self._behind: list[Any] = []
        self._count = 0
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def take(self, name: str, dtype: str, shape: Sequence[int | str], *, feeds: str | None = None) -> str:
        """Declare an input of the composed graph; it is the foreign input `feeds` as it is, if that is given."""
        kind = getattr(self._onnx.TensorProto, dtype.upper())
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, list(shape)))
        if feeds is not None:
            self._front.append(self._onnx.helper.make_node("Identity", [name], [_PREFIX + feeds]))
        return name

    def feed(self, name: str, element_type: int, tensor: str, width: int, places: Sequence[int]) -> None:
        """Give the foreign input `name` the columns at `places` of a tensor [N, width], as its element type."""
        value = tensor
        if list(places) != list(range(width)):
            value = self._add(self._front, "Gather", [value, self.constant(np.array(places))], axis=1)
        if tensor == "numbers" and element_type != self._onnx.TensorProto.DOUBLE:
            value = self._add(self._front, "Cast", [value], to=element_type)
        self._front.append(self._onnx.helper.make_node("Identity", [value], [_PREFIX + name]))

    def value(self, name: str) -> str:
        """The foreign value `name`, for nodes behind."""
        return _PREFIX + name

    def node(self, operator: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output behind, as `GraphBuilder.node` does."""
        return self._add(self._behind, operator, inputs, domain=domain, **attributes)

    def constant(self, value: Any) -> str:
        """A constant, as `GraphBuilder.constant` makes it."""
        array = np.asarray(value)
        tensor = self._tensor(array.astype(object) if array.dtype.kind == "U" else array)
        tensor.name = f"constant_{self._count}"
        self._count += 1
        self._model.graph.initializer.append(tensor)
        return str(tensor.name)

    def output(self, name: str, value: str, dtype: str, shape: Sequence[int | str]) -> OutputRecord:
        """Declare an output; a number is cast to its type."""
        kind = getattr(self._onnx.TensorProto, dtype.upper())
        operator, attributes = ("Identity", {}) if dtype == "string" else ("Cast", {"to": kind})
        self._behind.append(self._onnx.helper.make_node(operator, [value], [name], **attributes))
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, kind, list(shape)))
        return OutputRecord(name, dtype, tuple(shape))

    def numbers(self, name: str, value: str, dtype: str = "double") -> OutputRecord:
        """A value [N] or [N, 1] as the output `name` [N]."""
        return self.output(name, self.node("Reshape", [value, self.constant(np.array([-1]))]), dtype, ("N",))

    def classes(
        self, label: str | None, probabilities: str, known: Sequence[Any], labels: tuple[str, ...] | tuple[int, ...]
    ) -> tuple[OutputRecord, ...]:
        """The outputs of a classifier.

        Args:
            label: value [N] or [N, 1] of the label; None where the most probable one is called.
            probabilities: value [N, C].
            known: labels that `label` may hold, in order.
            labels: what they are called.
        """
        if label is None:
            best = self.node("ArgMax", [probabilities], axis=1, keepdims=0)
            called = self.node("Gather", [self.constant(np.array(labels)), best])
        else:
            called = self.node("Reshape", [label, self.constant(np.array([-1]))])
            if list(known) != list(labels):
                named = {f"keys_{_texts_or_ints(known)}": list(known), f"values_{_texts_or_ints(labels)}": list(labels)}
                called = self.node("LabelEncoder", [called], domain=ML_DOMAIN, **named)
        dtype = "string" if isinstance(labels[0], str) else "int64"
        return (
            self.output("prediction", called, dtype, ("N",)),
            self.output("probabilities", probabilities, "double", ("N", len(labels))),
        )

    def finish(self, inputs: str) -> bytes:
        """The composed graph with `lepton.inputs`, checked as bundles are.

        Raises:
            DataError: NO_GRAPH_FORM: onnx's checker refuses it.
            BundleError: GRAPH_REFUSED: a bundle must not hold it.
        """
        model = self._model
        graph = model.graph
        nodes = [*self._front, *graph.node, *self._behind]
        del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.input.extend(self._inputs)
        graph.output.extend(self._outputs)
        graph.doc_string = ""
        return _sealed(self._onnx, model, inputs)

    def _add(self, nodes: list[Any], operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        name = f"{operator.lower()}_{self._count}"
        self._count += 1
        given = {
            key: self._tensor(value) if isinstance(value, np.ndarray) else value
            for key, value in attributes.items()
            if value is not None
        }
        nodes.append(self._onnx.helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **given))
        return name

    def _tensor(self, value: Any) -> Any:
        if value.dtype.kind == "O":
            texts = [str(text).encode() for text in value.ravel()]
            return self._onnx.helper.make_tensor("", self._onnx.TensorProto.STRING, value.shape, texts)
        return self._onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), "")


def _sealed(onnx: Any, model: Any, inputs: str) -> bytes:
    """The bytes of a composed model: `lepton.inputs` in its metadata, checked by onnx and as bundles are."""
    model.producer_name, model.producer_version, model.doc_string, model.domain = "lepton", "", "", ""
    model.ir_version = IR_VERSION
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.metadata_props[:], model.graph.metadata_props[:]
    if ML_DOMAIN not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(onnx.helper.make_opsetid(ML_DOMAIN, ML_OPSET))
    onnx.helper.set_model_props(model, {"lepton.inputs": inputs})
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        why = printable(" ".join(str(error).split()), 300)
        raise cannot_hold(f"onnx refuses the graph of the model: {why}") from None
    data: bytes = model.SerializeToString(deterministic=True)
    summarize_graph(data)
    return data


def _texts_or_ints(values: Sequence[Any]) -> str:
    return "strings" if isinstance(values[0], str) else "int64s"
