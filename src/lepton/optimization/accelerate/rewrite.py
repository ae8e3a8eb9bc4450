"""Graphs that give the same answers from fewer nodes, in ONNX's standard operators.

What onnxruntime itself makes of a graph when it opens it may hold operators of its own, which a bundle must not, so it
cannot be kept in a file. These are rewrites that onnxruntime does not make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import MissingExtraError

__all__ = ["rewrite"]

_LEAST_COLUMNS = 4
_MOST_FACTORS = 8


def rewrite(graph: bytes, keep: Sequence[str] = ()) -> tuple[bytes, tuple[str, ...]]:
    """A graph with the same answers, and in words what was changed; nothing is said where nothing could be.

    Args:
        graph: serialized.
        keep: names of values inside that must stay.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "train", "Rewriting a graph") from None
    model = onnx.load_from_string(graph)
    told = []
    if products := _join_products(model, set(keep)):
        told.append(f"{products} products of columns are one")
    if removed := _remove_unused(model, set(keep)):
        told.append(f"{removed} nodes whose answers nobody needs are gone")
    return (model.SerializeToString() if told else graph), tuple(told)


def _remove_unused(model: Any, keep: set[str]) -> int:
    """Remove nodes and constants that no output needs; how many nodes.

    Columns cut out of a table and not needed are the case that counts: onnxruntime joins them to one `Split`, which it
    then runs.
    """
    needed = {output.name for output in model.graph.output} | keep
    kept = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(_names_read(node))
            kept.append(node)
    removed = len(model.graph.node) - len(kept)
    if removed:
        _replace(model.graph.node, kept[::-1])
        _replace(model.graph.initializer, [each for each in model.graph.initializer if each.name in needed])
        _replace(model.graph.value_info, [each for each in model.graph.value_info if each.name in needed])
    return removed


def _join_products(model: Any, keep: set[str]) -> int:
    """Make one product of tables of what is a product of columns each, put side by side; how many there were.

    scikit-learn's polynomial features are exported so: two nodes for each of their columns.
    """
    from onnx import numpy_helper

    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    nodes, joined = [], 0
    for node in model.graph.node:
        found = _products(node, makers, constants) if node.op_type == "Concat" else None
        if found is None:
            nodes.append(node)
            continue
        source, columns, dtype = found
        made, parameters = _product_of_tables(source, columns, dtype, node.output[0])
        nodes += made
        model.graph.initializer.extend(parameters)
        joined += len(columns)
    if joined:
        _replace(model.graph.node, nodes)
        _remove_unused(model, keep)
    return joined


def _products(
    node: Any, makers: Mapping[str, Any], constants: Mapping[str, NDArray[Any]]
) -> tuple[str, list[list[int]], np.dtype[Any]] | None:
    """Of a `Concat` of products: the table, which of its columns each multiplies, and the type of a one."""
    if len(node.input) < _LEAST_COLUMNS or _attribute(node, "axis") != 1:
        return None
    sources, columns, dtype = set(), [], None
    for name in node.input:
        maker = makers.get(name)
        factors = _factors(maker, makers, constants)
        if factors is not None:
            sources.add(factors[0])
            columns.append(factors[1])
        elif (one := _one(maker, makers, constants)) is not None:
            dtype = one
            columns.append([])
        else:
            return None
    is_even = len(set(map(len, columns))) == 1
    if len(sources) != 1 or max(map(len, columns)) > _MOST_FACTORS or not (is_even or dtype is not None):
        return None
    return sources.pop(), columns, np.dtype(np.float32) if dtype is None else dtype


def _factors(
    node: Any, makers: Mapping[str, Any], constants: Mapping[str, NDArray[Any]]
) -> tuple[str, list[int]] | None:
    """The table and its columns whose product, [N, 1], a node makes."""
    if node is None:
        return None
    if node.op_type == "ReduceProd":
        axes = constants.get(node.input[1]) if len(node.input) > 1 else None
        if axes is None or axes.tolist() != [1] or _attribute(node, "keepdims", 1) != 1:
            return None
        inner = makers.get(node.input[0])
        return _chosen(inner, constants)
    chosen = _chosen(node, constants)
    return chosen if chosen is not None and len(chosen[1]) == 1 else None


def _chosen(node: Any, constants: Mapping[str, NDArray[Any]]) -> tuple[str, list[int]] | None:
    if node is None or node.op_type != "ArrayFeatureExtractor" or node.input[1] not in constants:
        return None
    places = constants[node.input[1]].ravel().tolist()
    return (node.input[0], places) if places and min(places) >= 0 else None


def _one(node: Any, makers: Mapping[str, Any], constants: Mapping[str, NDArray[Any]]) -> np.dtype[Any] | None:
    """The type of a column of ones, [N, 1], if the node makes one."""
    from onnx import numpy_helper

    shape = None if node is None or node.op_type != "ConstantOfShape" else makers.get(node.input[0])
    if shape is None or shape.op_type != "Shape" or shape.attribute:
        return None
    value = _attribute(node, "value")
    if value is None or _factors(makers.get(shape.input[0]), makers, constants) is None:
        return None
    filled = numpy_helper.to_array(value)
    return filled.dtype if filled.tolist() == [1] else None


def _product_of_tables(
    source: str, columns: Sequence[Sequence[int]], dtype: np.dtype[Any], output: str
) -> tuple[list[Any], list[Any]]:
    """Nodes, and their constants, that multiply the columns of `source`: a table for the first factors, and so on."""
    from onnx import helper, numpy_helper

    parameters = [numpy_helper.from_array(np.ones((), dtype), f"{output}/one")]
    nodes, product = [], ""
    longest = max(map(len, columns))
    for number in range(longest):
        places = np.array([each[number] if number < len(each) else 0 for each in columns], dtype=np.int64)
        is_factor = np.array([number < len(each) for each in columns])
        parameters.append(numpy_helper.from_array(places, f"{output}/places{number}"))
        table = f"{output}/columns{number}"
        nodes.append(helper.make_node("Gather", [source, f"{output}/places{number}"], [table], axis=1))
        if not is_factor.all():  # a product with a one leaves every number as it is
            parameters.append(numpy_helper.from_array(is_factor, f"{output}/is_factor{number}"))
            inputs = [f"{output}/is_factor{number}", table, f"{output}/one"]
            table = f"{output}/factors{number}"
            nodes.append(helper.make_node("Where", inputs, [table]))
        if number:
            nodes.append(helper.make_node("Mul", [product, table], [f"{output}/product{number}"]))
            table = f"{output}/product{number}"
        product = table
    nodes[-1].output[0] = output
    return nodes, parameters


def _names_read(node: Any) -> set[str]:
    """Names that a node reads, those that graphs inside it take from outside included."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names |= _names_read(inner)
            names.update(output.name for output in graph.output)
    return names


def _attribute(node: Any, name: str, default: Any = None) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(each) for each in node.attribute if each.name == name), default)


def _replace(field: Any, values: Sequence[Any]) -> None:
    """Put other messages into a repeated field."""
    copied = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copied)
