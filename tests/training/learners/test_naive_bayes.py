"""Naive Bayes: the counts are scikit-learn's, what is missing says nothing, and the graph says the same."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import GraphBuilder
from lepton.core import Interrupted, Resources, Work
from lepton.data.steps import Block, Tensors, apply_steps
from lepton.training.base import Problem, Rows
from lepton.training.learners.naive_bayes import NaiveBayes
from tests.training.test_learners import session

WORK = Work(resources=Resources(cpus=1))
NAMES = ("a", "b")
TOWNS = ("Oslo", "Bergen", "Rome")


def table(num_rows=300, classes=3, missing=0.2, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, num_rows).astype(float)
    numbers = rng.normal(size=(num_rows, 2)) + target[:, None] * [1.0, -0.5]
    numbers[rng.random(num_rows) < missing, 0] = np.nan
    towns = np.array(TOWNS)[(target.astype(int) + rng.integers(0, 2, num_rows)) % 3]
    return Rows(Block(numbers, NAMES, pl.DataFrame({"town": towns})), target)


def learned(rows, classes=3, prior_rows=1.0, work=WORK):
    problem = Problem("binary" if classes == 2 else "multiclass", classes, rows.block.num_rows, (), ("town",))
    learner = NaiveBayes(problem, {"label": "", "prior_rows": prior_rows}, seed=1)
    return learner.fit(rows, valid=None, work=work)


def opened(learner):
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    raw = learner.emit(builder, Tensors(numbers, NAMES, builder.input("strings", "string", ["N", 1]), ("town",)))
    builder.output("out", raw, "double", ["N", learner.problem.num_scores])
    return session(builder.finish())


@pytest.mark.parametrize("classes", [2, 3])
def test_the_graph_is_the_learner_for_any_row(classes):
    learner = learned(table(classes=classes), classes)
    graph = opened(learner)
    number = st.one_of(st.floats(width=64), st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -0.0]))
    row = st.tuples(number, number, st.sampled_from([*TOWNS, "", "Atlantis"]))

    @given(st.lists(row, min_size=1, max_size=5))
    def check(rows):
        numbers = np.array([row[:2] for row in rows], dtype=float)
        towns = [row[2] for row in rows]
        (raw,) = graph.run(None, {"numbers": numbers, "strings": np.array(towns, dtype=object)[:, None]})
        ours = learner.raw(Block(numbers, NAMES, pl.DataFrame({"town": towns})))
        np.testing.assert_allclose(raw, ours, rtol=1e-9, atol=1e-9)

    check()


def test_numbers_and_counts_are_those_of_scikit_learn():
    from sklearn.naive_bayes import CategoricalNB, GaussianNB

    rows = table(missing=0.0)
    learner = learned(rows, prior_rows=1e-9)
    learner._count(apply_steps(learner.steps, rows.block).numbers, rows)  # all evidence, trusted
    features = apply_steps(learner.steps, rows.block).numbers
    gaussian = GaussianNB(var_smoothing=0.0).fit(features[:, :2], rows.target)
    codes = features[:, 2:].argmax(axis=1)[:, None]
    counted = CategoricalNB(alpha=1e-9).fit(codes, rows.target)
    theirs = gaussian.predict_joint_log_proba(features[:, :2]) + counted.predict_joint_log_proba(codes)
    theirs -= counted.class_log_prior_  # both have counted it
    ours = learner.raw(rows.block)
    # A class that a town never has is -20 here and there, and a category's log is told from the mean of its column.
    likely = theirs > theirs.max(axis=1, keepdims=True) - 10.0
    shift = ours.max(axis=1, keepdims=True) - theirs.max(axis=1, keepdims=True)
    np.testing.assert_allclose((ours - shift)[likely], theirs[likely], rtol=1e-6, atol=1e-6)


def test_what_is_unknown_says_nothing_and_what_is_missing_says_that():
    rng = np.random.default_rng(1)
    target = np.repeat([0.0, 1.0], 200)
    numbers = np.column_stack([np.where(target == 1.0, np.nan, 0.0), rng.normal(size=400)])
    numbers[:20, 0] = np.nan
    block = Block(numbers, NAMES, pl.DataFrame({"town": ["Oslo"] * 400}))
    learner = learned(Rows(block, target), 2)
    missing, there = learner.raw(Block(np.array([[np.nan, 0.0], [0.0, 0.0]]), NAMES, pl.DataFrame({"town": ["?"] * 2})))
    assert missing[0] > 2.0
    assert there[0] < -2.0
    nowhere = learner.raw(Block(np.array([[0.0, np.nan]]), NAMES, pl.DataFrame({"town": ["?"]})))
    np.testing.assert_allclose(nowhere[0], there, atol=0.3)


def test_weights_are_repeated_rows():
    rows = table(60)
    counts = np.arange(60) % 3
    weighted = learned(Rows(rows.block, rows.target, counts.astype(float)))
    # The steps look at rows and not at their weights: give the repeated rows the same range and scale.
    repeated = learned(rows)
    repeated._count(
        apply_steps(weighted.steps, rows.block).numbers.repeat(counts, axis=0),
        Rows(rows.block.take(np.arange(60).repeat(counts)), rows.target.repeat(counts)),
    )
    weighted._count(
        apply_steps(weighted.steps, rows.block).numbers, Rows(rows.block, rows.target, counts.astype(float))
    )
    np.testing.assert_allclose(repeated._coefficients, weighted._coefficients, rtol=1e-9)
    np.testing.assert_allclose(repeated._intercepts, weighted._intercepts, rtol=1e-9)


def test_columns_that_say_the_same_are_not_counted_twice():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 2_000).astype(float)
    number = target + rng.normal(0, 1, 2_000)
    names = tuple(f"c{i}" for i in range(20))
    same = Block(np.column_stack([number + rng.normal(0, 0.01, 2_000) for _ in names]), names, pl.DataFrame())
    problem = Problem("binary", 2, 2_000)
    learner = NaiveBayes(problem, {"label": "", "prior_rows": 1.0}, seed=1)
    learner.fit(Rows(same, target), valid=None, work=WORK)
    # The log-odds of two normal distributions of variance 1, one apart, rise by 1 for each unit.
    slope = np.polyfit(number, learner.raw(same)[:, 0], 1)[0]
    assert 0.8 < slope < 1.3


def test_it_stops_and_is_for_classes():
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        learned(table(), work=work)
    assert NaiveBayes.configurations(Problem("regression", 0, 100)) == ()
    assert NaiveBayes.space(Problem("regression", 0, 100)) == {}
    assert NaiveBayes.space(Problem("binary", 2, 100))
