"""A narrower LeptonNet is a LeptonNet."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402

from lepton.optimization.lean.nets.slimming import kept_net, narrower, slimmed  # noqa: E402
from lepton.optimization.lean.steps.narrow import Narrow  # noqa: E402
from lepton.training.nets.keeping import write_lepton_net  # noqa: E402
from lepton.training.nets.net import LeptonNetModule  # noqa: E402
from lepton.training.nets.spec import NetSpec  # noqa: E402
from tests.optimization.lean.networks import WORK, pictures, subject_of, written  # noqa: E402


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A few passes are enough here."""
    monkeypatch.setattr("lepton.optimization.lean.steps.narrow._PASSES", 3)


def lepton_net(folder, *, exits=False, **shape):
    torch.manual_seed(0)
    module = LeptonNetModule(NetSpec.of("image", (8, 8, 1), 3, exits=exits, **shape))
    module.body.standardise(pictures(60)[0])
    if exits:
        module.thresholds.fill_(0.9)
    write_lepton_net(folder / "net.lepton", module, name="net", labels=("a", "b", "c"), lineage={})
    return folder / "net.lepton"


def test_half_of_the_channels(tmp_path):
    subject = subject_of(lepton_net(tmp_path, width=0.5, exits=True), learn=160)
    step, draft = Narrow(), subject.original
    assert step.refuses(subject, draft) is None
    small = step.apply(subject, draft, step.settings(subject, draft)[2], WORK)
    assert small.training["kind"] == b"lepton-net"
    assert len(small.graph) < 0.6 * len(draft.graph)
    net = kept_net(small)
    assert [stage.channels for stage in net.spec.stages] == [8, 16, 24]
    assert net.spec.exits
    assert (net.temperatures != 1).all()
    with small.opened(WORK.resources) as predictor:
        answers = subject.choose.judged(predictor)
    assert np.mean(answers.predicted == answers.y) > 0.8


def test_channels_that_the_net_makes_nothing_of_go_without_a_trace():
    torch.manual_seed(0)
    module = LeptonNetModule(NetSpec.of("image", (8, 8, 1), 3, width=0.5)).eval()
    spec = narrower(module.spec, 0.5, 1.0)
    with torch.no_grad():  # what the narrower net will not have is made nothing
        for stage, thin in zip(module.body.stages, spec.stages, strict=True):
            for layer in stage.modules():
                if hasattr(layer, "norms") and len(layer.weight) > thin.channels:
                    kept = thin.channels * (thin.expansion if len(layer.weight) > 2 * thin.channels else 1)
                    layer.norms[0].weight[kept:] = 0
                    layer.norms[0].bias[kept:] = 0
    rows = torch.from_numpy(pictures(4)[0])
    with torch.no_grad():
        whole, small = module(rows), slimmed(module, spec).eval()(rows)
    np.testing.assert_allclose(small.numpy(), whole.numpy(), atol=1e-5)


def test_what_is_no_lepton_net_is_told(tmp_path):
    subject = subject_of(written(tmp_path, "mlp"))
    assert "no LeptonNet" in str(Narrow().refuses(subject, subject.original))
    least = subject_of(lepton_net(tmp_path, width=0.06, depth=0.5))
    assert "narrowest" in str(Narrow().refuses(least, least.original))
