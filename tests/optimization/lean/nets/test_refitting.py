"""Layers that lose inputs give nearly what they gave."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lepton.bundle import read_bundle  # noqa: E402
from lepton.optimization.lean.base import Draft  # noqa: E402
from lepton.optimization.lean.nets.module import NetModule, frontier  # noqa: E402
from lepton.optimization.lean.nets.refitting import without_and_refitted  # noqa: E402
from lepton.optimization.lean.nets.units import find_units, settled  # noqa: E402
from lepton.optimization.lean.network import read_network  # noqa: E402
from tests.optimization.lean.networks import NETS, pictures, written  # noqa: E402


def scores_of(network, rows):
    with torch.no_grad():
        return NetModule(network).eval()(*rows).double().numpy()


@pytest.mark.parametrize("name", NETS)
def test_scores_stay_nearer(tmp_path, name):
    draft = Draft.of(read_bundle(written(tmp_path, name)))
    network = read_network(draft.graph, draft.manifest)
    rows = frontier(network, {"image": pictures(200)[0]})
    units = find_units(settled(network, rows), rows)
    tensors = tuple(map(torch.from_numpy, rows))
    gone = sorted(units.layers())[::4]
    plain, fitted = units.without(gone), without_and_refitted(units, gone, tensors)
    assert [value.shape for value in plain.constants.values()] == [v.shape for v in fitted.constants.values()]
    whole, cut, near = (scores_of(each, tensors) for each in (network, plain, fitted))
    assert np.square(near - whole).mean() < 0.6 * np.square(cut - whole).mean()


def test_what_another_unit_says_too_is_not_missed(tmp_path):
    draft = Draft.of(read_bundle(written(tmp_path, "mlp")))
    network = read_network(draft.graph, draft.manifest)
    first, bias = (next(n for n in network.weights if network.constants[n].shape == s) for s in ((24, 64), (24,)))
    constants = {name: np.array(value) for name, value in network.constants.items()}
    for name in (first, bias):
        constants[name][12:] = 2 * constants[name][:12]
    network = network.changed(network.nodes, constants)
    rows = frontier(network, {"image": pictures(200)[0]})
    units = find_units(settled(network, rows), rows)
    gone = np.unique(units.parts()[first, 0])[12:]
    tensors = tuple(map(torch.from_numpy, rows))
    small = without_and_refitted(units, gone, tensors)
    whole = scores_of(network, tensors)
    np.testing.assert_allclose(scores_of(small, tensors), whole, atol=0.05 * np.abs(whole).max())
