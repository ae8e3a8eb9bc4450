"""A whole search tells what more rows would bring, what the model leans on, and when each score came."""

import numpy as np
import polars as pl
import pytest

from lepton.bundle import read_bundle
from lepton.core import Registry, Resources, Work
from lepton.data import read
from lepton.training import base, history_page, train
from lepton.training.automl import SearchOptions


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(6)})
    frame = frame.with_columns(twin=pl.col("x0") * 2.0, y=pl.Series(3 * x[:, 0] + x[:, 1] + rng.normal(0, 1, 400)))
    path = tmp_path_factory.mktemp("honest") / "m.lepton"
    with pytest.MonkeyPatch.context() as patch:
        names = ("baseline", "linear")
        patch.setattr(base, "LEARNERS", Registry("few", {name: base.LEARNERS.address(name) for name in names}))
        work = Work(200, resources=Resources(cpus=1))
        search = SearchOptions(workdir=path.parent / "work", max_trials=3)
        train(read(frame), target="y", effort="good", work=work, output=path, search=search)
    return read_bundle(path).reports


def test_the_curve_and_the_columns(reports):
    search = reports["search"]
    assert search["closer"]["of"]["learner"] == "linear"
    assert len(search["closer"]["learning_curve"]["points"]) == 4
    assert search["closer"]["seconds"] < 0.05 * 200
    features = {each["columns"][0]: each for each in search["importance"]["features"]}
    assert features["x1"]["matters"]
    assert not features["x5"]["matters"]
    assert [group["columns"] for group in search["importance"]["groups"]] == [["x0", "twin"]]
    assert search["importance"]["repeats"] == 5
    assert search["importance"]["num_rows"] == 80  # of one fold: rows that the learner has not seen


def test_the_time_of_each_score(reports):
    times = [t["scored_after"] for t in reports["search"]["trials"] if t["score"] is not None]
    assert len(times) >= 3
    assert 0.0 < min(times) <= max(times) < 200


def test_its_page_has_every_picture(reports):
    page = history_page(reports).html()
    for title in ("Best score against time", "Score against rows", "Loss when a column is shuffled"):
        assert f"<strong>{title}</strong>" in page
