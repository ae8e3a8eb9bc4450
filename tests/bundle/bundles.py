"""Small bundles for tests of every room: built by hand, so that what they must answer can be computed by hand.

Both take the columns `rooms` (number), `sold` (datetime), `garden` (boolean) and `town` (category), and score a row as

    score = 10 * rooms + days since 1970 / 100 + 5 * garden + the town's price

where a missing number counts as 0 and the town's price is that of `TOWNS`, or 1 for one that was never seen.
`make_regression_bundle` predicts the score; `make_binary_bundle` predicts "yes" where `score > 50`, with the
probability `1 / (1 + exp((50 - score) / 10))`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import ML_DOMAIN, GraphBuilder
from lepton.bundle.inputs import TableInputs
from lepton.core import ColumnRecord, Kind

__all__ = ["COLUMNS", "ROWS", "TOWNS", "make_binary_bundle", "make_regression_bundle", "score"]

COLUMNS = (
    ColumnRecord("rooms", Kind.NUMBER, unit="rooms"),
    ColumnRecord("sold", Kind.DATETIME, "datetime"),
    ColumnRecord("garden", Kind.BOOLEAN, "bool"),
    ColumnRecord("town", Kind.CATEGORY, "string"),
)
TOWNS = {"Köln": 30.0, "東京": 80.0, "York": 20.0, "": 2.0}

ROWS = pl.DataFrame(
    {
        "rooms": [3.0, None, 5.5, 1.0],
        "sold": ["2020-01-01T00:00:00", "1999-12-31T12:00:00", None, "1970-01-02T00:00:00"],
        "garden": [True, False, None, True],
        "town": ["Köln", "東京", "Atlantis", None],
    }
).with_columns(pl.col("sold").str.to_datetime("%Y-%m-%dT%H:%M:%S"))
"""Rows with everything that can be missing missing once, a town that was never seen, and names beyond ASCII."""

_DAY_MICROSECONDS = 86_400_000_000
_EPOCH = dt.datetime.fromisoformat("1970-01-01")


def score(row: Mapping[str, Any]) -> float:
    """The score of one row of `ROWS`, by hand."""
    days = 0.0 if row["sold"] is None else (row["sold"] - _EPOCH).total_seconds() / 86_400
    garden = 5.0 if row["garden"] else 0.0
    return 10 * (row["rooms"] or 0.0) + days / 100 + garden + TOWNS.get(row["town"] or "", 1.0)


def make_regression_bundle(path: Path, *, name: str = "houses", lineage: Mapping[str, Any] | None = None) -> str:
    """Write a bundle that predicts `price`, a number; returns its model id."""
    builder, scores = _scores()
    builder.output("prediction", builder.mark("raw", scores), "double", ["N"])
    return _write(
        path,
        builder,
        name=name,
        task="regression",
        outputs=(OutputRecord("prediction", "double", ("N",)),),
        target=ColumnRecord("price", Kind.NUMBER),
        lineage=lineage or {},
    )


def make_binary_bundle(
    path: Path, *, name: str = "expensive", boolean: bool = False, lineage: Mapping[str, Any] | None = None
) -> str:
    """Write a bundle that predicts `expensive`: "no" or "yes", or a boolean if `boolean`; returns its model id."""
    builder, scores = _scores()
    shifted = builder.node("Div", [builder.node("Sub", [scores, builder.constant(50.0)]), builder.constant(10.0)])
    column = builder.node("Unsqueeze", [builder.mark("raw", shifted), builder.constant(np.array([1]))])
    yes = builder.node("Sigmoid", [column])
    no = builder.node("Sub", [builder.constant(1.0), yes])
    index = builder.node("Cast", [builder.node("Greater", [scores, builder.constant(50.0)])], to=7)
    labels = index if boolean else builder.node("Gather", [builder.constant(["no", "yes"]), index])
    dtype = "int64" if boolean else "string"
    builder.output("prediction", labels, dtype, ["N"])
    builder.output("probabilities", builder.node("Concat", [no, yes], axis=1), "double", ["N", 2])
    return _write(
        path,
        builder,
        name=name,
        task="binary",
        outputs=(OutputRecord("prediction", dtype, ("N",)), OutputRecord("probabilities", "double", ("N", 2))),
        labels=(0, 1) if boolean else ("no", "yes"),
        target=ColumnRecord("expensive", Kind.BOOLEAN if boolean else Kind.CATEGORY, "bool" if boolean else "string"),
        lineage=lineage or {},
    )


def _scores() -> tuple[GraphBuilder, str]:
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 3])
    strings = builder.input("strings", "string", ["N", 1])
    known = builder.node("Where", [builder.node("IsNaN", [numbers]), builder.constant(0.0), numbers])
    weights = np.array([[10.0], [1.0 / (100 * _DAY_MICROSECONDS)], [5.0]])
    prices = builder.node(
        "LabelEncoder",
        [strings],
        domain=ML_DOMAIN,
        keys_strings=list(TOWNS),
        values_tensor=np.array(list(TOWNS.values())),
        default_tensor=np.array([1.0]),
    )
    features = builder.mark("features", builder.node("Concat", [known, prices], axis=1))
    product = builder.node("MatMul", [features, builder.constant(np.vstack([weights, [[1.0]]]))])
    return builder, builder.node("Squeeze", [product, builder.constant(np.array([1]))])


def _write(path: Path, builder: GraphBuilder, **fields: Any) -> str:
    graph = builder.finish({"lepton.inputs": TableInputs(COLUMNS).metadata()})
    manifest = Manifest(inputs=COLUMNS, inner=builder.inner, **fields)
    vocabulary = {"town": [town for town in TOWNS if town]}
    assets = {"vocabulary.json": json.dumps(vocabulary, ensure_ascii=False).encode()}
    return write_bundle(path, manifest=manifest, graph=graph, assets=assets)
