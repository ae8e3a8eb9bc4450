"""A network without some units answers as the whole one does with those units at zero."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lepton.bundle import read_bundle  # noqa: E402
from lepton.optimization.lean.base import Draft, Setting  # noqa: E402
from lepton.optimization.lean.nets.module import NetModule, frontier  # noqa: E402
from lepton.optimization.lean.nets.units import find_units, settled  # noqa: E402
from lepton.optimization.lean.network import read_network  # noqa: E402
from tests.optimization.lean.networks import NETS, answers_of, pictures, written  # noqa: E402


def units_of(path, x):
    draft = Draft.of(read_bundle(path))
    network = read_network(draft.graph, draft.manifest)
    rows = frontier(network, {"image": x})
    return draft, find_units(settled(network, rows), rows), rows


def silenced(units, rows, gone):
    """Scores of the whole network with every number that a unit made at zero."""
    lost = np.array(sorted(gone))

    def quiet(name):
        mask = torch.from_numpy(~np.isin(units.roots(units.ids[name])[:1], lost))
        return lambda value: value * mask

    inside = [name for node in units.network.nodes for name in node.outputs]
    module = NetModule(units.network).eval()
    with torch.no_grad():
        values = module.values([torch.from_numpy(row) for row in rows], {name: quiet(name) for name in inside})
    return torch.softmax(values[units.network.output].double(), 1).numpy()


# Units of each layer: the stream of a residual net is one layer, a gate goes with what it multiplies, a head is a unit.
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("mlp", [24, 16]),
        ("convolutional", [6, 10]),
        ("residual", [6, 7, 7, 10]),
        ("depthwise", [8, 4]),
        ("normalised", [8, 6]),
        ("channels_last", [6, 5, 12]),
        ("attention", [12, 4, 20]),
    ],
)
def test_units_are_found_and_go(tmp_path, name, sizes):
    x = pictures(5)[0]
    draft, units, rows = units_of(written(tmp_path, name), x)
    layers: dict[object, list[int]] = {}
    for unit, places in units.layers().items():
        layers.setdefault(places, []).append(unit)
    assert sorted(map(len, layers.values())) == sorted(sizes)
    stream = {unit for members in layers.values() if name == "attention" and len(members) == 12 for unit in members}
    gone = [unit for members in layers.values() for unit in members[1::3] if unit not in stream]
    small = units.without(gone)
    assert small.num_weights < units.network.num_weights
    found = answers_of(draft.changed("cut", Setting("cut"), graph=small.graph), x)["probabilities"]
    np.testing.assert_allclose(found, silenced(units, rows, gone), atol=3e-6)


def test_what_a_layer_norm_looks_at_can_go_too(tmp_path):
    x = pictures(5)[0]
    draft, units, _ = units_of(written(tmp_path, "attention"), x)
    stream = [unit for unit, places in units.layers().items() if len(places) > 8]
    assert len(stream) == 12
    small = units.without(stream[::2])
    found = answers_of(draft.changed("cut", Setting("cut"), graph=small.graph), x)["probabilities"]
    assert np.isfinite(found).all()


def test_values_that_others_read_keep_their_size(tmp_path):
    x = pictures(5)[0]
    _, units, rows = units_of(written(tmp_path, "mlp"), x)
    hidden = next(node.outputs[0] for node in units.network.nodes if node.op == "Relu")
    held = find_units(units.network, rows, [hidden])
    assert len(held.layers()) == len(units.layers()) - 24


@pytest.mark.parametrize("name", NETS)
def test_units_are_the_same_every_time(tmp_path, name):
    x = pictures(3)[0]
    path = written(tmp_path, name)
    assert units_of(path, x)[1].layers() == units_of(path, x)[1].layers()
