import numpy as np
import pytest

from lepton.compute.confine import why_not
from lepton.core import ErrorCode, LeptonError, SecurityError, UsageError
from lepton.training.importers.nets import arrays_of, from_parts

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
from torch import nn  # noqa: E402


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3)).train()


def test_a_module_answers_as_it_did_and_stays_as_it_was(network, bring):
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    result, mine = bring(network, sample=rows, labels=("a", "b", "c"))
    assert result.report["largest"] <= 1e-5
    assert "softmax" in result.report["notes"][0]
    assert network.training
    assert network[3].training
    with torch.no_grad():
        told = torch.softmax(network.eval()(torch.from_numpy(rows)).double(), dim=1).numpy()
    network.train()
    assert mine.predict_proba({"input": rows}) is not None
    assert mine.run({"input": rows})["probabilities"] == pytest.approx(told, abs=1e-6)
    assert mine.run({"input": rows[:1]})["probabilities"] == pytest.approx(told[:1], abs=1e-6)


def test_what_cannot_come_is_said(network, bring):
    with pytest.raises(UsageError, match="got no sample for a Sequential"):
        bring(network)
    with pytest.raises(UsageError, match="refuses the sample"):
        bring(network, sample=np.zeros((2, 7), np.float32))
    with pytest.raises(UsageError, match="got a Tensor of torch"):
        bring(torch.zeros(3))


def test_samples_and_answers_that_are_none():
    for sample in ((np.zeros(2), np.zeros(3)), np.float32(1.0), {"x": [1.0], "z": [1.0]}, ()):
        with pytest.raises(LeptonError, match="the sample is"):
            arrays_of(sample, ["x", "y"])
    for head in ({}, {"inputs": ["x"], "outputs": [], "version": "1", "made": True, "notes": [], "tolerance": 1}):
        with pytest.raises(LeptonError, match="nonsense"):
            from_parts(head, {"graph": b"", "input0": b"\x80\x04pickle"}, "torch", None)


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_a_program_in_a_file_is_opened_in_the_sandbox(network, bring, tmp_path):
    rows = torch.randn(3, 4)
    program = torch.export.export(network.eval(), (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    with pytest.raises(SecurityError, match="may hold code"):
        bring(path)
    result, mine = bring(path, trust=True)
    assert (result.framework, result.report["sample"], mine.task.name) == ("torch", "made", "tensor")
    fixed = torch.export.export(network, (rows,))
    torch.export.save(fixed, path)
    with pytest.raises(LeptonError, match="fixed shape") as raised:
        bring(path, trust=True)
    assert raised.value.code == ErrorCode.NO_GRAPH_FORM
