"""Intervals and sets hold the truth as often as is asked, and the graph gives those of the numpy form."""

import numpy as np
import onnxruntime
import polars as pl
import pytest

import lepton
from lepton.bundle import GraphBuilder
from lepton.core import DataError, ErrorCode, UsageError
from lepton.training.conformal import (
    Conformal,
    check_coverage,
    conformal_classes,
    conformal_numbers,
    conformal_quantiles,
)


def run(build, feeds):
    builder = GraphBuilder()
    build(builder, {name: builder.input(name, *kind) for name, (_, *kind) in feeds.items()})
    session = onnxruntime.InferenceSession(builder.finish({}), providers=["CPUExecutionProvider"])
    return session.run(None, {name: values for name, (values, *_) in feeds.items()})


def rows_of(num_rows, seed):
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=num_rows)
    return predicted + np.exp(predicted) * rng.normal(size=num_rows), predicted


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_intervals_cover_new_rows_alike_at_every_level(coverage):
    truth, predicted = rows_of(2000, 0)
    found = conformal_numbers(coverage, truth, predicted)
    assert len(found.widths) == len(found.edges) + 1 > 1
    assert found.widths[-1] > 2.0 * found.widths[0]
    new, answers = rows_of(20_000, 1)
    lower, upper = found.bounds(answers)
    inside = (lower <= new) & (new <= upper)
    for part in (answers < 0.0, answers >= 0.0, np.ones(len(answers), dtype=bool)):
        assert inside[part].mean() == pytest.approx(coverage, abs=0.06)


def test_one_width_where_levels_do_not_differ():
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=1000)
    found = conformal_numbers(0.9, predicted + rng.normal(size=1000), predicted)
    assert found.edges == ()
    assert found.widths[0] == pytest.approx(1.645, abs=0.15)


def test_the_width_is_the_next_higher_rank():
    far = np.arange(1.0, 20.0)  # of 19 distances, 0.9 * 20 / 19 of them are the first 18
    assert conformal_numbers(0.9, far, np.zeros(19)).widths == (18.0,)
    short = conformal_numbers(0.99, far, np.zeros(19))
    assert short.widths == (19.0,)
    assert "fewer rows" in short.notes[-1]


def test_weights_count():
    far, weight = np.arange(1.0, 101.0), np.ones(100)
    weight[:50] = 9.0
    assert conformal_numbers(0.8, far, np.zeros(100), weight).widths[0] < 50.0 < 80.0


def test_right_everywhere():
    assert conformal_numbers(0.9, np.ones(200), np.ones(200)).widths == (0.0,)


def test_bounds_of_the_graph():
    predicted = np.array([-1.0, 0.0, 0.5, np.nextafter(0.5, 0.0), 2.0, np.inf, -np.inf])
    for form in (Conformal(0.9, (0.0, 0.5), (1.0, 2.0, 3.0)), Conformal(0.9, (), (1.5,))):

        def build(builder, inputs, form=form):
            for name, value in zip(("lower", "upper"), form.emit_bounds(builder, inputs["p"]), strict=True):
                builder.output(name, value, "double", ["N"])

        given = run(build, {"p": (predicted, "double", ["N"])})
        np.testing.assert_array_equal(given, form.bounds(predicted))


def test_sets_cover_new_rows():
    rng = np.random.default_rng(0)

    def draw(num_rows):
        probabilities = rng.dirichlet([0.7, 0.7, 0.7], num_rows)
        truth = (probabilities.cumsum(axis=1) < rng.random(num_rows)[:, None]).sum(axis=1)
        return truth, probabilities

    found = conformal_classes(0.9, *draw(3000))
    truth, probabilities = draw(20_000)
    members = found.members(probabilities, probabilities.argmax(axis=1))
    assert members[np.arange(len(truth)), truth].mean() == pytest.approx(0.9, abs=0.02)
    assert members.sum(axis=1).min() >= 1
    assert members.sum(axis=1).mean() < 2.5


def test_shares_of_quantiles_come_true():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=2000)
    shares = (0.1, 0.5, 0.9)
    found = conformal_quantiles(shares, truth, np.tile([-0.2, 1.0, 0.2], (2000, 1)))
    assert np.array([-0.2, 1.0, 0.2]) + found.shifts == pytest.approx(np.quantile(truth, shares), abs=0.01)
    assert found.coverage == 0.8


def test_members_of_the_graph():
    probabilities = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]])
    called = np.array([2, 0, 1])
    form = Conformal(0.9, least=0.3)

    def build(builder, inputs):
        builder.output("set", form.emit_members(builder, inputs["p"], inputs["c"], 3), "int64", ["N", 3])

    (given,) = run(build, {"p": (probabilities, "double", ["N", 3]), "c": (called, "int64", ["N"])})
    np.testing.assert_array_equal(given, form.members(probabilities, called))
    np.testing.assert_array_equal(given, [[0, 1, 1], [1, 0, 1], [1, 1, 1]])


@pytest.mark.parametrize("coverage", [0.0, 0.4, 1.0, 90, "0.9", True, float("nan")])
def test_coverage_that_cannot_be_meant(coverage):
    with pytest.raises(UsageError) as error:
        check_coverage(coverage, "regression", 1000)
    assert "0.9" in error.value.fix


def test_coverage_that_does_not_fit():
    with pytest.raises(DataError) as error:
        check_coverage(0.99, "regression", 50)
    assert (error.value.code, error.value.wanted) == (ErrorCode.TOO_FEW_ROWS, "at least 99")
    with pytest.raises(UsageError, match="quantile"):
        check_coverage(0.9, "quantile", 1000)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2))
    y = 3.0 * x[:, 0] + np.exp(0.7 * x[:, 0]) * rng.normal(size=600)
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y, "k": np.digitize(y, [-2.0, 2.0]).astype(str)})


def test_a_model_with_intervals(table, tmp_path):
    model = lepton.train(
        table.head(400).drop("k"), target="y", coverage=0.8, learners=["linear"], output=tmp_path / "m.lepton"
    )
    rows = table.tail(200).drop("k")
    outputs = model.predictor.outputs(rows)
    assert list(outputs) == ["prediction", "lower", "upper"]
    assert (outputs["lower"] <= outputs["prediction"]).all()
    assert model.predict_all(rows).columns == ["prediction", "lower", "upper"]
    assert model.predictor.manifest.lineage["options"]["coverage"] == 0.8
    assert any("0.8 of rows" in note for note in model.leaderboard().notes)
    judged = model.evaluate(rows)
    told = judged.to_dict()["coverage"]
    assert (told["stated"], told["of"]) == (0.8, "interval")
    assert told["found"]["lower"] <= 0.8 <= told["found"]["upper"]
    assert told["found"]["value"] == pytest.approx(
        np.mean((outputs["lower"] <= rows["y"].to_numpy()) & (rows["y"].to_numpy() <= outputs["upper"]))
    )
    assert told["size"]["value"] == pytest.approx(np.mean(outputs["upper"] - outputs["lower"]))
    assert "0.8 was stated" in judged.text()
    assert "was stated" in judged.page().html()
    shifted = model.evaluate(rows.with_columns(pl.col("y") + 10.0))
    assert shifted.to_dict()["coverage"]["short"]
    assert any("less often than stated" in warning for warning in shifted.warnings)


def test_a_model_with_sets(table, tmp_path):
    model = lepton.train(
        table.head(400).drop("y"), target="k", coverage=0.9, learners=["linear"], output=tmp_path / "m.lepton"
    )
    rows = table.tail(200).drop("y")
    outputs = model.predictor.outputs(rows)
    assert outputs["set"].shape == (200, 3)
    assert outputs["set"].dtype == np.int64
    assert (outputs["set"][np.arange(200), outputs["probabilities"].argmax(axis=1)] == 1).all()
    given = model.predict_all(rows.to_dicts())
    assert list(given[0]) == ["prediction", *(f"probability_{k}" for k in "012"), *(f"set_{k}" for k in "012")]
    told = model.evaluate(rows).to_dict()["coverage"]
    assert told["of"] == "set"
    assert told["found"]["lower"] <= 0.9 <= told["found"]["upper"]
    assert told["size"]["value"] == pytest.approx(outputs["set"].sum(axis=1).mean())


def test_tasks_without_a_coverage(table, tmp_path):
    with pytest.raises(UsageError, match="coverage"):
        lepton.train(table, task="anomaly", coverage=0.9, output=tmp_path / "m.lepton")
