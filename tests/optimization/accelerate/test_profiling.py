"""Where the time goes: what the profiler wrote, grouped and put into words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import open_model
from lepton.core import LeptonError, Work
from lepton.optimization.accelerate import profiling
from lepton.optimization.accelerate.peaks import Peaks
from lepton.optimization.accelerate.profiling import Profile, profile, show_seconds


def event(name: str, operator: str, microseconds: float, **arguments: Any) -> dict[str, Any]:
    told = {"op_name": operator, "input_type_shape": [], "output_type_shape": [], **arguments}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": microseconds, "args": told}


@pytest.fixture
def found(model: Path) -> Profile:
    return profile(open_model(model), {"first": [1.0], "second": [2.0], "third": [3.0]}, work=Work())


def test_a_model_is_profiled(found: Profile, tmp_path: Path) -> None:
    assert found.model == "sums"
    assert found.batch == 1
    assert found.encoding_seconds is not None
    assert found.encoding_seconds > 0
    assert found.call_seconds > 0
    assert "MatMul" in {each.operator for each in found.operators}
    assert sum(each.share for each in found.operators) == pytest.approx(1.0)
    assert sum(each.nodes for each in found.operators) == len(found.nodes)
    assert not list(tmp_path.glob("*profile*"))
    assert found.to_dict()["bottleneck"] == found.bottleneck
    assert "sums: one row in" in found.text()
    assert "<svg" in found._repr_html_()


def test_rows_that_are_made_have_no_encoding(model: Path) -> None:
    assert profile(open_model(model), batch=4, work=Work()).encoding_seconds is None
    with pytest.raises(LeptonError, match="got batch=0"):
        profile(open_model(model), batch=0, work=Work())


def test_events_become_nodes_and_operators(peaks: Peaks) -> None:
    shapes = {"input_type_shape": [{"float": [1, 10]}, {"float": [10, 20]}], "output_type_shape": [{"float": [1, 20]}]}
    sizes = {"activation_size": "40", "parameter_size": "800", "output_size": "80"}
    events = [
        *(event("a", "MatMul", 30, **shapes, **sizes) for _ in range(9)),
        event("a", "MatMul", 9_000, **shapes, **sizes),  # something else ran
        *(event("b", "MatMul", 10) for _ in range(10)),
        *(event("c", "Relu", 10) for _ in range(10)),
        {"cat": "Session", "name": "model_run", "dur": 1},
    ]
    nodes = profiling._nodes(events)
    assert [node.name for node in nodes] == ["a", "b", "c"]
    assert nodes[0].seconds == pytest.approx(30e-6)
    assert nodes[0].flops == 400.0
    assert nodes[0].num_bytes == 120
    assert nodes[0].parameter_bytes == 800
    operators = profiling._operators(nodes, peaks)
    assert [(each.operator, each.nodes) for each in operators] == [("MatMul", 2), ("Relu", 1)]
    assert operators[0].share == pytest.approx(0.8)
    assert operators[0].least_seconds == pytest.approx(920 / peaks.cache_bandwidth)


@pytest.mark.parametrize(
    ("changes", "bottleneck", "word"),
    [
        ({"encoding_seconds": 1.0}, "encoding", "send tensors"),
        ({"call_seconds": 100e-6, "node_seconds": 20e-6}, "dispatch", "calling of small nodes"),
        ({"flops": 5e6}, "arithmetic", "Arithmetic decides"),
        ({"num_bytes": 1e6, "least": 60e-6}, "memory", "Memory decides"),
        ({}, "operators", "Exp first"),
    ],
)
def test_the_bottleneck_is_named(peaks: Peaks, changes: dict[str, Any], bottleneck: str, word: str) -> None:
    flops, moved = changes.pop("flops", 0.0), changes.pop("num_bytes", 0.0)
    least = changes.pop("least", flops / peaks.flops)
    node = profiling.NodeTime("n", "Exp", 90e-6, 1.0, (1,), flops, moved, 0.0)
    operator = profiling.OperatorTime("Exp", 1, 90e-6, 1.0, flops, moved, least)
    whole = Profile("m", 1, None, 100e-6, 90e-6, (operator,), (node,), peaks)
    told = replace(whole, **changes)
    assert told.bottleneck == bottleneck
    assert word in " ".join(told.words())


def test_times_have_units() -> None:
    assert [show_seconds(each) for each in (2.5, 0.0012, 3.4e-6, 5e-9)] == ["2.5 s", "1.2 ms", "3.4 µs", "5 ns"]
