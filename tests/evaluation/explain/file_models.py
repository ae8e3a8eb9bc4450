"""Models of texts with known answers: each sign that counts adds its weight."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, Predictor, TensorRecord, open_model, write_bundle
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.bundle.tensor_records import describe_tensors
from lepton.core import ColumnRecord, Kind

TOKENS = (TensorRecord("tokens", "int64", (None, None)), TensorRecord("mask", "float", (None, None)))
TEXT = ColumnRecord("text", Kind.TEXT, "string")


def counting_model(folder: Path, weights: dict[str, float]) -> Predictor:
    """A number for a text: the sum of the weights of its signs."""
    builder = GraphBuilder()
    tokens = builder.input("tokens", "int64", ["N", "L"])
    mask = builder.input("mask", "float", ["N", "L"])
    codes = builder.constant(np.array([ord(sign) for sign in weights]))
    hits = builder.node("Equal", [builder.node("Unsqueeze", [tokens, builder.constant(np.array([2]))]), codes])
    shown = builder.node("Unsqueeze", [builder.node("Cast", [mask], to=11), builder.constant(np.array([2]))])
    counted = builder.node("Mul", [builder.node("Cast", [hits], to=11), shown])
    sums = builder.node("ReduceSum", [counted, builder.constant(np.array([1]))], keepdims=0)
    product = builder.node("MatMul", [sums, builder.constant(np.array(list(weights.values()), dtype=np.float64))])
    builder.output("prediction", product, "double", ["N"])
    codecs = {"text": "code-points/1"}
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_tensors(TOKENS, (TEXT,), codecs))})
    manifest = Manifest(
        name="counting", task="regression", inputs=(TEXT,), tensors=TOKENS, codecs=codecs,
        outputs=(OutputRecord("prediction", "double", ("N",)),),
    )  # fmt: skip
    write_bundle(folder / "counting.lepton", manifest=manifest, graph=graph)
    return open_model(folder / "counting.lepton")


def known_texts(folder: Path, answers: dict[str, float]) -> Predictor:
    """A table model of one text column that knows some texts by heart, and answers 0 to all others."""
    builder = GraphBuilder()
    strings = builder.input("strings", "string", ["N", 1])
    values = builder.node(
        "LabelEncoder", [strings], domain="ai.onnx.ml", keys_strings=list(answers),
        values_floats=list(map(float, answers.values())), default_float=0.0,
    )  # fmt: skip
    column = builder.node("Squeeze", [builder.node("Cast", [values], to=11), builder.constant(np.array([1]))])
    builder.output("prediction", column, "double", ["N"])
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs((TEXT,)))})
    outputs = (OutputRecord("prediction", "double", ("N",)),)
    write_bundle(
        folder / "known.lepton", graph=graph,
        manifest=Manifest(name="known", task="regression", inputs=(TEXT,), outputs=outputs),
    )  # fmt: skip
    return open_model(folder / "known.lepton")
