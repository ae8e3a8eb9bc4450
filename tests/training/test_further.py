"""Quantiles, several labels and rankings: from a table to a file that answers, and what is refused."""

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

import lepton
from lepton.bundle import read_bundle
from lepton.core import DataError, UsageError, Work
from lepton.core.budgets import time_allowed
from lepton.data import read
from lepton.training.base import LEARNERS
from lepton.training.conformal import Conformal
from lepton.training.further import check_quantiles
from lepton.training.prepared import prepare_table
from lepton.training.table_model import TableModel

LABELS = ("big", "odd", "near")
OPTIONS: dict[str, dict[str, Any]] = {
    "quantile": {"target": "y", "quantiles": (0.9, 0.05, 0.5)},
    "multilabel": {"target": list(LABELS)},
    "ranking": {"target": "grade", "task": "ranking", "group": "query"},
}


def make_rows(num_rows=400, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, num_rows))
    y = 1000.0 * a + 200.0 * np.exp(b) * rng.normal(size=num_rows) + 5000.0
    query = rng.permutation(num_rows) % (num_rows // 8)
    return pl.DataFrame(
        {
            "a": np.where(rng.random(num_rows) < 0.05, np.nan, a),
            "b": b,
            "town": rng.choice(["Oslo", "大阪"], num_rows),
            "y": y,
            "big": y > 5500.0,
            "odd": pl.Series(a + b > 1.0).cast(pl.Int64),
            "near": pl.Series(b < 0.3),
            "grade": np.clip((y - 4000.0) // 700.0, 0, 4).astype(int),
            "query": [f"q{number}" for number in query],
        }
    ).with_columns(pl.col("a").fill_nan(None))


NEEDED = {"quantile": ["y"], "multilabel": list(LABELS), "ranking": ["grade", "query"]}


def rows_for(task, frame=None):
    frame = make_rows() if frame is None else frame
    return frame.select("a", "b", "town", *NEEDED[task])


def shortened(monkeypatch):
    learner = LEARNERS.load("boosting")
    whole = learner.configurations

    def short(problem):
        return tuple({**c, "max_rounds": min(c["max_rounds"], 20)} for c in whole(problem)[:2])

    monkeypatch.setattr(learner, "configurations", short)


@pytest.fixture(scope="module", params=OPTIONS)
def trained(request, tmp_path_factory):
    task = request.param
    path = tmp_path_factory.mktemp("further") / f"{task}.lepton"
    with pytest.MonkeyPatch.context() as patch:
        shortened(patch)
        options = {"task": "quantile", **OPTIONS[task]} if task == "quantile" else OPTIONS[task]
        return task, lepton.train(rows_for(task), **options, output=path)


@pytest.fixture(scope="module")
def boosted(tmp_path_factory):
    """The same, by trees alone: the other learners are not offered."""
    found = {}
    folder = tmp_path_factory.mktemp("boosted")
    with pytest.MonkeyPatch.context() as patch:
        shortened(patch)
        patch.setattr(LEARNERS.load("linear"), "tasks", ())
        for task, options in OPTIONS.items():
            found[task] = lepton.train(rows_for(task), task=task, **{k: v for k, v in options.items() if k != "task"},
                                       output=folder / f"{task}.lepton")  # fmt: skip
    return found


def test_the_leaderboard(trained):
    task, model = trained
    board = model.leaderboard()
    assert model.task == task
    assert {row.learner for row in board.rows} == {"baseline", "linear", "boosting"}
    assert board.rows[-1].learner == "baseline"
    assert board.rows[0].chosen
    assert all(row.metric is not None for row in board.rows)
    assert {"quantile": "pinball", "multilabel": "log_loss", "ranking": "ndcg_10"}[task] == board.metric
    assert any("small portfolio" in note for note in board.notes)


def test_what_the_bundle_keeps(trained):
    task, model = trained
    manifest = model.predictor.manifest
    outputs = {output.name: (output.dtype, output.shape) for output in manifest.outputs}
    assert (
        outputs
        == {
            "quantile": {
                "prediction": ("double", ("N",)),
                "lower": ("double", ("N",)),
                "upper": ("double", ("N",)),
                "quantiles": ("double", ("N", 3)),
            },
            "multilabel": {"prediction": ("int64", ("N", 3)), "probabilities": ("double", ("N", 3))},
            "ranking": {"score": ("double", ("N",))},
        }[task]
    )
    assert [column.name for column in manifest.inputs] == ["a", "b", "town"]
    assert manifest.labels == (LABELS if task == "multilabel" else None)
    assert (manifest.target is None) == (task == "multilabel")
    if task == "quantile":
        assert manifest.lineage["options"]["quantiles"] == [0.05, 0.5, 0.9]
    if task == "ranking":
        assert manifest.lineage["roles"] == {"query": "group"}
    assert json.loads(read_bundle(model.path).member("assets/vocabulary.json")) == {"town": ["Oslo", "大阪"]}


def test_it_is_better_than_the_baseline_on_new_rows(trained):
    task, model = trained
    rows = rows_for(task, make_rows(400, seed=1))
    judged = model.evaluate(rows)
    name, estimate = next(iter(judged.metrics.items()))
    better = estimate.value - judged.baseline[name]
    assert (better > 0.0) == (task == "ranking")
    assert judged.text()
    assert judged.page().html()
    assert judged.to_dict()["task"] == task
    if task == "quantile":
        assert judged.coverage.stated == 0.85
        assert judged.coverage.found.value == pytest.approx(0.85, abs=0.08)


def test_plain_onnxruntime_gives_the_answers_of_predict(boosted):
    for task, model in boosted.items():
        assert model.leaderboard().rows[0].learner == "boosting"
        rows = rows_for(task)
        tensors = model.predictor.tensors(rows)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            model.predictor.bundle.graph, options, providers=["CPUExecutionProvider"]
        )
        plain = session.run(None, tensors)
        for values, (name, given) in zip(plain, model.predictor.outputs(rows).items(), strict=True):
            np.testing.assert_array_equal(values, given, err_msg=f"{task} {name}")


@pytest.mark.parametrize("task", OPTIONS)
@pytest.mark.parametrize("name", ["baseline", "linear", "boosting"])
def test_the_graph_of_a_learner_gives_its_answers(task, name):
    roles = dict.fromkeys(LABELS, "target") if task == "multilabel" else {}
    roles |= {"query": "group"} if task == "ranking" else {}
    table = prepare_table(read(rows_for(task)).with_roles(roles), NEEDED[task][0], task, Work("60s"))
    if task == "quantile":
        table = replace(table, problem=replace(table.problem, quantiles=(0.2, 0.5, 0.8)))
    learner = LEARNERS.load(name)
    configuration = {**learner.configurations(table.problem)[0], "max_rounds": 10}
    fitted = learner(table.problem, configuration, 0).fit(table.rows, valid=None, work=Work("60s"))
    shifts = Conformal(0.6, shifts=(500.0, -3.0, 0.5)) if task == "quantile" else None
    model = TableModel(table.problem, table.inputs, fitted, table.target.labels, table.scale, conformal=shifts)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.graph()[0], options, providers=["CPUExecutionProvider"])
    block = table.rows.block
    feeds = {"numbers": block.numbers, "strings": block.strings.to_numpy().astype(object)}
    (given,) = session.run([{"quantile": "quantiles", "multilabel": "probabilities", "ranking": "score"}[task]], feeds)
    np.testing.assert_allclose(given, model.answers(block), rtol=1e-12, atol=1e-12)


def test_linear_quantiles_reach_targets_in_any_unit():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1000)
    for unit in (1e-6, 1.0, 1e6):
        y = unit * (100.0 + 3.0 * a + rng.normal(size=1000))
        frame = pl.DataFrame({"a": a, "y": y})
        table = prepare_table(read(frame), "y", "quantile", Work("60s"))
        problem = replace(table.problem, quantiles=(0.1, 0.5, 0.9))
        learner = LEARNERS.load("linear")
        fitted = learner(problem, learner.configurations(problem)[0], 0).fit(table.rows, valid=None, work=Work("60s"))
        raw = fitted.raw(table.rows.block) * table.scale.factor + table.scale.offset
        assert (y[:, None] <= raw).mean(axis=0) == pytest.approx([0.1, 0.5, 0.9], abs=0.03), unit
        assert np.std(y - raw[:, 1]) < 1.2 * unit


def test_quantiles_do_not_cross(boosted):
    rows = rows_for("quantile", make_rows(2000, seed=2))
    given = boosted["quantile"].predictor.outputs(rows)
    assert (np.diff(given["quantiles"], axis=1) >= 0.0).all()
    np.testing.assert_array_equal(given["prediction"], given["quantiles"][:, 1])
    np.testing.assert_array_equal(given["lower"], given["quantiles"][:, 0])
    np.testing.assert_array_equal(given["upper"], given["quantiles"][:, 2])
    columns = boosted["quantile"].predict_all(rows).columns
    assert columns == ["prediction", "lower", "upper", "quantile_0.05", "quantile_0.5", "quantile_0.9"]


def test_labels_are_called_each_for_itself(boosted):
    model, rows = boosted["multilabel"], rows_for("multilabel")
    probabilities = model.predict_proba(rows)
    assert probabilities.columns == list(LABELS)
    called = model.predict(rows)
    assert called.schema == dict.fromkeys(LABELS, pl.Boolean)
    np.testing.assert_array_equal(called.to_numpy(), probabilities.to_numpy() >= 0.5)
    assert set(called.sum_horizontal().to_list()) >= {0, 1, 2}
    one = model.predict(rows.drop(LABELS).head(1).to_dicts())
    assert list(one[0]) == list(LABELS)
    judged = model.evaluate(rows)
    assert [record.label for record in judged.labels] == list(LABELS)
    assert judged.labels[2].recall > 0.9


def test_models_of_a_task_are_compared(trained, boosted):
    task, model = trained
    found = lepton.compare(model, boosted[task], rows_for(task))
    assert found.task == task
    assert found.differences[found.metric.name].value is not None


def test_columns_that_matter(boosted):
    for task, model in boosted.items():
        found = model.importance(rows_for(task), repeats=1)
        assert found.features[0].columns == (("a",) if task != "multilabel" else ("b",)), task


def test_groups_are_kept_together_and_asked_for(boosted, tmp_path):
    model = boosted["ranking"]
    assert any("groups stay together" in note for note in model.leaderboard().notes)
    with pytest.raises(DataError, match="query"):
        model.evaluate(rows_for("ranking").drop("query"))
    with pytest.raises(DataError, match="ranked against each other"):
        lepton.train(rows_for("ranking"), target="grade", task="ranking", output=tmp_path / "m.lepton")


@pytest.mark.parametrize(
    ("task", "options", "error", "match"),
    [
        ("quantile", {"metric": "rmse"}, UsageError, "pinball"),
        ("quantile", {"coverage": 0.9}, UsageError, "coverage"),
        ("quantile", {"quantiles": (0.5, 0.5)}, UsageError, "different shares"),
        ("quantile", {"class_weight": "balanced"}, UsageError, "class_weight"),
        ("multilabel", {"metric": "roc_auc"}, UsageError, "f1_macro"),
        ("multilabel", {"target": ["big"]}, DataError, "2 to 200"),
        ("multilabel", {"target": ["big", "b"]}, DataError, "classes"),
        ("multilabel", {"quantiles": (0.5,)}, UsageError, "quantiles"),
        ("multilabel", {"task": "binary"}, UsageError, "3 targets"),
        ("ranking", {"metric": "log_loss"}, UsageError, "ndcg"),
        ("ranking", {"target": "b"}, DataError, "whole number from 0"),
        ("ranking", {"costs": [[0, 1], [1, 0]]}, UsageError, "costs"),
    ],
)
def test_what_does_not_fit_is_refused(task, options, error, match, tmp_path):
    frame = make_rows().select("a", "b", "town", *NEEDED[task])
    asked = {"task": task, **OPTIONS[task], **options}
    with pytest.raises(error, match=match):
        lepton.train(frame, **asked, output=tmp_path / "m.lepton")
    assert not list(tmp_path.iterdir())


def test_a_label_that_nobody_knows(tmp_path):
    frame = rows_for("multilabel").with_columns(near=pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise("near"))
    with pytest.raises(DataError, match="missing in 1 of 400"):
        lepton.train(frame, target=list(LABELS), output=tmp_path / "m.lepton")
    with pytest.raises(DataError, match="holds"):
        lepton.train(
            frame.with_columns(near=pl.Series(["yes", "no"] * 200)), target=list(LABELS), output=tmp_path / "m.lepton"
        )


@pytest.mark.parametrize(
    "asked", [(), 1.0, (0.0, 0.5), ("0.5",), "0.5", [True], (0.1,) * 2, tuple(np.arange(1, 30) / 30)]
)
def test_quantiles_that_cannot_be_meant(asked):
    with pytest.raises(UsageError, match="shares between 0 and 1"):
        check_quantiles(asked)


def tagged(separator="; "):
    flags = make_rows().select(LABELS).to_numpy().astype(bool)
    texts = [separator.join(label for label, own in zip(LABELS, row, strict=True) if own) or None for row in flags]
    return rows_for("multilabel").drop(LABELS).with_columns(tags=pl.Series(texts)), flags


def test_labels_in_the_texts_of_one_column(monkeypatch, tmp_path):
    shortened(monkeypatch)
    frame, flags = tagged()
    model = lepton.train(frame, target="tags", task="multilabel", output=tmp_path / "m.lepton")
    assert model.labels == tuple(sorted(LABELS))
    assert model.predict(frame).columns == sorted(LABELS)
    judged = model.evaluate(frame, target="tags")
    assert (judged.metrics["f1_micro"].value or 0.0) > 0.8
    columns = frame.with_columns(pl.Series(label, flags[:, place]) for place, label in enumerate(LABELS))
    assert model.evaluate(columns).metrics == judged.metrics
    with pytest.raises(DataError, match="target="):
        model.evaluate(frame)
    with pytest.raises(DataError, match="also a column"):
        lepton.train(frame.rename({"a": "big"}), target="tags", task="multilabel", output=tmp_path / "n.lepton")
    with pytest.raises(DataError, match="hold 1 labels"):
        lepton.train(
            frame.with_columns(tags=pl.lit("one")), target="tags", task="multilabel", output=tmp_path / "n.lepton"
        )


def test_quantiles_are_put_in_order():
    assert check_quantiles([0.9, 0.1]) == (0.1, 0.9)
    assert check_quantiles(0.5) == (0.5,)


@pytest.mark.parametrize("task", OPTIONS)
def test_the_time_is_kept(task, tmp_path):
    frame = make_rows(20_000)
    table = read(frame.select("a", "b", "town", *NEEDED[task]))
    start = time.monotonic()
    model = lepton.train(table, **{"task": task, **OPTIONS[task]}, within="2s", output=tmp_path / "m.lepton")
    assert time.monotonic() - start < time_allowed(2.0) + 1.0
    assert any(row.metric is not None for row in model.leaderboard().rows)
