"""scikit-learn's steps as ONNX by skl2onnx, and what it leaves to do for them to answer the same."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from lepton.bundle.build import ML_DOMAIN, OPSET
from lepton.core import printable
from lepton.training.importers.base import cannot_hold

__all__ = ["DOUBLE", "FLOAT", "INT64", "STRING", "converted_graph"]

FLOAT, DOUBLE, INT64, STRING = 1, 11, 7, 8  # onnx.TensorProto
_INTEGER = 2  # onnx.AttributeProto
_ML_OPSET = 3  # the newest of ai.onnx.ml that skl2onnx writes


def converted_graph(model: Any, fed: Mapping[str, tuple[int, list[str]]], *, classifies: bool) -> Any:
    """A model by skl2onnx.

    Args:
        model: fitted.
        fed: input → its element type and columns.
        classifies: whether it is a classifier, whose probabilities are to be a matrix.

    Returns:
        `onnx.ModelProto`.

    Raises:
        DataError: NO_GRAPH_FORM: skl2onnx cannot express it.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import (
        DoubleTensorType,
        FloatTensorType,
        Int64TensorType,
        StringTensorType,
    )
    from skl2onnx.shape_calculators.imputer import calculate_sklearn_imputer_output_shapes
    from sklearn.impute import SimpleImputer

    types = {DOUBLE: DoubleTensorType, FLOAT: FloatTensorType, INT64: Int64TensorType, STRING: StringTensorType}
    initial = [(name, types[kind]([None, len(columns)])) for name, (kind, columns) in fed.items()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of skl2onnx's own code
            graph = convert_sklearn(
                model,
                initial_types=initial,
                options={id(model): {"zipmap": False}} if classifies else None,
                target_opset={"": OPSET, ML_DOMAIN: _ML_OPSET},
                custom_conversion_functions={SimpleImputer: _write_imputer},
                custom_shape_calculators={SimpleImputer: calculate_sklearn_imputer_output_shapes},
            )
    except Exception as error:  # skl2onnx raises many classes, and whatever its converters run into
        why = printable(" ".join(str(error).split()), 300)
        raise cannot_hold(
            f"skl2onnx cannot express the model: {why}",
            "leave the step out that it names and do it before the model, or train with lepton.train",
        ) from error
    _round_before_trees(graph)
    return graph


def _write_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Missing numbers filled in double: onnxruntime has no `Imputer` of double, which skl2onnx writes."""
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.operator_converters.common import concatenate_variables
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer

    fills = np.asarray(operator.raw_operator.statistics_)
    fills = fills.astype(np.float64) if fills.dtype.kind in "fiu" else np.array([np.nan])
    is_double = all(isinstance(each.type, DoubleTensorType) for each in operator.inputs)
    missing = operator.raw_operator.missing_values
    if not is_double or not np.isfinite(fills).all() or not (isinstance(missing, float) and np.isnan(missing)):
        convert_sklearn_imputer(scope, operator, container)
        return
    given = concatenate_variables(scope, operator.inputs, container)

    def node(kind: str, inputs: list[str], version: int, **attributes: Any) -> str:
        made: str = scope.get_unique_variable_name(kind.lower())
        name = scope.get_unique_operator_name(kind)
        container.add_node(kind, inputs, [made], name=name, op_version=version, **attributes)
        return made

    values = scope.get_unique_variable_name("fills")
    container.add_initializer(values, DOUBLE, [1, len(fills)], fills)
    unknown = node("IsNaN", [given], 13)
    filled = node("Where", [unknown, values, given], 16)
    if operator.raw_operator.add_indicator:
        features = operator.raw_operator.indicator_.features_
        places = scope.get_unique_variable_name("places")
        container.add_initializer(places, INT64, [len(features)], features)
        told = node("Cast", [node("Gather", [unknown, places], 13, axis=1)], 13, to=DOUBLE)
        filled = node("Concat", [filled, told], 13, axis=1)
    container.add_node("Identity", [filled], [operator.outputs[0].full_name], op_version=16)


def _round_before_trees(model: Any) -> None:
    """Let trees see numbers in single precision, as those of scikit-learn do, whatever came before in double."""
    graph = model.graph
    nodes = []
    for node in graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            rounded = f"{node.input[0]}_rounded_for_{node.output[0]}"
            cast = type(node)(op_type="Cast", name=rounded, input=[node.input[0]], output=[rounded])
            cast.attribute.add(name="to", type=_INTEGER, i=FLOAT)
            node.input[0] = rounded
            nodes.append(cast)
        nodes.append(node)
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
