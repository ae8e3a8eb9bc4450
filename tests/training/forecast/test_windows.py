"""Filling and scaling: by hand, and the same in a graph."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from lepton import data
from lepton.bundle import GraphBuilder
from lepton.training.forecast.panel import read_panel
from lepton.training.forecast.windows import cut_windows, emit_fill, fill
from tests.training.forecast.tables import daily

NAN = np.nan


def in_graph(target: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    builder = GraphBuilder()
    given_ = builder.input("target", "double", ["N", target.shape[1]])
    values, scale = emit_fill(builder, given_, target.shape[1], season)
    builder.output("values", values, "double", ["N", target.shape[1]])
    builder.output("scale", scale, "double", ["N", 1])
    session = onnxruntime.InferenceSession(builder.finish(), providers=["CPUExecutionProvider"])
    values, scale = session.run(None, {"target": target})
    return values, scale


@pytest.mark.parametrize(
    ("season", "target", "wanted"),
    [
        (1, [1.0, NAN, NAN, 4.0], [1.0, 1.0, 1.0, 4.0]),
        (1, [NAN, 2.0, 3.0, NAN], [2.0, 2.0, 3.0, 3.0]),
        (2, [1.0, 2.0, NAN, 4.0], [1.0, 2.0, 1.0, 4.0]),  # as one season before
        (2, [NAN, NAN, NAN, 4.0, 5.0, 6.0], [5.0, 4.0, 5.0, 4.0, 5.0, 6.0]),  # as whole seasons later
        (2, [NAN, 3.0, NAN, NAN], [3.0, 3.0, 3.0, 3.0]),
    ],
)
def test_fill(season, target, wanted):
    assert fill(np.array([target]), season).values.tolist() == [wanted]


def test_a_window_that_knows_nothing_stays_unknown():
    filled = fill(np.full((1, 5), NAN), 2)
    assert np.isnan(filled.values).all()
    assert filled.scale.tolist() == [0.0]


def test_scale_is_of_known_pairs_only():
    assert fill(np.array([[1.0, NAN, 3.0, 7.0]]), 1).scale.tolist() == [4.0]
    assert fill(np.array([[1.0, NAN, 3.0, 7.0]]), 2).scale.tolist() == [2.0]


def test_rows_are_added_alike_however_many_there_are():
    values = np.random.default_rng(0).normal(50.0, 10.0, (200, 61))
    values[::7, ::5] = NAN
    together = in_graph(values, 3)[1]
    for rows in (values[:1], values[7:10], values[100:117]):
        first = int(np.flatnonzero(values[:, 1] == rows[0, 1])[0])
        np.testing.assert_array_equal(in_graph(rows, 3)[1], together[first : first + len(rows)])


@given(
    arrays.arrays(np.float64, (3, 9), elements=st.sampled_from([NAN, np.inf, 0.0, 1.5, -2.0, 1e12])), st.integers(1, 4)
)
def test_the_graph_fills_alike(target, season):
    filled = fill(target, season)
    values, scale = in_graph(target, season)
    np.testing.assert_array_equal(values, filled.values)
    np.testing.assert_allclose(scale[:, 0], filled.scale, rtol=1e-12)


def test_windows_are_padded_before_the_first_step_and_end_before_the_future():
    panel = read_panel(data.read(daily(10, 1)), target="sales", time="when", series=None)
    series = panel.series[0]
    windows = cut_windows(panel, 4, 2, lambda each: range(each.first - 1, each.first + 12))
    assert len(windows) == 8  # one or more steps of history, two of future
    assert np.isnan(windows.target[0, :3]).all()
    assert windows.target[0, 3] == series.target[0]
    assert windows.target[5].tolist() == series.target[2:6].tolist()
    assert windows.future[5].tolist() == series.target[6:8].tolist()
