"""A share of the memory binds the real learners too, on a table that needs more."""

import numpy as np
import polars as pl
import pytest

from lepton.bundle import open_model
from lepton.core import Resources, Work
from lepton.data import read
from lepton.training import train
from lepton.training.automl.kept import SearchOptions
from tests.training.automl.test_run import learners


def trained(tmp_path, memory):
    random = np.random.default_rng(0)
    x = random.normal(size=(300_000, 12))
    frame = pl.DataFrame(x, schema=[f"x{i}" for i in range(12)]).with_columns(y=pl.Series(x[:, 0] + np.abs(x[:, 1])))
    work = Work(600, resources=Resources(cpus=1, memory=memory))
    search, output = SearchOptions(max_trials=2, workdir=tmp_path / "search"), tmp_path / "m.lepton"
    return train(read(frame), target="y", effort="best", work=work, search=search, output=output)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("memory", "fits"), [(250_000_000, False), (4_000_000_000, True)])
def test_a_trial_that_takes_too_much_is_killed_and_the_rest_goes_on(memory, fits, tmp_path, monkeypatch):
    learners(monkeypatch, "forest")
    result = trained(tmp_path, memory)
    forests = [row for row in result.leaderboard if row.learner == "forest"]
    assert forests
    assert all((row.metric is not None) == fits for row in forests)
    if not fits:
        assert all("of memory" in row.note for row in forests)
    assert next(row for row in result.leaderboard if row.chosen).learner == ("forest" if fits else "linear")
    assert open_model(result.path).manifest.task == "regression"
