"""Columns made of two: which pairs are found, and that graphs answer as learners do with them."""

import numpy as np
import onnxruntime
import polars as pl
import pytest

from lepton.bundle import TableInputs
from lepton.core import ColumnRecord, Kind, Resources, Work
from lepton.data.steps import Block
from lepton.training.base import LEARNERS, Problem, Rows
from lepton.training.interactions import best_products, used_together
from lepton.training.table_model import TableModel
from lepton.training.tasks import Scale

NAMES = ("a", "b", "c", "d")
WORK = Work(resources=Resources(cpus=1))
INPUTS = TableInputs([*(ColumnRecord(name, Kind.NUMBER, "float64") for name in NAMES)])
RANDOM = np.random.default_rng(0)


def block_of(num_rows, seed=0):
    numbers = np.random.default_rng(seed).normal(size=(num_rows, 4))
    numbers[:, 3] = numbers[:, 3] > 0
    return Block(numbers, NAMES, pl.DataFrame())


def target_of(block, task):
    a, b, c, _ = block.numbers.T
    told = a * b + 0.1 * c if task == "linear" else np.abs(a + b) + 0.1 * c
    return told, (told > np.median(told)).astype(float)


def test_products_that_say_what_is_left_over_come_first():
    block = block_of(500)
    a, b, c, _ = block.numbers.T
    rest = (3 * a * b - 2 * c * c)[:, None] + RANDOM.normal(size=(500, 1))
    found = best_products(block, np.ones(4), rest, 3)
    assert set(found[:2]) == {("a", "b"), ("c", "c")}
    assert len(found) == 3
    assert ("d", "d") not in best_products(block, np.ones(4), rest, 100)  # the square of an indicator is itself
    assert len(best_products(block, np.ones(4), rest, 100)) == 9


def test_pairs_are_of_the_columns_that_say_most(monkeypatch):
    monkeypatch.setattr("lepton.training.interactions._MOST_COLUMNS", 2)
    found = best_products(block_of(50), np.array([1.0, 3.0, 2.0, 0.0]), RANDOM.normal(size=(50, 2)), 100)
    assert {name for pair in found for name in pair} == {"b", "c"}


def test_columns_that_are_used_together_are_found_in_trees():
    leaf = {"leaf_value": 0.0}

    def node(feature, gain, left=leaf, right=leaf):
        return {"split_feature": feature, "split_gain": gain, "left_child": left, "right_child": right}

    trees = [node(0, 100.0, node(1, 5.0), node(2, 8.0, node(0, 1.0))), node(1, 50.0, node(0, 5.0), node(1, 70.0)), leaf]
    assert used_together(trees, range(3), 5) == [(0, 1), (0, 2)]
    assert used_together(trees, range(3), 1) == [(0, 1)]
    assert used_together(trees, (0, 2), 5) == [(0, 2)]


@pytest.mark.parametrize("task", ["regression", "binary"])
@pytest.mark.parametrize(("name", "settings"), [("linear", {"products": 3}), ("lightgbm", {"pairs": 2})])
def test_they_help_and_the_graph_answers_as_the_learner(name, settings, task):
    kind = LEARNERS.load(name)
    problem = Problem(task, 2 if task == "binary" else 0, 600)
    rows, new = block_of(600), block_of(400, seed=1)
    number = task == "regression"
    rows = Rows(rows, target_of(rows, name)[0 if number else 1], np.linspace(0.5, 1.5, 600))
    truth = target_of(new, name)[0 if number else 1]
    plain = {**kind.configurations(problem)[0], "max_rounds": 40}

    def fitted(configuration):
        return kind(problem, configuration, seed=1).fit(rows, valid=None, work=WORK)

    def errors(learner):
        raw = learner.raw(new)[:, 0]
        return np.mean((raw - truth) ** 2) if number else np.mean((raw > 0.0) != truth)

    learner = fitted({**plain, **settings})
    assert errors(learner) < 0.8 * errors(fitted(plain))
    model = TableModel(problem, INPUTS, learner, None if number else ("no", "yes"), Scale())
    graph = onnxruntime.InferenceSession(model.graph()[0], providers=["CPUExecutionProvider"])
    strange = new.take(np.arange(6))
    strange.numbers[:4, 0] = np.nan, np.inf, -np.inf, 0.0
    strange.numbers[3, 1] = 0.0
    given = graph.run(None, {"numbers": strange.numbers})[-1]
    ours = np.asarray(model.answers(strange))
    np.testing.assert_allclose(given.reshape(ours.shape), ours, rtol=1e-9)


def test_they_are_tried_where_there_are_rows_enough_and_no_directions():
    labels = {
        num_rows: [c["label"] for name in ("linear", "lightgbm") for c in LEARNERS.load(name).configurations(problem)]
        for num_rows in (1_000, 10_000)
        for problem in [Problem("regression", 0, num_rows)]
    }
    assert set(labels[10_000]) - set(labels[1_000]) == {
        "ridge, 100 products of columns",
        "medium trees, pairs of columns",
    }
    directed = Problem("regression", 0, 10_000, monotone=(("a", 1),))
    boosted = LEARNERS.load("lightgbm")
    assert "pairs" not in boosted.space(directed)
    assert not any("pairs" in each for each in boosted.configurations(directed))
