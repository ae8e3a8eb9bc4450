"""What is asked of a model reaches the child processes of a search: roles, options, a metric of one's own."""

import numpy as np
import polars as pl
import pytest

from lepton.bundle import open_model, read_bundle
from lepton.core import Registry, Resources, Work
from lepton.data import read
from lepton.training import Options, automl, base, train
from lepton.training.automl import files, run as run_module
from lepton.training.base import LEARNERS
from lepton.training.folds import Fold

SEEN: list[tuple[str, ...]] = []
FOLDS: list[Fold] = []


def hits(y, answer, weight, labels):
    """A share of right answers, for which labels must be labels."""
    SEEN.append(tuple(sorted({*y, *answer})))
    return float(np.average(y == answer, weights=weight))


def visits(num_rows=240, seed=0):
    rng = np.random.default_rng(seed)
    age, dose = rng.uniform(20, 80, num_rows), rng.normal(size=num_rows)
    chance = 1 / (1 + np.exp(-((age - 60) / 10 + dose + np.sin(age))))
    return pl.DataFrame(
        {
            "age": age,
            "dose": dose,
            "patient": rng.integers(0, 60, num_rows),
            "importance": rng.uniform(0.5, 2.0, num_rows),
            "state": np.where(rng.random(num_rows) < chance, "ill", "well"),
        }
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """One search of a few trials, with everything asked at once."""
    patch = pytest.MonkeyPatch()
    known = Registry("some", {name: LEARNERS.address(name) for name in ("baseline", "xgboost", "forest")})
    patch.setattr(base, "LEARNERS", known)
    patch.setattr(run_module, "OPENERS", ("baseline",))

    def run(portfolio, outside, effort, accept, max_trials, keep):
        return automl.run_search(portfolio, outside, effort, accept, 3, keep)

    patch.setattr("lepton.training.tables.run_search", run)

    def save(folder, rows, folds):
        FOLDS.extend(folds)
        files.save_table(folder, rows, folds)

    patch.setattr(run_module, "save_table", save)
    path = tmp_path_factory.mktemp("asked") / "m.lepton"
    roles = {"patient": "group", "importance": "weight"}
    options = Options(class_weight={"ill": 2}, monotone={"age": -1})
    result = train(
        read(visits()).with_roles(roles),
        target="state",
        metric=hits,
        options=options,
        effort="best",
        work=Work(300, resources=Resources(cpus=1)),
        output=path,
    )
    patch.undo()
    return result, path


def test_learners_that_cannot_are_not_tried(searched):
    result, path = searched
    assert {row.learner for row in result.leaderboard} - {"blend"} == {"baseline", "xgboost"}
    assert "search" in read_bundle(path).reports


def test_the_metric_is_the_callers_own_and_sees_labels(searched):
    _, path = searched
    assert set(SEEN) <= {("ill",), ("well",), ("ill", "well")}
    assert read_bundle(path).reports["training"]["metric"] == "hits"


def test_groups_stay_together_in_the_search(searched):
    patients = visits()["patient"].to_numpy()
    assert len(FOLDS) == 5
    for fold in FOLDS:
        assert not set(patients[fold.train]) & set(patients[fold.valid])


def test_the_final_graph_keeps_directions(searched):
    _, path = searched
    model = open_model(path)
    for dose in (-1.0, 0.0, 1.5):
        given = model.outputs(pl.DataFrame({"age": np.linspace(0, 100, 300), "dose": np.full(300, dose)}))
        assert np.diff(given["probabilities"][:, 1]).max() <= 1e-15
