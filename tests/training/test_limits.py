"""Limits on size and latency: guessed for candidates, kept on the file, and said where they cannot be."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from lepton.bundle import bundle_size, read_bundle
from lepton.core import Resources, UsageError, Work
from lepton.data import read
from lepton.training import train
from lepton.training.automl import run_search
from lepton.training.limits import Limits
from lepton.training.options import Options


def candidate(size, micros):
    return SimpleNamespace(measured=(size, micros))


def test_costs_of_candidates_add_up():
    limits = Limits(max_size="110kB", max_latency="1ms")
    assert limits.allow([candidate(60_000, 100.0)])
    assert not limits.allow([candidate(60_000, 100.0), candidate(60_000, 100.0)])
    assert not limits.allow([candidate(10, 1000.0)])
    assert not limits.allow([SimpleNamespace(measured=None)])
    limits.expect(50_000, 4)
    assert not limits.allow([candidate(60_000, 100.0)])


def test_without_limits_everything_is_allowed():
    assert not Limits()
    assert Limits().allow([candidate(10**12, 1e9), SimpleNamespace(measured=None)])


@pytest.mark.parametrize("wrong", [{"max_size": "small"}, {"max_latency": "0ms"}, {"max_size": 0}])
def test_limits_that_cannot_be_meant(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Limits(**wrong)


def trained(tmp_path, limits, effort="fast", within=60):
    """Of a target that trees learn well and linear models do not."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.sign(x[:, 0]) * x[:, 1] + 0.1 * rng.normal(size=400)})
    work = Work(within, resources=Resources(cpus=2))
    options = Options(learners=("linear", "lightgbm")) if effort == "fast" else None
    return train(
        read(frame),
        target="y",
        options=options,
        effort=effort,
        limits=limits,
        work=work,
        output=tmp_path / "m.lepton",
    )


def chosen_of(result):
    return next(row for row in result.leaderboard if row.chosen)


def test_the_best_that_fits_is_chosen(tmp_path):
    free = trained(tmp_path, None)
    assert free.leaderboard[0].chosen
    limit = bundle_size(free.path) // 2
    result = trained(tmp_path, Limits(max_size=limit))
    assert bundle_size(result.path) <= limit
    assert [verdict.kept for verdict in result.verdicts] == [True]
    assert not result.leaderboard[0].chosen
    report = read_bundle(result.path).reports["training"]
    assert report["limits"]["size"] == {"limit": limit, "measured": bundle_size(result.path)}


def test_a_search_keeps_both(tmp_path, monkeypatch):

    def run(portfolio, outside, effort, accept, max_trials, keep):
        return run_search(portfolio, outside, effort, accept, 10, keep)

    monkeypatch.setattr("lepton.training.tables.run_search", run)
    # The latency is one that a machine keeps on which others work too.
    result = trained(tmp_path, Limits("40kB", "100ms"), effort="good", within=300)
    assert bundle_size(result.path) <= 40_000
    assert [verdict.kept for verdict in result.verdicts] == [True, True]
    assert any(note.startswith("searched") for note in result.notes)
    baseline = next(row for row in result.leaderboard if row.learner == "baseline")
    assert chosen_of(result).metric < 0.5 * baseline.metric


def test_what_cannot_be_kept_is_said_and_the_smallest_is_saved(tmp_path):
    result = trained(tmp_path, Limits(max_size="2kB"))
    (verdict,) = result.verdicts
    assert (verdict.name, verdict.kept, verdict.measured) == ("max_size", False, bundle_size(result.path))
    assert chosen_of(result).size == min(row.size for row in result.leaderboard if row.size is not None)
