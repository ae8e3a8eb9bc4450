from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lepton.bundle import bundle_size, read_bundle
from lepton.bundle.tensor_records import TensorRecord
from lepton.core import TrainingError
from lepton.evaluation import metric
from lepton.evaluation.answers import Answers
from lepton.optimization.lean.base import Draft, Setting, Subject
from lepton.optimization.lean.damage import Probe
from lepton.optimization.lean.rows import Rows
from lepton.optimization.lean.steps.vocabulary import Vocabulary
from lepton.training.nets.writing import write_net
from tests.optimization.lean.networks import WORK, subject_of, written
from tests.optimization.lean.test_vocabularies import SIZE, model, texts

STEP = Vocabulary()


def _tokens(builder, values):
    table = np.random.default_rng(2).normal(size=(SIZE, 3)).astype(np.float32)
    found = builder.node("Gather", [builder.constant(table), values["tokens"]])
    return builder.node("ReduceMean", [found, builder.constant([1])], keepdims=0)


def _subject(path, net, names):
    labels = ("a", "b", "c")[: 3 if net is _tokens else 2]
    tensors = [TensorRecord(name, "int64", (None, None)) for name in names]
    write_net(path, name="texts", net=net, task="multiclass", tensors=tensors, labels=labels)
    draft = Draft.of(read_bundle(path))
    given = dict(zip(("tokens", "mask"), texts(100, 3), strict=True))
    given = {name: given[name] for name in names}
    with draft.opened(WORK.resources) as predictor:
        answers = predictor.run(given)
    y = np.array([labels.index(each) for each in answers["prediction"]])
    rows = Rows(given, Answers("multiclass", "y", labels, y, y, answers["probabilities"], None, None, pl.DataFrame()))
    return Subject(draft, rows, rows, metric("accuracy", "multiclass"))


@pytest.mark.parametrize("kind", ["pieces", "tokens"])
def test_smaller_vocabularies_make_smaller_files_and_answers_stay_near(tmp_path, kind):
    pieces = model()
    net = _tokens if kind == "tokens" else lambda builder, values: pieces.write(builder, values)[0]
    path = tmp_path / "texts.lepton"
    subject = _subject(path, net, ("tokens",) if kind == "tokens" else ("tokens", "mask"))
    draft = subject.original
    assert STEP.refuses(subject, draft) is None
    probe, sizes, damages = Probe(subject, draft, WORK), [bundle_size(path)], []
    for setting in STEP.settings(subject, draft):
        smaller = STEP.apply(subject, draft, setting, WORK)
        smaller.write(tmp_path / "lean.lepton")
        sizes.append(bundle_size(tmp_path / "lean.lepton"))
        damages.append(probe.of(smaller.graph))
        assert read_bundle(tmp_path / "lean.lepton").manifest.inner == {"raw": "raw"}
    assert smaller.graph == STEP.apply(subject, draft, setting, WORK).graph
    assert sizes == sorted(sizes, reverse=True)
    # Of these texts, tokens are letters: nine tenths of the table are never looked up.
    assert damages[0] < (0.2 if kind == "pieces" else 1e-12)
    assert damages[0] <= damages[-1] + 1e-12


def test_graphs_without_words_are_refused(tmp_path):
    subject = subject_of(written(tmp_path, "mlp"))
    assert "looks no words" in str(STEP.refuses(subject, subject.original))
    with pytest.raises(TrainingError, match="looks no words"):
        STEP.apply(subject, subject.original, Setting("half", {"share": 0.5}), WORK)
