"""Two tiny models that the tests serve: `price` (regression, a date) and `sold` (binary, categories)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind

PRICE_COLUMNS = (
    ColumnRecord("rooms", Kind.NUMBER),
    ColumnRecord("straße", Kind.CATEGORY, dtype="string"),
    ColumnRecord("sold", Kind.DATETIME, dtype="datetime", time_zone="Europe/Berlin"),
)
SOLD_COLUMNS = (
    ColumnRecord("rooms", Kind.NUMBER),
    ColumnRecord("town", Kind.CATEGORY, dtype="string"),
    ColumnRecord("garden", Kind.BOOLEAN, dtype="bool"),
)
TOWNS = {"Basel": 1.0, "Zürich": 2.0, "京都": -1.5}


def write_price(folder: Path) -> Path:
    """`prediction` = 2 × (rooms + sold); the street does not matter."""
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    builder.input("strings", "string", ["N", 1])
    total = builder.node("MatMul", [numbers, builder.constant(np.full((2, 1), 2.0))])
    builder.output("prediction", builder.node("Squeeze", [total, builder.constant(np.array([1]))]), "double", ["N"])
    manifest = Manifest(
        name="price",
        task="regression",
        inputs=PRICE_COLUMNS,
        outputs=(OutputRecord("prediction", "double", ("N",)),),
    )
    path = folder / "price.lepton"
    write_bundle(
        path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(PRICE_COLUMNS))})
    )
    return path


def write_sold(folder: Path) -> Path:
    """Probability of "yes" = sigmoid(rooms + garden + the town's value), missing numbers counting 0."""
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    strings = builder.input("strings", "string", ["N", 1])
    present = builder.node("Where", [builder.node("IsNaN", [numbers]), builder.constant(0.0), numbers])
    town = builder.node(
        "LabelEncoder",
        [strings],
        domain="ai.onnx.ml",
        keys_strings=list(TOWNS),
        values_floats=list(TOWNS.values()),
        default_float=0.0,
    )
    town = builder.node("Cast", [town], to=11)
    total = builder.node("Add", [builder.node("MatMul", [present, builder.constant(np.ones((2, 1)))]), town])
    yes = builder.node("Sigmoid", [total])
    no = builder.node("Sub", [builder.constant(1.0), yes])
    probabilities = builder.node("Concat", [no, yes], axis=1)
    likely = builder.node(
        "Squeeze", [builder.node("Greater", [yes, builder.constant(0.5)]), builder.constant(np.array([1]))]
    )
    texts = [builder.constant(np.array(label, dtype=object)) for label in ("yes", "no")]
    builder.output("prediction", builder.node("Where", [likely, *texts]), "string", ["N"])
    builder.output("probabilities", probabilities, "double", ["N", 2])
    manifest = Manifest(
        name="sold",
        task="binary",
        inputs=SOLD_COLUMNS,
        outputs=(OutputRecord("prediction", "string", ("N",)), OutputRecord("probabilities", "double", ("N", 2))),
        labels=("no", "yes"),
    )
    path = folder / "sold.lepton"
    write_bundle(
        path,
        manifest=manifest,
        graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(SOLD_COLUMNS))}),
        assets={"vocabulary.json": json.dumps({"town": list(TOWNS)}).encode()},
    )
    return path


def write_scaled(path: Path, factor: float, *, layers: int = 0, width: int = 1) -> Path:
    """`prediction` = factor × the sum of a row; `layers` matrix products of zeros, `width` wide, make it slow."""
    columns = tuple(ColumnRecord(f"x{number}", Kind.NUMBER) for number in range(width))
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", width])
    value = numbers
    for _ in range(layers):
        product = builder.node("MatMul", [value, builder.constant(np.zeros((width, width)))])
        value = builder.node("Add", [product, numbers])
    total = builder.node("MatMul", [value, builder.constant(np.full((width, 1), factor))])
    builder.output("prediction", builder.node("Squeeze", [total, builder.constant(np.array([1]))]), "double", ["N"])
    manifest = Manifest(
        name=path.stem, task="regression", inputs=columns, outputs=(OutputRecord("prediction", "double", ("N",)),)
    )
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))}))
    return path
