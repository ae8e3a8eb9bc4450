"""From a table to a model file that forecasts, through the public doors."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import polars as pl
import pytest

import lepton
from lepton import data
from lepton.bundle import open_model, read_bundle
from lepton.core import DataError, ErrorCode, Interrupted, LeptonError, UsageError, Work
from lepton.training.forecast import train_forecast
from lepton.training.forecast.panel import read_panel
from lepton.training.forecast.planning import search_panel
from tests.training.forecast.tables import daily, monthly


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forecast") / "shops.lepton"
    lepton.train(
        daily(120, 3), target="sales", task="forecast", time="when", series="shop", horizon=10, output=path, seed=1
    )
    return path


def scores_of(model: lepton.Model) -> dict[str, float]:
    """The best score of each learner, `best` that of the model, `naive` that of the baseline."""
    rows = [(row.learner, row.metric) for row in reversed(model.leaderboard().rows) if row.metric is not None]
    return {**dict(rows), "best": rows[-1][1]}


def test_the_baseline_is_on_the_board_and_beaten(shops):
    model = lepton.load(shops)
    board = model.leaderboard()
    scores = scores_of(model)
    assert board.metric == "mase"
    assert board.rows[0].chosen
    assert scores["best"] < 0.9 * scores["naive"]
    assert {row.learner for row in board.rows} == {"naive", "mean", "drift", "ridge", "ets", "lightgbm"}
    notes = " ".join(board.notes)
    assert "every day" in notes
    assert "season is 7" in notes
    assert "no choice saw" in notes


def test_it_forecasts_what_comes(shops):
    model, truth = lepton.load(shops), daily(130, 3, noise=0.0)
    history = daily(120, 3)
    found = model.predict(history.sample(fraction=1.0, shuffle=True, seed=2))
    joined = found.join(truth, on=["shop", "when"])
    assert joined.height == 30
    assert found.columns == ["shop", "when", "forecast", "lower", "upper"]
    assert (joined["forecast"] - joined["sales"]).abs().mean() < 1.5
    assert ((joined["lower"] <= joined["sales"]) & (joined["sales"] <= joined["upper"])).mean() > 0.8
    assert (found["lower"] <= found["forecast"]).all()
    assert (found["forecast"] <= found["upper"]).all()


def test_a_series_answer_does_not_depend_on_the_others_nor_on_its_name(shops):
    model, history = lepton.load(shops), daily(120, 3)
    everything = model.predict(history).filter(pl.col("shop") == "shop 1")["forecast"]
    alone = history.filter(pl.col("shop") == "shop 1").with_columns(shop=pl.lit("a new one"))
    assert model.predict(alone)["forecast"].to_list() == everything.to_list()


def test_plain_onnxruntime_gives_the_same(shops):
    predictor = open_model(shops)
    tensors = predictor.tensors(daily(120, 3))
    assert tensors["series"].shape == (3, 60, 2)
    session = onnxruntime.InferenceSession(predictor.bundle.graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == ["lower", "upper", "forecast"]
    expected = predictor.outputs(daily(120, 3))
    for name, values in zip(names, session.run(None, tensors), strict=True):
        assert values.shape == (3, 10)
        np.testing.assert_array_equal(values, expected[name])


def test_answers_come_in_the_container_of_the_rows(shops):
    model, history = lepton.load(shops), daily(120, 3)
    expected = model.predict(history)
    assert model.predict(history.to_arrow()).num_rows == 30
    frame = model.predict(pd.DataFrame(history.to_dict(as_series=False)))
    assert frame["forecast"].tolist() == expected["forecast"].to_list()
    assert model.predict(history.to_dicts()) == expected.to_dicts()
    assert model.predict(history.to_dict(as_series=False)) == expected.to_dicts()


def test_short_unknown_and_empty_histories(shops):
    model = lepton.load(shops)
    one = model.predict([{"shop": "new", "when": dt.datetime(2024, 5, 1), "sales": 7.0}])  # noqa: DTZ001
    assert [row["forecast"] for row in one] == pytest.approx([7.0] * 10, rel=1e-6)
    unknown = model.predict([{"shop": "new", "when": dt.datetime(2024, 5, 1), "sales": None}])  # noqa: DTZ001
    assert all(np.isnan(row["forecast"]) for row in unknown)
    assert model.predict(daily(1, 1).clear()).height == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("when"), "missing columns"),
        (lambda frame: pl.concat([frame, frame.head(1)]), "there twice"),
        (lambda frame: frame.with_columns(sales=pl.lit(np.inf)), "infinite"),
        (
            lambda frame: frame.with_columns(pl.col("when") + pl.duration(hours=pl.int_range(pl.len()) // 359)),
            "whole number",
        ),
    ],
)
def test_rows_that_are_refused(shops, change, message):
    with pytest.raises(LeptonError, match=message):
        lepton.load(shops).predict(change(daily(120, 3)))


def test_the_same_seed_gives_the_same_model(tmp_path):
    table, work = data.read(daily(80, 1)), Work(seed=3)
    results = [
        train_forecast(table, target="sales", horizon=5, name="m", work=work, output=tmp_path / name)
        for name in ("a", "b")
    ]
    assert results[0].model_id == results[1].model_id


def test_months_that_grow_are_forecast_with_their_season(tmp_path):
    output = tmp_path / "m.lepton"
    lepton.train(monthly(60), target="value", task="forecast", time="month", horizon=6, output=output)
    found = lepton.load(output).predict(monthly(60))
    truth = monthly(66)["value"].tail(6)
    assert found["month"].cast(pl.Date).to_list() == monthly(66)["month"].tail(6).to_list()
    assert (found["forecast"] / truth - 1.0).abs().max() < 0.05


def test_past_covariates_help(tmp_path):
    generator = np.random.default_rng(0)
    cause = generator.normal(size=600)
    frame = pl.DataFrame({"step": np.arange(600), "cause": cause, "effect": np.r_[0.0, cause[:-1] * 5.0]})
    frame = frame.with_columns(pl.col("effect") + pl.Series(generator.normal(size=600) * 0.1))
    lepton.train(frame, target="effect", task="forecast", time="step", horizon=1, output=tmp_path / "m.lepton")
    scores = scores_of(lepton.load(tmp_path / "m.lepton"))
    assert scores["lightgbm"] < 0.5 * scores["ridge"]


def test_a_history_that_is_too_short_for_folds_still_gives_a_model(tmp_path):
    frame = daily(14, 1)
    lepton.train(frame, target="sales", task="forecast", horizon=5, output=tmp_path / "m.lepton")
    board = lepton.load(tmp_path / "m.lepton").leaderboard()
    assert any("too little history" in row.note for row in board.rows)
    assert lepton.load(tmp_path / "m.lepton").predict(frame)["forecast"].is_finite().all()


def test_rows_that_a_recipe_made_are_refused(tmp_path):
    table = lepton.Recipe().fill("sales", "median").fit_transform(lepton.read(daily(80, 1)))
    with pytest.raises(DataError, match="without_recipe"):
        lepton.train(table, target="sales", task="forecast", horizon=5, output=tmp_path / "m.lepton")
    lepton.train(table.without_recipe(), target="sales", task="forecast", horizon=5, output=tmp_path / "m.lepton")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon=0"),
        ({"horizon": -3}, "horizon=-3"),
        ({"horizon": None}, "horizon=None"),
        ({"horizon": 2.5}, "horizon=2.5"),
        ({"horizon": 60}, "Wanted: at least 124 steps"),
        ({"horizon": 5, "metric": "roc_auc"}, "roc_auc"),
        ({"horizon": 5, "task": "regression"}, "horizon=5"),
        ({"horizon": None, "series": "shop", "task": None}, "series='shop'"),
    ],
)
def test_calls_that_are_refused(tmp_path, options, message):
    wanted = {"target": "sales", "task": "forecast", "time": "when", **options}
    with pytest.raises((DataError, UsageError), match=message):
        lepton.train(daily(100, 1), output=tmp_path / "m.lepton", **wanted)
    assert not list(tmp_path.iterdir())


def test_a_short_time_still_gives_a_model(tmp_path):
    table, output = data.read(daily(400, 3)), tmp_path / "m.lepton"
    result = train_forecast(table, target="sales", series="shop", horizon=14, work=Work(0.3), output=output)
    assert any("time ended" in note for note in result.notes)
    assert result.leaderboard[0].chosen
    assert read_bundle(tmp_path / "m.lepton").manifest.task == "forecast"


def test_where_no_time_is_left_the_last_fold_s_fit_is_taken():
    class Ending(Work):
        """Work whose time ends when everything was tried."""

        over = False

        def check(self) -> None:
            if self.over:
                raise Interrupted(ErrorCode.INTERRUPTED, "the time is over")

    panel = read_panel(data.read(daily(120, 2)), target="sales", time="when", series="shop")
    work = Ending()
    search, _ = search_panel(panel, 7, "mase", work)
    best = next(name for name in search.ranked() if name.startswith("ets"))
    assert search.fit(best) is not None
    assert not search.cut_short
    work.over = True
    assert search.fit(best) is not None
    assert search.cut_short


def test_evaluating_row_by_row_is_refused(shops):
    with pytest.raises(UsageError, match="forecasts"):
        lepton.load(shops).evaluate(daily(120, 3))
    with pytest.raises(UsageError, match="forecast"):
        lepton.compare(shops, shops, daily(120, 3))


@pytest.mark.shared
def test_air_in_beijing_is_forecast_better_than_by_yesterday(shared_data, tmp_path):
    air = pl.read_csv(shared_data / "timeseries" / "beijing_pm25.csv", null_values="NA", infer_schema_length=None)
    air = air.with_columns(when=pl.datetime("year", "month", "day", "hour")).select("when", "TEMP").head(3_000)
    lepton.train(air, target="TEMP", task="forecast", horizon=24, output=tmp_path / "m.lepton")
    scores = scores_of(lepton.load(tmp_path / "m.lepton"))
    assert scores["best"] < 0.95 * scores["naive"]


def test_a_series_that_repeats_exactly(tmp_path):
    week = [5.0, 6.0, 7.0, 8.0, 9.0, 1.0, 2.0]
    frame = daily(140, 1).with_columns(sales=pl.Series(week * 20))
    model = lepton.train(frame, target="sales", task="forecast", horizon=7, output=tmp_path / "m.lepton")
    board = model.leaderboard()
    assert (board.metric, board.rows[0].metric) == ("mae", 0.0)
    assert any("mase is undefined" in note for note in board.notes)
    found = model.predict(frame)
    assert found["forecast"].to_list() == found["lower"].to_list() == found["upper"].to_list() == week
