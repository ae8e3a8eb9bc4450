"""A network as a module answers as its graph does, and the graph with its weights as before."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

torch = pytest.importorskip("torch")

import lepton  # noqa: E402
from lepton.bundle import read_bundle  # noqa: E402
from lepton.optimization.lean.base import Draft, Setting  # noqa: E402
from lepton.optimization.lean.nets.module import NetModule, frontier  # noqa: E402
from lepton.optimization.lean.nets.operators import RUN  # noqa: E402
from lepton.optimization.lean.network import OPERATORS, read_network  # noqa: E402
from lepton.training.nets.keeping import write_lepton_net  # noqa: E402
from lepton.training.nets.net import LeptonNetModule  # noqa: E402
from lepton.training.nets.spec import NetSpec  # noqa: E402
from tests.optimization.lean.networks import NETS, answers_of, pictures, written  # noqa: E402


def check(path):
    """The module, the graph that was written back and the graph as it came say the same."""
    draft = Draft.of(read_bundle(path))
    network = read_network(draft.graph, draft.manifest)
    assert network.refusal() is None
    x = pictures(5)[0]
    tensors = {draft.manifest.tensors[0].name: x}
    module = NetModule(network).eval()
    with torch.no_grad():
        scores = module(*map(torch.from_numpy, frontier(network, tensors))).double()
    before = answers_of(draft, x)
    np.testing.assert_allclose(torch.softmax(scores, 1).numpy(), before["probabilities"], atol=2e-6)
    again = draft.changed("none", Setting("none"), graph=module.learned().graph)
    np.testing.assert_allclose(answers_of(again, x)["probabilities"], before["probabilities"], atol=1e-7)
    return module


def test_every_operator_that_is_promised_has_a_function():
    assert set(RUN) == OPERATORS


@pytest.mark.parametrize("name", NETS)
def test_modules_answer_as_their_graphs(tmp_path, name):
    module = check(written(tmp_path, name))
    assert sum(each.numel() for each in module.parameters()) == module.network.num_weights > 100


def test_a_network_that_was_imported(tmp_path):
    generator = np.random.default_rng(0)
    sizes = {"first": (12, 64), "first_bias": (12,), "second": (3, 12), "second_bias": (3,)}
    weights = [numpy_helper.from_array(generator.normal(size=v).astype("f4") / 4, k) for k, v in sizes.items()]
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "first", "first_bias"], ["hidden"], transB=1),
        helper.make_node("Tanh", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "second", "second_bias"], ["y"], transB=1),
    ]
    points = [helper.make_tensor_value_info(name, 1, ["N", *rest]) for name, *rest in (("x", 8, 8), ("y", 3))]
    graph = helper.make_graph(nodes, "net", points[:1], points[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = tmp_path / "imported.lepton"
    sample = generator.normal(size=(5, 8, 8)).astype(np.float32)
    lepton.import_model(model, sample=sample, labels=["a", "b", "c"], output=path)
    draft = Draft.of(read_bundle(path))
    network = read_network(draft.graph, draft.manifest)
    assert {network.constants[name].shape for name in network.weights} == {*sizes.values()}
    module = NetModule(network).eval()
    given = frontier(network, {draft.manifest.tensors[0].name: sample})
    with torch.no_grad():
        found = torch.softmax(module(*map(torch.from_numpy, given)).double(), 1).numpy()
    np.testing.assert_allclose(found, answers_of(draft, sample)["probabilities"], atol=1e-6)


def test_a_lepton_net(tmp_path):
    module = LeptonNetModule(NetSpec.of("image", (8, 8, 1), 3, width=0.25))
    write_lepton_net(tmp_path / "net.lepton", module, name="net", labels=("a", "b", "c"), lineage={})
    check(tmp_path / "net.lepton")


def test_what_was_learned_is_written(tmp_path):
    draft = Draft.of(read_bundle(written(tmp_path, "residual")))
    module = NetModule(read_network(draft.graph, draft.manifest)).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.1)
    x = pictures(5)[0]
    after = draft.changed("more", Setting("more"), graph=module.learned().graph)
    with torch.no_grad():
        scores = module(*map(torch.from_numpy, frontier(module.network, {"image": x}))).double()
    found = answers_of(after, x)["probabilities"]
    np.testing.assert_allclose(found, torch.softmax(scores, 1).numpy(), atol=2e-6)
    assert np.abs(found - answers_of(draft, x)["probabilities"]).max() > 1e-3
