"""Rows that count by their class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

import lepton
from lepton.core import Resources, UsageError, Work
from lepton.data import read
from lepton.training.deep import media_net
from lepton.training.deep.counted import counted
from lepton.training.tasks import Target, prepare_target


@dataclass(frozen=True)
class Rows:
    target: Target
    weight: NDArray[np.float32] | None
    notes: tuple[str, ...] = ()


@pytest.fixture
def target() -> Target:
    table = read(pl.DataFrame({"x": [1.0] * 8, "y": ["rare"] * 2 + ["usual"] * 6}))
    return prepare_target(table.frame(), table.schema, "y")


def test_balanced_classes_weigh_the_same(target: Target) -> None:
    found = counted(Rows(target, None), "balanced")
    assert found.weight is not None
    np.testing.assert_allclose(found.weight, [2.0] * 2 + [2 / 3] * 6, rtol=1e-6)
    assert "rows count by class" in found.notes[0]


def test_weights_of_rows_and_classes_are_multiplied(target: Target) -> None:
    found = counted(Rows(target, np.array([1, 3, *[1] * 6], np.float32)), {"rare": 2})
    assert found.weight is not None
    np.testing.assert_allclose(found.weight / found.weight[-1], [2, 6, *[1] * 6], rtol=1e-6)


def test_nothing_asked_leaves_rows_as_they_are(target: Target) -> None:
    rows = Rows(target, None)
    assert counted(rows, None) is rows
    with pytest.raises(UsageError, match="'none of them'"):
        counted(rows, {"none of them": 2})


def test_pictures_of_a_rare_class_can_count_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_net, "_PASSES", (2, 2))
    rng = np.random.default_rng(0)
    for label, count in (("rare", 4), ("usual", 12)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / f"photos/{label}/{number}.png")
    model = lepton.train(tmp_path / "photos", class_weight={"rare": 3}, work=Work(resources=Resources(cpus=1)))
    board = model.leaderboard()
    assert board.metric == "roc_auc"
    assert any("rows count by class" in note for note in board.notes)
