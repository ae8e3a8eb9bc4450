from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lepton.bundle import bundle_size, read_bundle
from lepton.core import DataError, Work
from lepton.optimization.lean.damage import Probe
from lepton.optimization.lean.steps.static_int8 import StaticInt8
from tests.optimization.lean.networks import WORK, subject_of, written

STEP = StaticInt8()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nets")


@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_settings_go_from_mild_to_strong_and_answers_stay_near(folder, tmp_path, name):
    path = written(folder, name)
    subject = subject_of(path)
    assert STEP.refuses(subject, subject.original) is None
    settings = STEP.settings(subject, subject.original)
    kept = [setting.values["kept"] for setting in settings]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] == 0
    probe = Probe(subject, subject.original, WORK)
    whole = []
    for setting in (settings[0], settings[-1]):
        draft = STEP.apply(subject, subject.original, setting, WORK)
        assert probe.of(draft.graph) < 0.02
        draft.write(tmp_path / "lean.lepton")
        bundle = read_bundle(tmp_path / "lean.lepton")
        assert bundle.manifest.inner == {"raw": "raw"}
        whole.append(bundle.summary.operators["QuantizeLinear"])
    assert whole == sorted(whole)
    assert draft.graph == STEP.apply(subject, subject.original, setting, WORK).graph
    if name == "mlp":
        assert bundle_size(tmp_path / "lean.lepton") < bundle_size(path)


def test_time_that_ends_while_layers_are_ranked_leaves_those_that_are_known(folder, monkeypatch):
    subject = subject_of(written(folder, "residual"))
    late = Work(resources=WORK.resources)
    calls = []
    of = Probe.of

    def counted(self, graph):
        calls.append(graph)
        return of(self, graph)

    monkeypatch.setattr(Probe, "of", counted)
    monkeypatch.setattr(Work, "stopped", property(lambda self: len(calls) > 6))
    draft = STEP.apply(subject, subject.original, STEP.settings(subject, subject.original)[0], late)
    assert len(calls) == 7
    assert draft.steps


def test_it_refuses_too_few_rows_one_class_and_graphs_without_layers(folder):
    subject = subject_of(written(folder, "mlp"))
    few = subject_of(written(folder, "mlp"), learn=20)
    assert "20 rows" in str(STEP.refuses(few, few.original))
    with pytest.raises(DataError, match="20 rows"):
        STEP.apply(few, few.original, STEP.settings(few, few.original)[0], WORK)
    alone = replace(subject.learn, answers=replace(subject.learn.answers, y=np.zeros(len(subject.learn), np.int64)))
    assert "one class" in str(STEP.refuses(replace(subject, learn=alone), subject.original))
    draft = STEP.apply(subject, subject.original, STEP.settings(subject, subject.original)[-1], WORK)
    assert "no convolution" in str(STEP.refuses(subject, draft))
