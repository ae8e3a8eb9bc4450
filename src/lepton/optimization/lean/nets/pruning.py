"""Taking units out of a network, the least important first, and teaching what is left."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.core import ErrorCode, Interrupted, TrainingError, Work
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.nets.module import NetModule
from lepton.optimization.lean.nets.recover import BATCH, PASSES, Lessons, lessons_of, taught, torch_threads
from lepton.optimization.lean.nets.refitting import without_and_refitted
from lepton.optimization.lean.nets.units import Units, find_units, settled
from lepton.optimization.lean.network import Network, read_network

__all__ = ["importance", "prune", "prune_network"]

_ROWS_TO_RANK = 1_024
_ROUND = 0.6  # of the cost that goes at most before the network is taught again
_SHORT = 0.15  # of the passes are made between rounds
_FLOOR = 0.05  # of a layer that always stays
_SPEEDY = 8  # channels that onnxruntime computes at once
_NUM_SEARCHES = 30


def prune(subject: Subject, draft: Draft, share: float, work: Work, *, by: str = "taylor") -> bytes:
    """The graph of a draft with a share of its network taken out, taught again.

    Args:
        subject: what it is to answer.
        draft: with a network.
        share: of weights and multiply-adds (the mean of both) that goes.
        work: the time.
        by: `taylor` or `l1`; see `importance`.

    Raises:
        TrainingError: the network has nothing that could go.
    """
    network = read_network(draft.graph, draft.manifest)
    lessons = lessons_of(network, subject, work)
    return prune_network(network, lessons, share, work, by=by, passes=PASSES).graph


def prune_network(
    network: Network, lessons: Lessons, share: float, work: Work, *, passes: float, by: str = "taylor"
) -> Network:
    """The same for a network and what it learns from."""
    some = [value[:2].numpy() for value in lessons.inputs]
    network = settled(network, some)
    outside = _read_outside(network)
    rounds = max(1, math.ceil(math.log(1 - share) / math.log(1 - _ROUND)))
    whole = _cost(find_units(network, some, outside), ())
    for number in range(1, rounds + 1):
        work.check()
        units = find_units(network, some, outside)
        goal = (1 - share) ** (number / rounds)
        gone = _chosen(units, importance(units, lessons, work, by=by), whole, goal)
        network = without_and_refitted(units, gone, lessons.inputs)
        if number < rounds:
            part = work if work.remaining is None else work.part(work.remaining * _SHORT)
            with suppress(Interrupted):  # without the little in between it may still come out well
                network = taught(network, lessons, part, passes=passes * _SHORT, name=f"prune-{number}")
    return taught(network, lessons, work, passes=passes, name="prune")


def importance(units: Units, lessons: Lessons, work: Work, *, by: str = "taylor") -> dict[int, float]:
    """What each unit matters.

    `taylor`: by how much the scores would move without it, to first order: the mean square over rows of the derivative
    of a random sum of the scores by a factor on the unit (Molchanov et al., "Importance Estimation for Neural Network
    Pruning", 2019, with the scores in the place of the loss, which has no slope where the network has learned).
    `l1`: the mean size of the weights that read it.
    """
    found: dict[int, float] = dict.fromkeys(units.layers(), 0.0)
    if by == "l1":
        for (name, axis), ids in units.parts().items():
            value = units.network.constants[name]
            if value.ndim > 1:
                sizes = np.abs(value).mean(axis=tuple(a for a in range(value.ndim) if a != axis))
                for unit, size in zip(ids.tolist(), sizes.tolist(), strict=True):
                    found[unit] = found.get(unit, 0.0) + size
        return found
    read = units.read_values()
    module = NetModule(units.network).eval()
    generator = torch.Generator().manual_seed(work.seed_for("importance"))
    order = torch.randperm(len(lessons), generator=generator)[:_ROWS_TO_RANK]
    totals = {name: np.zeros(len(ids)) for name, (_, ids) in read.items()}
    with torch_threads(work):
        for places in order.split(BATCH):
            inputs = [value[places] for value in lessons.inputs]
            for name, moved in _moved(module, read, inputs, generator).items():
                totals[name] += moved
    for name, (_, ids) in read.items():
        for unit, total in zip(ids.tolist(), totals[name].tolist(), strict=True):
            if unit:
                found[unit] = found.get(unit, 0.0) + total
    return found


def _moved(
    module: NetModule, read: Mapping[str, tuple[int, Any]], inputs: Sequence[Any], generator: Any
) -> dict[str, NDArray[np.float64]]:
    """Value → for each place along its units' axis, the sum over rows of (value · slope)²."""

    def watched(value: Any) -> Any:
        value = value if value.requires_grad else value.requires_grad_()
        value.retain_grad()
        return value

    inside = {name for name in read if name not in module.network.inputs}
    values = module.values(inputs, dict.fromkeys(inside, watched))
    scores = values[module.network.output]
    signs = torch.randint(0, 2, scores.shape, generator=generator) * 2 - 1
    (scores * signs).sum().backward()
    found = {}
    for name in inside:
        value, (axis, _) = values[name], read[name]
        if value.grad is None:
            found[name] = np.zeros(value.shape[axis])
            continue
        product = (value * value.grad).detach().double()
        others = tuple(each for each in range(1, product.ndim) if each != axis)
        found[name] = (product.sum(others) if others else product).square().sum(0).numpy()
    module.zero_grad(set_to_none=True)
    return found


@dataclass(frozen=True)
class _Cost:
    weights: float
    products: float


def _cost(units: Units, gone: Sequence[int]) -> _Cost:
    """Weights and multiply-adds of a row without some units."""
    lost = np.array(gone, dtype=np.int64)
    kept: dict[str, dict[int, float]] = defaultdict(dict)
    for (name, axis), ids in units.parts().items():
        kept[name][axis] = 1 - float(np.isin(ids, lost).mean())
    network = units.network
    sizes = {name: network.constants[name].size * math.prod(kept[name].values()) for name in network.weights}
    products = 0.0
    for node in network.nodes:
        if node.op in ("Conv", "ConvTranspose", "Gemm", "MatMul") and node.inputs[1] in sizes:
            shape = units.shapes[node.outputs[0]]
            places = math.prod(shape[2:]) if node.op.startswith("Conv") else math.prod(shape[1:-1])
            products += sizes[node.inputs[1]] * places
    return _Cost(sum(sizes.values()), products)


def _chosen(units: Units, matters: Mapping[int, float], whole: _Cost, goal: float) -> tuple[int, ...]:
    """Units to take out until a share of the cost is left."""
    layers: dict[Any, list[int]] = defaultdict(list)
    for unit, places in units.layers().items():
        layers[places].append(unit)
    if not layers:
        raise TrainingError(
            ErrorCode.TRAINING_FAILED, "no channel and no hidden unit of the network can be taken out by itself"
        )
    ranks: dict[int, float] = {}
    for members in layers.values():
        mean = sum(matters[unit] for unit in members) / len(members) or 1.0
        members.sort(key=lambda unit: (-matters[unit], unit))
        ranks |= {unit: matters[unit] / mean for unit in members}
    order = sorted(ranks, key=lambda unit: (ranks[unit], unit))

    def first(count: int) -> tuple[int, ...]:
        out = set(order[:count])
        return tuple(
            unit
            for members in layers.values()
            for unit in members[_staying(len(members), len(out.intersection(members))) :]
        )

    def left(count: int) -> float:
        cost = _cost(units, first(count))
        return (cost.weights / whole.weights + cost.products / whole.products) / 2

    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if left(middle) <= goal else (middle + 1, high)
    return first(low)


def _staying(size: int, asked: int) -> int:
    """How many units of a layer stay when some are asked to go: a multiple of what is computed at once."""
    stays = max(size - asked, math.ceil(size * _FLOOR), 1)
    step = _SPEEDY if size > 2 * _SPEEDY else 4 if size > _SPEEDY else 1
    return min(size, math.ceil(stays / step) * step)


def _read_outside(network: Network) -> set[str]:
    """Values of a network that other nodes of the graph, or its callers, read."""
    graph = parse(network.graph).graph
    inside = {node.outputs[0] for node in network.nodes}
    read = {output.name for output in graph.output}
    for proto in graph.node:
        if not proto.output or proto.output[0] not in inside:
            read.update(proto.input)
    return read
