"""Tiny tables and models of other frameworks, made once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Predictor, open_model
from lepton.training.importers import ImportResult, import_model


@pytest.fixture(scope="session")
def houses() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    area = rng.normal(100, 30, 120)
    town = rng.choice(["Oslo", "Køln", "大阪"], 120)
    return pl.DataFrame(
        {
            "area": [None if row == 5 else float(value) for row, value in enumerate(area)],
            "rooms": rng.integers(1, 6, 120),
            "town": town,
            "new": rng.random(120) < 0.5,
            "price": 3 * area + 20 * (town == "Oslo"),
        }
    )


@pytest.fixture(autouse=True)
def native_readers_run_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests need no process for each file of LightGBM and XGBoost; the slow ones show that it goes well there too."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("lepton.training.importers.native.why_not", lambda: "a quick test")


@pytest.fixture
def bring(tmp_path: Path) -> Callable[..., tuple[ImportResult, Predictor]]:
    """Imports a model and opens what came of it."""

    def brought(model: Any, **options: Any) -> tuple[ImportResult, Predictor]:
        result = import_model(model, output=tmp_path / "mine.lepton", **options)
        return result, open_model(result.path)

    return brought


@pytest.fixture(scope="session")
def boosted(houses: pl.DataFrame) -> Any:
    """A LightGBM model of classes with a column that was a pandas category."""
    lightgbm = pytest.importorskip("lightgbm")
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({name: houses[name].to_list() for name in ("area", "rooms", "town")})
    table["town"] = table["town"].astype("category")
    dear = np.where(houses["price"].to_numpy() > 320, "dear", "cheap")
    model = lightgbm.LGBMClassifier(n_estimators=4, num_leaves=5, min_data_in_leaf=5, verbosity=-1, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(table, dear), table
