"""Explain, verify and card as a user of Python calls them: on a file, with what the model was trained on or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.core import ErrorCode, LeptonError, UsageError
from tests.bundle.test_series import rows_of, write_forecaster
from tests.evaluation.models import linear_model

COLUMNS = ("age", "income", "noise")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two labels that leans on income, against age, and on nothing else."""
    folder = tmp_path_factory.mktemp("trust")
    weights: dict[str, float | Sequence[float]] = {"age": (0.0, -0.5), "income": (0.0, 2.0), "noise": (0.0, 0.0)}
    linear_model(folder, weights, labels=("no", "yes"), target="paid", name="credit")
    return folder / "credit.lepton"


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    table = pl.DataFrame({name: rng.normal(size=600) for name in COLUMNS})
    score = 2 * table["income"] - 0.5 * table["age"] + rng.logistic(size=600)
    sex = pl.Series("sex", rng.choice(["f", "m"], size=600))
    return table.with_columns(sex, paid=pl.Series(np.where(score > 0, "yes", "no")))


def test_one_answer(path: Path, rows: pl.DataFrame) -> None:
    found: Any = lepton.explain(path, [{"age": 0.0, "income": 3.0, "noise": 1.0}], data=rows)
    assert found.names[int(np.abs(found.values[0, :, 0]).argmax())] == "income"
    total = found.base.ravel()[0] + found.values[0].sum()
    assert total == pytest.approx(found.answers.ravel()[0])
    changed = found.counterfactuals(k=1)
    assert changed.found


def test_the_whole_and_its_parts(path: Path, rows: pl.DataFrame) -> None:
    model = lepton.load(path)
    assert model.importance(rows, repeats=2).features[0].columns == ("income",)
    assert "income" in model.effect("income", rows).text()
    assert model.overview(rows).page().html()
    assert model.segments(rows).to_dict()
    assert "sex" in model.fairness(rows, "sex").columns
    assert model.robustness(rows, strengths=(1, 5), tests=["noise"]).curves


def test_verified_with_a_card(path: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    model = lepton.load(path)
    output = tmp_path / "verified.lepton"
    good = model.verify(rows, [{"metric": {"metric": "accuracy", "least": 0.5}}], output=output)
    assert good.passed
    assert "verification" in lepton.load(output).reports()
    assert "verification" not in model.reports()
    bad = model.verify(rows, [{"metric": {"metric": "accuracy", "least": 0.9999}}], save=False)
    assert not bad.passed
    assert "small loans" in lepton.card(output, intended_use="small loans").markdown()


def test_without_rows_or_statistics_it_says_what_is_wanted(path: Path) -> None:
    with pytest.raises(LeptonError) as caught:
        lepton.explain(path, [{"age": 0.0, "income": 3.0, "noise": 1.0}])
    assert "data" in str(caught.value)


def test_a_forecaster_is_refused(tmp_path: Path) -> None:
    model = lepton.load(write_forecaster(tmp_path / "f.lepton"))
    table = pl.DataFrame(rows_of("a", 1.0, 2.0, 3.0))
    for call in (lambda: model.explain(table), model.overview, lambda: model.effect("warm")):
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.code is ErrorCode.USAGE
        assert "forecast" in str(caught.value)
