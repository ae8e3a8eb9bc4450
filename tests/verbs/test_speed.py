"""Accelerate and profile, as people call them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import lepton
from lepton import Work
from lepton.bundle.settings import RuntimeSettings
from lepton.core import Resources
from lepton.optimization.accelerate import Acceleration, Profile
from tests.optimization.accelerate.conftest import Winners, model, peaks, short_blocks, winners

__all__ = ["model", "peaks", "short_blocks", "winners"]

ROWS = {"first": [10.0], "second": [1.0], "third": [0.0]}


def work() -> Work:
    return Work(resources=Resources(cpus=1))


def test_a_model_comes_back_opened_anew(model: Path, winners: Winners) -> None:
    winners("memory bound once")
    first = lepton.load(model)
    quick = first.accelerate(ROWS, work=work())
    assert isinstance(quick.acceleration, Acceleration)
    assert quick.acceleration.won
    assert quick.predictor.settings == RuntimeSettings(bound=True)
    assert first.predictor.settings == RuntimeSettings(), "it answers as it was opened"
    assert list(quick.predict(ROWS)) == list(first.predict(ROWS)) == [-2.0]
    assert lepton.load(model).acceleration is None


def test_a_model_can_be_measured_when_it_is_loaded(model: Path, winners: Winners) -> None:
    winners("memory bound once")
    before = model.read_bytes()
    quick = lepton.load(model, measure="20s", resources=Resources(cpus=1))
    assert quick.predictor.settings == RuntimeSettings(bound=True)
    assert list(quick.predict(ROWS)) == [-2.0]
    assert model.read_bytes() == before


def test_another_file_is_written(model: Path, winners: Winners, tmp_path: Path) -> None:
    winners("memory bound once")
    quick = lepton.accelerate(model, np.ones((3, 3)), batch=[1, 2], output=tmp_path / "quick.lepton", work=work())
    assert quick.path == tmp_path / "quick.lepton"
    assert "settings" not in lepton.load(model).reports()


def test_rows_of_a_file_are_read_as_the_model_wants_them(model: Path, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("third,first,second,other\n0,10,1,x\n1,2,3,y\n", "utf-8")
    with pytest.raises(lepton.LeptonError, match="other"):
        lepton.profile(model, table, work=work())
    table.write_text("third,first,second\n0,10,1\n1,2,3\n", "utf-8")
    found = lepton.profile(model, table, batch=2, work=work())
    assert isinstance(found, Profile)
    assert found.batch == 2
    assert found.encoding_seconds is not None


def test_where_the_file_of_a_model_is_gone_is_told(model: Path, winners: Winners, tmp_path: Path) -> None:
    winners()
    opened = lepton.load(shutil.copy(model, tmp_path / "gone.lepton"))
    (tmp_path / "gone.lepton").unlink()
    with pytest.raises(lepton.LeptonError, match=r"gone\.lepton"):
        opened.accelerate(work=work())
