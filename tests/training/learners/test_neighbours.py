"""Nearest neighbours: the graph finds the very rows that the trainer finds, ties included."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import GraphBuilder
from lepton.core import Interrupted, Resources, Work
from lepton.data.steps import Block, Tensors, apply_steps
from lepton.training.base import Problem, Rows
from lepton.training.learners import neighbours
from lepton.training.learners.neighbours import Neighbours
from tests.training.test_learners import session

WORK = Work(resources=Resources(cpus=1))
NAMES = ("a", "b")
TOWNS = ("Oslo", "Bergen", "Rome")
PROBLEMS = {"regression": 0, "binary": 2, "multiclass": 3}


def table(task, num_rows=300, seed=0):
    """Rows in which many are equally far from each other."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 4, (num_rows, 2)).astype(float)
    numbers[rng.random(num_rows) < 0.1, 0] = np.nan
    score = numbers[:, 1] + rng.normal(0, 1, num_rows)
    classes = np.clip(np.floor(score / 2), 0, max(PROBLEMS[task] - 1, 0))
    towns = pl.DataFrame({"town": np.array(TOWNS)[rng.integers(0, 3, num_rows)]})
    return Rows(Block(numbers, NAMES, towns), score if task == "regression" else classes)


def learned(task, rows, *, number=5, seed=1, work=WORK):
    problem = Problem(task, PROBLEMS[task], rows.block.num_rows, (), ("town",))
    return Neighbours(problem, {"label": "", "num_neighbours": number}, seed).fit(rows, valid=None, work=work)


def opened(learner):
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    raw = learner.emit(builder, Tensors(numbers, NAMES, builder.input("strings", "string", ["N", 1]), ("town",)))
    builder.output("out", raw, "double", ["N", learner.problem.num_scores])
    return session(builder.finish())


@pytest.mark.parametrize("task", PROBLEMS)
@pytest.mark.parametrize("at_once", [1_000, 64])
def test_the_graph_is_the_learner_for_any_row(task, at_once, monkeypatch):
    monkeypatch.setattr(neighbours, "_KEPT_AT_ONCE", at_once)
    learner = learned(task, table(task))
    graph = opened(learner)
    number = st.one_of(st.integers(-1, 4).map(float), st.floats(), st.sampled_from([np.nan, np.inf, -np.inf]))
    row = st.tuples(number, number, st.sampled_from([*TOWNS, "", "Atlantis"]))

    @given(st.lists(row, min_size=1, max_size=5))
    def check(rows):
        numbers, towns = np.array([row[:2] for row in rows], dtype=float), [row[2] for row in rows]
        (raw,) = graph.run(None, {"numbers": numbers, "strings": np.array(towns, dtype=object)[:, None]})
        ours = learner.raw(Block(numbers, NAMES, pl.DataFrame({"town": towns})))
        np.testing.assert_allclose(raw, ours, rtol=1e-12, atol=1e-12)

    check()


def test_no_rows_have_no_answers():
    learner = learned("multiclass", table("multiclass"))
    empty = {"numbers": np.empty((0, 2)), "strings": np.empty((0, 1), dtype=object)}
    assert opened(learner).run(None, empty)[0].shape == (0, 3)
    nothing = Block(empty["numbers"], NAMES, pl.DataFrame({"town": pl.Series([], dtype=pl.String)}))
    assert learner.raw(nothing).shape == (0, 3)


def test_the_neighbours_are_those_of_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(4)
    towns = pl.DataFrame({"town": ["Oslo"] * 200})
    rows = Rows(Block(rng.normal(size=(200, 2)), NAMES, towns), rng.normal(size=200))
    learner = learned("regression", rows)
    features = apply_steps(learner.steps, rows.block).numbers
    distances, found = NearestNeighbors(n_neighbors=6).fit(features).kneighbors(features)
    share = 1.0 - distances**2 / (distances[:, -1:] ** 2 + 1e-3)
    expected = (share * rows.target[found]).sum(axis=1) / share.sum(axis=1)
    np.testing.assert_allclose(learner.raw(rows.block)[:, 0], expected, atol=0.02)


def test_rows_without_weight_are_not_kept():
    rows = table("binary")
    weight = (np.arange(300) % 3).astype(float)
    learner = learned("binary", Rows(rows.block, rows.target, weight))
    assert learner.num_kept_rows == 200
    some = np.flatnonzero(weight)
    alone = learned("binary", Rows(rows.block.take(some), rows.target[some], 5.0 * weight[some]))
    np.testing.assert_allclose(alone.raw(rows.block), learner.raw(rows.block))


def test_the_seed_draws_the_rows_that_are_kept(monkeypatch):
    monkeypatch.setattr(neighbours, "_MAX_ROWS", 50)
    rows = table("regression")
    one, again, other = (learned("regression", rows, seed=seed) for seed in (1, 1, 2))
    assert one.num_kept_rows == 50
    assert np.array_equal(one.raw(rows.block), again.raw(rows.block))
    assert not np.array_equal(one.raw(rows.block), other.raw(rows.block))


def test_fewer_rows_than_neighbours():
    rows = table("multiclass").take(np.arange(3))
    learner = learned("multiclass", rows, number=40)
    assert np.isfinite(learner.raw(table("multiclass").block)).all()


def test_it_stops_and_leaves_very_many_classes():
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        learned("binary", table("binary"), work=work)
    assert Neighbours.configurations(Problem("multiclass", 101, 1000)) == ()
