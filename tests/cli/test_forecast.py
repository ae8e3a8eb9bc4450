"""Forecasts and tasks without a target from the command line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.training.forecast.tables import daily


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast")
    daily(80, 2).write_csv(folder / "sales.csv")
    return folder


@pytest.fixture
def in_sales(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


TASK = ("--target", "sales", "--task", "forecast", "--time", "when", "--series", "shop")


def test_train_and_predict(in_sales, call):
    code, envelope = call("train", "sales.csv", *TASK, "--horizon", "7", "--within", "8s")
    assert code == 0
    assert envelope["result"]["task"] == "forecast"
    assert envelope["result"]["metric"] == "mase"
    assert "seasonal naive" in {row["configuration"] for row in envelope["result"]["leaderboard"]}
    code, envelope = call("predict", "sales.lepton", "sales.csv", "-o", "next.csv")
    assert code == 0
    assert envelope["result"]["rows"] == 14
    answers = pl.read_csv("next.csv", try_parse_dates=True)
    assert answers.columns == ["shop", "when", "forecast", "lower", "upper"]
    assert answers["when"].n_unique() == 7
    code, envelope = call("predict", "sales.lepton", "sales.csv", "--keep", "shop")
    assert code == 2
    code, envelope = call("evaluate", "sales.lepton", "sales.csv")
    assert code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "came"),
    [
        ((*TASK, "--horizon", "0"), 2, "horizon=0"),
        (TASK, 2, "horizon=None"),
        ((*TASK, "--horizon", "50"), 3, "80 steps, for a horizon of 50"),
        ((*TASK[:-2], "--horizon", "7"), 3, "there twice"),
        (("--target", "sales", "--horizon", "7"), 2, "horizon=7"),
        (("--task", "forecast", "--time", "when", "--horizon", "7"), 2, "no target"),
        (("--task", "anomaly", "--target", "sales"), 2, "target='sales'"),
    ],
)
def test_calls_that_are_refused(in_sales, call, arguments, code, came):
    found, envelope = call("train", "sales.csv", *arguments, "-o", "none.lepton")
    assert found == code
    assert came in str(envelope["error"])
    assert not Path("none.lepton").exists()


def test_odd_rows_and_groups(in_sales, call):
    for task, answer in (("anomaly", "score"), ("clustering", "cluster")):
        assert call("train", "sales.csv", "--task", task, "-o", f"{task}.lepton")[0] == 0
        code, envelope = call("predict", f"{task}.lepton", "sales.csv")
        assert code == 0
        assert len(envelope["result"]["predictions"]) == 160
        assert list(envelope["result"]["predictions"][0]) == [answer]
