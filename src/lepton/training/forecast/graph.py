"""The whole forecaster as one graph: `series` [N, L, F] in; `lower`, `upper` and `forecast` [N, H] out."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime

from lepton.bundle import GraphBuilder
from lepton.bundle.series import SeriesInputs
from lepton.training.forecast.backtest import Plan
from lepton.training.forecast.models import Forecaster, Traced
from lepton.training.forecast.scores import Bounds
from lepton.training.forecast.windows import emit_fill

__all__ = ["forecast_graph", "measure_graph"]

_LATENCY_CALLS = 100


def forecast_graph(
    builder: GraphBuilder, inputs: SeriesInputs, plan: Plan, forecaster: Forecaster, bounds: Bounds, positive: bool
) -> None:
    """Write filling, scaling, the forecaster and the intervals.

    Args:
        builder: of the graph.
        inputs: the columns.
        plan: sizes and season.
        forecaster: fitted.
        bounds: of the intervals.
        positive: whether nothing below 0 is answered.
    """
    node, constant = builder.node, builder.constant
    series = builder.input("series", "double", ["N", plan.length, inputs.width])
    target = node("Gather", [series, constant(np.array(1))], axis=2)
    values, scale = emit_fill(builder, target, plan.length, plan.season)
    times = node("Gather", [series, constant(np.array(0))], axis=2)
    last = node("Gather", [times, constant(np.array([plan.length - 1]))], axis=1)
    covariates = None
    if inputs.width > 2:
        latest = node("Gather", [series, constant(np.array(plan.length - 1))], axis=1)
        covariates = node("Gather", [latest, constant(np.arange(2, inputs.width))], axis=1)
    divisor = node("Where", [node("Greater", [scale, constant(0.0)]), scale, constant(1.0)])
    builder.mark("features", values)
    forecast = forecaster.emit(builder, Traced(values, scale, divisor, last, covariates))
    forecast = _bounded(builder, forecast, positive)
    ends = [
        node("Add", [forecast, node("Mul", [scale, constant(bound[None, :])])])
        for bound in (bounds.lower, bounds.upper)
    ]
    # An interval holds its forecast, whichever way the backtests erred.
    lower = _bounded(builder, node("Min", [ends[0], forecast]), positive)
    upper = node("Max", [ends[1], forecast])
    builder.output("lower", lower, "double", ["N", plan.horizon])
    builder.output("upper", upper, "double", ["N", plan.horizon])
    builder.output("forecast", forecast, "double", ["N", plan.horizon])


def _bounded(builder: GraphBuilder, value: str, positive: bool) -> str:
    bounded: str = builder.node("Max", [value, builder.constant(0.0)]) if positive else value
    return bounded


def measure_graph(graph: bytes) -> tuple[int, float]:
    """Size of a graph in bytes, and the median time in µs of one series through it, warm, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    series = np.ones((1, *session.get_inputs()[0].shape[1:]))
    times = []
    for _ in range(_LATENCY_CALLS):
        start = time.perf_counter_ns()
        session.run(None, {"series": series})
        times.append(time.perf_counter_ns() - start)
    return len(graph), float(np.median(times)) / 1000.0
