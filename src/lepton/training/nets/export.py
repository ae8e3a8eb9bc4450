"""Any torch module as ONNX, alone or as a part of a graph that is being built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from onnx import AttributeProto, helper, numpy_helper

from lepton.bundle.build import IR_VERSION, OPSET, GraphBuilder
from lepton.core import ErrorCode, MissingExtraError, TrainingError, printable
from lepton.training.nets.writing import NetWriter
from lepton.training.quiet_export import quiet_export

__all__ = ["export_module", "inline", "module_writer"]


def export_module(
    module: Any,
    examples: Sequence[Any],
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> Any:
    """Trace a torch module and write it as ONNX, opset 20 and IR 10.

    Args:
        module: in the mode that it is to answer in; it is put into evaluation mode.
        examples: one tensor for each input; where a size is open it should be above 1, which torch treats apart.
        input_names: of the graph's inputs.
        output_names: of its outputs.
        dynamic: input name → axis → name of an open size; None: the first axis of each is `N`.

    Returns:
        `onnx.ModelProto`.

    Raises:
        TrainingError: the module does what ONNX has no operator for; the message says what torch said.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    if find_spec("onnxscript") is None:
        raise MissingExtraError("onnxscript", "deep", "Writing a torch module as ONNX")
    sizes = dynamic if dynamic is not None else {name: {0: "N"} for name in input_names}
    shapes = tuple({axis: _size(name) for axis, name in sizes.get(each, {}).items()} for each in input_names)
    module.eval()
    with quiet_export(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module,
                tuple(examples),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=shapes,
            )
        except (torch.onnx.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
            raise TrainingError(
                ErrorCode.TRAINING_FAILED,
                f"the module cannot be written as ONNX: {printable(str(error.__cause__ or error).strip())[:500]}",
                wanted="a module whose forward uses operators that ONNX has, and no flow of control by values",
            ) from error
    model = program.model_proto
    model.ir_version = IR_VERSION
    return model


def module_writer(
    module: Any,
    examples: Mapping[str, Any],
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    outputs: int = 1,
) -> NetWriter:
    """What `write_net` asks for, from a torch module.

    Args:
        module: takes the inputs in the order of `examples` and gives logits; with `outputs` 2 an embedding too.
        examples: input name → tensor.
        dynamic: see `export_module`.
        outputs: how many values the module gives.
    """
    names = [f"output_{number}" for number in range(outputs)]
    model = export_module(
        module, list(examples.values()), input_names=list(examples), output_names=names, dynamic=dynamic
    )

    def write(builder: GraphBuilder, values: Mapping[str, str]) -> Any:
        written = inline(builder, model, values)
        return tuple(written) if outputs > 1 else written[0]

    return write


def inline(builder: GraphBuilder, model: Any, inputs: Mapping[str, str]) -> list[str]:
    """Put the nodes of an ONNX model into a graph that is being built.

    Args:
        builder: of the graph.
        model: `onnx.ModelProto` of at most opset 20, without functions and subgraphs.
        inputs: the model's input → value in the graph.

    Returns:
        The values of the model's outputs, in their order.

    Raises:
        TrainingError: it has functions or subgraphs (`If`, `Loop`, `Scan`).
    """
    values = {"": "", **inputs}
    for initializer in model.graph.initializer:
        values[initializer.name] = builder.constant(numpy_helper.to_array(initializer))
    for node in model.graph.node:
        nested = {AttributeProto.GRAPH, AttributeProto.GRAPHS}
        if node.domain not in ("", "ai.onnx", "ai.onnx.ml") or any(a.type in nested for a in node.attribute):
            raise TrainingError(
                ErrorCode.TRAINING_FAILED,
                f"the module became the operator {printable(node.domain)}:{printable(node.op_type)}",
                wanted="operators of ONNX without graphs inside, so no flow of control by values",
            )
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        attributes = {
            name: numpy_helper.to_array(value) if hasattr(value, "dims") else _text(value)
            for name, value in attributes.items()
        }
        made = builder.node(
            node.op_type,
            [values[name] for name in node.input],
            domain=node.domain if node.domain == "ai.onnx.ml" else "",
            outputs=len(node.output),
            **attributes,
        )
        values |= dict(zip(node.output, [made] if len(node.output) == 1 else made, strict=True))
    return [values[output.name] for output in model.graph.output]


def _size(name: str) -> Any:
    return torch.export.Dim.DYNAMIC if name == "N" else torch.export.Dim.AUTO


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
