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


@pytest.fixture
def operators_read() -> Callable[[Predictor], list[str]]:
    """The operators of a model's graph, in order, all of which some output needs."""

    def found(mine: Predictor) -> list[str]:
        onnx = pytest.importorskip("onnx")
        graph = onnx.load_from_string(mine.bundle.graph).graph
        needed = {output.name for output in graph.output}
        for node in reversed(graph.node):
            assert needed.intersection(node.output), f"nobody reads {node.name}"
            needed.update(node.input)
        assert needed >= {constant.name for constant in graph.initializer}
        return [node.op_type for node in graph.node]

    return found


@pytest.fixture(scope="session")
def many_columns() -> Any:
    """A pandas table, with columns that no tree reads, and the target, which `b`, `level` and `kind` tell.

    `other`, `level` and `kind` are categories, `level` of numbers.
    """
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(3)
    kind = rng.choice(["x", "y", "z"], 200)
    table = pandas.DataFrame({name: rng.normal(size=200) for name in ("a", "b")})
    table["other"] = pandas.Categorical(rng.choice(["p", "q"], 200))
    table["level"] = pandas.Categorical(rng.choice([1, 2, 4], 200))
    table["kind"] = pandas.Categorical(kind)
    table["c"] = rng.normal(size=200)
    return table, 3.0 * table["b"].to_numpy() + 10.0 * (kind == "y") + table["level"].astype(float).to_numpy() ** 2
