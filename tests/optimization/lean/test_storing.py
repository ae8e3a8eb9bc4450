from __future__ import annotations

import numpy as np
import pytest

from lepton.bundle import bundle_size, read_bundle
from lepton.core import TrainingError
from lepton.optimization.lean.damage import Probe
from lepton.optimization.lean.steps.byte_weights import ByteWeights
from lepton.optimization.lean.steps.half import HalfWeights
from lepton.optimization.lean.storing import least_damaging
from lepton.optimization.lean.weights import Weight
from tests.optimization.lean.networks import WORK, answers_of, pictures, subject_of, written


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nets")


@pytest.mark.parametrize(("step", "most"), [(HalfWeights(), 1e-5), (ByteWeights(), 1e-3)])
@pytest.mark.parametrize("name", ["mlp", "convolutional", "channels_last"])
def test_files_are_smaller_answers_nearly_the_same_and_settings_in_order(folder, tmp_path, step, most, name):
    path = written(folder, name)
    subject = subject_of(path)
    assert step.refuses(subject, subject.original) is None
    probe = Probe(subject, subject.original, WORK)
    sizes = [bundle_size(path)]
    for setting in step.settings(subject, subject.original):
        draft = step.apply(subject, subject.original, setting, WORK)
        draft.write(tmp_path / "lean.lepton")
        sizes.append(bundle_size(tmp_path / "lean.lepton"))
        assert read_bundle(tmp_path / "lean.lepton").manifest.inner == {"raw": "raw"}
        assert probe.of(draft.graph) < most
        assert draft.graph == step.apply(subject, subject.original, setting, WORK).graph
    assert sizes == sorted(sizes, reverse=True)
    assert draft.steps[-1][0] == step.name
    x = pictures(20, 5)[0]
    together = answers_of(draft, x)["probabilities"]
    assert answers_of(draft, x[:1])["probabilities"] == pytest.approx(together[:1], rel=1e-5, abs=1e-6)


def test_weights_that_are_small_already_are_left_alone(folder):
    subject = subject_of(written(folder, "mlp"))
    step = HalfWeights()
    draft = step.apply(subject, subject.original, step.settings(subject, subject.original)[0], WORK)
    assert "large enough" in str(step.refuses(subject, draft))
    with pytest.raises(TrainingError, match="half floats"):
        step.apply(subject, draft, step.settings(subject, subject.original)[0], WORK)
    again = ByteWeights()
    assert again.refuses(subject, draft) is None
    smaller = again.apply(subject, draft, again.settings(subject, draft)[-1], WORK)
    assert len(smaller.graph) < len(draft.graph)


def test_those_that_do_the_most_damage_for_their_bytes_stay():
    weights = [
        Weight(name, np.zeros((size, 1), np.float32), 1, 0, ()) for name, size in (("a", 10), ("b", 100), ("c", 10))
    ]
    damage = {"a": 1.0, "b": 2.0, "c": 0.1}
    assert [each.name for each in least_damaging(weights, damage, 1)] == ["b", "c"]
    assert [each.name for each in least_damaging(weights, {"c": 1.0}, 2)] == ["c"]
