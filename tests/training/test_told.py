"""What a file tells of its training: what is doubtful is found in whole trainings, and left out where time is short."""

import numpy as np
import polars as pl
import pytest

from lepton.bundle import read_bundle
from lepton.core import Registry, Resources, Work
from lepton.data import read
from lepton.training import base, how_found, train
from lepton.training.honesty import looking


def table(num_rows=400, target="number"):
    rng = np.random.default_rng(0)
    size, rooms = rng.normal(size=num_rows), rng.integers(1, 6, num_rows).astype(float)
    y = 2 * size + rooms + rng.normal(0, 0.5, num_rows) + 6.0 * (rooms == 5) * rng.normal(size=num_rows)
    frame = pl.DataFrame({"size": size, "rooms": rooms, "noise": rng.normal(size=num_rows), "y": y})
    if target == "class":
        return frame.with_columns(y=pl.when(pl.col("y") > 3).then(pl.lit("dear")).otherwise(pl.lit("cheap")))
    return frame


def trained(tmp_path, frame, within=120, **roles):
    path = tmp_path / "m.lepton"
    source = read(frame).with_roles({name: role for role, name in roles.items()})
    train(source, target="y", work=Work(within, resources=Resources(cpus=2)), output=path)
    return read_bundle(path).reports


@pytest.fixture(scope="module", autouse=True)
def few_learners():
    """The baseline and the linear model: what is told does not depend on more."""
    names = ("baseline", "linear")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "LEARNERS", Registry("few", {name: base.LEARNERS.address(name) for name in names}))
        yield


def test_a_good_table_has_no_doubts_and_its_errors_a_place(tmp_path):
    report = trained(tmp_path, table())["training"]
    assert report["doubts"] == []
    assert report["not_checked"] == ""
    assert report["calibration"] is None
    (place, *_) = report["errors"]
    assert place["column"] == "rooms"
    assert place["where"] == "above 4"
    assert place["loss_share"] > 1.3 * place["rows_share"]
    assert "which rows: rooms: above 4" in how_found({"training": report}).text()


def test_a_leak_is_found_and_said(tmp_path):
    frame = table().with_columns(paid=pl.col("y") * 2 + 1)
    reports = trained(tmp_path, frame)
    assert [doubt["what"] for doubt in reports["training"]["doubts"]] == ["leakage"]
    assert "doubtful: 'paid' alone tells the target" in how_found(reports).text()


def test_classes_have_a_calibration(tmp_path):
    found = trained(tmp_path, table(target="class"))["training"]["calibration"]
    assert found["of"] == "the probability of dear"
    assert 0.0 <= found["lower"] <= found["expected_calibration_error"] <= found["upper"]


def test_noise_is_not_told_from_the_baseline(tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.normal(size=150), "b": rng.normal(size=150), "y": rng.normal(size=150)})
    doubts = trained(tmp_path, frame)["training"]["doubts"]
    assert [doubt["what"] for doubt in doubts] == ["too-few"]


def test_drift_in_time_is_found(tmp_path):
    frame = table(800).with_columns(t=pl.int_range(800) / 3.0)
    assert "drift" not in [d["what"] for d in trained(tmp_path, frame, time="t")["training"]["doubts"]]
    late = frame.with_columns(y=pl.when(pl.col("t") < 215).then("y").otherwise(pl.col("y") - 6 * pl.col("size")))
    assert "drift" in [d["what"] for d in trained(tmp_path, late, time="t")["training"]["doubts"]]


def test_without_time_nothing_is_looked_for_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "left_of", lambda portfolio, share: 0.0)
    report = trained(tmp_path, table())["training"]
    assert report["doubts"] == report["errors"] == []
    assert "no time" in report["not_checked"]


def test_an_identifier_that_is_left_out_is_looked_at(tmp_path):
    frame = table().sort("y").with_columns(number=pl.int_range(400))
    assert [doubt["what"] for doubt in trained(tmp_path, frame)["training"]["doubts"]] == ["identifier"]


def test_of_very_wide_tables_the_first_columns_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "_MOST_COLUMNS", 2)
    report = trained(tmp_path, table().with_columns(paid=pl.col("y") * 2 + 1))["training"]
    assert report["doubts"] == []  # `paid` is the fourth
    assert "only the first 2 columns" in report["not_checked"]
