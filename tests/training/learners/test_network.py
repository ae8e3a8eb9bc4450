"""The network: its slopes are right, it follows what trees and lines cannot, and it keeps its time."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lepton.core import Interrupted, Resources, Work
from lepton.data.steps import Block
from lepton.training.base import Problem, Rows
from lepton.training.learners.network import Network
from lepton.training.learners.network_fit import Net, Training, as_half, edges_of, loss_of, pieces

WORK = Work(resources=Resources(cpus=1))


def rows_of(features, target, weight=None):
    names = tuple(f"x{place}" for place in range(features.shape[1]))
    return Rows(Block(features, names, pl.DataFrame()), np.asarray(target, dtype=np.float64), weight)


def fitted(problem, rows, valid=None, work=WORK, **changed):
    configuration = {**Network.configurations(problem)[0], "width": 32, "epochs": 30, **changed}
    return Network(problem, configuration, 0).fit(rows, valid=valid, work=work)


@pytest.mark.parametrize(("task", "num_scores"), [("regression", 1), ("binary", 1), ("multiclass", 3)])
def test_slopes_are_those_of_the_loss(task, num_scores):
    generator = np.random.default_rng(0)
    net = Net.drawn(5, num_scores, width=7, num_layers=2, num_members=3, seed=1)
    inputs = generator.normal(size=(11, 5)).astype(np.float32)
    drawn = generator.normal(size=11) if task == "regression" else generator.integers(0, max(num_scores, 2), 11)
    target = drawn.astype(np.float64)
    weight = np.full(11, 1 / 11, dtype=np.float32)
    loss = loss_of(task)

    def total():
        """The mean over members, of which `scores` is the mean of the scores only where there is one."""
        members = []
        for member in range(3):
            alone = {
                n: v[[member]] if n in {"scale", "head", "offset"} or "bias" in n else v for n, v in net.weights.items()
            }
            values, _ = loss(Net(alone, 2).scores(inputs), target)
            members.append(float((values * weight).sum()))
        return np.mean(members)

    slopes = net.gradient(inputs, target, weight, loss, 0.0, generator)
    for name, weights in net.weights.items():
        for _ in range(5):
            place = tuple(generator.integers(0, size) for size in weights.shape)
            middle, step = weights[place], 3e-3
            ends = []
            for sign in (1, -1):
                weights[place] = middle + sign * step
                ends.append(total())
            weights[place] = middle
            assert slopes[name][place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=3e-3)


def test_pieces_say_how_far_a_number_is_through_each():
    numbers = np.arange(11.0)[:, None]
    (edges,) = edges_of(numbers, 2)
    assert edges.tolist() == [0, 5, 10]
    lower, scale = edges[:-1].astype(np.float32), (1 / np.diff(edges)).astype(np.float32)
    coded = pieces(
        np.array([[-3.0], [2.5], [7.5], [99.0]], dtype=np.float32), lower, scale, np.zeros(2, dtype=np.int64)
    )
    assert coded.tolist() == [[0, 0], [0.5, 0], [1, 0.5], [1, 1]]


def test_a_smooth_surface_that_no_line_follows():
    generator = np.random.default_rng(0)
    features = generator.uniform(-2, 2, (3_000, 3))
    target = np.sin(2 * features[:, 0]) * features[:, 1]
    train, valid = rows_of(features[:2_000], target[:2_000]), rows_of(features[2_000:], target[2_000:])
    learner = fitted(Problem("regression", 0, 2_000), train)
    explained = 1 - np.var(learner.raw(valid.block)[:, 0] - valid.target) / np.var(valid.target)
    assert explained > 0.95


def test_it_stops_where_unseen_rows_say_so():
    generator = np.random.default_rng(0)
    features, noise = generator.normal(size=(300, 4)), generator.normal(size=300)
    train, valid = rows_of(features[:200], noise[:200]), rows_of(features[200:], noise[200:])
    problem = Problem("regression", 0, 200)
    learner = fitted(problem, train, valid, epochs=100, dropout=0.0, rate=1e-2)
    assert learner._epochs < 50
    assert np.var(learner.raw(valid.block)) < 0.5
    assert Network.settled(learner.configuration, [learner])["epochs"] == learner._epochs


def test_the_same_seed_gives_the_same_net():
    generator = np.random.default_rng(0)
    rows = rows_of(generator.normal(size=(100, 3)), generator.integers(0, 2, 100))
    problem = Problem("binary", 2, 100)
    assert np.array_equal(fitted(problem, rows).raw(rows.block), fitted(problem, rows).raw(rows.block))


def test_numbers_far_from_all_others_do_not_run_away():
    generator = np.random.default_rng(0)
    rows = rows_of(generator.normal(size=(200, 2)), generator.normal(size=200))
    learner = fitted(Problem("regression", 0, 200), rows)
    far = rows_of(np.array([[1e300, -1e300], [np.inf, -np.inf], [np.nan, 0.0]]), np.zeros(3))
    assert np.abs(learner.raw(far.block)).max() < 20


def test_what_the_time_allows_is_kept():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(4_000, 20))
    rows = rows_of(features, features[:, 0])
    work = Work(within=1.5, resources=Resources(cpus=1))
    learner = fitted(Problem("regression", 0, 4_000), rows, rows, work=work, width=128, epochs=10_000)
    assert learner.cut_short
    assert learner._epochs >= 1
    assert np.isfinite(learner.raw(rows.block)).all()
    stopped = Work()
    stopped.cancel.set()
    with pytest.raises(Interrupted):
        fitted(Problem("regression", 0, 4_000), rows, work=stopped)


def test_texts_are_left_to_others():
    problem = Problem("binary", 2, 100, texts=("title",))
    assert Network.configurations(problem) == ()
    assert Network.space(problem) == {}


def test_averages_follow_the_weights():
    net = Net.drawn(2, 1, width=3, num_layers=1, num_members=2, seed=0)
    training = Training(net, 0.1, 0.0, 200)
    slopes = {name: np.ones_like(value) for name, value in net.weights.items()}
    before = {name: value.copy() for name, value in net.weights.items()}
    for _ in range(200):
        training.move(slopes)
    averaged = training.averaged()
    for name, value in averaged.weights.items():
        assert (value < before[name]).all()
        assert (value > net.weights[name] - 1e-6).all()


def test_weights_are_those_that_half_precision_has():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 3))
    learned = fitted(Problem("regression", 0, num_rows=200), rows_of(features, features[:, 0]))
    for name, weights in learned._net.weights.items():
        assert np.array_equal(weights, weights.astype(np.float16).astype(np.float32)), name
    assert as_half(np.array([1e9, -1e9], dtype=np.float32)).tolist() == [65504.0, -65504.0]
