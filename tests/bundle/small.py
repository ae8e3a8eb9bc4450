"""A small bundle that the tests of this room write, and change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind

COLUMNS = (
    ColumnRecord("rooms", Kind.NUMBER, unit="m²"),
    ColumnRecord("straße", Kind.CATEGORY, dtype="string"),
    ColumnRecord("sold", Kind.DATETIME, dtype="datetime", time_zone="Europe/Berlin"),
)
CODECS = {"straße": "nfc-casefold/1"}
REPORT = {"time": "2026-11-21T08:00:00+00:00", "machine": {"cpus": 2}, "rmse": 0.25}


def small_graph(columns: tuple[ColumnRecord, ...] = COLUMNS) -> bytes:
    """`prediction` is the sum of the numbers times two."""
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    builder.input("strings", "string", ["N", 1])
    raw = builder.mark("raw", builder.node("MatMul", [numbers, builder.constant(np.full((2, 1), 2.0))]))
    column = builder.node("Squeeze", [raw, builder.constant(np.array([1]))])
    builder.output("prediction", column, "double", ["N"])
    return builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns, CODECS))})


def small_manifest(**changes: Any) -> Manifest:
    given: dict[str, Any] = {
        "name": "houses",
        "task": "regression",
        "inputs": COLUMNS,
        "outputs": (OutputRecord("prediction", "double", ("N",)),),
        "target": ColumnRecord("price", Kind.NUMBER),
        "codecs": CODECS,
        "lineage": {"seed": 7, "dataset": {"sha256": "0" * 64}, "share": 0.1},
        "inner": {"raw": "raw"},
    }
    return Manifest(**(given | changes))


def write_small(path: Path, **changes: Any) -> str:
    given: dict[str, Any] = {
        "manifest": small_manifest(),
        "graph": small_graph(),
        "assets": {"vocabulary.json": b'{"stra\xc3\x9fe": ["a", "b"]}'},
        "baseline": {"0.json": b"{}", "1.json": b"[]"},
        "training": {"kind": b"none"},
        "reports": {"metrics": REPORT},
    }
    return write_bundle(path, **(given | changes))
