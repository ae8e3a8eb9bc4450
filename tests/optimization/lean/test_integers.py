from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from lepton.bundle.graph import summarize_graph
from lepton.optimization.lean.damage import session_of
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.integers import LEVELS, Plan, layers_of, mean_shift, quantised, values_of
from lepton.optimization.lean.ranges import observe
from tests.optimization.lean.networks import NETS, WORK, pictures, subject_of, written


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nets")


def _plan(graph, layers=slice(None)):
    model = parse(graph)
    chosen = layers_of(model)[layers]
    seen = observe(graph, values_of(model, chosen), {"image": pictures(96, 3)[0]}, WORK)
    return Plan(chosen, {name: each.range("largest") for name, each in seen.items()}, {}), seen


@pytest.mark.parametrize("name", NETS)
def test_every_layer_becomes_whole_numbers_within_the_standard_and_answers_nearly_the_same(folder, name):
    subject = subject_of(written(folder, name))
    graph = subject.original.graph
    plan, _ = _plan(graph)
    assert len(plan.layers) == sum(
        count for operator, count in summarize_graph(graph).operators.items() if operator in ("Conv", "Gemm")
    ) + (7 if name == "attention" else 2 if name == "channels_last" else 0)
    smaller = quantised(graph, plan)
    summary = summarize_graph(smaller)
    assert set(summary.opsets) <= {"ai.onnx", "ai.onnx.ml"}
    assert summary.ir_version == 10
    x = pictures(40, 2)[0]
    one, other = (session_of(each, 1).run(["raw"], {"image": x})[0] for each in (_raw(graph), _raw(smaller)))
    assert np.abs(one - other).max() < 0.15 * np.abs(one).max()
    alone = np.concatenate([session_of(_raw(smaller), 1).run(["raw"], {"image": x[i : i + 1]})[0] for i in range(4)])
    assert alone == pytest.approx(other[:4], rel=1e-5, abs=1e-6)


def _raw(graph):
    model = parse(graph)
    model.graph.output.add().name = "raw"
    return model.SerializeToString()


def test_onnxruntime_computes_convolutions_sums_and_products_in_whole_numbers(folder, tmp_path):
    graph = subject_of(written(folder, "residual")).original.graph
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "seen.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(quantised(graph, _plan(graph)[0]), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in parse((tmp_path / "seen.onnx").read_bytes()).graph.node]
    assert operators.count("QLinearConv") == 6
    assert operators.count("QLinearAdd") == 2
    assert operators.count("QGemm") == 1
    assert not {"Conv", "Gemm", "Add"} & set(operators)


def test_weights_have_seven_bits_and_layers_that_are_not_chosen_stay(folder):
    graph = subject_of(written(folder, "mlp")).original.graph
    plan, _ = _plan(graph, slice(0, 1))
    model = parse(quantised(graph, plan))
    whole = [each for each in model.graph.initializer if each.data_type == 3 and len(each.dims) == 2]
    assert len(whole) == 1
    assert np.abs(np.frombuffer(whole[0].raw_data, np.int8)).max() <= LEVELS
    assert [len(each.dims) for each in model.graph.initializer if each.data_type == 1].count(2) == 2


def test_a_layer_whose_range_is_not_known_stays_float(folder):
    graph = subject_of(written(folder, "mlp")).original.graph
    plan, _ = _plan(graph)
    empty = Plan(plan.layers, {}, {})
    assert "QuantizeLinear" not in summarize_graph(quantised(graph, empty)).operators


def test_bias_of_dead_channels_fits(folder):
    subject = subject_of(written(folder, "mlp"))
    model = parse(subject.original.graph)
    layer = layers_of(model)[0]
    weight = next(each for each in model.graph.initializer if each.name == layer.weight.name)
    values = layer.weight.values.copy()
    values[3] = 1e-20
    weight.raw_data = values.tobytes()
    graph = model.SerializeToString()
    x = pictures(40, 2)[0]
    one, other = (
        session_of(_raw(each), 1).run(["raw"], {"image": x})[0] for each in (graph, quantised(graph, _plan(graph)[0]))
    )
    assert np.abs(one - other).max() < 0.1 * np.abs(one).max()


@pytest.mark.parametrize("name", ["mlp", "depthwise", "channels_last"])
def test_the_shift_of_means_is_what_rounding_takes(folder, name):
    graph = subject_of(written(folder, name)).original.graph
    plan, seen = _plan(graph)
    for layer in plan.layers:
        shift = mean_shift(layer, seen[layer.given])
        assert shift.shape == (layer.weight.values.shape[layer.weight.axis],)
        assert np.abs(shift).max() < 0.5
