"""Trees with fewer splits answer nearly as the whole ones do, in every task and in means of several models."""

from dataclasses import replace

import numpy as np
import pytest

from lepton.core import DataError
from lepton.optimization.lean.edits import serialized
from lepton.optimization.lean.forests import forests_in, own_leaves, write
from lepton.optimization.lean.graphs import parse, values_inside
from lepton.optimization.lean.steps.prune_trees import PruneTrees
from lepton.optimization.lean.steps.refit_trees import RefitTrees
from tests.optimization.lean.tables import WORK, made_subject


@pytest.mark.parametrize("task", ["regression", "multiclass", "multilabel", "quantile"])
def test_each_setting_is_smaller_and_near(task):
    subject, step = made_subject(task), PruneTrees()
    assert step.refuses(subject, subject.original) is None
    before = values_inside(subject.original.graph, ["raw"], subject.choose.tensors)["raw"]
    sizes, off = [len(subject.original.graph)], []
    for setting in step.settings(subject, subject.original)[:4:3]:
        draft = step.apply(subject, subject.original, setting, WORK)
        again = step.apply(subject, subject.original, setting, WORK)
        assert draft.graph == again.graph
        after = values_inside(draft.graph, ["raw"], subject.choose.tensors)["raw"]
        off.append(float(((after - before) ** 2).mean() / before.var()))
        sizes.append(len(draft.graph))
        left = sum(len(each.forest.features) for each in forests_in(parse(draft.graph)))
        assert left <= setting.values["splits"] + before.shape[1]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.4 * sizes[0]
    assert off[0] < 0.02
    assert off[0] < off[1] < 0.3


def test_fitting_the_leaves_is_what_keeps_answers_near(monkeypatch):
    subject, step = made_subject("regression"), PruneTrees()
    setting = step.settings(subject, subject.original)[2]
    before = values_inside(subject.original.graph, ["raw"], subject.choose.tensors)["raw"]

    def off():
        graph = step.apply(subject, subject.original, setting, WORK).graph
        return float(((values_inside(graph, ["raw"], subject.choose.tensors)["raw"] - before) ** 2).mean())

    near = off()
    monkeypatch.setattr("lepton.optimization.lean.steps.prune_trees.fitted", lambda forest, *_: forest)
    assert near < 0.8 * off()


def test_what_has_few_splits_is_left_alone():
    few = made_subject("regression", trees=4)
    assert "not many more than 64 splits" in str(PruneTrees().refuses(few, few.original))
    assert PruneTrees.instead_of == {RefitTrees.name}
    assert RefitTrees.instead_of == {PruneTrees.name}


def test_a_tree_that_adds_to_several_sums_is_refused():
    subject = made_subject("multiclass")
    model = parse(subject.original.graph)
    (found,) = forests_in(model)
    forest = own_leaves(found.forest)
    forest.leaf_targets[~forest.right[forest.right < 0]] = 0
    write(model, found, forest, single=False)
    draft = replace(subject.original, graph=serialized(model))
    step = PruneTrees()
    with pytest.raises(DataError, match="a tree adds to several sums"):
        step.apply(subject, draft, step.settings(subject, draft)[0], WORK)


def test_missing_values_and_few_rows_are_taken():
    subject = made_subject("regression", rows=60)
    subject.learn.tensors["numbers"][::3, 0] = np.nan
    step = PruneTrees()
    draft = step.apply(subject, subject.original, step.settings(subject, subject.original)[0], WORK)
    numbers = {"numbers": np.full((2, 4), np.nan)}
    assert np.isfinite(values_inside(draft.graph, ["raw"], numbers)["raw"]).all()
