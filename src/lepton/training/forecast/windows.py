"""Windows of history and what followed them: what every forecaster sees, in numpy and in the graph alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.training.forecast.panel import Panel, Series

__all__ = ["Filled", "Windows", "cut_windows", "emit_fill", "emit_row_sum", "fill", "row_sum"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Windows of several series.

    Attributes:
        target: of the last L steps [B, L]; NaN where nothing is known.
        last: time of the last step on the clock [B].
        covariates: of the last step [B, F - 2].
        future: target of the H steps that follow [B, H].
        series: position of the series of each window [B].
        origins: step at which each future begins [B], counted alike in all series.
    """

    target: Doubles
    last: Doubles
    covariates: Doubles
    future: Doubles
    series: Integers
    origins: Integers

    def __len__(self) -> int:
        return len(self.target)

    def take(self, positions: NDArray[Any]) -> Windows:
        """The windows at `positions`."""
        return Windows(*(getattr(self, each.name)[positions] for each in fields(self)))


def cut_windows(
    panel: Panel, length: int, horizon: int, origins: Callable[[Series], Sequence[int] | Integers]
) -> Windows:
    """Cut windows at the given steps of each series.

    Args:
        panel: the series.
        length: L.
        horizon: H.
        origins: gives the steps of a series at which futures begin; those beyond its ends are passed over.
    """
    found: list[tuple[Series, int, int]] = []
    owners = []
    for number, series in enumerate(panel.series):
        for origin in origins(series):
            at = int(origin) - series.first
            if 1 <= at <= len(series) - horizon:
                found.append((series, at, int(origin)))
                owners.append(number)
    target = np.full((len(found), length), np.nan)
    for row, (series, at, _) in enumerate(found):
        begin = max(at - length, 0)
        target[row, length - (at - begin) :] = series.target[begin:at]
    covariates = [series.values[at - 1, 1:] for series, at, _ in found]
    return Windows(
        target=target,
        last=np.array([series.times[at - 1] for series, at, _ in found], dtype=np.float64),
        covariates=np.array(covariates).reshape(len(found), panel.inputs.width - 2),
        future=np.array([series.target[at : at + horizon] for series, at, _ in found]).reshape(-1, horizon),
        series=np.array(owners, dtype=np.int64),
        origins=np.array([origin for _, _, origin in found], dtype=np.int64),
    )


@dataclass(frozen=True)
class Filled:
    """A target without missing values.

    Attributes:
        values: the target [B, L]; NaN only where a window knows nothing at all.
        scale: mean absolute change over a season, among pairs of known values [B]; 0 where there are none.
    """

    values: Doubles
    scale: Doubles


def fill(target: Doubles, season: int) -> Filled:
    """Fill missing values and measure the scale.

    A missing value is that of one season before where that is known, else the last one known. What lies before
    the first known value is that of whole seasons later.

    Args:
        target: [B, L] with NaN.
        season: steps of a season; 1 for none.
    """
    length = target.shape[1]
    target = np.where(np.isinf(target), np.nan, target)
    change = np.abs(target[:, season:] - target[:, :-season])
    known = ~np.isnan(change)
    scale = row_sum(np.where(known, change, 0.0))[:, 0] / np.maximum(known.sum(axis=1), 1)
    before = np.concatenate([np.full((len(target), season), np.nan), target[:, :-season]], axis=1)
    values = np.where(np.isnan(target), before, target)
    positions = np.arange(length, dtype=np.float64)
    known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(known, positions, -1.0), axis=1)
    first = np.where(known, positions, float(length)).min(axis=1, keepdims=True)
    later = positions + season * np.ceil((first - positions) / season)
    index = np.clip(np.where(positions < first, later, last), 0, length - 1).astype(np.int64)
    # A step that lies seasons later may itself be missing: the last value known there stands for it.
    index = np.clip(np.take_along_axis(last, index, axis=1), 0, length - 1).astype(np.int64)
    return Filled(np.take_along_axis(values, index, axis=1), scale)


def row_sum(values: Doubles) -> Doubles:
    """The sum of each row [B, 1], from left to right."""
    return np.asarray(np.cumsum(values, axis=1)[:, -1:])


def emit_row_sum(builder: GraphBuilder, values: str, width: int) -> str:
    """`row_sum` in a graph, of the double tensor `values` [N, width].

    The running sum goes from left to right whatever N is. The last bit of what `ReduceSum`, `ReduceMean` and narrow
    `MatMul` give depends on N, and a row's answer must not.
    """
    running = builder.node("CumSum", [values, builder.constant(np.array(1))])
    ends = [builder.constant([end]) for end in (width - 1, width, 1)]
    total: str = builder.node("Slice", [running, *ends])
    return total


def emit_fill(builder: GraphBuilder, target: str, length: int, season: int) -> tuple[str, str]:
    """`fill` in a graph: names of the values [N, L] and the scale [N, 1] of the double tensor `target` [N, L]."""
    node, constant = builder.node, builder.constant
    nan = constant(np.nan)

    def part(value: str, start: int, end: int) -> str:
        sliced: str = node("Slice", [value, constant([start]), constant([end]), constant([1])])
        return sliced

    target = node("Where", [node("IsInf", [target]), nan, target])
    change = node("Abs", [node("Sub", [part(target, season, length), part(target, 0, length - season)])])
    unknown = node("IsNaN", [change])
    axis = constant([1])
    total = emit_row_sum(builder, node("Where", [unknown, constant(0.0), change]), length - season)
    count = node("ReduceSum", [node("Where", [unknown, constant(0.0), constant(1.0)]), axis], keepdims=1)
    scale = node("Div", [total, node("Max", [count, constant(1.0)])])
    start = node("Mul", [part(target, 0, season), nan])
    before = node("Concat", [start, part(target, 0, length - season)], axis=1)
    values = node("Where", [node("IsNaN", [target]), before, target])
    positions = constant(np.arange(length, dtype=np.float64)[None, :])
    missing = node("IsNaN", [values])
    last = node("Where", [missing, constant(-1.0), positions])
    reach = 1
    while reach < length:  # a running maximum by doubling
        shifted = node("Concat", [part(last, 0, reach), part(last, 0, length - reach)], axis=1)
        last = node("Max", [last, shifted])
        reach *= 2
    first = node("ReduceMin", [node("Where", [missing, constant(float(length)), positions]), axis], keepdims=1)
    ahead = node("Ceil", [node("Div", [node("Sub", [first, positions]), constant(float(season))])])
    later = node("Add", [positions, node("Mul", [ahead, constant(float(season))])])
    index = node("Where", [node("Less", [positions, first]), later, last])
    index = _clipped(builder, index, length)
    index = _clipped(builder, node("GatherElements", [last, index], axis=1), length)
    filled: str = node("GatherElements", [values, index], axis=1)
    return filled, scale


def _clipped(builder: GraphBuilder, index: str, length: int) -> str:
    inside = builder.node("Clip", [index, builder.constant(0.0), builder.constant(float(length - 1))])
    whole: str = builder.node("Cast", [inside], to=7)
    return whole
