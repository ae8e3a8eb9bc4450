"""Operators of ONNX as functions of torch, as far as networks need them: one table, opset 20."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["RUN", "Operator", "numbers", "padded"]

Operator = Callable[[Sequence[Any], Mapping[str, Any], bool], Any]
"""(inputs, None where one is left out; attributes; whether it learns) → the value, or several."""

_TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16, 11: torch.float64}
_TYPES |= {2: torch.uint8, 3: torch.int8, 16: torch.bfloat16}
_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
_MAX_POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_MEAN_POOLS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_PADDING = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def numbers(value: Any) -> list[int]:
    """A tensor of whole numbers, or a list of them, as a list."""
    if value is None:
        return []
    return [int(each) for each in (value.reshape(-1).tolist() if isinstance(value, Tensor) else value)]


def _given(values: Sequence[Any], place: int) -> Any:
    return values[place] if place < len(values) else None


def _one(function: Callable[[Any], Any]) -> Operator:
    return lambda values, given, learns: function(values[0])


def _two(function: Callable[[Any, Any], Any]) -> Operator:
    return lambda values, given, learns: function(values[0], values[1])


def _many(function: Callable[[Any, Any], Any]) -> Operator:
    def run(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Any:
        found = values[0]
        for value in values[1:]:
            found = function(found, value)
        return found

    return run


def _divided(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def padded(x: Tensor, given: Mapping[str, Any], kernel: Sequence[int], fill: float = 0.0) -> tuple[Tensor, list[int]]:
    """`x` with what padding torch cannot do itself done, and the symmetric padding that is left to it."""
    rank = len(kernel)
    strides, dilations = given.get("strides", [1] * rank), given.get("dilations", [1] * rank)
    pads = list(given.get("pads", [0] * 2 * rank))
    how = given.get("auto_pad", "NOTSET")
    if how.startswith("SAME"):
        pads = [0] * 2 * rank
        for axis in range(rank):
            size = x.shape[2 + axis]
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            total = max(0, (-(-size // strides[axis]) - 1) * strides[axis] + reach - size)
            small = total // 2
            pads[axis], pads[rank + axis] = (small, total - small) if how == "SAME_UPPER" else (total - small, small)
    before, after = pads[:rank], pads[rank:]
    if before == after:
        return x, before
    both = [side for pair in reversed(list(zip(before, after, strict=True))) for side in pair]
    return functional.pad(x, both, value=fill), [0] * rank


def _conv(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, weight = values[:2]
    rank = weight.ndim - 2
    x, pads = padded(x, given, weight.shape[2:])
    return _CONVOLUTIONS[rank](
        x, weight, _given(values, 2), given.get("strides", 1), pads, given.get("dilations", 1), given.get("group", 1)
    )


def _conv_transpose(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, weight = values[:2]
    rank = weight.ndim - 2
    pads = list(given.get("pads", [0] * 2 * rank))
    before, after = pads[:rank], pads[rank:]
    made = _TRANSPOSED[rank](
        x, weight, _given(values, 2), given.get("strides", 1), 0, given.get("output_padding", 0),
        given.get("group", 1), given.get("dilations", 1),
    )  # fmt: skip
    cut = [slice(None)] * 2 + [
        slice(a, made.shape[2 + k] - b) for k, (a, b) in enumerate(zip(before, after, strict=True))
    ]
    return made[tuple(cut)]


def _gemm(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    a, b = values[:2]
    a = a.T if given.get("transA", 0) else a
    b = b.T if given.get("transB", 0) else b
    alpha, beta, added = given.get("alpha", 1.0), given.get("beta", 1.0), _given(values, 2)
    if alpha == 1.0 and beta == 1.0 and added is not None and added.ndim == 1:
        return functional.linear(a, b.T, added if len(added) == b.shape[1] else added.expand(b.shape[1]))
    product = a @ b * alpha
    return product if added is None else product + added * beta


def _batch_norm(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, scale, shift, mean, variance = values
    momentum = 1 - given.get("momentum", 0.9)
    return functional.batch_norm(x, mean, variance, scale, shift, learns, momentum, given.get("epsilon", 1e-5))


def _layer_norm(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, scale = values[:2]
    axis = given.get("axis", -1) % x.ndim
    shape, epsilon, shift = x.shape[axis:], given.get("epsilon", 1e-5), _given(values, 2)
    return functional.layer_norm(x, shape, scale.expand(shape), None if shift is None else shift.expand(shape), epsilon)


def _instance_norm(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    return functional.instance_norm(
        values[0], weight=values[1], bias=values[2], eps=given.get("epsilon", 1e-5), use_input_stats=True
    )


def _max_pool(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    kernel = given["kernel_shape"]
    x, pads = padded(values[0], given, kernel, -math.inf)
    return _MAX_POOLS[len(kernel)](
        x, kernel, given.get("strides", [1] * len(kernel)), pads, given.get("dilations", 1),
        ceil_mode=bool(given.get("ceil_mode", 0)),
    )  # fmt: skip


def _mean_pool(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    kernel = given["kernel_shape"]
    counts, ceil = bool(given.get("count_include_pad", 0)), bool(given.get("ceil_mode", 0))
    strides = given.get("strides", [1] * len(kernel))
    x, pads = padded(values[0], given, kernel)
    if x is not values[0] and not counts:  # padded on one side: the mean is over the rest
        ones, _ = padded(torch.ones_like(values[0]), given, kernel)
        run = _MEAN_POOLS[len(kernel)]
        return run(x, kernel, strides, ceil_mode=ceil) / run(ones, kernel, strides, ceil_mode=ceil)
    return _MEAN_POOLS[len(kernel)](x, kernel, strides, pads, ceil_mode=ceil, count_include_pad=counts)


def _axes(values: Sequence[Any], given: Mapping[str, Any], rank: int) -> list[int]:
    axes = numbers(_given(values, 1)) if _given(values, 1) is not None else list(given.get("axes", []))
    return [axis % rank for axis in axes] or list(range(rank))


def _reduced(function: Callable[..., Tensor]) -> Operator:
    def run(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
        x = values[0]
        asked = _given(values, 1) is not None or given.get("axes")
        if given.get("noop_with_empty_axes", 0) and not asked:
            return x
        return function(x, _axes(values, given, x.ndim), bool(given.get("keepdims", 1)))

    return run


def _reshape(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, sizes = values[0], numbers(values[1])
    if not given.get("allowzero", 0):
        sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x = values[0]
    axis = given.get("axis", 1) % (x.ndim + 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _squeeze(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, axes = values[0], numbers(_given(values, 1))
    return x.squeeze(tuple(axes)) if axes else x.squeeze()


def _unsqueeze(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, axes = values[0], numbers(values[1])
    for axis in sorted(each % (x.ndim + len(axes)) for each in axes):
        x = x.unsqueeze(axis)
    return x


def _transpose(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x = values[0]
    return x.permute(list(given.get("perm", range(x.ndim - 1, -1, -1))))


def _split(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Any:
    x, axis, sizes = values[0], given.get("axis", 0), numbers(_given(values, 1))
    if not sizes:
        part = -(-x.shape[axis] // given["num_outputs"])
        return x.split(part, axis)
    return x.split(sizes, axis)


def _slice(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, starts, ends = values[0], numbers(values[1]), numbers(values[2])
    axes = numbers(_given(values, 3)) or list(range(len(starts)))
    steps = numbers(_given(values, 4)) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        places = range(x.shape[axis])[start:end:step]
        x = x.narrow(axis, places.start, len(places)) if step == 1 else x.index_select(axis, torch.tensor([*places]))
    return x


def _gather(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, places, axis = values[0], values[1], given.get("axis", 0) % values[0].ndim
    size = x.shape[axis]
    places = torch.where(places < 0, places + size, places).long()
    if axis == 0 and x.ndim == 2 and places.ndim:
        return functional.embedding(places, x)
    return x.index_select(axis, places.reshape(-1)).reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


def _pad(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, pads, fill, axes = values[0], numbers(values[1]), _given(values, 2), numbers(_given(values, 3))
    axes = [axis % x.ndim for axis in axes] or list(range(x.ndim))
    sides = {axis: (pads[place], pads[len(axes) + place]) for place, axis in enumerate(axes)}
    mode = _PADDING[given.get("mode", "constant")]
    first = 0 if mode == "constant" else 2
    both = [side for axis in range(x.ndim - 1, first - 1, -1) for side in sides.get(axis, (0, 0))]
    return functional.pad(x, both, mode, float(fill) if fill is not None and mode == "constant" else 0.0)


def _resize(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    x, scales, sizes = values[0], _given(values, 2), numbers(_given(values, 3))
    if not sizes:
        sizes = [int(size * scale) for size, scale in zip(x.shape, scales.tolist(), strict=True)]
    mode, place = given.get("mode", "nearest"), given.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest":
        return functional.interpolate(x, tuple(sizes[2:]), mode="nearest" if place == "asymmetric" else "nearest-exact")
    mode = {"linear": {3: "linear", 4: "bilinear", 5: "trilinear"}[x.ndim], "cubic": "bicubic"}[mode]
    return functional.interpolate(x, tuple(sizes[2:]), mode=mode, align_corners=place == "align_corners")


def _shape(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    return torch.tensor(list(values[0].shape)[given.get("start", 0) : given.get("end")])


def _expand(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    return values[0].expand(torch.broadcast_shapes(values[0].shape, tuple(numbers(values[1]))))


def _cast(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    return values[0].to(_TYPES[given["to"]])


def _clip(values: Sequence[Any], given: Mapping[str, Any], learns: bool) -> Tensor:
    low, high = _given(values, 1), _given(values, 2)
    return values[0] if low is None and high is None else torch.clamp(values[0], low, high)


def _hard_sigmoid(x: Tensor, given: Mapping[str, Any]) -> Tensor:
    return torch.clamp(x * given.get("alpha", 0.2) + given.get("beta", 0.5), 0, 1)


RUN: dict[str, Operator] = {
    "Abs": _one(torch.abs),
    "Add": _two(torch.add),
    "And": _two(torch.logical_and),
    "AveragePool": _mean_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Ceil": _one(torch.ceil),
    "Celu": lambda v, a, _: functional.celu(v[0], a.get("alpha", 1.0)),
    "Clip": _clip,
    "Concat": lambda v, a, _: torch.cat(list(v), a["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Cos": _one(torch.cos),
    "Div": _two(_divided),
    "Dropout": _one(lambda x: x),
    "Elu": lambda v, a, _: functional.elu(v[0], a.get("alpha", 1.0)),
    "Equal": _two(torch.eq),
    "Erf": _one(torch.erf),
    "Exp": _one(torch.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _one(torch.floor),
    "Gather": _gather,
    "Gelu": lambda v, a, _: functional.gelu(v[0], approximate=a.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": _one(lambda x: x.mean(tuple(range(2, x.ndim)), keepdim=True)),
    "GlobalMaxPool": _one(lambda x: x.amax(tuple(range(2, x.ndim)), keepdim=True)),
    "Greater": _two(torch.gt),
    "GreaterOrEqual": _two(torch.ge),
    "HardSigmoid": lambda v, a, _: _hard_sigmoid(v[0], a),
    "HardSwish": _one(functional.hardswish),
    "Identity": _one(lambda x: x),
    "InstanceNormalization": _instance_norm,
    "IsNaN": _one(torch.isnan),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda v, a, _: functional.leaky_relu(v[0], a.get("alpha", 0.01)),
    "Less": _two(torch.lt),
    "LessOrEqual": _two(torch.le),
    "Log": _one(torch.log),
    "LogSoftmax": lambda v, a, _: torch.log_softmax(v[0], a.get("axis", -1)),
    "MatMul": _two(torch.matmul),
    "Max": _many(torch.maximum),
    "MaxPool": _max_pool,
    "Min": _many(torch.minimum),
    "Mish": _one(functional.mish),
    "Mul": _two(torch.mul),
    "Neg": _one(torch.neg),
    "Not": _one(torch.logical_not),
    "Or": _two(torch.logical_or),
    "PRelu": _two(lambda x, slope: torch.where(x < 0, x * slope, x)),
    "Pad": _pad,
    "Pow": _two(torch.pow),
    "Reciprocal": _one(torch.reciprocal),
    "ReduceL2": _reduced(lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)),
    "ReduceMax": _reduced(lambda x, axes, keep: x.amax(axes, keep)),
    "ReduceMean": _reduced(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceMin": _reduced(lambda x, axes, keep: x.amin(axes, keep)),
    "ReduceSum": _reduced(lambda x, axes, keep: x.sum(axes, keep)),
    "Relu": _one(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Round": _one(torch.round),
    "Selu": lambda v, a, _: (
        a.get("gamma", 1.0507010221481323)
        * torch.where(v[0] > 0, v[0], a.get("alpha", 1.6732631921768188) * torch.expm1(v[0]))
    ),
    "Shape": _shape,
    "Sigmoid": _one(torch.sigmoid),
    "Sign": _one(torch.sign),
    "Sin": _one(torch.sin),
    "Slice": _slice,
    "Softmax": lambda v, a, _: torch.softmax(v[0], a.get("axis", -1)),
    "Softplus": _one(functional.softplus),
    "Softsign": _one(functional.softsign),
    "Split": _split,
    "Sqrt": _one(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _two(torch.sub),
    "Sum": _many(torch.add),
    "Tanh": _one(torch.tanh),
    "ThresholdedRelu": lambda v, a, _: torch.where(v[0] > a.get("alpha", 1.0), v[0], torch.zeros_like(v[0])),
    "Tile": lambda v, a, _: v[0].repeat(numbers(v[1])),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": lambda v, a, _: torch.where(v[0], v[1], v[2]),
}
"""Operator → what it computes."""
