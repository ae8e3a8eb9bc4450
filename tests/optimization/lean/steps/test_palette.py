from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from lepton.bundle import bundle_size, read_bundle
from lepton.optimization.lean.base import Setting
from lepton.optimization.lean.damage import Probe
from lepton.optimization.lean.steps.palette import PaletteWeights, StaticPalette
from lepton.optimization.lean.weights import FLOAT16, Names, Weight
from tests.optimization.lean.networks import WORK, answers_of, pictures, subject_of, written


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return subject_of(written(tmp_path_factory.mktemp("nets"), "mlp"))


@pytest.mark.parametrize("step", [PaletteWeights(), StaticPalette()])
def test_fewer_values_make_smaller_files_and_answers_stay_near(subject, tmp_path, step):
    assert step.refuses(subject, subject.original) is None
    settings = step.settings(subject, subject.original)
    assert [setting.values["bits"] for setting in settings] == [4, 2]
    subject.original.write(tmp_path / "whole.lepton")
    probe, sizes = Probe(subject, subject.original, WORK), [bundle_size(tmp_path / "whole.lepton")]
    for setting, most in zip(settings, (0.02, 0.5), strict=True):
        draft = step.apply(subject, subject.original, setting, WORK)
        draft.write(tmp_path / "lean.lepton")
        sizes.append(bundle_size(tmp_path / "lean.lepton"))
        assert read_bundle(tmp_path / "lean.lepton").manifest.inner == {"raw": "raw"}
        assert probe.of(draft.graph) < most
    assert draft.graph == step.apply(subject, subject.original, setting, WORK).graph
    assert sizes == sorted(sizes, reverse=True)
    x = pictures(20, 5)[0]
    alone = answers_of(draft, x[:1])["probabilities"]
    assert alone == pytest.approx(answers_of(draft, x)["probabilities"][:1], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("step", "name", "least", "kept"), [(PaletteWeights(), "mlp", 300, 1), (StaticPalette(), "attention", 100, 2)]
)
def test_weights_that_matter_most_keep_more_values(tmp_path, monkeypatch, step, name, least, kept):
    monkeypatch.setattr("lepton.optimization.lean.steps.palette._LEAST", least)
    subject = subject_of(written(tmp_path, name))
    settings = {(each.values["bits"], each.values["kept"]): each for each in step.settings(subject, subject.original)}
    probe = Probe(subject, subject.original, WORK)
    drafts = {key: step.apply(subject, subject.original, settings[key], WORK) for key in ((2, kept), (2, 0))}
    assert len(drafts[2, 0].graph) < len(drafts[2, kept].graph)
    assert probe.of(drafts[2, kept].graph) < probe.of(drafts[2, 0].graph)


def test_eight_values_are_for_large_weights(subject, monkeypatch):
    monkeypatch.setattr("lepton.optimization.lean.steps.palette._LEAST_OF_EIGHT", 1_500)
    step = PaletteWeights()
    settings = step.settings(subject, subject.original)
    assert [setting.values["bits"] for setting in settings] == [4, 3, 2]
    draft = step.apply(subject, subject.original, settings[1], WORK)
    assert Probe(subject, subject.original, WORK).of(draft.graph) < 0.1


@pytest.mark.parametrize("step", [PaletteWeights(), StaticPalette()])
def test_small_weights_are_refused(tmp_path, step):
    subject = subject_of(written(tmp_path, "depthwise"))
    assert "large enough" in str(step.refuses(subject, subject.original))


def test_half_floats_stay_half_floats_for_what_computes():
    model = helper.make_model(helper.make_graph([], "g", [], []))
    weight = Weight("w", np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32), FLOAT16, 0, ("Gather",))
    packed = PaletteWeights().pack(weight, Names(model), Setting("", {"bits": 4, "kept": 0}))
    assert packed.nodes[-1].op_type == "Cast"
    assert packed.nodes[-1].output[0] == "w"
