"""A model of a table becomes one small forest that answers nearly as it did, for every task."""

from dataclasses import replace

import numpy as np
import pytest

from lepton.optimization.lean.base import Setting
from lepton.optimization.lean.graphs import values_inside
from lepton.optimization.lean.steps.refit_trees import RefitTrees
from tests.optimization.lean.tables import WORK, conformal_of, made_subject

SETTING = Setting("small", {"leaves": 160})


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("regression", {"members": 2, "conformal": conformal_of("regression"), "sets": True}),
        ("binary", {"temperature": 1.5, "conformal": conformal_of("binary")}),
        ("multiclass", {"members": 2}),
        ("quantile", {}),
        ("multilabel", {}),
        ("ranking", {}),
    ],
)
def test_one_small_forest_answers_nearly_the_same(task, options):
    subject = made_subject(task, trees=20, **options)
    step = RefitTrees()
    assert step.refuses(subject, subject.original) is None
    draft = step.apply(subject, subject.original, SETTING, WORK)
    if task == "binary":
        assert draft.graph == step.apply(subject, subject.original, SETTING, WORK).graph
    assert len(draft.graph) < 0.6 * len(subject.original.graph)
    assert draft.graph.count(b"nodes_splits") == 1
    before, after = (
        values_inside(each.graph, ["raw"], subject.choose.tensors)["raw"] for each in (subject.original, draft)
    )
    assert (((after - before) ** 2).mean(axis=0) < 0.35 * before.var(axis=0)).all()
    with draft.opened() as predictor:
        answers = subject.choose.judged(predictor)
        given = predictor.run(subject.choose.tensors)
    was = subject.choose.answers
    if answers.probabilities is None:
        assert np.corrcoef(answers.predicted, was.predicted)[0, 1] > 0.85
    else:
        assert (answers.predicted == was.predicted).mean() > 0.8
    if task in ("binary", "multiclass"):
        np.testing.assert_allclose(given["probabilities"].sum(axis=1), 1.0)
    if task == "binary":
        assert set(given["prediction"]) == {"no", "yes"}
        assert (given["set"].sum(axis=1) >= 1).all()
    if "lower" in given:
        assert (given["lower"] <= given["prediction"]).all()
        assert (given["prediction"] <= given["upper"]).all()


def test_settings_go_from_mild_to_strong():
    subject = made_subject(trees=30)
    counts = [setting.values["leaves"] for setting in RefitTrees().settings(subject, subject.original)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 100


def test_what_cannot_be_learned_is_refused():
    subject, step = made_subject(rows=50, trees=30), RefitTrees()
    manifest = subject.original.manifest
    lineage = {"options": {"monotone": {"x0": 1}}}
    for change, told in (
        ({"lineage": lineage}, "directions"),
        ({"inner": {}}, "raw scores"),
        ({"task": "clustering"}, "no raw scores"),
    ):
        other = replaced(subject.original, manifest, change)
        assert told in str(step.refuses(subject, other))
    few = made_subject(rows=50, trees=1)
    assert "64 leaves" in str(step.refuses(few, few.original))
    scarce = replace(subject, learn=subject.learn.take(np.arange(30)))
    assert "30 rows are too few" in str(step.refuses(scarce, subject.original))


def replaced(draft, manifest, change):
    """A draft whose manifest says something else."""
    return replace(draft, manifest=replace(manifest, **change))
