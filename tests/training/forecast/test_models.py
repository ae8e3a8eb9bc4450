"""Forecasters: what they say of simple histories, and the same in a graph."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from lepton.bundle import GraphBuilder
from lepton.bundle.frequency import DAY, Frequency
from lepton.core import Work
from lepton.training.forecast.boosting import LagPlan, calendar_parts, fit_boosted
from lepton.training.forecast.models import (
    LinearForecast,
    MeanForecast,
    Traced,
    View,
    drift_matrix,
    mean_matrix,
    ridge_matrix,
    seasonal_naive_matrix,
)


def view_of(values: np.ndarray, last: float = 0.0, covariates: int = 0) -> View:
    scale = np.abs(np.diff(values, axis=1)).mean(axis=1, keepdims=True)
    shape = (len(values), covariates)
    extra = np.random.default_rng(5).normal(size=shape)
    if covariates:
        extra[::3, 0] = np.nan
    return View(values, scale, np.full(len(values), last) + DAY * np.arange(len(values)), extra)


def in_graph(forecaster, view: View, horizon: int) -> np.ndarray:
    builder = GraphBuilder()
    length, width = view.values.shape[1], view.covariates.shape[1]
    values = builder.input("values", "double", ["N", length])
    scale = builder.input("scale", "double", ["N", 1])
    last = builder.input("last", "double", ["N", 1])
    feeds = {"values": view.values, "scale": view.scale, "last": view.last[:, None]}
    covariates = None
    if width:
        covariates = builder.input("covariates", "double", ["N", width])
        feeds["covariates"] = view.covariates
    zero = builder.constant(0.0)
    divisor = builder.node("Where", [builder.node("Greater", [scale, zero]), scale, builder.constant(1.0)])
    builder.output(
        "f", forecaster.emit(builder, Traced(values, scale, divisor, last, covariates)), "double", ["N", horizon]
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as models are opened
    session = onnxruntime.InferenceSession(builder.finish(), options, providers=["CPUExecutionProvider"])
    known = {each.name for each in session.get_inputs()}
    (answer,) = session.run(None, {name: value for name, value in feeds.items() if name in known})
    return np.asarray(answer)


def test_matrices_by_hand():
    history = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    assert (history @ seasonal_naive_matrix(6, 4, 3)).tolist() == [[4.0, 5.0, 6.0, 4.0]]
    assert (history @ seasonal_naive_matrix(6, 2, 1)).tolist() == [[6.0, 6.0]]
    assert (history @ mean_matrix(6, 1, 2))[0, 0] == 4.5  # of the last four
    assert history @ drift_matrix(6, 4, 3) == pytest.approx(np.array([[7.0, 8.0, 9.0, 10.0]]))


def test_ridge_learns_a_law_and_needs_windows():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(300, 6))
    future = values[:, :2] - values[:, 2:4] + values[:, -1:]
    matrix = ridge_matrix(values, np.ones((300, 1)), future, 1)
    assert matrix is not None
    assert np.abs(values @ matrix - future).max() < 0.05
    assert np.abs((values + 1000.0) @ matrix - (future + 1000.0)).max() < 0.05  # the level goes through
    assert ridge_matrix(values[:10], np.ones((10, 1)), future[:10], 1) is None


@pytest.mark.parametrize("logarithm", [False, True])
def test_linear_and_mean_forecasts_are_the_same_in_a_graph(logarithm):
    values = np.random.default_rng(0).uniform(0.0, 50.0, (7, 12))
    view = view_of(values)
    mean = MeanForecast((LinearForecast(mean_matrix(12, 3, 1), logarithm), LinearForecast(drift_matrix(12, 3, 2))))
    np.testing.assert_allclose(in_graph(mean, view, 3), mean.forecast(view), rtol=1e-12)


@pytest.mark.parametrize(
    ("frequency", "covariates"),
    [
        (Frequency("duration", DAY), 0),
        (Frequency("duration", DAY // 24), 2),
        (Frequency("month", 1), 0),
        (Frequency("month", 3, at_end=True), 1),
        (Frequency("number", 1), 0),
    ],
)
def test_boosted_forecasts_are_the_same_in_a_graph(frequency, covariates):
    generator = np.random.default_rng(0)
    values = generator.normal(size=(120, 20)).cumsum(axis=1) + 100.0
    values[7] = 5.0  # constant: its scale is 0
    view = view_of(values, 1.7e15, covariates)
    future = values[:, -1:] + generator.normal(size=(120, 4)) + np.where(view.last[:, None] // DAY % 7 < 2, 4.0, 0.0)
    plan = LagPlan(20, 4, 4, 8, frequency, covariates, calendar_parts(frequency, 4_000))
    found = fit_boosted(plan, LinearForecast(seasonal_naive_matrix(20, 4, 1)), view, future, rounds=20, work=Work())
    assert found is not None
    forecaster, rounds = found
    assert rounds == 20
    expected = forecaster.forecast(view)
    assert np.abs(expected - values[:, -1:]).max() > 0.01
    np.testing.assert_allclose(in_graph(forecaster, view, 4), expected, rtol=1e-9)
    assert expected[7].tolist() == [5.0] * 4
    together = in_graph(forecaster, view, 4)
    for rows in (np.arange(1), np.arange(40, 43), np.arange(100, 117)):
        np.testing.assert_array_equal(in_graph(forecaster, view.take(rows), 4), together[rows])


def test_months_ahead_are_those_of_the_calendar():
    plan = LagPlan(3, 14, 1, 0, Frequency("month", 1, at_end=True), 0, ("month",))
    last = np.datetime64("2024-01-31", "us").astype(np.int64).astype(float)
    assert plan._times(np.array([[last]]))[0, :, 0].tolist() == [*range(2, 13), 1, 2, 3]


def test_too_few_windows_are_not_boosted():
    plan = LagPlan(20, 4, 4, 0, Frequency("number", 1), 0, ())
    values = np.random.default_rng(0).normal(size=(10, 20))
    base = LinearForecast(seasonal_naive_matrix(20, 4, 1))
    assert fit_boosted(plan, base, view_of(values), values[:, :4], rounds=0, work=Work()) is None
