"""Weights of a few values: which values, which scale for each channel, and which value each number takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lepton.core import Work
from lepton.optimization.lean.damage import batches, session_of, with_outputs
from lepton.optimization.lean.integers import LEVELS, Layer
from lepton.optimization.lean.unpacking import Palette
from lepton.optimization.lean.weights import Weight

__all__ = ["fit_palette", "second_moments"]

_BINS = 4_096
_ROUNDS, _SWEEPS = 4, 25
_POSITIONS = 2_048  # of a layer, that moments are taken over
_WIDEST = 3_072  # inputs of one channel whose moments are kept: time grows with the cube
_MOST_GROUPS = 16
_DAMPING = 0.01
_BLOCK = 64

Doubles = NDArray[np.float64]


def fit_palette(weight: Weight, bits: int, moments: Doubles | None = None, *, whole: bool = False) -> Palette:
    """The palette with which a weight, or what its layer gives, changes least in squares.

    Values are the centres of Lloyd's iterations. Where the layer's inputs are known numbers are rounded one after the
    other, each making up for what the ones before it lost (Frantar et al., "GPTQ", 2023).

    Args:
        weight: it.
        bits: of the place of a number.
        moments: second moments of what is multiplied with it, [G, K, K]; None where they are not known.
        whole: whether the values must be whole numbers of at most `LEVELS`, before scales.
    """
    rows = _rows(weight)
    scales = np.sqrt(np.mean(rows**2, axis=1))
    scales = np.where(scales > 0, scales, 1.0)
    values = _start(rows / scales[:, None], 2**bits)
    for _ in range(_ROUNDS):
        unit = rows / scales[:, None]
        values = _settled(values, unit, np.broadcast_to(scales[:, None] ** 2, unit.shape))
        scales = _refit(rows, values[_nearest(values, unit)], scales, None)
    if whole:
        step = max(float(np.abs(values).max()), 1e-30) / LEVELS
        values, scales = np.rint(values / step), scales * step
    places = _nearest(values, rows / scales[:, None])
    if moments is not None:
        for rounds in range(2):
            places = np.concatenate([
                _made_up(part, scale, values, moment)
                for part, scale, moment in zip(*_grouped(len(moments), rows, scales), moments, strict=True)
            ])  # fmt: skip
            if rounds == 0:
                scales = _refit(rows, values[places], scales, moments)
    shape = [weight.values.shape[weight.axis], *np.delete(weight.values.shape, weight.axis)]
    placed = np.moveaxis(places.reshape(shape), 0, weight.axis)
    return Palette(values.astype(np.float32), scales.astype(np.float32), np.ascontiguousarray(placed, dtype=np.uint8))


def second_moments(
    graph: bytes, layers: Sequence[Layer], nodes: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], work: Work
) -> dict[str, Doubles]:
    """Weight → second moments [G, K, K] of what each of its channels is multiplied with, on some rows.

    Layers of too many inputs, groups or other than plain windows are not there.

    Args:
        graph: serialized.
        layers: whose inputs are looked at.
        nodes: value → node, of all layers.
        tensors: the graph's inputs.
        work: checked between calls; `resources`.
    """
    names = list(dict.fromkeys(layer.given for layer in layers))
    session = session_of(with_outputs(graph, names), work.resources.cpus)
    taken = {each.name for each in session.get_inputs()}
    count = len(next(iter(tensors.values())))
    found: dict[str, Doubles] = {}
    for batch in batches(tensors):
        work.check()
        share = len(next(iter(batch.values()))) / count
        values = dict(zip(names, session.run(names, {k: v for k, v in batch.items() if k in taken}), strict=True))
        for layer in layers:
            most = max(1, round(_POSITIONS * share))
            chosen = _columns(layer, nodes[layer.output], values[layer.given], most)
            if chosen is None or not len(chosen):
                continue
            moment = np.einsum("ngk,ngl->gkl", chosen, chosen, optimize=True).astype(np.float64)
            found[layer.weight.name] = found.get(layer.weight.name, 0.0) + moment
    return found


def _columns(layer: Layer, node: Any, value: NDArray[Any], most: int) -> NDArray[Any] | None:
    """What the channels of a layer are multiplied with, at about `most` positions: [positions, G, K]."""
    if layer.operator != "Conv":
        inputs = value.shape[-1]
        return _some(value.reshape(-1, inputs), 1, most)[:, None] if inputs <= _WIDEST else None
    told = {each.name: each for each in node.attribute}
    weight = layer.weight.values
    rank, groups = weight.ndim - 2, told["group"].i if "group" in told else 1
    dilated = "dilations" in told and set(told["dilations"].ints) != {1}
    automatic = "auto_pad" in told and told["auto_pad"].s not in (b"NOTSET", b"")
    if dilated or automatic or groups > _MOST_GROUPS or weight[0].size > _WIDEST:
        return None
    pads = list(told["pads"].ints) if "pads" in told else [0] * 2 * rank
    strides = list(told["strides"].ints) if "strides" in told else [1] * rank
    padded = np.pad(value, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    windows = sliding_window_view(padded, weight.shape[2:], axis=tuple(range(2, 2 + rank)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, stride) for stride in strides))]
    last = np.moveaxis(windows, 1, 1 + rank)  # [N, *sides, C, *kernel]
    return _some(last, 1 + rank, most).reshape(-1, groups, weight[0].size)


def _some(value: NDArray[Any], axes: int, most: int) -> NDArray[Any]:
    """About `most` of the places of the first axes, evenly spread; what is not chosen is not copied."""
    shape = value.shape[:axes]
    count = int(np.prod(shape))
    chosen: NDArray[Any] = value[np.unravel_index(np.arange(0, count, max(1, round(count / most))), shape)]
    return chosen


def _rows(weight: Weight) -> Doubles:
    channels = np.moveaxis(weight.values, weight.axis, 0).astype(np.float64)
    return channels.reshape(len(channels), -1)


def _nearest(values: Doubles, unit: Doubles) -> NDArray[np.int64]:
    return np.searchsorted((values[1:] + values[:-1]) / 2, unit)


def _grouped(groups: int, rows: Doubles, scales: Doubles) -> tuple[list[Doubles], list[Doubles]]:
    return np.split(rows, groups), np.split(scales, groups)


def _refit(rows: Doubles, values: Doubles, scales: Doubles, moments: Doubles | None) -> Doubles:
    """The scale of each channel that is best for given values; scales stay above 0."""
    seen = values
    if moments is not None:
        parts = np.split(values, len(moments))
        seen = np.concatenate([part @ moment for part, moment in zip(parts, moments, strict=True)])
    squares = np.einsum("ck,ck->c", values, seen)
    found = np.einsum("ck,ck->c", rows, seen) / np.maximum(squares, 1e-300)
    return np.where((squares > 0) & (found > 0), found, scales)


def _made_up(rows: Doubles, scales: Doubles, values: Doubles, moments: Doubles) -> NDArray[np.int64]:
    """Places of numbers that are rounded one input after the other; later ones make up for earlier ones."""
    size = rows.shape[1]
    damped = moments + np.eye(size) * max(_DAMPING * float(np.trace(moments)) / size, 1e-12)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, places = rows.T.copy(), np.empty(rows.shape[::-1], dtype=np.int64)
    for start in range(0, size, _BLOCK):
        block = slice(start, min(start + _BLOCK, size))
        lost = np.empty((block.stop - start, len(rows)))
        for column in range(start, block.stop):
            places[column] = _nearest(values, left[column] / scales)
            lost[column - start] = (left[column] - values[places[column]] * scales) / upper[column, column]
            left[column + 1 : block.stop] -= upper[column, column + 1 : block.stop, None] * lost[column - start]
        left[block.stop :] -= upper[block, block.stop :].T @ lost
    return places.T


def _start(unit: Doubles, count: int) -> Doubles:
    """Values that are denser where numbers are, but reach far out (Panter and Dite, 1951)."""
    edges = np.linspace(unit.min(), unit.max(), _BINS + 1)
    density = np.cbrt(np.histogram(unit, edges)[0])
    return np.interp((np.arange(count) + 0.5) / count, np.cumsum(density) / density.sum(), edges[1:])


def _settled(values: Doubles, unit: Doubles, weights: Doubles) -> Doubles:
    """The values after Lloyd's iterations over a histogram of the numbers; the one nearest to 0 is 0."""
    low, high = float(unit.min()), float(unit.max())
    if low == high:
        return np.linspace(min(low, 0.0), max(high, 0.0), len(values))
    edges = np.linspace(low, high, _BINS + 1)
    mass = np.histogram(unit, edges, weights=weights)[0]
    sums = np.histogram(unit, edges, weights=weights * unit)[0]
    centres = np.where(mass > 0, sums / np.maximum(mass, 1e-300), (edges[:-1] + edges[1:]) / 2)
    for _ in range(_SWEEPS):
        nearest = _nearest(values, centres)
        held = np.bincount(nearest, mass, len(values))
        moved = np.bincount(nearest, sums, len(values))
        values = np.sort(np.where(held > 0, moved / np.maximum(held, 1e-300), values))
    values[int(np.abs(values).argmin())] = 0.0
    return np.sort(values)
