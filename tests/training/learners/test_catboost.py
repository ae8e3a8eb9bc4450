"""CatBoost: the sums of its trees are its own, and the graph has them; skipped where it is not installed."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.bundle import GraphBuilder
from lepton.core import ErrorCode, Interrupted, Resources, TrainingError, Work
from lepton.data.steps import Block, Tensors, apply_steps
from lepton.training.base import Problem, Rows, learners_for
from lepton.training.learners.catboost import CatBoost
from lepton.training.learners.catboost_forest import SymmetricTree, forest_of, sums_of
from tests.training.test_learners import session

catboost: Any = pytest.importorskip("catboost")

WORK = Work(resources=Resources(cpus=1))
NAMES = ("a", "b", "c")
PROBLEMS = {"regression": 0, "binary": 2, "multiclass": 3}


def table(task, num_rows=150):
    rng = np.random.default_rng(3)
    numbers = rng.normal(size=(num_rows, 3)) * [1.0, 1e6, 1e-6]
    numbers[rng.random(num_rows) < 0.2, 1] = np.nan
    score = numbers[:, 0] + np.nan_to_num(numbers[:, 1]) * 1e-6 + rng.normal(0, 0.3, num_rows)
    target = {"regression": score, "binary": score > 0, "multiclass": np.searchsorted([-0.5, 0.5], score)}[task]
    towns = pl.DataFrame({"town": np.array(["Oslo", "Rome", ""])[rng.integers(0, 3, num_rows)]})
    return Rows(Block(numbers, NAMES, towns), np.asarray(target, dtype=float))


def learned(task, rows=None, *, rounds=12, valid=None, work=WORK, **more):
    rows = rows or table(task)
    monotone = more.pop("monotone", ())
    problem = Problem(task, PROBLEMS[task], rows.block.num_rows, (), ("town",), monotone=monotone)
    configuration = {"label": "", "max_rounds": rounds, "patience": None, "depth": 4, "learning_rate": 0.3, **more}
    return CatBoost(problem, configuration, seed=1).fit(rows, valid=valid, work=work)


def opened(learner):
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 3])
    raw = learner.emit(builder, Tensors(numbers, NAMES, builder.input("strings", "string", ["N", 1]), ("town",)))
    builder.output("out", raw, "double", ["N", learner.problem.num_scores])
    return session(builder.finish())


@pytest.mark.parametrize("task", PROBLEMS)
def test_the_graph_is_the_learner_around_every_border(task):
    learner = learned(task)
    graph = opened(learner)
    borders = [(c, b) for tree in learner._trees for c, b in zip(tree.columns, tree.borders, strict=True) if c < 3]
    strange = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-320, 1e300])

    @settings(max_examples=60)
    @given(
        st.sampled_from(borders),
        st.integers(-2, 2),
        st.booleans(),
        st.lists(strange, min_size=3, max_size=3),
        st.sampled_from(["Oslo", "Rome", "", "Atlantis"]),
    )
    def check(border, steps, single, others, town):
        near = np.float32(border[1]) if single else np.float64(border[1])
        for _ in range(abs(steps)):
            near = np.nextafter(near, near.dtype.type(np.copysign(np.inf, steps)))
        row = np.array([others, others])
        row[0, border[0]] = near
        (raw,) = graph.run(None, {"numbers": row, "strings": np.array([[town], [town]], dtype=object)})
        assert np.array_equal(raw, learner.raw(Block(row, NAMES, pl.DataFrame({"town": [town, town]}))))

    check()


@pytest.mark.parametrize("task", PROBLEMS)
def test_the_sums_are_those_of_catboost(task, monkeypatch):
    kept: list[Any] = []
    make = catboost.CatBoost

    def making(parameters):
        kept.append(make(parameters))
        return kept[-1]

    monkeypatch.setattr(catboost, "CatBoost", making)
    rows = table(task)
    learner = learned(task, rows)
    features = apply_steps(learner.steps, rows.block).numbers.astype(np.float32)
    theirs = kept[0].predict(features, prediction_type="RawFormulaVal").reshape(150, -1)
    if task == "regression":
        theirs = theirs + np.average(rows.target)
    np.testing.assert_allclose(learner.raw(rows.block), theirs, rtol=1e-9, atol=1e-9)


def test_early_stopping_settles_on_the_median_fold():
    rows = table("regression", 300)
    train, valid = rows.take(np.arange(200)), rows.take(np.arange(200, 300))
    fitted = [learned("regression", train, rounds=400, valid=valid, patience=5, subsample=s) for s in (0.5, 0.7, 0.9)]
    configuration = {"max_rounds": 400, "patience": 5}
    settled = CatBoost.settled(configuration, fitted)
    assert settled["patience"] is None
    assert settled["max_rounds"] == sorted(len(learner._trees) for learner in fitted)[1] < 400
    assert len(fitted[0].limited({"max_rounds": 3})._trees) == 3
    assert CatBoost.smaller({"max_rounds": 9}, 0.5) == {"max_rounds": 4}
    assert CatBoost.smaller({"max_rounds": 1}, 0.5) is None


def test_the_same_seed_gives_the_same_trees():
    rows = table("binary")
    assert np.array_equal(learned("binary").raw(rows.block), learned("binary").raw(rows.block))


def test_directions_are_kept():
    rows = table("regression")
    learner = learned("regression", rows, monotone=(("a", -1),))
    line = np.column_stack([np.linspace(-3, 3, 200), np.zeros(200), np.zeros(200)])
    answers = learner.raw(Block(line, NAMES, pl.DataFrame({"town": ["Oslo"] * 200})))[:, 0]
    assert (np.diff(answers) <= 1e-12).all()


def test_nothing_to_tell_by_or_to_tell_gives_the_mean():
    rows = table("regression")
    for same in (Rows(rows.block, np.full(150, 7.0)), Rows(rows.block.take(np.zeros(150, int)), rows.target)):
        learner = learned("regression", same)
        np.testing.assert_allclose(learner.raw(same.block), same.target.mean())
        (raw,) = opened(learner).run(None, {"numbers": rows.block.numbers, "strings": np.array([["x"]] * 150, object)})
        np.testing.assert_allclose(raw, same.target.mean())


def test_the_clock_keeps_the_trees_that_are_there(monkeypatch):
    work = Work(resources=Resources(cpus=1)).part(60)
    pool = catboost.Pool

    def stopping(*given, **more):
        work.cancel.set()
        return pool(*given, **more)

    monkeypatch.setattr(catboost, "Pool", stopping)
    learner = learned("regression", work=work, rounds=1_000)
    assert learner.cut_short
    assert len(learner._trees) == 1
    with pytest.raises(Interrupted):
        learned("regression", work=work)


def test_what_it_refuses_is_said():
    with pytest.raises(TrainingError, match="CatBoost refuses the rows") as raised:
        learned("regression", depth=40)
    assert raised.value.code is ErrorCode.TRAINING_FAILED


def test_it_is_offered_where_it_is_and_leaves_many_classes():
    assert CatBoost in learners_for(Problem("binary", 2, 100))
    assert CatBoost.configurations(Problem("multiclass", 11, 1000)) == ()
    assert CatBoost.space(Problem("multiclass", 11, 1000)) == {}


@given(st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=8, max_size=8), st.lists(st.floats(-1, 1), max_size=4))
def test_questions_that_change_nothing_are_left_out(values, numbers):
    tree = SymmetricTree(np.array([0, 0, 0]), np.array([-0.5, 0.0, 0.5]), np.array(values)[:, None])
    forest = forest_of([tree], 1, 1)
    builder = GraphBuilder()
    builder.output("out", forest.emit(builder, builder.input("x", "double", ["N", 1])), "double", ["N", 1])
    rows = np.array([*numbers, np.nan])[:, None]
    assert np.array_equal(session(builder.finish()).run(None, {"x": rows})[0], sums_of([tree], rows, 1))
    if len(set(values)) == 1:
        assert len(forest.features) == 1
