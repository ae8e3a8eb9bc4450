"""What matters least goes first."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lepton.core import TrainingError  # noqa: E402
from lepton.optimization.lean.nets.pruning import importance, prune_network  # noqa: E402
from lepton.optimization.lean.nets.recover import Lessons, lessons_of  # noqa: E402
from lepton.optimization.lean.nets.units import find_units, settled  # noqa: E402
from lepton.optimization.lean.network import read_network  # noqa: E402
from tests.optimization.lean.networks import WORK, subject_of, written  # noqa: E402


@pytest.fixture
def network(tmp_path):
    """A network half of whose first hidden units nobody reads, and what it learns from."""
    subject = subject_of(written(tmp_path, "mlp"))
    found = read_network(subject.original.graph, subject.original.manifest)
    second = next(name for name, value in found.constants.items() if value.shape == (24, 16))
    weight = np.array(found.constants[second])
    weight[::2] *= 1e-4
    made = found.changed(found.nodes, {**found.constants, second: weight})
    return made, lessons_of(made, subject, WORK), second


@pytest.mark.parametrize("by", ["taylor", "l1"])
def test_units_that_nobody_reads_matter_least(network, by):
    made, lessons, second = network
    some = [value[:2].numpy() for value in lessons.inputs]
    units = find_units(settled(made, some), some)
    matters = importance(units, lessons, WORK, by=by)
    ids = units.parts()[second, 0].tolist()
    idle, read = [matters[unit] for unit in ids[::2]], [matters[unit] for unit in ids[1::2]]
    assert sum(idle) < (0.01 if by == "taylor" else 0.9) * sum(read)


def test_they_go_first(network):
    made, lessons, second = network
    small = prune_network(made, lessons, 0.3, WORK, passes=0.01)
    assert small.constants[second].shape[0] <= 16
    assert np.mean(np.abs(small.constants[second]).mean(axis=1) > 0.01) > 0.6


def test_a_network_of_one_layer_has_nothing_to_give(network):
    made, lessons, _ = network
    last = made.nodes[-2]
    alone = replace(made.changed([last, made.nodes[-1]], made.constants), inputs=(last.inputs[0],))
    some = Lessons((torch.zeros(40, 16),), lessons.taught[:40], None, "softmax")
    with pytest.raises(TrainingError, match="no channel and no hidden unit"):
        prune_network(alone, some, 0.3, WORK, passes=1)
