"""A model with a baseline, and a server that keeps state."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind, Schema
from lepton.data.statistics import Baseline

COLUMNS = (
    ColumnRecord("area", Kind.NUMBER),
    ColumnRecord("built", Kind.DATETIME, dtype="datetime"),
    ColumnRecord("garden", Kind.BOOLEAN, dtype="bool"),
    ColumnRecord("town", Kind.CATEGORY, dtype="string"),
)
TOWNS = np.array(["Oslo", "Bergen", "Tromsø"])


def table(rows: int, seed: int, *, moved: float = 0.0, bergen: float = 0.3) -> pl.DataFrame:
    """Rows as the model takes them; one in twenty areas is missing."""
    generator = np.random.default_rng(seed)
    area = generator.normal(100 + moved, 20, rows)
    area[generator.random(rows) < 0.05] = np.nan
    days = generator.integers(0, 10_000, rows)
    return pl.DataFrame(
        {
            "area": pl.Series(area).fill_nan(None),
            "built": pl.Series(days.astype("M8[D]").astype("M8[us]")),
            "garden": generator.random(rows) < 0.4,
            "town": generator.choice(TOWNS, rows, p=[0.6 - bergen + 0.1, bergen, 0.3]),
        }
    )


def write_rent(path: Path, *, baseline: bool = True) -> Path:
    """`prediction` = 2 × the sum of area, moment and garden, a missing one counting 0."""
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 3])
    builder.input("strings", "string", ["N", 1])
    present = builder.node("Where", [builder.node("IsNaN", [numbers]), builder.constant(0.0), numbers])
    total = builder.node("MatMul", [present, builder.constant(np.array([[2.0], [0.0], [1.0]]))])
    builder.output("prediction", builder.node("Squeeze", [total, builder.constant(np.array([1]))]), "double", ["N"])
    manifest = Manifest(
        name="rent",
        task="regression",
        inputs=COLUMNS,
        outputs=(OutputRecord("prediction", "double", ("N",)),),
        target=ColumnRecord("rent", Kind.NUMBER),
    )
    rows = table(5_000, 0)
    answers = 2 * rows["area"].fill_null(0.0) + rows["garden"].cast(pl.Float64)
    members = Baseline.of(rows, Schema(COLUMNS), {"prediction": answers.to_numpy()}).to_members()
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(COLUMNS))})
    write_bundle(path, manifest=manifest, graph=graph, baseline=members if baseline else {})
    return path


@pytest.fixture(scope="session")
def rent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rent(tmp_path_factory.mktemp("rent") / "rent.lepton")
