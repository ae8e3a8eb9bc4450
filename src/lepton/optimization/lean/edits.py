"""Edits of a parsed graph that several steps need: nodes put in, what nothing reads taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["add_node", "drop_unread", "fresh", "makers", "serialized", "splice"]


def fresh(model: Any, stem: str) -> str:
    """A name that no value and no node of the graph has."""
    taken = {name for node in model.graph.node for name in (node.name, *node.input, *node.output)}
    taken.update(each.name for part in (model.graph.input, model.graph.initializer) for each in part)
    number = 0
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"


def makers(model: Any) -> dict[str, Any]:
    """The node that makes each value."""
    return {name: node for node in model.graph.node for name in node.output}


def add_node(
    model: Any, place: int, op: str, inputs: Sequence[str], *, output: str = "", domain: str = "", **attributes: Any
) -> str:
    """Put a node in front of the one at `place`; arrays among its attributes become tensors.

    Returns:
        Name of its value: `output`, or a fresh one.
    """
    from onnx import helper, numpy_helper

    name = output or fresh(model, op.lower())
    given = {
        key: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for key, value in attributes.items()
        if value is not None
    }
    label = fresh(model, op.lower())
    model.graph.node.insert(place, helper.make_node(op, list(inputs), [name], name=label, domain=domain, **given))
    return name


def splice(model: Any, fragment: bytes, values: Mapping[str, str], output: str, place: int) -> None:
    """Put a graph in the place of what made a value.

    Args:
        model: the graph to edit.
        fragment: serialized; its only output goes to `output`.
        values: inputs of the fragment → values of the graph.
        output: the value that the fragment makes from now on.
        place: of the node in front of which it stands.
    """
    import onnx

    part = onnx.load_from_string(fragment)
    names = {**values, part.graph.output[0].name: output}
    for node in model.graph.node:
        if output in node.output:
            node.output[list(node.output).index(output)] = fresh(model, "unread")
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    taken.update(each.name for each in (*model.graph.input, *model.graph.initializer))
    prefix = "lean"
    while any(name.startswith(f"{prefix}_") for name in taken):
        prefix += "_"

    def renamed(name: str) -> str:
        return names.get(name, f"{prefix}_{name}") if name else ""

    for tensor in part.graph.initializer:
        tensor.name = renamed(tensor.name)
        model.graph.initializer.append(tensor)
    for offset, node in enumerate(part.graph.node):
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        node.name = node.output[0]
        model.graph.node.insert(place + offset, node)


def drop_unread(model: Any) -> None:
    """Take out nodes and constants that no output depends on; inputs stay, for callers bring them."""
    read = {each.name for each in model.graph.output}
    for place in reversed(range(len(model.graph.node))):
        node = model.graph.node[place]
        if any(name in read for name in node.output):
            read.update(node.input, _read_inside(node))
        else:
            del model.graph.node[place]
    for place in reversed(range(len(model.graph.initializer))):
        if model.graph.initializer[place].name not in read:
            del model.graph.initializer[place]
    model.graph.ClearField("value_info")


def _read_inside(node: Any) -> set[str]:
    """What the graphs inside a node read from around them."""
    found: set[str] = set()
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
            for inner in graph.node:
                found.update(inner.input)
                found |= _read_inside(inner)
            found.update(each.name for each in graph.output)
    return found


def serialized(model: Any) -> bytes:
    """The graph's bytes, without what nothing reads."""
    drop_unread(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
