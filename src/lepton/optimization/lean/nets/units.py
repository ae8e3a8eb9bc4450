"""Which numbers of a network stand and fall together: units, such as channels, hidden units and heads.

Every value of the network gets an array of its own shape that says of each number which unit made it. Most operators
act on these arrays as they act on numbers: a flattened picture has each channel's unit as often as it has places. Where
two units meet in a sum they become one; where a unit cannot be told apart it is fixed. What a layer's weights are cut
by is then read off the values on its two sides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.optimization.lean.nets.module import NetModule
from lepton.optimization.lean.nets.operators import RUN, numbers
from lepton.optimization.lean.network import ELEMENTWISE, Network, Node

__all__ = ["Units", "find_units", "settled"]

Ids = NDArray[np.int64]

_FIXED = 0
_MOVING = frozenset({"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Split", "Slice", "Expand"})
_BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Pow", "PRelu", "Where", "Greater", "Less"})
_PLACES = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize"})
_ROWS = 2


@dataclass(frozen=True)
class Cut:
    """An axis of a constant that is cut as an axis of a value is."""

    constant: str
    axis: int
    value: str
    value_axis: int
    reads: bool  # the constant is what a layer reads the value with


@dataclass
class Units:
    """The units of a network.

    Attributes:
        network: whose.
        shapes: of every value for two rows.
        ids: value → unit of each of its numbers, not yet united; 0 is fixed.
        cuts: which constants are cut by which values.
    """

    network: Network
    shapes: Mapping[str, tuple[int, ...]]
    ids: dict[str, Ids] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    _parents: list[int] = field(default_factory=lambda: [_FIXED])

    # --- uniting -------------------------------------------------------------------------------------------------

    def made(self, count: int) -> Ids:
        """New units."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, unit: int) -> int:
        """The unit that one belongs to."""
        while self._parents[unit] != unit:
            self._parents[unit] = self._parents[self._parents[unit]]
            unit = self._parents[unit]
        return unit

    def roots(self, ids: Ids) -> Ids:
        """The units that those of an array belong to."""
        found, places = np.unique(ids, return_inverse=True)
        return np.array([self.root(int(each)) for each in found])[places].reshape(ids.shape)

    def unite(self, a: Ids, b: Ids) -> None:
        """Make units one, pair by pair; what is united with the fixed one is fixed."""
        pairs = np.unique(np.stack(np.broadcast_arrays(a, b)).reshape(2, -1), axis=1)
        for one, other in pairs.T:
            low, high = sorted((self.root(int(one)), self.root(int(other))))
            self._parents[high] = low

    def fix(self, *ids: Ids) -> None:
        """Units that must stay."""
        for each in ids:
            self.unite(each, np.array(_FIXED))

    def axis(self, name: str) -> tuple[int | None, Ids]:
        """The one axis of a value along which units differ, None without, and the units along it."""
        ids = self.roots(self.ids[name])
        axes = _varying(ids)
        if not axes:
            return None, ids.reshape(-1)[:1]
        return axes[0], ids[tuple(slice(None) if axis == axes[0] else 0 for axis in range(ids.ndim))]

    def settle(self, ids: Ids) -> Ids:
        """Units of a value such that they differ along one axis only: what shares a place of the first is one."""
        while len(axes := _varying(ids := self.roots(ids))) > 1:
            first = np.moveaxis(ids, axes[0], 0).reshape(ids.shape[axes[0]], -1)
            self.unite(first, first[:, :1])
        return ids

    # --- what comes out ------------------------------------------------------------------------------------------

    def layers(self) -> dict[int, tuple[tuple[str, int], ...]]:
        """Unit that may go → axes of constants that it has a part of; units of one layer have the same."""
        found: dict[int, dict[tuple[str, int], None]] = defaultdict(dict)
        for (constant, axis), units in self.parts().items():
            for unit in np.unique(units):
                if unit != _FIXED:
                    found[int(unit)][constant, axis] = None
        return {unit: tuple(sorted(places)) for unit, places in found.items()}

    def parts(self) -> dict[tuple[str, int], Ids]:
        """(constant, axis) → the unit of each place along it."""
        found = {}
        for cut in self.cuts:
            axis, units = self.axis(cut.value)
            if axis == cut.value_axis:
                found[cut.constant, cut.axis] = units
        return found

    def read_values(self) -> dict[str, tuple[int, Ids]]:
        """Values that layers read → the axis of their units, and the units along it."""
        found = {}
        for cut in self.cuts:
            axis, units = self.axis(cut.value)
            if cut.reads and axis == cut.value_axis and axis is not None:
                found[cut.value] = axis, units
        return found

    def without(self, gone: Iterable[int]) -> Network:
        """The network without some units."""
        lost = np.array(sorted(gone))
        constants = dict(self.network.constants)
        for (name, axis), units in self.parts().items():
            constants[name] = np.compress(~np.isin(units, lost), constants[name], axis=axis)
        nodes = []
        for node in self.network.nodes:
            made, more = self._narrowed(node, lost)
            nodes.append(made)
            constants |= more
        return self.network.changed(nodes, constants)

    def _kept(self, name: str, axis: int, lost: Ids) -> NDArray[np.bool_]:
        found, units = self.axis(name)
        size = self.shapes[name][axis]
        return ~np.isin(units, lost) if found == axis else np.ones(size, dtype=bool)

    def _narrowed(self, node: Node, lost: Ids) -> tuple[Node, dict[str, NDArray[Any]]]:
        """A node whose attributes and constant sizes fit what is left."""
        given = dict(node.attributes)
        if node.op == "Conv" and given.get("group", 1) > 1:
            kept = self._kept(node.inputs[0], 1, lost)
            given["group"] -= int((~kept).sum())  # depthwise: a group is a channel
            return replace(node, attributes=given), {}
        if node.op not in ("Reshape", "Split", "Slice") or self.axis(node.inputs[0])[0] is None:
            return node, {}
        if node.op == "Reshape":
            axis, _ = self.axis(node.outputs[0])
            sizes = np.array(self.network.constants[node.inputs[1]])
            if axis is not None and sizes[axis] > 0:
                sizes[axis] = self._kept(node.outputs[0], axis, lost).sum()
            return self._with(node, {1: sizes})
        if node.op == "Split":
            axis = given.get("axis", 0) % len(self.shapes[node.inputs[0]])
            given.pop("num_outputs", None)
            sizes = np.array([self._kept(name, axis, lost).sum() for name in node.outputs])
            made, more = self._with(node, {1: sizes})
            return replace(made, attributes=given), more
        return self._sliced(node, lost)

    def _sliced(self, node: Node, lost: Ids) -> tuple[Node, dict[str, NDArray[Any]]]:
        constants, shape = self.network.constants, self.shapes[node.inputs[0]]
        starts, ends = np.array(constants[node.inputs[1]]), np.array(constants[node.inputs[2]])
        axes = numbers(constants[node.inputs[3]]) if len(node.inputs) > 3 and node.inputs[3] else range(len(starts))
        for place, axis in enumerate(axes):
            kept = self._kept(node.inputs[0], axis % len(shape), lost)
            if not kept.all():
                first, last, _ = slice(int(starts[place]), int(ends[place])).indices(len(kept))
                starts[place], ends[place] = kept[:first].sum(), kept[:last].sum()
        return self._with(node, {1: starts, 2: ends})

    def _with(self, node: Node, values: Mapping[int, NDArray[Any]]) -> tuple[Node, dict[str, NDArray[Any]]]:
        """A node with constants of its own at some of its inputs."""
        names = [*node.inputs, *[""] * (max(values) + 1 - len(node.inputs))]
        more = {}
        for place, value in values.items():
            names[place] = f"{node.outputs[0]}/input_{place}"
            more[names[place]] = value.astype(np.int64)
        return replace(node, inputs=tuple(names)), more


def settled(network: Network, inputs: Sequence[NDArray[Any]]) -> Network:
    """The network with fixed sizes where they are the same for any number of rows, so that they can be changed."""
    module = NetModule(network).eval()
    with torch.no_grad():
        two, three = ([torch.from_numpy(np.resize(value, (n, *value.shape[1:]))) for value in inputs] for n in (2, 3))
        few, more = module.values(two), module.values(three)
    constants = dict(network.constants)
    nodes = []
    for node in network.nodes:
        if node.op == "Reshape" and node.inputs[1] not in constants:
            here, there = tuple(few[node.outputs[0]].shape), tuple(more[node.outputs[0]].shape)
            if here[1:] == there[1:]:
                name = f"{node.outputs[0]}/shape"
                constants[name] = np.array([-1, *here[1:]], dtype=np.int64)
                node = replace(node, inputs=(node.inputs[0], name))
        nodes.append(node)
    read, kept = {network.output}, []
    for node in reversed(nodes):
        if read.intersection(node.outputs):
            kept.append(node)
            read.update(node.inputs)
    return network.changed(kept[::-1], {name: value for name, value in constants.items() if name in read})


def find_units(network: Network, inputs: Sequence[NDArray[Any]], outside: Iterable[str] = ()) -> Units:
    """The units of a network.

    Args:
        network: `settled`.
        inputs: some rows of what comes to it.
        outside: values that others than the network read; they keep their sizes.
    """
    module = NetModule(network).eval()
    with torch.no_grad():
        rows = [torch.from_numpy(np.resize(value, (_ROWS, *value.shape[1:]))) for value in inputs]
        values = module.values(rows)
    units = Units(network, {name: tuple(value.shape) for name, value in values.items()})
    for name in network.inputs:
        units.ids[name] = np.zeros(units.shapes[name], dtype=np.int64)
    finder = _Finder(units, values)
    for node in network.nodes:
        finder.follow(node)
    units.fix(*(units.ids[name] for name in {network.output, *outside} if name in units.ids))
    shared: dict[tuple[str, int], Ids] = {}
    for (constant, axis), ids in _uses(units):
        if (constant, axis) in shared:
            units.unite(shared[constant, axis], ids)
        shared[constant, axis] = ids
    for name, ids in units.ids.items():
        units.ids[name] = units.settle(ids)
    return units


def _uses(units: Units) -> Iterable[tuple[tuple[str, int], Ids]]:
    for cut in units.cuts:
        axis, ids = units.axis(cut.value)
        size = units.network.constants[cut.constant].shape[cut.axis]
        yield (cut.constant, cut.axis), ids if axis == cut.value_axis else np.zeros(size, dtype=np.int64)


class _Finder:
    """Follows units from node to node."""

    def __init__(self, units: Units, values: Mapping[str, Any]) -> None:
        self.units = units
        self.values = values
        self.constants = units.network.constants

    def follow(self, node: Node) -> None:
        """Give the values that a node makes their units."""
        made = self._made(node)
        for name, ids in zip(node.outputs, made if isinstance(made, list) else [made], strict=False):
            shape = self.units.shapes[name]
            self.units.ids[name] = self.units.settle(np.broadcast_to(ids, shape))

    def _made(self, node: Node) -> Ids | list[Ids]:
        ids = [self.units.ids[name] for name in node.inputs if name in self.units.ids]
        if ids and node.op in ("Conv", "ConvTranspose"):
            return self._convolved(node, ids[0])
        if node.op in ("Gemm", "MatMul"):
            return self._multiplied(node)
        if node.op == "Gather" and node.inputs[0] in self.constants:
            return self._embedded(node)
        if node.inputs and node.inputs[0] in self.units.ids:
            x = ids[0]
            if node.op in ELEMENTWISE:
                return x
            if node.op in ("BatchNormalization", "InstanceNormalization"):
                self._along(node.inputs[1:], node.outputs[0], 1)
                return x
            if node.op in _PLACES:
                return self._pooled(node, x)
            if node.op in ("Softmax", "LogSoftmax", "LayerNormalization") or node.op.startswith("Reduce"):
                return self._over_axes(node, x)
            if node.op in _MOVING:
                return self._moved(node)
        if node.op in _BINARY and ids:
            return self._met(node)
        self.units.fix(*ids)
        return [np.zeros(self.units.shapes[name], dtype=np.int64) for name in node.outputs]

    def _cut(self, constant: str, axis: int, value: str, value_axis: int, *, reads: bool = False) -> None:
        self.units.cuts.append(Cut(constant, axis, value, value_axis, reads))

    def _along(self, names: Iterable[str], value: str, axis: int) -> None:
        """Constants of one axis that belong to an axis of a value."""
        for name in names:
            if name:
                self._cut(name, 0, value, axis)

    def _beside(self, constant: str, value: str) -> None:
        """A constant that is broadcast against a value."""
        shape = self.constants[constant].shape
        lacking = len(self.units.shapes[value]) - len(shape)
        for axis, size in enumerate(shape):
            if size > 1:
                self._cut(constant, axis, value, axis + lacking)

    def _only(self, ids: Ids, axis: int) -> Ids:
        """Units that differ along one axis only; fixed where they differ along others."""
        if any(each != axis for each in _varying(self.units.roots(ids))):
            self.units.fix(ids)
        return self.units.roots(ids)

    def _convolved(self, node: Node, x: Ids) -> Ids:
        name, weight, out = node.inputs[0], node.inputs[1], node.outputs[0]
        shape, group = self.units.shapes[out], node.attributes.get("group", 1)
        if weight not in self.constants:
            self.units.fix(*(self.units.ids[each] for each in node.inputs if each in self.units.ids))
            return np.zeros(shape, dtype=np.int64)
        x = self._only(x, 1)
        channels, transposed = x.shape[1], node.op == "ConvTranspose"
        if group == 1:
            self._cut(weight, 0 if transposed else 1, name, 1, reads=True)
            units = self.units.made(shape[1])
            self._cut(weight, 1 if transposed else 0, out, 1)
        elif group == channels and not transposed:
            along = x[0].reshape(channels, -1)[:, 0]
            units = np.repeat(along, shape[1] // channels)
            self._cut(weight, 0, out, 1)
        else:
            self.units.fix(x)
            return np.zeros(shape, dtype=np.int64)
        self._along(node.inputs[2:], out, 1)
        return np.broadcast_to(units.reshape(1, -1, *[1] * (len(shape) - 2)), shape)

    def _multiplied(self, node: Node) -> Ids:
        name, weight, out = node.inputs[0], node.inputs[1], node.outputs[0]
        shape = self.units.shapes[out]
        if name in self.units.ids and weight in self.units.ids and node.op == "MatMul":
            return self._products(self.units.ids[name], self.units.ids[weight], shape)
        turned = bool(node.attributes.get("transB", 0))
        if name not in self.units.ids or weight not in self.constants or node.attributes.get("transA", 0):
            self.units.fix(*(self.units.ids[each] for each in node.inputs if each in self.units.ids))
            return np.zeros(shape, dtype=np.int64)
        rank = self.constants[weight].ndim
        x = self.units.ids[name]
        if rank != 2:
            self.units.fix(x)
            return np.zeros(shape, dtype=np.int64)
        self._only(x, x.ndim - 1)
        self._cut(weight, 1 if turned else 0, name, x.ndim - 1, reads=True)
        self._cut(weight, 0 if turned else 1, out, len(shape) - 1)
        for each in node.inputs[2:]:
            if each:
                self._beside(each, out)
        return np.broadcast_to(self.units.made(shape[-1]), shape)

    def _products(self, a: Ids, b: Ids, shape: tuple[int, ...]) -> Ids:
        """The product of two values: what is summed over meets; heads meet."""
        a, b = self.units.roots(a), self.units.roots(b)
        if a.ndim != b.ndim or a.ndim < 2:
            self.units.fix(a, b)
            return np.zeros(shape, dtype=np.int64)
        rank = a.ndim
        if rank - 1 in _varying(a) or rank - 2 in _varying(b):
            self.units.unite(np.swapaxes(a, -1, -2)[..., :1], b[..., :1])
        rows, columns = self.units.roots(a)[..., :1], self.units.roots(b)[..., :1, :]
        if rank - 1 in _varying(self.units.roots(a)):
            rows = np.zeros_like(rows)
        if rank - 2 in _varying(self.units.roots(b)):
            columns = np.zeros_like(columns)
        if not _varying(rows) and not rows.any():
            return np.broadcast_to(columns, shape)
        if not _varying(columns) and not columns.any():
            return np.broadcast_to(rows, shape)
        self.units.unite(rows, columns)
        return np.broadcast_to(rows, shape)

    def _embedded(self, node: Node) -> Ids:
        out = node.outputs[0]
        shape, table = self.units.shapes[out], node.inputs[0]
        if self.constants[table].ndim != 2 or node.attributes.get("axis", 0) or node.inputs[1] in self.constants:
            return np.zeros(shape, dtype=np.int64)
        self._cut(table, 1, out, len(shape) - 1)
        return np.broadcast_to(self.units.made(shape[-1]), shape)

    def _pooled(self, node: Node, x: Ids) -> Ids:
        if node.op == "Resize" and len(node.inputs) > 3 and node.inputs[3]:
            self.units.fix(x)
        x = self._only(x, 1)
        return x[(slice(None), slice(None), *[slice(1)] * (x.ndim - 2))]

    def _over_axes(self, node: Node, x: Ids) -> Ids:
        """Operators that look at all numbers along some axes."""
        rank = x.ndim
        if node.op == "LayerNormalization":
            if node.attributes.get("axis", -1) % rank != rank - 1:
                self.units.fix(x)
            for name in node.inputs[1:]:
                self._beside(name, node.outputs[0])
            return x
        if not node.op.startswith("Reduce"):
            if node.attributes.get("axis", -1) % rank in _varying(self.units.roots(x)):
                self.units.fix(x)
            return x
        axes = node.attributes.get("axes", [])
        if len(node.inputs) > 1 and node.inputs[1]:
            axes = numbers(self.constants.get(node.inputs[1], np.zeros(0)))
        axes = tuple(axis % rank for axis in axes) or tuple(range(rank))
        if set(axes) & set(_varying(self.units.roots(x))):
            self.units.fix(x)
        return np.asarray(x.min(axis=axes, keepdims=bool(node.attributes.get("keepdims", 1))))

    def _moved(self, node: Node) -> list[Ids]:
        """Operators that move numbers act on their units alike."""
        x = self.units.ids[node.inputs[0]]
        sizes = node.inputs[1:] if node.op != "Concat" else ()
        if any(name and name not in self.constants for name in sizes):
            self.units.fix(x)
            return [np.zeros(self.units.shapes[name], dtype=np.int64) for name in node.outputs]
        if node.op == "Slice" and len(node.inputs) > 4 and (self.constants[node.inputs[4]] != 1).any():
            self.units.fix(x)
        given = []
        for place, name in enumerate(node.inputs):
            if place == 0 or node.op == "Concat":
                shape = self.values[name].shape
                ids = self.units.ids.get(name)
                given.append(torch.from_numpy(np.zeros(shape, np.int64) if ids is None else np.array(ids)))
            else:
                given.append(self.values[name] if name else None)
        made = RUN[node.op](given, node.attributes, False)
        return [each.numpy() for each in (made if isinstance(made, tuple | list) else (made,))]

    def _met(self, node: Node) -> Ids:
        """Operators of several values, number by number."""
        out = node.outputs[0]
        shape = self.units.shapes[out]
        met: Ids | None = None
        for name in node.inputs:
            if name in self.constants:
                self._beside(name, out)
            elif name in self.units.ids:
                ids = self.units.ids[name]
                if met is not None:
                    self.units.unite(met, ids)
                met = (
                    ids
                    if met is None
                    else np.maximum(*np.broadcast_arrays(self.units.roots(met), self.units.roots(ids)))
                )
        return np.broadcast_to(met if met is not None else np.zeros(1, np.int64), shape)


def _varying(ids: Ids) -> list[int]:
    """Axes along which units differ."""
    return [axis for axis in range(ids.ndim) if (ids != ids.take([0], axis)).any()]
