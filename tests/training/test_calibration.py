"""Temperatures: planted miscalibration is repaired, a calibrated model is left alone, labels never change."""

import numpy as np
import polars as pl
import pytest

from lepton.bundle import TableInputs
from lepton.core import ColumnRecord, Kind, Resources, Work
from lepton.data.steps import Block
from lepton.training.answers import probabilities_of
from lepton.training.base import Problem, Rows
from lepton.training.calibration import MIN_CALIBRATION_ROWS, temperature_for, temperature_of
from lepton.training.learners.linear import Linear
from lepton.training.table_model import TableModel
from lepton.training.tasks import Scale
from tests.training.test_learners import session

TASKS = {"binary": Problem("binary", 2, 2_000), "multiclass": Problem("multiclass", 4, 2_000)}


def true_scores(problem, num_rows=2_000, seed=0):
    """Scores whose probabilities come true, and the classes that came."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, 2, (num_rows, problem.num_scores))
    shares = probabilities_of(problem, raw)
    classes = (rng.random((num_rows, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return raw, np.minimum(classes, problem.num_classes - 1)


@pytest.mark.parametrize("problem", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("factor", [0.3, 4.0])
def test_planted_miscalibration_is_repaired(problem, factor):
    raw, classes = true_scores(problem)
    temperature, saved = temperature_for(problem, factor * raw, classes, None, seed=1)
    assert temperature == pytest.approx(factor, rel=0.15)
    assert saved > 0.05
    repaired = factor * raw / temperature
    assert np.array_equal(probabilities_of(problem, repaired).argmax(axis=1), probabilities_of(problem, raw).argmax(1))


@pytest.mark.parametrize("problem", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("seed", range(4))
def test_calibrated_scores_are_left_alone(problem, seed):
    raw, classes = true_scores(problem, seed=seed)
    assert temperature_for(problem, raw, classes, None, seed=1) == (1.0, 0.0)


def test_few_rows_and_rows_without_weight_say_nothing():
    problem = TASKS["binary"]
    raw, classes = true_scores(problem, MIN_CALIBRATION_ROWS - 1)
    assert temperature_for(problem, 5 * raw, classes, None, seed=1) == (1.0, 0.0)
    raw, classes = true_scores(problem)
    assert temperature_for(problem, 5 * raw, classes, np.zeros(len(raw)), seed=1) == (1.0, 0.0)


def test_weights_count_as_rows():
    problem = TASKS["multiclass"]
    raw, classes = true_scores(problem, 300)
    weight = np.random.default_rng(0).integers(0, 4, 300)
    repeated = np.repeat(np.arange(300), weight)
    expected = temperature_of(problem, raw[repeated], classes[repeated], np.ones(len(repeated)))
    assert temperature_of(problem, raw, classes, weight.astype(float)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("problem", TASKS.values(), ids=TASKS)
def test_the_graph_divides_as_the_trainer_does(problem):
    raw, classes = true_scores(problem, 300)
    block = Block(np.ascontiguousarray(raw[:, :1]), ("x",), pl.DataFrame())
    rows = Rows(block, classes.astype(float))
    learner = Linear(problem, Linear.configurations(problem)[0])
    learner.fit(rows, valid=None, work=Work(resources=Resources(cpus=1)))
    inputs = TableInputs((ColumnRecord("x", Kind.NUMBER),))
    labels = tuple("abcd"[: problem.num_classes])
    plain = TableModel(problem, inputs, learner, labels, Scale())
    warm = TableModel(problem, inputs, learner, labels, Scale(), temperature=2.5)
    label, shares = session(warm.graph()[0]).run(None, {"numbers": block.numbers})
    np.testing.assert_allclose(shares, warm.answers(block), rtol=1e-12)
    assert label.tolist() == session(plain.graph()[0]).run(None, {"numbers": block.numbers})[0].tolist()
    np.testing.assert_allclose(warm.answers(block), probabilities_of(problem, learner.raw(block) / 2.5), rtol=1e-12)
    assert warm.answers(block).max() < plain.answers(block).max()


def test_rows_of_a_group_are_one_vote():
    """Scores that are too large by chance in one group of many rows are no reason to change all."""
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 1, 400)[:, None]
    classes = (rng.random(400) < 1 / (1 + np.exp(-raw[:, 0]))).astype(np.int64)
    raw = np.vstack([raw, np.full((600, 1), 3.0)])
    classes = np.concatenate([classes, np.zeros(600, dtype=np.int64)])
    groups = np.concatenate([np.arange(400), np.full(600, 400)])
    problem = Problem("binary", 2, 1000)
    assert temperature_for(problem, raw, classes, None, 0)[0] != 1.0
    assert temperature_for(problem, raw, classes, None, 0, groups)[0] == 1.0
