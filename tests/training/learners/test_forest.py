"""Forests by scikit-learn: the sums of the graph are the trainer's, and those are scikit-learn's."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import GraphBuilder
from lepton.core import Interrupted, Resources, Work
from lepton.data.steps import Block, Tensors, apply_steps
from lepton.training.base import Problem, Rows
from lepton.training.learners.forest import RandomForest
from tests.training.test_learners import session

WORK = Work(resources=Resources(cpus=1))
NAMES = ("a", "b", "c")


def block_of(numbers):
    return Block(np.ascontiguousarray(numbers), NAMES, pl.DataFrame())


def grown(task, extra, num_rows=120, num_trees=10):
    rng = np.random.default_rng(3)
    numbers = rng.normal(size=(num_rows, 3)) * [1.0, 1e6, 1e-6]
    numbers[rng.random(num_rows) < 0.2, 1] = np.nan
    score = numbers[:, 0] + np.nan_to_num(numbers[:, 1]) * 1e-6 + rng.normal(0, 0.3, num_rows)
    target = {"regression": score, "binary": score > 0, "multiclass": np.searchsorted([-0.5, 0.5], score)}[task]
    problem = Problem(task, {"regression": 0, "binary": 2, "multiclass": 3}[task], num_rows)
    configuration = dict(RandomForest.configurations(problem)[extra]) | {"num_trees": num_trees}
    rows = Rows(block_of(numbers), np.asarray(target, dtype=float))
    return RandomForest(problem, configuration, seed=1).fit(rows, valid=None, work=WORK), rows


def opened(forest):
    builder = GraphBuilder()
    raw = forest.emit(builder, Tensors(builder.input("numbers", "double", ["N", 3]), NAMES, None, ()))
    builder.output("out", raw, "double", ["N", forest.problem.num_scores])
    return session(builder.finish())


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_graph_and_trainer_agree_around_every_threshold(task, extra):
    forest, _ = grown(task, extra)
    graph = opened(forest)
    used = [(tree.feature[tree.feature >= 0], tree.threshold[tree.feature >= 0]) for tree in forest._trees]
    columns, thresholds = (np.concatenate(parts) for parts in zip(*used, strict=True))
    strange = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-320, 1e300])

    @given(
        st.integers(0, len(columns) - 1), st.integers(-2, 2), st.booleans(), st.lists(strange, min_size=3, max_size=3)
    )
    def check(node, steps, single, others):
        near = np.float32(thresholds[node]) if single else thresholds[node]
        for _ in range(abs(steps)):
            near = np.nextafter(near, near.dtype.type(np.copysign(np.inf, steps)))
        row = np.array([others, others])
        row[0, columns[node]] = near
        (given_raw,) = graph.run(None, {"numbers": row})
        ours = forest.raw(block_of(row))
        if task == "regression":
            assert np.array_equal(given_raw, ours)
        else:
            np.testing.assert_allclose(given_raw, ours, rtol=1e-12, atol=1e-14)

    check()


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_the_trees_are_those_of_scikit_learn(task):
    forest, rows = grown(task, False)
    reference = forest._ensemble(1).set_params(n_estimators=10)
    features = apply_steps(forest.steps, rows.block).numbers
    reference.fit(features, rows.target)
    if task == "regression":
        np.testing.assert_allclose(forest.raw(rows.block)[:, 0], reference.predict(features), rtol=1e-12)
        return
    shares = reference.predict_proba(features)
    expected = np.log(shares + 1 / (shares.shape[1] * 10))
    expected = expected if task == "multiclass" else expected[:, 1:] - expected[:, :1]
    np.testing.assert_allclose(forest.raw(rows.block), expected, rtol=1e-9, atol=1e-12)


def test_a_tree_without_a_split_and_a_class_that_is_not_there():
    problem = Problem("multiclass", 3, 6)
    configuration = {**RandomForest.configurations(problem)[0], "num_trees": 10}
    rows = Rows(block_of(np.zeros((6, 3))), np.array([0.0, 0.0, 0.0, 2.0, 2.0, 2.0]))
    forest = RandomForest(problem, configuration, seed=1).fit(rows, valid=None, work=WORK)
    raw = forest.raw(rows.block)
    assert np.isfinite(raw).all()
    assert (raw.argmin(axis=1) == 1).all()
    np.testing.assert_allclose(opened(forest).run(None, {"numbers": rows.block.numbers})[0], raw, rtol=1e-12)


def test_the_clock_keeps_the_trees_that_are_there():
    _, rows = grown("regression", False)
    problem = Problem("regression", 0, 120)
    work = Work(resources=Resources(cpus=1)).part(60)

    class Stopping(RandomForest):
        def _ensemble(self, num_threads):
            work.cancel.set()
            return super()._ensemble(num_threads)

    forest = Stopping(problem, RandomForest.configurations(problem)[0], seed=1).fit(rows, valid=None, work=work)
    assert forest.cut_short
    assert len(forest._trees) == 10
    with pytest.raises(Interrupted):
        RandomForest(problem, RandomForest.configurations(problem)[0]).fit(rows, valid=None, work=work)


def test_many_classes_have_no_forest():
    assert RandomForest.configurations(Problem("multiclass", 21, 1000)) == ()
