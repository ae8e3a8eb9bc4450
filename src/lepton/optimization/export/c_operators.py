"""What each operator of ONNX becomes in C, for one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.optimization.export.base import cannot_express
from lepton.optimization.export.c_source import RUNTIME, Node, Source
from lepton.optimization.export.c_tables import label_encoder, tree_ensemble
from lepton.optimization.export.c_text import TYPES, Value, literal

__all__ = ["OPERATORS", "emit_all"]

_OF_ONE = {
    "Abs": "fabs({0})",
    "Ceil": "ceil({0})",
    "Cos": "cos({0})",
    "Erf": "erf({0})",
    "Exp": "exp({0})",
    "Floor": "floor({0})",
    "IsNaN": "({0} != {0})",
    "Log": "log({0})",
    "Neg": "-{0}",
    "Not": "!{0}",
    "Reciprocal": "1 / {0}",
    "Relu": "({0} < 0 ? 0 : {0})",
    "Round": "rint({0})",
    "Sigmoid": "1 / (1 + exp(-{0}))",
    "Sign": "({0} != {0} ? {0} : ({0} > 0) - ({0} < 0))",
    "Sin": "sin({0})",
    "Softplus": "({0} > 0 ? {0} + log1p(exp(-{0})) : log1p(exp({0})))",
    "Sqrt": "sqrt({0})",
    "Tan": "tan({0})",
    "Tanh": "tanh({0})",
}
_OF_SEVERAL = {
    "Add": "{0} + {1}",
    "And": "{0} && {1}",
    "Div": "{0} / {1}",
    "Equal": "({0} == {1})",
    "Greater": "({0} > {1})",
    "GreaterOrEqual": "({0} >= {1})",
    "Less": "({0} < {1})",
    "LessOrEqual": "({0} <= {1})",
    "Mul": "{0} * {1}",
    "Or": "({0} || {1})",
    "Pow": "pow({0}, {1})",
    "Sub": "{0} - {1}",
    "Where": "({0} ? {1} : {2})",
    "Xor": "(!{0} != !{1})",
}
_WHOLE = {"Abs": "({0} < 0 ? -{0} : {0})", "Ceil": "{0}", "Floor": "{0}", "Round": "{0}", "IsNaN": "0"}
_ALIASES = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_SUMS = {
    "ReduceSum": ("0", "{0} += {1};"),
    "ReduceMean": ("0", "{0} += {1};"),
    "ReduceMax": ("-INFINITY", "if ({1} > {0} || {1} != {1}) {0} = {1};"),
    "ReduceMin": ("INFINITY", "if ({1} < {0} || {1} != {1}) {0} = {1};"),
    "ReduceProd": ("1", "{0} *= {1};"),
    "ReduceL2": ("0", "{0} += {1} * {1};"),
    "ReduceSumSquare": ("0", "{0} += {1} * {1};"),
}
_FLOATS = ("float32", "float64")
_LONGEST_SUM_TEXT = 4096


def emit_all(source: Source) -> None:
    """Write every node.

    Raises:
        BundleError: GRAPH_REFUSED, naming every operator that has no form.
    """
    if unknown := sorted({node.op for node in source.live} - OPERATORS.keys()):
        several = "the operators " if len(unknown) > 1 else "the operator "
        fix = "export to onnx, which every machine with onnxruntime runs"
        raise cannot_express(several + ", ".join(unknown), RUNTIME, fix)
    for node in source.live:
        OPERATORS[node.op](source, node)


def _simple(source: Source, node: Node) -> None:
    values = [source.value(name) for name in node.inputs]
    form = _OF_ONE.get(node.op) or _OF_SEVERAL[node.op]
    if values[0].dtype not in _FLOATS:
        form = _WHOLE.get(node.op, form)
    if values[0].dtype == "object" and node.op == "Equal":
        form = "(strcmp({0}, {1}) == 0)"
    source.elementwise(source.result(node.outputs[0]), form, *values)


def _alias(source: Source, node: Node) -> None:
    source.alias(node.outputs[0], source.value(node.inputs[0]))


def _extreme(source: Source, node: Node) -> None:
    sign = ">" if node.op == "Max" else "<"
    values = [source.value(name) for name in node.inputs]
    to = source.result(node.outputs[0])
    source.elementwise(to, "{0}", values[0])
    for value in values[1:]:  # a missing number stays one, on whichever side it is
        source.elementwise(to, f"({{0}} {sign} {{1}} || {{0}} != {{0}} ? {{0}} : {{1}})", to, value)


def _clip(source: Source, node: Node) -> None:
    value = source.value(node.inputs[0])
    to = source.result(node.outputs[0])
    source.elementwise(to, "{0}", value)
    for place, sign in ((1, "<"), (2, ">")):
        if len(node.inputs) > place and node.inputs[place]:
            source.elementwise(to, f"({{0}} {sign} {{1}} ? {{1}} : {{0}})", to, source.value(node.inputs[place]))


def _cast(source: Source, node: Node) -> None:
    value, to = source.value(node.inputs[0]), source.result(node.outputs[0])
    if "object" in (value.dtype, to.dtype) and value.dtype != to.dtype:
        raise cannot_express("a Cast between numbers and texts", RUNTIME)
    form = f"({TYPES[to.dtype]}){{0}}"
    if to.dtype == "bool":
        form = "({0} != 0)"
    elif to.dtype == "int64" and value.dtype in _FLOATS:
        form = "lepton_whole({0})"
    source.elementwise(to, "{0}" if to.dtype == "object" else form, value)


def _leaky(source: Source, node: Node) -> None:
    alpha = literal(float(node.attributes.get("alpha", 0.01 if node.op == "LeakyRelu" else 1.0)))
    form = f"({{0}} < 0 ? {alpha} * {{0}} : {{0}})" if node.op == "LeakyRelu" else (
        f"({{0}} < 0 ? {alpha} * expm1({{0}}) : {{0}})"
    )  # fmt: skip
    source.elementwise(source.result(node.outputs[0]), form, source.value(node.inputs[0]))


def _gelu(source: Source, node: Node) -> None:
    form = "0.5 * {0} * (1 + erf({0} * 0.70710678118654752440))"
    if node.text("approximate", "none") == "tanh":
        form = "0.5 * {0} * (1 + tanh(0.79788456080286535588 * ({0} + 0.044715 * {0} * {0} * {0})))"
    source.elementwise(source.result(node.outputs[0]), form, source.value(node.inputs[0]))


def _batch_norm(source: Source, node: Node) -> None:
    values = [source.value(name) for name in node.inputs]
    epsilon = literal(float(node.attributes.get("epsilon", 1e-5)))
    deep = len(values[0].shape) - 2
    shapes = [values[0].shape, *(value.shape + (1,) * deep for value in values[1:])]
    form = f"({{0}} - {{3}}) / sqrt({{4}} + {epsilon}) * {{1}} + {{2}}"
    source.elementwise(source.result(node.outputs[0]), form, *values, shapes=shapes)


def _positions(value: Value) -> NDArray[np.int64]:
    return np.arange(value.size).reshape(value.shape)


def _moved(source: Source, node: Node, chosen: NDArray[Any]) -> None:
    """The output holds elements of the input, `chosen` by their flat places."""
    value, to = source.value(node.inputs[0]), source.result(node.outputs[0])
    source.move(to, np.arange(to.size), value, np.broadcast_to(chosen, to.shape).ravel())


def _concat(source: Source, node: Node) -> None:
    values = [source.value(name) for name in node.inputs]
    to = source.result(node.outputs[0])
    axis = node.attributes["axis"] % len(to.shape)
    ends = np.cumsum([value.shape[axis] for value in values])
    parts = np.split(_positions(to), ends[:-1], axis=axis)
    for value, part in zip(values, parts, strict=True):
        source.move(to, part.ravel(), value, np.arange(value.size))


def _split(source: Source, node: Node) -> None:
    value = source.value(node.inputs[0])
    axis = node.attributes.get("axis", 0) % len(value.shape)
    made = [source.result(name) for name in node.outputs]
    ends = np.cumsum([each.shape[axis] for each in made])
    for each, part in zip(made, np.split(_positions(value), ends, axis=axis), strict=False):
        source.move(each, np.arange(each.size), value, part.ravel())


def _slice(source: Source, node: Node) -> None:
    value = source.value(node.inputs[0])
    given = [source.fixed(name, "a Slice").ravel().tolist() if name else None for name in node.inputs[1:]]
    starts, ends = given[0] or [], given[1] or []
    axes = (given[2] if len(given) > 2 else None) or list(range(len(starts)))
    steps = (given[3] if len(given) > 3 else None) or [1] * len(starts)
    cuts = [slice(None)] * len(value.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = value.shape[axis]
        last = None if step < 0 and end < -size else min(end, size) if end >= 0 else end
        cuts[axis] = slice(start, last, step)
    _moved(source, node, _positions(value)[tuple(cuts)])


def _transpose(source: Source, node: Node) -> None:
    positions = _positions(source.value(node.inputs[0]))
    _moved(source, node, positions.transpose(node.attributes.get("perm")))


def _expand(source: Source, node: Node) -> None:
    _moved(source, node, _positions(source.value(node.inputs[0])))


def _tile(source: Source, node: Node) -> None:
    repeats = source.fixed(node.inputs[1], "a Tile")
    _moved(source, node, np.tile(_positions(source.value(node.inputs[0])), repeats))


def _gather(source: Source, node: Node) -> None:
    value, index = source.value(node.inputs[0]), source.value(node.inputs[1])
    axis = node.attributes.get("axis", 0) % max(len(value.shape), 1)
    if index.data is not None:
        _moved(source, node, _positions(value).take(index.data, axis=axis))
        return
    to = source.result(node.outputs[0])
    size, inner = value.shape[axis], int(np.prod(value.shape[axis + 1 :], dtype=np.int64))
    outer = int(np.prod(value.shape[:axis], dtype=np.int64))
    source.emit(
        f"for (i = 0; i < {outer * index.size}; i++) {{",
        f"  int64_t at = {index.code}[i % {index.size}];",
        f"  if (at < 0) at += {size};",
        f"  if (at < 0 || at >= {size}) return 1;",
        f"  for (j = 0; j < {inner}; j++)",
        f"    {to.code}[i * {inner} + j] = {value.code}[(i / {index.size} * {size} + at) * {inner} + j];",
        "}",
    )


def _reduce(source: Source, node: Node) -> None:
    value = source.value(node.inputs[0])
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        axes = source.fixed(node.inputs[1], node.op).tolist()
    if not axes and node.attributes.get("noop_with_empty_axes", 0):
        source.alias(node.outputs[0], value)
        return
    start, step = _SUMS[node.op]
    to = source.result(node.outputs[0])
    all_axes = range(len(value.shape))
    gone = {axis % len(value.shape) for axis in axes} if axes else {*all_axes}
    kept = tuple(1 if axis in gone else value.shape[axis] for axis in all_axes)
    places = np.broadcast_to(np.arange(to.size).reshape(kept), value.shape).ravel()
    into, own = f"{to.code}[{source.place(places)}]", f"{value.code}[i]"
    source.emit(f"for (i = 0; i < {to.size}; i++) {to.code}[i] = {start};")
    source.emit(f"for (i = 0; i < {value.size}; i++) {{ {step.format(into, own)} }}")
    if node.op == "ReduceMean":
        source.emit(f"for (i = 0; i < {to.size}; i++) {to.code}[i] /= {value.size // max(to.size, 1)};")
    if node.op == "ReduceL2":
        source.emit(f"for (i = 0; i < {to.size}; i++) {to.code}[i] = sqrt({to.code}[i]);")


def _lines_of(value: Value, axis: int) -> tuple[int, int, int]:
    """How an axis lies in memory: lines outside, its length, elements inside."""
    axis %= len(value.shape)
    outer = int(np.prod(value.shape[:axis], dtype=np.int64))
    return outer, value.shape[axis], int(np.prod(value.shape[axis + 1 :], dtype=np.int64))


def _arg_extreme(source: Source, node: Node) -> None:
    value, to = source.value(node.inputs[0]), source.result(node.outputs[0])
    outer, size, inner = _lines_of(value, node.attributes.get("axis", 0))
    sign = ">" if node.op == "ArgMax" else "<"
    sign += "=" if node.attributes.get("select_last_index", 0) else ""
    source.emit(
        f"for (i = 0; i < {outer * inner}; i++) {{",
        f"  const {TYPES[value.dtype]} *line = {value.code} + i / {inner} * {size * inner} + i % {inner};",
        f"  {to.code}[i] = 0;",
        f"  for (j = 1; j < {size}; j++)",
        f"    if (line[j * {inner}] {sign} line[{to.code}[i] * {inner}]) {to.code}[i] = j;",
        "}",
    )


def _softmax(source: Source, node: Node) -> None:
    value, to = source.value(node.inputs[0]), source.result(node.outputs[0])
    outer, size, inner = _lines_of(value, node.attributes.get("axis", -1))
    form = "exp(line[j * {n}] - most) / sum" if node.op == "Softmax" else "line[j * {n}] - most - log(sum)"
    source.emit(
        f"for (i = 0; i < {outer * inner}; i++) {{",
        f"  const int32_t at = i / {inner} * {size * inner} + i % {inner};",
        f"  const {TYPES[value.dtype]} *line = {value.code} + at;",
        "  double most = line[0], sum = 0;",
        f"  for (j = 1; j < {size}; j++) if (line[j * {inner}] > most) most = line[j * {inner}];",
        f"  for (j = 0; j < {size}; j++) sum += exp(line[j * {inner}] - most);",
        f"  for (j = 0; j < {size}; j++) {to.code}[at + j * {inner}] = {form.format(n=inner)};",
        "}",
    )


def _product(source: Source, node: Node) -> None:
    left, right = source.value(node.inputs[0]), source.value(node.inputs[1])
    if len(right.shape) != 2 or len(left.shape) < 2:
        raise cannot_express(f"a MatMul of the shapes {list(left.shape)} and {list(right.shape)}", RUNTIME)
    inner, columns = right.shape
    to = source.result(node.outputs[0])
    _multiply(
        source,
        to,
        (left.size // inner, inner, columns),
        f"{left.code}[i * {inner} + k]",
        f"{right.code}[k * {columns} + j]",
    )


def _gemm(source: Source, node: Node) -> None:
    left, right = source.value(node.inputs[0]), source.value(node.inputs[1])
    given = node.attributes
    to = source.result(node.outputs[0])
    rows, columns = to.shape
    inner = left.size // rows
    one = f"{left.code}[k * {rows} + i]" if given.get("transA", 0) else f"{left.code}[i * {inner} + k]"
    other = f"{right.code}[j * {inner} + k]" if given.get("transB", 0) else f"{right.code}[k * {columns} + j]"
    _multiply(source, to, (rows, inner, columns), one, other)
    if given.get("alpha", 1.0) != 1.0:
        source.elementwise(to, f"{literal(float(given['alpha']))} * {{0}}", to)
    if len(node.inputs) > 2 and node.inputs[2]:
        source.elementwise(
            to, f"{{0}} + {literal(float(given.get('beta', 1.0)))} * {{1}}", to, source.value(node.inputs[2])
        )


def _multiply(source: Source, to: Value, sizes: tuple[int, int, int], one: str, other: str) -> None:
    rows, inner, columns = sizes
    source.emit(
        f"for (i = 0; i < {rows}; i++)",
        f"  for (j = 0; j < {columns}; j++) {{",
        "    double sum = 0;",
        "    int32_t k;",
        f"    for (k = 0; k < {inner}; k++) sum += {one} * {other};",
        f"    {to.code}[i * {columns} + j] = sum;",
        "  }",
    )


def _join_texts(source: Source, node: Node) -> None:
    """Joined texts go into buffers that hold a character more than any text that they are compared with."""
    values = [source.value(name) for name in node.inputs]
    to = source.result(node.outputs[0])
    longest = max([len(text.encode()) for each in source.live for text in _keys(each)] + [source.longest_text]) + 2
    if longest > _LONGEST_SUM_TEXT:
        raise cannot_express(f"texts of {longest:,} bytes that are joined", RUNTIME)
    buffer = source.fresh("texts")
    source.emit(f"char {buffer}[{max(to.size, 1)}][{longest}];")
    source.on_stack += to.size * longest
    source.elementwise(to, f"lepton_join({buffer}[i], {longest}, {{0}}, {{1}})", *values)


def _keys(node: Node) -> list[str]:
    found = node.attributes.get("keys_strings", [])
    tensor = node.attributes.get("keys_tensor")
    listed = list(found) if tensor is None or tensor.dtype.kind not in "OSU" else tensor.ravel().tolist()
    return [text.decode() if isinstance(text, bytes) else str(text) for text in listed]


OPERATORS: dict[str, Callable[[Source, Node], None]] = {
    **dict.fromkeys((*_OF_ONE, *_OF_SEVERAL), _simple),
    **dict.fromkeys(_ALIASES, _alias),
    **dict.fromkeys(_SUMS, _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg_extreme),
    **dict.fromkeys(("Elu", "LeakyRelu"), _leaky),
    **dict.fromkeys(("LogSoftmax", "Softmax"), _softmax),
    **dict.fromkeys(("Max", "Min"), _extreme),
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Expand": _expand,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "LabelEncoder": label_encoder,
    "MatMul": _product,
    "Slice": _slice,
    "Split": _split,
    "StringConcat": _join_texts,
    "Tile": _tile,
    "Transpose": _transpose,
    "TreeEnsemble": tree_ensemble,
}
"""Operator → what writes it."""
