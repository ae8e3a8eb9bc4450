"""A small model, and races and peaks that take no time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind
from lepton.optimization.accelerate import profiling, search, timing
from lepton.optimization.accelerate.peaks import Peaks
from lepton.optimization.accelerate.race import Contestant, Standing

COLUMNS = tuple(ColumnRecord(name, Kind.NUMBER) for name in ("first", "second", "third"))
METADATA = {INPUTS_KEY: json.dumps(describe_inputs(COLUMNS))}

Winners = Callable[..., list[str]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """`prediction` is a weighted sum; a node gives what nobody needs."""
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 3])
    builder.node("Exp", [numbers])
    total = builder.node("MatMul", [numbers, builder.constant(np.array([0.1, -3.0, 1e-9]))])
    builder.output("prediction", total, "double", ["N"])
    manifest = Manifest(
        name="sums", task="regression", inputs=COLUMNS, outputs=(OutputRecord("prediction", "double", ("N",)),)
    )
    write_bundle(tmp_path / "sums.lepton", manifest=manifest, graph=builder.finish(METADATA))
    return tmp_path / "sums.lepton"


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_BLOCK_SECONDS", 0.0)
    monkeypatch.setattr(timing, "_PAUSE", 0.0)
    monkeypatch.setattr(profiling, "_CALLS", 5)


@pytest.fixture(autouse=True)
def peaks(monkeypatch: pytest.MonkeyPatch) -> Peaks:
    found = Peaks(1e11, 1e10, 1e11, 2, 2e11)
    monkeypatch.setattr(profiling, "measure_peaks", lambda resources: found)
    return found


@pytest.fixture
def winners(monkeypatch: pytest.MonkeyPatch) -> Winners:
    """`winners("2 threads")` has the named ones win all races, and gives the names of all that ran."""

    def decide(*names: str) -> list[str]:
        ran: list[str] = []

        def race(reference: Contestant, challengers: Sequence[Contestant], **options: Any) -> list[Standing]:
            ran.extend(each.name for each in challengers)
            for each in (reference, *challengers):
                assert each.block() > 0
            return [
                Standing(each.name, each.name in names, 1.5 if each.name in names else 1.0, 0.9, 1.6, 10, 2e-6, 3e-6)
                for each in challengers
            ]

        monkeypatch.setattr(search, "race", race)
        return ran

    return decide
