"""The same graph in fewer nodes, constants and bytes; each pass changes `onnx.ModelProto` in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.optimization.lean.damage import session_of
from lepton.optimization.lean.weights import Names, constants_of, lift_constants, put_before

__all__ = ["narrow", "tidy", "widen"]

_ROUNDS = 6
_RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli"})
_MANY = 4_096  # bytes that folding may add
_GROUPED = frozenset({"QuantizeLinear", "DequantizeLinear"})  # what makes layers run in whole numbers
_LONG = 256  # numbers
_WHOLE = {6: np.int32, 7: np.int64}  # onnx.TensorProto.DataType
_FEWER = (2, 3, 4, 5, 6)
_NARROW = (np.uint8, np.int8, np.uint16, np.int16, np.int32)
_GRAPH, _GRAPHS = 5, 10  # kinds of attributes, of onnx.AttributeProto.AttributeType


def tidy(model: Any, kept: Sequence[str]) -> None:
    """Make a graph smaller without changing what it computes.

    What nobody takes goes, nodes of constants become constants where that is no larger, equal constants and nodes
    become one, nodes that do nothing go, normalisations go into the convolutions before them, and names become short.

    Args:
        model: `onnx.ModelProto`.
        kept: values inside that keep their names, beside those that go in and out.
    """
    lift_constants(model)
    _strip(model)
    passes: tuple[Callable[[Any, set[str]], None], ...] = (
        _drop_idle, _merge_constants, _merge_nodes, _fold_constants, _fold_norms, _drop_dead,
    )  # fmt: skip
    fixed = {each.name for each in (*model.graph.input, *model.graph.output)} | set(kept) | _taken_inside(model)
    for _ in range(_ROUNDS):
        before = len(model.graph.node), len(model.graph.initializer)
        for each in passes:
            each(model, fixed)
        if (len(model.graph.node), len(model.graph.initializer)) == before:
            break
    narrow(model, fixed)
    _shorten(model, fixed)


def _strip(model: Any) -> None:
    """What no answer depends on: names of nodes, types that can be inferred, and what exporters tell of their code."""
    del model.graph.value_info[:]
    for each in (model, model.graph, *model.graph.input, *model.graph.output, *model.graph.initializer):
        each.doc_string = ""
    for each in (*model.graph.input, *model.graph.output, *model.graph.initializer, *model.graph.node, model.graph):
        del each.metadata_props[:]
    for node in model.graph.node:
        node.name = node.doc_string = ""
        for attribute in node.attribute:
            attribute.doc_string = ""


def _taken_inside(model: Any) -> set[str]:
    """Values that graphs within nodes name: they may be of the outermost graph."""
    found: set[str] = set()

    def look(graph: Any, inside: bool) -> None:
        for node in graph.node:
            if inside:
                found.update(node.input)
            for attribute in node.attribute:
                for inner in (*([attribute.g] if attribute.type == _GRAPH else ()), *attribute.graphs):
                    look(inner, True)
        if inside:
            found.update(each.name for each in graph.output)

    look(model.graph, False)
    return found


def _keep_nodes(model: Any, gone: set[int]) -> None:
    if gone:
        nodes = [node for number, node in enumerate(model.graph.node) if number not in gone]
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del model.graph.node[:]
        model.graph.node.extend(copies)


def _rename_uses(model: Any, names: dict[str, str]) -> None:
    for node in model.graph.node:
        if any(name in names for name in node.input):
            node.input[:] = [names.get(name, name) for name in node.input]


def _drop_idle(model: Any, fixed: set[str]) -> None:
    """Nodes that give what they take: `Identity`, and `Dropout`, which answers alone leave as it is."""
    names: dict[str, str] = {}
    gone = set()
    made = {name: node for node in model.graph.node for name in node.output}
    for number, node in enumerate(model.graph.node):
        idle = node.op_type == "Identity" or (node.op_type == "Dropout" and len(node.input) < 3)
        if not idle or node.domain not in ("", "ai.onnx") or any(name in fixed for name in node.output[1:]):
            continue
        source, given = names.get(node.input[0], node.input[0]), node.output[0]
        if given not in fixed:
            names[given] = source
            gone.add(number)
        elif source in made and source not in fixed:
            # The value that must keep its name takes the place of the one that it repeats.
            origin = made[source]
            origin.output[:] = [given if name == source else name for name in origin.output]
            names = {name: given if to == source else to for name, to in names.items()} | {source: given}
            made[given] = origin
            gone.add(number)
    _rename_uses(model, names)
    _keep_nodes(model, gone)


def _merge_constants(model: Any, fixed: set[str]) -> None:
    first: dict[bytes, str] = {}
    names: dict[str, str] = {}
    for name, tensor in constants_of(model).items():
        bare = type(tensor).FromString(tensor.SerializeToString())
        bare.name = ""
        key = sha256(bare.SerializeToString(deterministic=True)).digest()
        if first.setdefault(key, name) != name and name not in fixed:
            names[name] = first[key]
    _rename_uses(model, names)


def _merge_nodes(model: Any, fixed: set[str]) -> None:
    """Of nodes that do the same to the same values, the first."""
    first: dict[bytes, Any] = {}
    names: dict[str, str] = {}
    gone = set()
    for number, node in enumerate(model.graph.node):
        node.input[:] = [names.get(name, name) for name in node.input]
        if node.op_type in _RANDOM or any(attribute.type in (_GRAPH, _GRAPHS) for attribute in node.attribute):
            continue
        bare = type(node).FromString(node.SerializeToString())
        del bare.output[:]
        places = bytes(bool(name) for name in node.output)
        key = sha256(bare.SerializeToString(deterministic=True) + places).digest()
        other = first.setdefault(key, node)
        if other is not node and not any(name in fixed for name in node.output):
            names |= dict(zip(node.output, other.output, strict=True))
            gone.add(number)
    _rename_uses(model, names)
    _keep_nodes(model, gone)


def _fold_constants(model: Any, fixed: set[str]) -> None:
    """Constants in place of nodes that take constants alone, unless that takes more bytes."""
    from onnx import ValueInfoProto, numpy_helper

    constants = constants_of(model)
    sizes = {name: tensor.ByteSize() for name, tensor in constants.items()}
    known, chosen = set(constants), []
    for node in model.graph.node:
        nested = any(attribute.type in (_GRAPH, _GRAPHS) for attribute in node.attribute)
        if (
            node.op_type in _RANDOM | _GROUPED
            or nested
            or not node.input
            or not known.issuperset(filter(None, node.input))
        ):
            continue
        if not any(name in fixed for name in node.output):
            chosen.append(node)
            known.update(node.output)
    wanted = [name for node in chosen for name in node.output if name]
    if not wanted:
        return
    part = type(model).FromString(model.SerializeToString())
    del part.graph.node[:], part.graph.input[:], part.graph.output[:], part.graph.initializer[:]
    needed = {name for node in chosen for name in node.input}
    part.graph.node.extend(chosen)
    part.graph.initializer.extend(tensor for name, tensor in constants.items() if name in needed)
    part.graph.output.extend(ValueInfoProto(name=name) for name in wanted)
    values = dict(zip(wanted, session_of(part.SerializeToString(), 1).run(wanted, {}), strict=True))
    _take_folded(model, chosen, {name: numpy_helper.from_array(_plain(v), name) for name, v in values.items()}, sizes)


def _plain(values: Any) -> NDArray[Any]:
    array = np.asarray(values)
    return array if array.dtype.kind not in "UT" else array.astype(object)


def _take_folded(model: Any, chosen: Sequence[Any], tensors: dict[str, Any], sizes: dict[str, int]) -> None:
    """Put constants in place of nodes, from the last ones back: those whose bytes and inputs' bytes are not fewer."""
    users: dict[str, int] = {}
    for node in model.graph.node:
        for name in set(node.input):
            users[name] = users.get(name, 0) + 1
    cost: dict[str, int] = dict(sizes)  # bytes that a value takes, as constants and nodes, while nobody else takes it
    for node in chosen:
        alone = sum(cost.get(name, 0) for name in set(node.input) if users.get(name, 0) == 1)
        for name in node.output:
            cost[name] = alone + node.ByteSize()
    ends = {
        name
        for node in model.graph.node
        if not all(each in tensors for each in node.output if each)
        for name in node.input
    }
    folded = {name for name in ends if name in tensors and tensors[name].ByteSize() <= cost[name] + _small(cost[name])}
    if folded:
        gone = {number for number, node in enumerate(model.graph.node) if any(name in folded for name in node.output)}
        gone = {
            number
            for number in gone
            if all(name in folded or name not in users for name in model.graph.node[number].output)
        }
        made = {name for number in gone for name in model.graph.node[number].output}
        model.graph.initializer.extend(tensors[name] for name in sorted(folded & made))
        _keep_nodes(model, gone)


def _small(size: int) -> int:
    return min(_MANY, 16 + size // 8)


def _fold_norms(model: Any, fixed: set[str]) -> None:
    """Normalisations behind convolutions become part of them: as onnxruntime does it at opening, in float."""
    from onnx import numpy_helper

    constants = constants_of(model)
    users: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            users[name] = users.get(name, 0) + 1
    made = {node.output[0]: node for node in model.graph.node if node.op_type == "Conv"}
    gone = set()
    for number, norm in enumerate(model.graph.node):
        if norm.op_type != "BatchNormalization" or norm.input[0] not in made or norm.input[0] in fixed:
            continue
        conv = made[norm.input[0]]
        taken = [*conv.input[1:3], *norm.input[1:]]
        if users[norm.input[0]] != 1 or not all(name in constants for name in taken) or len(norm.output) > 1:
            continue
        if any(constants[name].data_type != 1 for name in taken):
            continue
        arrays = [numpy_helper.to_array(constants[name]) for name in taken]
        epsilon = np.float32(next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5))
        scale, bias, mean, variance = arrays[-4:]
        factor = scale / np.sqrt(variance + epsilon)
        weight = arrays[0] * factor.reshape(-1, *[1] * (arrays[0].ndim - 1))
        shift = (arrays[1] - mean) * factor + bias if len(conv.input) > 2 else bias - mean * factor
        names = [f"{norm.output[0]}.weight", f"{norm.output[0]}.bias"]
        model.graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name)
            for value, name in zip((weight, shift), names, strict=True)
        )
        conv.input[:] = [conv.input[0], *names]
        conv.output[0] = norm.output[0]
        gone.add(number)
    _keep_nodes(model, gone)


def _drop_dead(model: Any, fixed: set[str]) -> None:
    """Nodes and constants that nothing needs which is told or kept."""
    needed = set(fixed)
    gone = set()
    for number in range(len(model.graph.node) - 1, -1, -1):
        node = model.graph.node[number]
        if needed.isdisjoint(node.output):
            gone.add(number)
        else:
            needed.update(node.input)
    _keep_nodes(model, gone)
    kept = [each for each in model.graph.initializer if each.name in needed]
    if len(kept) < len(model.graph.initializer):
        copies = [type(each).FromString(each.SerializeToString()) for each in kept]
        del model.graph.initializer[:]
        model.graph.initializer.extend(copies)


def narrow(model: Any, fixed: set[str]) -> None:
    """Long tables of whole numbers in as few bytes as hold them, in place; onnxruntime makes them wide at opening."""
    from onnx import helper, numpy_helper

    names, removed, nodes, tensors = Names(model), [], [], []
    for name, tensor in constants_of(model).items():
        if tensor.data_type not in _WHOLE or int(np.prod(tensor.dims)) < _LONG or name in fixed:
            continue
        wide = numpy_helper.to_array(tensor)
        fitting = [dtype for dtype in _NARROW if np.can_cast(dtype, wide.dtype) and dtype().itemsize < wide.itemsize]
        low, high = int(wide.min()), int(wide.max())
        dtype = next((d for d in fitting if np.iinfo(d).min <= low and high <= np.iinfo(d).max), None)
        if dtype is not None:
            stored = names.fresh("i")
            removed.append(name)
            tensors.append(numpy_helper.from_array(wide.astype(dtype), stored))
            nodes.append(helper.make_node("Cast", [stored], [name], to=tensor.data_type))
    put_before(model, removed, nodes, tensors)


def widen(model: Any) -> None:
    """Undo what `narrow` does, in place."""
    from onnx import numpy_helper

    constants, gone = constants_of(model), set()
    for number, node in enumerate(model.graph.node):
        tensor = constants.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None or node.attribute[0].i not in _WHOLE or tensor.data_type not in _FEWER:
            continue
        wide = numpy_helper.to_array(tensor).astype(_WHOLE[node.attribute[0].i])
        model.graph.initializer.append(numpy_helper.from_array(wide, node.output[0]))
        gone.add(number)
    _keep_nodes(model, gone)
    used = {name for node in model.graph.node for name in node.input}
    put_before(model, [name for name in constants if name not in used], [], [])


def _shorten(model: Any, fixed: set[str]) -> None:
    """Short names, the shortest for what is first."""
    names: dict[str, str] = {}
    taken = set(fixed)
    values = [each.name for each in model.graph.initializer]
    values += [name for node in model.graph.node for name in node.output if name]
    count = 0
    for value in values:
        if value in fixed:
            continue
        while (short := _letters(count)) in taken:
            count += 1
        count += 1
        names[value] = short
    for each in model.graph.initializer:
        each.name = names.get(each.name, each.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _letters(count: int) -> str:
    digits = "abcdefghijklmnopqrstuvwxyz0123456789"
    text = digits[count % 26]
    count //= 26
    while count:
        text += digits[count % 36]
        count //= 36
    return text
