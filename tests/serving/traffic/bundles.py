"""Small models for the tests of traffic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind, Role


def write_sum(path: Path, weights: Mapping[str, float], *, target: str | None = None, **values: float) -> Path:
    """`prediction` = the weighted sum of number columns, and, for a column of texts called `prediction`, its value."""
    columns = tuple(ColumnRecord(name, Kind.NUMBER) for name in weights)
    builder = GraphBuilder()
    factors = builder.constant(np.array([list(weights.values())]).T)
    total = builder.node("MatMul", [builder.input("numbers", "double", ["N", len(weights)]), factors])
    if values:
        columns = (ColumnRecord("prediction", Kind.CATEGORY, dtype="string"), *columns)
        text = builder.node(
            "LabelEncoder",
            [builder.input("strings", "string", ["N", 1])],
            domain="ai.onnx.ml",
            keys_strings=list(values),
            values_floats=list(values.values()),
            default_float=0.0,
        )
        total = builder.node("Add", [total, builder.node("Cast", [text], to=11)])
    builder.output("prediction", builder.node("Squeeze", [total, builder.constant(np.array([1]))]), "double", ["N"])
    manifest = Manifest(
        name=path.stem,
        task="regression",
        inputs=columns,
        outputs=(OutputRecord("prediction", "double", ("N",)),),
        target=None if target is None else ColumnRecord(target, Kind.NUMBER, role=Role.TARGET),
    )
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))}))
    return path


def write_two_classes(path: Path, shift: float) -> Path:
    """Probability of "yes" = sigmoid(x0 + shift)."""
    columns = (ColumnRecord("x0", Kind.NUMBER),)
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 1])
    yes = builder.node("Sigmoid", [builder.node("Add", [numbers, builder.constant(shift)])])
    no = builder.node("Sub", [builder.constant(1.0), yes])
    likely = builder.node(
        "Squeeze", [builder.node("Greater", [yes, builder.constant(0.5)]), builder.constant(np.array([1]))]
    )
    texts = [builder.constant(np.array(label, dtype=object)) for label in ("yes", "no")]
    builder.output("prediction", builder.node("Where", [likely, *texts]), "string", ["N"])
    builder.output("probabilities", builder.node("Concat", [no, yes], axis=1), "double", ["N", 2])
    manifest = Manifest(
        name=path.stem,
        task="binary",
        inputs=columns,
        outputs=(OutputRecord("prediction", "string", ("N",)), OutputRecord("probabilities", "double", ("N", 2))),
        labels=("no", "yes"),
    )
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))}))
    return path
