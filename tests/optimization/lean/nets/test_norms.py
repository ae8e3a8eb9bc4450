"""Normalisations for learning change no answer, neither when they come nor when they go."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lepton.bundle import read_bundle  # noqa: E402
from lepton.optimization.lean.base import Draft  # noqa: E402
from lepton.optimization.lean.nets.module import NetModule, frontier  # noqa: E402
from lepton.optimization.lean.nets.norms import with_norms, without_norms  # noqa: E402
from lepton.optimization.lean.network import read_network  # noqa: E402
from tests.optimization.lean.networks import pictures, written  # noqa: E402


@pytest.mark.parametrize(("name", "convolutions"), [("residual", 6), ("depthwise", 5), ("normalised", 2), ("mlp", 0)])
def test_norms_come_and_go(tmp_path, name, convolutions):
    draft = Draft.of(read_bundle(written(tmp_path, name)))
    network = read_network(draft.graph, draft.manifest)
    rows = tuple(map(torch.from_numpy, frontier(network, {"image": pictures(40)[0]})))
    normed = with_norms(network, rows)
    assert sum(node.op == "BatchNormalization" for node in normed.nodes) == convolutions
    module = NetModule(normed)
    if convolutions:
        module.train()(*rows)  # its statistics move
    learned = module.eval().learned()
    folded = without_norms(learned)
    assert not any(node.op == "BatchNormalization" for node in folded.nodes)
    with torch.no_grad():
        before, with_them = (NetModule(each).eval()(*rows).numpy() for each in (network, normed))
        moved, after = (NetModule(each).eval()(*rows).numpy() for each in (learned, folded))
    np.testing.assert_allclose(with_them, before, atol=1e-5 * np.abs(before).max())
    np.testing.assert_allclose(after, moved, atol=1e-5 * np.abs(moved).max())
