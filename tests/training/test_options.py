"""Weights of classes, costs of mistakes, directions of columns: what they mean, and what is refused."""

import contextlib
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import GraphBuilder, open_model, read_bundle
from lepton.core import DataError, LeptonError, Resources, UsageError, Work
from lepton.data import read
from lepton.evaluation import metric as metric_named
from lepton.training import Options, portfolio, train
from lepton.training.answers import decided, emit_answers
from lepton.training.base import LEARNERS, Problem, Rows, learners_for
from lepton.training.options import by_labels
from lepton.training.prepared import PreparedTable, prepare_table
from lepton.training.table_model import TableModel
from lepton.training.tasks import Scale


def people(num_rows=900, seed=0):
    """Rare illness by age and a second number; the probability does not quite rise with age."""
    rng = np.random.default_rng(seed)
    age, dose = rng.uniform(20, 80, num_rows), rng.normal(size=num_rows)
    chance = 1 / (1 + np.exp(-((age - 70) / 10 + dose + np.sin(age))))
    ill = rng.random(num_rows) < chance
    return pl.DataFrame(
        {
            "age": np.where(rng.random(num_rows) < 0.05, np.nan, age),
            "dose": dose,
            "ward": rng.choice(["a", "b", "c"], num_rows),
            "when": pl.Series(rng.integers(0, 10**9, num_rows)).cast(pl.Datetime("ms")),
            "state": np.where(ill, "ill", "well"),
            "stage": np.array(["early", "late", "middle"])[np.where(ill, 1, np.where(dose > 0, 2, 0))],
            "days": 3 * age + 40 * dose + 30 * np.sin(age) + rng.normal(0, 10, num_rows),
        }
    ).with_columns(pl.col("age").fill_nan(None))


QUICK = {"baseline", "linear", "lightgbm"}
TARGETS = ("state", "stage", "days")


def table(target, frame=None):
    frame = people() if frame is None else frame
    return read(frame, kinds={"ward": "category", "state": "category", "stage": "category"}).with_roles(
        {name: "ignored" for name in TARGETS if name != target}
    )


def applied(options, target="state", work=None):
    return options.applied(prepare_table(table(target), target, None, Work.of(work)))


@pytest.fixture(scope="module", autouse=True)
def few_rounds():
    """Boosting of a few rounds, which shows all that is tested here."""
    learner = LEARNERS.load("lightgbm")
    whole = learner.configurations
    patch = pytest.MonkeyPatch()
    patch.setattr(
        learner,
        "configurations",
        lambda problem: tuple({**c, "max_rounds": min(c["max_rounds"], 40)} for c in whole(problem)[:2]),
    )
    patch.setattr(
        portfolio, "learners_for", lambda problem: [each for each in learners_for(problem) if each.name in QUICK]
    )
    yield
    patch.undo()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Trained models by options, each once."""
    folder = tmp_path_factory.mktemp("options")
    made: dict[Any, Any] = {}

    def trained(target="state", **options):
        key = (target, repr(options))
        if key not in made:
            path = folder / f"m{len(made)}.lepton"
            work = Work("60s", resources=Resources(cpus=1))
            made[key] = train(table(target), target=target, options=Options(**options), work=work, output=path), path
        return made[key]

    return trained


def outputs(path, frame=None):
    return open_model(path).outputs((people() if frame is None else frame).drop(TARGETS))


# --- weights of classes -------------------------------------------------------------------------------------------


def test_balanced_weights_make_classes_count_alike():
    found = applied(Options("balanced"))
    counts = np.bincount(found.target.values.astype(int))
    weights = np.array(found.problem.class_weights)
    np.testing.assert_allclose(weights * counts, len(found.frame) / 2)
    rows = found.rows.to_learn(found.problem)
    np.testing.assert_array_equal(rows.weight, weights[found.target.values.astype(int)])
    assert found.rows.weight is None  # scores are of rows as they are


def test_weights_of_classes_and_of_rows_multiply():
    weight = np.linspace(0.5, 2.0, 6)
    problem = Problem("binary", 2, 6, class_weights=(1.0, 3.0))
    block = applied(Options()).rows.block.take(np.arange(6))
    target = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(
        Rows(block, target, weight).to_learn(problem).weight, weight * np.where(target == 1.0, 3.0, 1.0)
    )


def test_weighted_classes_are_called_more_and_the_score_is_of_rows_as_they_are(model):
    (plain, before), (weighed, after) = model(), model(class_weight={"ill": 8})
    first, second = outputs(before), outputs(after)
    assert np.mean(second["prediction"] == "ill") > 1.5 * np.mean(first["prediction"] == "ill")
    assert read_bundle(after).reports["training"]["metric"] == "roc_auc"
    assert any("'ill' 8" in note for note in weighed.notes)
    assert not any("count by class" in note for note in plain.notes)
    assert read_bundle(after).manifest.lineage["options"]["class_weights"] == [8.0, 1.0]


# --- costs --------------------------------------------------------------------------------------------------------


def test_the_graph_calls_what_is_expected_to_cost_least(model):
    matrix = np.array([[0.0, 20.0, 5.0], [2.0, 0.0, 2.0], [1.0, 1.0, 0.0]])
    result, path = model("stage", costs=matrix.tolist())
    given = outputs(path)
    labels = np.array(open_model(path).labels, dtype=object)
    expected = given["probabilities"] @ matrix
    np.testing.assert_array_equal(given["prediction"], labels[expected.argmin(axis=1)])
    assert np.mean(given["prediction"] != labels[given["probabilities"].argmax(axis=1)]) > 0.01
    assert any("costs" in note and "out of fold" in note for note in result.notes)
    told = read_bundle(path).member("baseline/outputs.json")  # what drift is watched by has the same labels
    assert b"early" in told


def test_names_of_two_classes(model):
    _, path = model(costs={"false_positive": 1, "false_negative": 9})
    given = outputs(path)
    # Labels are in order, so "well" is the second, the positive one.
    np.testing.assert_array_equal(
        given["prediction"] == "well", given["probabilities"][:, 1] * 9 > 1 * (1 - given["probabilities"][:, 1])
    )


@given(st.integers(2, 5), st.integers(0, 10**6))
def test_decisions_of_the_graph_are_those_of_the_trainer(num_classes, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(0.1, 10.0, (num_classes, num_classes))
    np.fill_diagonal(matrix, 0.0)
    problem = Problem("multiclass", num_classes, 10, costs=tuple(map(tuple, matrix.tolist())))
    builder = GraphBuilder()
    raw = builder.input("raw", "double", ("N", num_classes))
    emit_answers(builder, problem, raw, tuple(range(num_classes)), Scale())
    session = onnxruntime.InferenceSession(builder.finish({}), providers=["CPUExecutionProvider"])
    called, shares = session.run(["prediction", "probabilities"], {"raw": rng.normal(size=(20, num_classes))})
    np.testing.assert_array_equal(called, decided(problem, shares))


def test_costs_that_are_alike_change_nothing():
    shares = np.random.default_rng(0).dirichlet(np.ones(4), 200)
    alike = tuple(map(tuple, (3.0 * (1.0 - np.eye(4))).tolist()))
    np.testing.assert_array_equal(
        decided(Problem("multiclass", 4, 1, costs=alike), shares), decided(Problem("multiclass", 4, 1), shares)
    )


def test_costs_by_label():
    found = applied(Options(costs={"ill": {"well": 7}}))
    assert found.problem.costs == ((0.0, 7.0), (1.0, 0.0))


# --- directions ---------------------------------------------------------------------------------------------------


GRID = np.concatenate([[-np.inf], np.linspace(0, 100, 201), [np.inf]])


def along(path, name, **fixed):
    """Answers of the graph along one column, for a few rows of the others."""
    model = open_model(path)
    answers = []
    for row in people(30, seed=3).drop(TARGETS).to_dicts():
        frame = pl.DataFrame([row] * len(GRID), infer_schema_length=None).with_columns(pl.Series(name, GRID))
        given = model.outputs(frame)
        answers.append(given["probabilities"][:, 0] if "probabilities" in given else given["prediction"])
    return np.array(answers)


def test_a_number_does_not_fall(model):
    result, path = model("days", monotone={"age": 1, "dose": -1})
    assert np.diff(along(path, "age"), axis=1).min() >= 0.0
    assert np.diff(along(path, "dose"), axis=1).max() <= 0.0
    assert np.diff(along(model("days")[1], "age"), axis=1).min() < 0.0
    assert {row.learner for row in result.leaderboard if row.metric is not None} == {"baseline", "lightgbm"}
    assert any("left out: linear" in note for note in result.notes)


def test_a_probability_does_not_rise(model):
    # Scores are of the second label, "well".
    _, path = model("state", monotone={"age": -1})
    assert np.diff(along(path, "age"), axis=1).min() >= -1e-15


@pytest.mark.parametrize("name", [name for name in LEARNERS.names() if LEARNERS.load(name).keeps_directions])
@pytest.mark.parametrize("direction", [1, -1])
def test_every_learner_that_says_so_keeps_directions(name, direction):
    learner = LEARNERS.load(name)
    if learner.library:
        pytest.importorskip(learner.library)
    found = applied(Options(monotone={"age": direction}), "days")
    sampled = found.rows.take(np.arange(0, 900, 2))
    fitted = learner(found.problem, {**learner.configurations(found.problem)[-1], "max_rounds": 40}, 1)
    fitted.fit(sampled, valid=None, work=Work(resources=Resources(cpus=1)))
    path = TableModel(found.problem, found.inputs, fitted, None, found.scale)
    graph, _, _ = path.graph()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    row = people(1, seed=5).drop(TARGETS).to_dicts()[0]
    frame = pl.DataFrame([row] * len(GRID)).with_columns(age=pl.Series(GRID))
    answers = session.run(["prediction"], found.inputs.tensors(frame))[0]
    assert (direction * np.diff(answers)).min() >= 0.0


# --- what is refused ----------------------------------------------------------------------------------------------


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "a word": ("state", {"class_weight": "even"}, "class_weight='even'"),
    "weights for numbers": ("days", {"class_weight": "balanced"}, "regression"),
    "a label that is not there": ("state", {"class_weight": {"il": 2}}, "did you mean 'ill'"),
    "a weight of 0": ("state", {"class_weight": {"ill": 0}}, "above 0"),
    "a weight that is none": ("state", {"class_weight": {"ill": "much"}}, "'much'"),
    "costs for numbers": ("days", {"costs": {"false_positive": 1, "false_negative": 2}}, "regression"),
    "names for three classes": ("stage", {"costs": {"false_positive": 1, "false_negative": 2}}, "3 rows"),
    "a matrix of another size": ("stage", {"costs": [[0, 1], [1, 0]]}, "3 rows"),
    "a mistake that is cheap": ("stage", {"costs": [[0, 1, 1], [1, 0, 1], [1, 0, 0]]}, "'middle' 'late'"),
    "a cost that is not finite": ("stage", {"costs": {"late": {"early": float("inf")}}}, "finite"),
    "a cost that is text": ("stage", {"costs": {"late": {"early": "dear"}}}, "finite"),
    "one cost for a label": ("stage", {"costs": {"late": {"early": 2}, "early": 5}}, "call → cost"),
    "both": ("state", {"class_weight": "balanced", "costs": {"false_positive": 1, "false_negative": 2}}, "one of"),
    "directions of many classes": ("stage", {"monotone": {"age": 1}}, "multiclass"),
    "a direction of 2": ("days", {"monotone": {"age": 2}}, "direction 2"),
    "a column that is not there": ("days", {"monotone": {"ages": 1}}, "did you mean 'age'"),
    "a category": ("days", {"monotone": {"ward": 1}}, "of kind category"),
    "a date": ("days", {"monotone": {"when": 1}}, "of kind datetime"),
    "a column that is ignored": ("days", {"monotone": {"state": 1}}, "its role is ignored"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_meant_is_refused(case):
    target, options, told = BAD[case]
    with pytest.raises((UsageError, DataError), match=r"got|monotone|costs|class_weight") as caught:
        applied(Options(**options), target)
    assert told in str(caught.value)


@given(
    st.one_of(st.text(max_size=5), st.dictionaries(st.text(max_size=4), st.floats() | st.text(max_size=3), max_size=3))
)
def test_any_class_weight_is_taken_or_refused(asked):
    prepared = _PREPARED.setdefault("state", applied(Options()))
    with contextlib.suppress(LeptonError):
        found = Options(class_weight=asked).applied(prepared)
        assert all(0.0 < weight < np.inf for weight in found.problem.class_weights)


_PREPARED: dict[str, PreparedTable] = {}


# --- metrics of one's own -----------------------------------------------------------------------------------------


def test_a_function_sees_labels_as_the_user_knows_them():
    seen = []

    def hits(y, answer, weight, labels):
        seen.append((set(y), set(answer), tuple(labels)))
        return float(np.mean(y == answer))

    metric = by_labels(metric_named(hits, "binary"), ("ill", "well"))
    assert metric(np.array([0, 1]), np.array([1, 1]), None, labels=range(2)) == 0.5
    assert seen == [({"ill", "well"}, {"well"}, ("ill", "well"))]
