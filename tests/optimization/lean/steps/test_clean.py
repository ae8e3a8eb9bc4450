from __future__ import annotations

import pytest

from lepton.bundle import bundle_size, read_bundle
from lepton.core import TrainingError
from lepton.optimization.lean.base import Setting
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.steps import clean
from lepton.optimization.lean.steps.clean import Clean
from lepton.optimization.lean.steps.static_int8 import StaticInt8
from tests.optimization.lean.networks import NETS, WORK, answers_of, pictures, subject_of, written


@pytest.mark.parametrize("name", NETS)
def test_the_same_answers_from_fewer_bytes(tmp_path, name):
    path = written(tmp_path, name)
    subject = subject_of(path)
    step = Clean()
    assert step.refuses(subject, subject.original) is None
    (setting,) = step.settings(subject, subject.original)
    draft = step.apply(subject, subject.original, setting, WORK)
    draft.write(tmp_path / "lean.lepton")
    assert bundle_size(tmp_path / "lean.lepton") < bundle_size(path)
    assert read_bundle(tmp_path / "lean.lepton").summary.metadata == read_bundle(path).summary.metadata
    x = pictures(30, 5)[0]
    one, other = answers_of(subject.original, x), answers_of(draft, x)
    assert all((one[key] == other[key]).all() for key in one)
    assert draft.training == subject.original.training
    assert draft.graph == step.apply(subject, subject.original, setting, WORK).graph
    assert "clean already" in str(step.refuses(subject, draft))
    if name == "normalised":
        assert "BatchNormalization" not in {node.op_type for node in parse(draft.graph).graph.node}
    with pytest.raises(TrainingError, match="clean already"):
        step.apply(subject, draft, setting, WORK)


def test_layers_in_whole_numbers_stay_so(tmp_path):
    subject = subject_of(written(tmp_path, "residual"))
    step = StaticInt8()
    whole = step.apply(subject, subject.original, step.settings(subject, subject.original)[-1], WORK)
    draft = Clean().apply(subject, whole, Setting(""), WORK)
    counts = [
        [node.op_type for node in parse(each.graph).graph.node].count("DequantizeLinear") for each in (whole, draft)
    ]
    assert counts[0] == counts[1] > 0


def test_it_refuses_where_answers_would_change(tmp_path, monkeypatch):
    def spoiled(model, kept):
        for tensor in model.graph.initializer:
            if len(tensor.dims) == 1 and tensor.data_type == 1:
                tensor.raw_data = bytes(len(tensor.raw_data))
        for node in model.graph.node:
            node.name = ""

    subject = subject_of(written(tmp_path, "mlp"))
    monkeypatch.setattr(clean, "tidy", spoiled)
    step = Clean()
    with pytest.raises(TrainingError, match="changes its output"):
        step.apply(subject, subject.original, step.settings(subject, subject.original)[0], WORK)
