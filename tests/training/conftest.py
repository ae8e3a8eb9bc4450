"""Small tables with everything in them: numbers, booleans, dates, categories, missing values, infinities."""

import datetime

import numpy as np
import polars as pl
import pytest

from lepton.core import ColumnRecord, Kind, Schema


def make_frame(num_rows: int = 240, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    size = rng.normal(50, 20, num_rows)
    rooms = rng.integers(1, 6, num_rows)
    town = rng.choice(["Oslo", "Køln", "大阪", "e\u0301"], num_rows)
    start = datetime.datetime.fromisoformat("2024-01-01")
    when = [start + datetime.timedelta(hours=int(hours)) for hours in rng.integers(0, 9000, num_rows)]
    new = rng.random(num_rows) < 0.3
    price = 3 * size + 20 * rooms + 50 * (town == "Oslo") + 30 * new + np.array([w.hour for w in when])
    price = price + rng.normal(0, 5, num_rows)
    frame = pl.DataFrame(
        {
            "size": np.where(rng.random(num_rows) < 0.1, np.nan, size),
            "rooms": rooms,
            "town": [None if rng.random() < 0.1 else t for t in town],
            "when": when,
            "new": new,
            "constant": ["same"] * num_rows,
            "nothing": [None] * num_rows,
            "price": price,
        },
        schema_overrides={"nothing": pl.Float64},
    ).with_columns(pl.col("size").fill_nan(None))
    level = np.array(["low", "middle", "high"])[np.searchsorted(np.quantile(price, [0.4, 0.8]), price)]
    frame = frame.with_columns(level=pl.Series(level), dear=pl.col("price") > pl.col("price").median())
    return frame.with_columns(size=pl.when(pl.int_range(pl.len()) == 3).then(np.inf).otherwise("size"))


KINDS = {
    "size": Kind.NUMBER,
    "rooms": Kind.NUMBER,
    "town": Kind.CATEGORY,
    "when": Kind.DATETIME,
    "new": Kind.BOOLEAN,
    "constant": Kind.CATEGORY,
    "nothing": Kind.NUMBER,
    "price": Kind.NUMBER,
    "level": Kind.CATEGORY,
    "dear": Kind.BOOLEAN,
}
DTYPES = {Kind.NUMBER: "float64", Kind.CATEGORY: "string", Kind.DATETIME: "datetime", Kind.BOOLEAN: "bool"}
TARGETS = {"regression": "price", "binary": "dear", "multiclass": "level"}


def make_schema() -> Schema:
    return Schema(tuple(ColumnRecord(name, kind, DTYPES[kind]) for name, kind in KINDS.items()))


@pytest.fixture(scope="session")
def frame() -> pl.DataFrame:
    return make_frame()


@pytest.fixture(scope="session")
def schema() -> Schema:
    return make_schema()
