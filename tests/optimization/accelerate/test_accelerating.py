"""What wins is kept in the reports of the file, by type of machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.bundle import add_report, machine, open_model, read_bundle
from lepton.bundle.machines import machine_type
from lepton.bundle.settings import RuntimeSettings
from lepton.core import MissingExtraError, Resources, Work
from lepton.optimization.accelerate import accelerate, accelerating, measured, search
from tests.optimization.accelerate.conftest import Winners

REWRITTEN = "another graph: 1 nodes whose answers nobody needs are gone"
ROW = {"numbers": np.array([[10.0, 1.0, 0.0]])}


def work() -> Work:
    return Work(resources=Resources(cpus=1))


def test_what_won_is_kept_and_opening_applies_it(model: Path, winners: Winners) -> None:
    winners("memory bound once")
    before = read_bundle(model).model_id
    found = accelerate(model, work=work())
    assert found.won
    opened = open_model(model)
    assert opened.settings == RuntimeSettings(bound=True)
    assert opened.model_id == before
    assert opened.run(ROW)["prediction"].tolist() == [-2.0]
    record = opened.bundle.reports["settings"]["machines"][0]
    assert record["machine"] == machine_type()
    assert record["gain"]["speedup"] == 1.5


def test_machines_stand_beside_each_other(model: Path, winners: Winners) -> None:
    other = {"machine": {**machine_type(), "cores": 999}, "settings": {"threads": 8}}
    stale = {"machine": machine_type(), "settings": {"arena": False}}
    report = {"time": "2026-11-21T08:00:00+00:00", "machine": machine(), "machines": [other, stale]}
    add_report(model, "settings", report)
    winners("memory bound once")
    accelerate(model, work=work())
    records = read_bundle(model).reports["settings"]["machines"]
    assert [each["settings"] for each in records] == [{"bound": True}, {"threads": 8}]
    winners()  # and measured anew, nothing is quicker
    accelerate(model, work=work())
    assert read_bundle(model).reports["settings"]["machines"] == [other]


def test_what_is_measured_at_first_use_is_used_and_not_written(model: Path, winners: Winners) -> None:
    ran, before = winners("memory bound once"), model.read_bytes()
    quick = measured(open_model(model), work=work())
    assert quick.settings == RuntimeSettings(bound=True)
    assert model.read_bytes() == before
    assert ran
    ran.clear()
    assert measured(quick, work=work()) is quick, "what is known is not measured again"
    assert not ran
    winners()
    first = open_model(model)
    assert measured(first, work=work()) is first, "nothing is quicker"


def test_nothing_is_written_where_nothing_wins(model: Path, winners: Winners) -> None:
    winners()
    before = model.read_bytes()
    assert not accelerate(model, work=work()).won
    assert model.read_bytes() == before


def test_another_file_may_hold_another_graph(model: Path, tmp_path: Path, winners: Winners) -> None:
    winners(REWRITTEN)
    before, output = model.read_bytes(), tmp_path / "quick.lepton"
    found = accelerate(model, output=output, work=work())
    assert found.rewrites == ("1 nodes whose answers nobody needs are gone",)
    assert model.read_bytes() == before
    quick = open_model(output)
    assert quick.bundle.summary.num_nodes == read_bundle(model).summary.num_nodes - 1
    assert quick.model_id != read_bundle(model).model_id
    assert quick.run(ROW)["prediction"].tolist() == [-2.0]
    assert quick.bundle.manifest.inputs == read_bundle(model).manifest.inputs


def test_a_graph_that_does_not_win_anew_is_not_kept(
    model: Path, tmp_path: Path, winners: Winners, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = winners(REWRITTEN)
    decide = vars(search)["race"]

    def race(*contestants: Any, **options: Any) -> Any:
        if ran:  # the first race is won
            winners()
        return decide(*contestants, **options) if not ran else vars(search)["race"](*contestants, **options)

    monkeypatch.setattr(search, "race", race)
    output = tmp_path / "same.lepton"
    found = accelerate(model, output=output, work=work())
    assert found.rewrites == ()
    assert found.model_id == read_bundle(model).model_id
    assert output.read_bytes() == model.read_bytes()


def test_another_file_is_a_copy_where_nothing_wins(model: Path, tmp_path: Path, winners: Winners) -> None:
    winners()
    output = tmp_path / "same.lepton"
    accelerate(model, output=output, work=work())
    assert output.read_bytes() == model.read_bytes()


def test_without_onnx_the_graph_stays(
    model: Path, tmp_path: Path, winners: Winners, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*arguments: object) -> object:
        raise MissingExtraError("onnx", "train", "Rewriting a graph")

    monkeypatch.setattr(accelerating, "rewrite", missing)
    ran = winners("memory bound once")
    accelerate(model, output=tmp_path / "quick.lepton", work=work())
    assert REWRITTEN not in ran
    assert open_model(tmp_path / "quick.lepton").settings == RuntimeSettings(bound=True)
