"""Pruning: smaller by what was asked, nearly as good, and a reason where it cannot be done."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from lepton.optimization.lean.network import read_network
from lepton.optimization.lean.steps.prune import Prune
from tests.optimization.lean.networks import WORK, answers_of, subject_of, written
from tests.optimization.lean.tables import made_subject


def quality(subject, draft):
    with draft.opened(WORK.resources) as predictor:
        answers = subject.choose.judged(predictor)
    return float(np.mean(answers.predicted == answers.y))


@pytest.mark.parametrize("name", ["residual", "mlp"])
def test_half_of_a_network_goes(tmp_path, name, monkeypatch):
    monkeypatch.setattr("lepton.optimization.lean.nets.pruning.PASSES", 8)  # enough here
    subject = subject_of(written(tmp_path, name), learn=160)
    step, draft = Prune(), subject.original
    assert step.refuses(subject, draft) is None
    shares = [setting.values["share"] for setting in step.settings(subject, draft)]
    assert shares == sorted(shares)
    small = step.apply(subject, draft, step.settings(subject, draft)[1], WORK)
    before, after = (read_network(each.graph, each.manifest).num_weights for each in (draft, small))
    assert after < 0.65 * before
    assert small.training == {"kind": b"none"}
    assert small.steps[-1][0] == "prune"
    assert quality(subject, small) > 0.85
    assert set(answers_of(small, subject.choose.tensors["image"])) == {"prediction", "probabilities"}


def test_what_cannot_be_pruned_is_told(tmp_path):
    kept = replace(subject_of(written(tmp_path, "mlp")).original, training={"kind": b"lepton-net"})
    assert "narrower" in str(Prune().refuses(subject_of(written(tmp_path, "mlp")), kept))
    trees = made_subject("binary")
    assert "no layer of weights" in str(Prune().refuses(trees, trees.original))
    subject = subject_of(written(tmp_path, "mlp"))
    text = subject.original.graph.replace(b"Relu", b"Sinh")
    assert "Sinh" in str(Prune().refuses(subject, replace(subject.original, graph=text)))
    ragged = np.array([np.zeros((2, 2)), np.zeros((3, 3))], dtype=object)
    uneven = replace(subject, learn=replace(subject.learn, tensors={"image": ragged}))
    assert "unequal" in str(Prune().refuses(uneven, subject.original))
