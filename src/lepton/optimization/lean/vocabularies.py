"""Vocabularies inside graphs: the tables that numbers of words or pieces are looked up in, and smaller ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.optimization.lean.weights import FLOAT, FLOAT16, Names, constants_of, put_before, uses_of

__all__ = ["Pieces", "Tokens", "pieces_of", "tokens_of"]

_SLOTS_PER_KEY = 8
_LEAST = 256  # entries worth dropping some of
_NARROW = 65_536

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Numbers of tokens that come in, and the tables of floats that they are looked up in.

    Attributes:
        value: the numbers.
        tables: names of constants [V, ...].
        size: V.
    """

    value: str
    tables: tuple[str, ...]
    size: int

    def importance(self, model: Any, counts: Integers) -> NDArray[np.float64]:
        """Tokens by how often they stand in rows; of equally frequent ones the lower number is more common."""
        return counts + np.linspace(0.5, 0.0, self.size)

    def cut(self, model: Any, importance: NDArray[np.float64], count: int) -> None:
        """Keep the most important, in place: a table of new numbers stands before; the rest share one entry."""
        from onnx import helper, numpy_helper

        kept = _most(importance, count)
        names, arrays = Names(model), _arrays(model, self.tables)
        lost = np.setdiff1d(np.arange(self.size), kept)
        places = np.full(self.size, len(kept), dtype=np.uint16 if len(kept) < _NARROW else np.int32)
        places[kept] = np.arange(len(kept))
        found, wide, new = names.fresh("f"), names.fresh("f"), names.fresh("v")
        tensors = [numpy_helper.from_array(places, new)]
        for node, place in uses_of(model)[self.value]:
            if place == 1 and node.op_type == "Gather" and node.input[0] in self.tables:
                node.input[1] = wide
        for name, array in arrays.items():
            mean = array[lost].astype(np.float64).mean(axis=0, keepdims=True).astype(array.dtype)
            tensors.append(numpy_helper.from_array(np.concatenate([array[kept], mean]), name))
        nodes = [
            helper.make_node("Gather", [new, self.value], [found]),
            helper.make_node("Cast", [found], [wide], to=6),
        ]
        put_before(model, self.tables, nodes, tensors)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of texts by their keys, found by hashing, and the tables that their numbers are looked up in.

    Attributes:
        keys: name of the constant with the key of each number, int64 [V].
        slots: name of the constant with the number in each slot.
        divisor: name of the constant with how many slots there are.
        numbers: the value with the numbers that were found, 0 for others.
        tables: names of constants [V, ...] or of the first of them.
        limits: names of int32 constants: numbers from them on are as good as absent in a table.
        size: V.
    """

    keys: str
    slots: str
    divisor: str
    numbers: str
    tables: tuple[str, ...]
    limits: tuple[str, ...]
    size: int

    def importance(self, model: Any, counts: Integers) -> NDArray[np.float64]:
        """Pieces by the squares that they add to what is summed, as often as they stand in rows or are thought to."""
        found = np.zeros(self.size)
        for array in _arrays(model, self.tables).values():
            if array.ndim < 2:
                continue
            squares = (array.astype(np.float64).reshape(len(array), -1) ** 2).sum(axis=1)
            found[: len(array)] += squares / max(squares.mean(), 1e-300)
        # Numbers are in the order of how often pieces stood in the texts of training: Zipf's law.
        thought: NDArray[np.float64] = max(int(counts.sum()), 1) / self.size / np.arange(1, self.size + 1)
        return np.asarray(found * (counts + thought), dtype=np.float64)

    def cut(self, model: Any, importance: NDArray[np.float64], count: int) -> None:
        """Keep the most important, in place, beside 0, which stands for any other."""
        from onnx import numpy_helper

        kept = np.union1d([0], _most(importance, count))
        old = _arrays(model, (self.keys, *self.tables, *self.limits))
        keys = old[self.keys][kept]
        slots = max(_SLOTS_PER_KEY * len(keys), 1) | 1
        places = keys[1:] % slots
        taken = np.zeros(slots, dtype=np.int64)
        order = np.argsort(importance[kept[1:]], kind="stable")  # of several in one slot the most important stays
        taken[places[order]] = order + 1
        stay = taken[places] == np.arange(1, len(keys))
        kept = np.concatenate([kept[:1], kept[1:][stay]])
        numbers = np.zeros(slots, dtype=np.int32)
        numbers[places[stay]] = np.arange(1, len(kept))
        new: dict[str, NDArray[Any]] = {
            self.keys: old[self.keys][kept],
            self.divisor: np.array(slots),
            self.slots: numbers,
        }
        new |= {name: old[name][kept[kept < len(old[name])]] for name in self.tables}
        new |= {name: np.array((kept < int(old[name])).sum(), dtype=np.int32) for name in self.limits}
        tensors = [numpy_helper.from_array(array, name) for name, array in new.items()]
        put_before(model, list(new), [], tensors)


def tokens_of(model: Any) -> Tokens | None:
    """The vocabulary of tokens that come into a graph, if there is one of enough entries."""
    constants, uses = constants_of(model), uses_of(model)
    for each in model.graph.input:
        tables = [
            node.input[0]
            for node, place in uses.get(each.name, [])
            if node.op_type == "Gather" and place == 1 and _is_table(constants.get(node.input[0]), node)
        ]
        sizes = {constants[name].dims[0] for name in tables}
        alone = all(len(uses[name]) == 1 for name in tables)
        if len(sizes) == 1 and alone and min(sizes) >= _LEAST:
            return Tokens(each.name, tuple(dict.fromkeys(tables)), int(sizes.pop()))
    return None


def pieces_of(model: Any) -> Pieces | None:
    """The vocabulary of hashed pieces of a graph, if there is one of enough entries."""
    constants = constants_of(model)
    made = {name: node for node in model.graph.node for name in node.output}
    uses = uses_of(model)
    for node in model.graph.node:
        if node.op_type != "Where" or node.input[0] not in made or made[node.input[0]].op_type != "Equal":
            continue
        looked = made.get(made[node.input[0]].input[0])
        found = made.get(node.input[1])
        if looked is None or found is None or looked.op_type != "Gather" or found.op_type != "Gather":
            continue
        place = made.get(found.input[1])
        if place is None or place.op_type != "Mod" or looked.input[1] != node.input[1]:
            continue
        keys, slots, divisor = looked.input[0], found.input[0], place.input[1]
        if not {keys, slots, divisor} <= set(constants) or any(len(uses[name]) > 1 for name in (keys, divisor)):
            continue
        tables, limits = _looked_up(node.output[0], uses, constants)
        size = int(constants[keys].dims[0])
        if tables and size >= _LEAST:
            return Pieces(keys, slots, divisor, node.output[0], tables, limits, size)
    return None


def _most(importance: NDArray[np.float64], count: int) -> Integers:
    return np.sort(np.argsort(-importance, kind="stable")[:count])


def _looked_up(
    value: str, uses: Mapping[str, Sequence[tuple[Any, int]]], constants: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tables and limits behind the numbers of pieces; none where a node makes something else of the numbers."""
    tables, limits = [], []
    for node, place in uses.get(value, []):
        if node.op_type == "Gather" and place == 1 and node.input[0] in constants and len(uses[node.input[0]]) == 1:
            tables.append(node.input[0])
        elif node.op_type == "Less" and place == 0 and node.input[1] in constants and len(uses[node.input[1]]) == 1:
            limits.append(node.input[1])
        elif node.op_type == "Where" and place == 1:
            further, none = _looked_up(node.output[0], uses, constants)
            if not further or none:
                return (), ()
            tables += further
        else:
            return (), ()
    return tuple(tables), tuple(limits)


def _is_table(tensor: Any, node: Any) -> bool:
    axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
    return tensor is not None and tensor.data_type in (FLOAT, FLOAT16) and len(tensor.dims) >= 2 and axis == 0


def _arrays(model: Any, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    from onnx import numpy_helper

    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer if each.name in names}
