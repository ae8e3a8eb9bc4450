"""Narrow trees take fewer bytes and answer nearly the same."""

import numpy as np
import pytest

from lepton.optimization.lean.forests import forests_in, leaves_of, sums_of
from lepton.optimization.lean.graphs import parse, values_inside
from lepton.optimization.lean.steps.narrow_leaves import (
    NarrowLeaves,
    nearest,
    palette,
    shared_leaves,
    single_thresholds,
)
from tests.optimization.lean.tables import WORK, conformal_of, made_subject


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_each_setting_is_smaller_and_near(task):
    subject = made_subject(task, conformal=conformal_of(task))
    step = NarrowLeaves()
    assert step.refuses(subject, subject.original) is None
    before = values_inside(subject.original.graph, ["raw"], subject.choose.tensors)["raw"]
    sizes = [len(subject.original.graph)]
    for setting in (*step.settings(subject, subject.original)[:1], *step.settings(subject, subject.original)[2:]):
        draft = step.apply(subject, subject.original, setting, WORK)
        after = values_inside(draft.graph, ["raw"], subject.choose.tensors)["raw"]
        assert np.abs(after - before).mean() < 0.05 * before.std()
        sizes.append(len(draft.graph))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.7 * sizes[0]
    assert "narrow" in str(step.refuses(subject, draft))
    with draft.opened() as predictor:
        given = predictor.run(subject.choose.tensors)
    if task == "regression":
        assert (given["lower"] < given["prediction"]).all()
        assert (given["prediction"] < given["upper"]).all()
    else:
        np.testing.assert_allclose(given["probabilities"].sum(axis=1), 1.0)


def test_shared_leaves_keep_the_mean_of_each_sum():
    subject = made_subject("multiclass", rows=100)
    (found,) = forests_in(parse(subject.original.graph))
    numbers = subject.learn.tensors["numbers"]
    narrow = shared_leaves(found.forest, numbers, 6)
    before, after = (sums_of(each, leaves_of(each, numbers)) for each in (found.forest, narrow))
    np.testing.assert_allclose(before.mean(axis=0), after.mean(axis=0), atol=1e-9)
    # Six of each class, and those of one tree of each class.
    assert len(narrow.leaf_values) <= 3 * (6 + 16)


def test_thresholds_keep_every_row_on_its_side():
    (found,) = forests_in(parse(made_subject(rows=100).original.graph))
    numbers = np.random.default_rng(5).normal(size=(400, 4))
    numbers[:100] = np.nextafter(found.forest.thresholds[:100, None], np.inf)
    numbers[100:200] = found.forest.thresholds[:100, None]
    forest, fits = single_thresholds(found.forest, numbers[200:])
    rounded = numbers[200:].astype(np.float32).astype(np.float64)
    assert fits
    np.testing.assert_array_equal(leaves_of(forest, rounded), leaves_of(found.forest, numbers[200:]))
    # Numbers one step apart are the same in single precision: nothing can be kept.
    same, fits = single_thresholds(found.forest, numbers)
    assert not fits
    assert same is found.forest


def test_palette_stands_for_all():
    values = np.random.default_rng(0).normal(size=500)
    chosen = palette(values, np.ones(500), 20)
    assert len(chosen) <= 20
    assert np.abs(nearest(values, chosen) - values).mean() < 0.1
