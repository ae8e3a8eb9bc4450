"""Means of the target by category: what new rows get, and that no row is told its own."""

import numpy as np
import onnxruntime
import polars as pl
import pytest
from hypothesis import assume, given, settings, strategies as st

from lepton.bundle import TableInputs
from lepton.core import ColumnRecord, Kind, Resources, Work
from lepton.data.steps import Block, apply_steps
from lepton.training.base import LEARNERS, Problem, Rows
from lepton.training.features import tree_steps
from lepton.training.table_model import TableModel
from lepton.training.target_statistics import MANY, many_valued, target_statistics
from lepton.training.tasks import Scale


def rows_of(texts, target, weight=None):
    strings = pl.DataFrame({"shop": texts}, schema={"shop": pl.String})
    return Rows(Block(np.zeros((len(texts), 1)), ("n",), strings), np.asarray(target, float), weight)


def problem_of(task="regression", num_classes=0):
    return Problem(task, num_classes, 100, (), ("shop",), many_valued=("shop",))


def test_new_rows_get_smoothed_means_and_unknown_ones_the_mean_of_all():
    rows = rows_of(["a"] * 10 + ["b"] * 30, [1.0] * 10 + [0.0] * 30)
    step, _ = target_statistics(problem_of(), rows, rows.block, 2)
    found = step.apply(rows_of(["a", "b", "c", ""], [0.0] * 4).block).numbers[:, 1]
    np.testing.assert_allclose(found, [(10 + 2.5) / 20, 2.5 / 40, 0.25, 0.25])
    assert step.made == ("mean of target",)


def test_missing_is_a_category_and_rare_ones_are_not_known():
    rows = rows_of([""] * 10 + ["b"] * 9 + ["once"], [1.0] * 10 + [0.0] * 10)
    step, own = target_statistics(problem_of(), rows, rows.block, 2)
    assert step.texts == (("", "b"),)
    assert step.apply(rows.block).numbers[0, 1] > 0.7
    assert own.numbers[-1, 1] == 0.5


def test_classes_have_shares():
    rows = rows_of(["a", "b"] * 30, [0, 1, 2, 1, 0, 1] * 10)
    step, own = target_statistics(problem_of("multiclass", 3), rows, rows.block, 2)
    np.testing.assert_allclose(step.apply(rows.block).numbers[:, 1:].sum(axis=1), 1.0)
    np.testing.assert_allclose(own.numbers[:, 1:].sum(axis=1), 1.0)


def test_weights_count_as_repeated_rows():
    weight = np.array([1.0, 2.0, 0.0, 1.0] * 10)
    texts, target = ["a", "b", "a", "b"] * 10, np.arange(40.0)
    weighted = rows_of(texts, target, weight)
    repeat = np.repeat(np.arange(40), weight.astype(int))
    repeated = rows_of([texts[i] for i in repeat], target[repeat])
    first, _ = target_statistics(problem_of(), weighted, weighted.block, 1)
    second, _ = target_statistics(problem_of(), repeated, repeated.block, 1)
    asked = rows_of(["a", "b", "x"], [0.0] * 3).block
    np.testing.assert_allclose(first.apply(asked).numbers, second.apply(asked).numbers)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", ""]), st.floats(-5, 5)), min_size=2, max_size=40),
    st.data(),
)
def test_no_row_is_told_its_own_target(cells, data):
    texts, target = [text for text, _ in cells], np.array([number for _, number in cells])
    row = data.draw(st.integers(0, len(cells) - 1))
    elsewhere = [other for other, text in enumerate(texts) if text != texts[row]]
    assume(elsewhere)
    changed = target.copy()
    changed[row] += 1000.0
    changed[elsewhere[0]] -= 1000.0  # so that the mean of all stays
    before, after = (
        target_statistics(problem_of(), rows, rows.block, 1)[1].numbers[row, 1]
        for rows in (rows_of(texts, target), rows_of(texts, changed))
    )
    assert after == pytest.approx(before, abs=1e-9)


def test_a_category_without_a_say_looks_so_to_those_who_learn():
    rng = np.random.default_rng(0)
    rows = rows_of([str(i) for i in rng.integers(0, 400, 1200)], rng.normal(size=1200))
    step, own = target_statistics(problem_of(), rows, rows.block, 2)
    assert np.corrcoef(step.apply(rows.block).numbers[:, 1], rows.target)[0, 1] > 0.4  # its own target shines through
    assert np.corrcoef(own.numbers[:, 1], rows.target)[0, 1] < 0.1


def test_columns_of_many_values():
    strings = pl.DataFrame({"few": ["a", "b"] * 100, "many": [str(i % (MANY + 1)) for i in range(200)]})
    assert many_valued(strings, ("few", "many")) == ("many",)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
@pytest.mark.parametrize(("task", "num_classes"), [("regression", 0), ("binary", 2), ("multiclass", 3)])
def test_the_graph_answers_as_the_trainer(name, task, num_classes):
    rng = np.random.default_rng(1)
    shops = rng.integers(0, 60, 600)
    effect = rng.normal(size=60)[shops] + 0.3 * rng.normal(size=600)
    target = (
        effect if task == "regression" else np.searchsorted(np.quantile(effect, [0.5, 0.8][: num_classes - 1]), effect)
    )
    rows = rows_of([f"shop {i}" for i in shops], target)
    learner = LEARNERS.load(name)
    problem = problem_of(task, num_classes)
    configuration = next(c for c in learner.configurations(problem) if c.get("statistics"))
    fitted = learner(problem, {**configuration, "max_rounds": 15, "patience": None}, 0)
    fitted.fit(rows, valid=None, work=Work(resources=Resources(cpus=1)))
    columns = (ColumnRecord("n", Kind.NUMBER, "float64"), ColumnRecord("shop", Kind.CATEGORY, "string"))
    labels = None if task == "regression" else tuple(range(num_classes))
    model = TableModel(problem, TableInputs(columns), fitted, labels, Scale())
    asked = rows_of(["shop 0", "shop 59", "nowhere", "", "1:shop 0"], [0.0] * 5).block
    given = _graph(model, asked)
    np.testing.assert_allclose(given, model.answers(asked), rtol=1e-12, atol=1e-12)


def _graph(model, block):
    session = onnxruntime.InferenceSession(model.graph()[0], providers=["CPUExecutionProvider"])
    feeds = {"numbers": block.numbers, "strings": block.strings.to_numpy().astype(object)}
    return session.run(None, feeds)[-1]


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", ""]), min_size=12, max_size=40))
def test_steps_of_trees_take_what_own_rows_are_given(texts):
    rows = rows_of(texts, np.arange(len(texts)))
    steps, own = tree_steps(problem_of(), rows.block, rows)
    again = apply_steps(steps, rows.block)
    assert own.number_names == again.number_names
    assert own.number_names[1] == "mean of target(shop)"
    np.testing.assert_array_equal(own.numbers[:, 2:], again.numbers[:, 2:])
    assert tree_steps(problem_of(), rows.block)[1].number_names == ("n", "shop")
