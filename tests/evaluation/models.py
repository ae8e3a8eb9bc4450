"""Model files with known answers: linear in their number columns, softmax over labels where there are some."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lepton.bundle import Manifest, OutputRecord, Predictor, open_model, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind


def linear_model(
    folder: Path,
    weights: dict[str, float | Sequence[float]],
    *,
    offset: float | Sequence[float] = 0.0,
    labels: tuple[Any, ...] | None = None,
    target: str = "price",
    name: str = "linear",
) -> Predictor:
    """A model of `target` from number columns: column → weight, or → one weight a label."""
    columns = tuple(ColumnRecord(each, Kind.NUMBER) for each in weights)
    task = "regression" if labels is None else "binary" if len(labels) == 2 else "multiclass"
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", len(columns)])
    matrix = np.array([np.atleast_1d(w) for w in weights.values()], dtype=np.float64)
    product = builder.node("MatMul", [numbers, builder.constant(matrix)])
    raw = builder.node("Add", [product, builder.constant(np.atleast_1d(np.asarray(offset, dtype=np.float64)))])
    if labels is None:
        outputs = [OutputRecord("prediction", "double", ("N",))]
        builder.output("prediction", builder.node("Squeeze", [raw, builder.constant(np.array([1]))]), "double", ["N"])
    else:
        dtype = "string" if isinstance(labels[0], str) else "int64"
        shares = builder.node("Softmax", [raw], axis=1)
        best = builder.node("ArgMax", [shares], axis=1, keepdims=0)
        known = list(labels) if dtype == "string" else np.array(labels, dtype=np.int64)
        builder.output("prediction", builder.node("Gather", [builder.constant(known), best]), dtype, ["N"])
        builder.output("probabilities", shares, "double", ["N", len(labels)])
        outputs = [
            OutputRecord("prediction", dtype, ("N",)),
            OutputRecord("probabilities", "double", ("N", len(labels))),
        ]
    manifest = Manifest(
        name=name,
        task=task,
        inputs=columns,
        outputs=tuple(outputs),
        labels=labels,
        target=ColumnRecord(target, Kind.NUMBER if labels is None else Kind.CATEGORY),
    )
    path = folder / f"{name}.lepton"
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))}))
    return open_model(path)


def binary_model(folder: Path, slope: float, *, labels: tuple[Any, ...] = ("no", "yes"), **named: Any) -> Predictor:
    """P(second label) = 1 / (1 + exp(-slope * x)); `labels` may be reversed, the answer stays."""
    weights = [0.0, slope] if labels[1] in ("yes", 1) else [slope, 0.0]
    return linear_model(folder, {"x": weights}, labels=labels, target="bought", **named)
