"""Files and arrays as a search sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import lepton
from lepton.core import Kind
from lepton.training.deep.architectures.subject import Subject, subject_of_arrays, subject_of_files
from tests.training.deep.architectures.conftest import one_core


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> lepton.Dataset:
    """Pictures with a number, tags and a weight, and two of them alike."""
    folder = tmp_path_factory.mktemp("pictures")
    random, rows = np.random.default_rng(0), []
    for number in range(20):
        level = 40 + 8 * (number % 19)
        pixels = np.full((9, 12, 3), level, np.uint8) + random.integers(0, 3, (9, 12, 1), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        tags = "; ".join(["bright"] * (level > 100) + ["odd"] * (number % 2)) or None
        rows.append({"file": f"{number}.png", "level": level + 0.5, "tags": tags, "count": 1 + number % 3})
    (folder / "19.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return lepton.read(folder / "rows.jsonl", kinds={"file": "image", "tags": "text"})


def subject(table: lepton.Dataset, target: str, **options: Any) -> Subject:
    return subject_of_files(
        table, column="file", target=target, work=one_core(), **{"task": None, "weight": None, **options}
    )


def test_pictures_of_a_table(table: lepton.Dataset) -> None:
    found = subject(table, "level", weight="count")
    assert (found.problem.task, found.values.shape, found.kind) == ("regression", (20, 9, 12, 1), None)
    assert found.column is not None
    assert (found.column.name, found.column.kind) == ("file", Kind.IMAGE)
    assert found.target is not None
    assert found.target.name == "level"
    assert found.same[19] == 0
    assert found.weight is not None
    assert found.weight.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(found.truth * found.scale[0] + found.scale[1], [*(40.5 + 8 * np.arange(19)), 40.5])
    assert len(found.samples) == 20
    assert all(sample.startswith(b"\x89PNG") for sample in found.samples)
    assert found.fingerprint == subject(table, "level").fingerprint != subject(table, "count").fingerprint


def test_several_labels_and_numbers_are_searched_too(table: lepton.Dataset, tmp_path: Path) -> None:
    options: dict[str, Any] = {"image": "file", "max_trials": 1, "work": one_core()}
    several = lepton.search(table, target="tags", task="multilabel", **options)
    assert (several.task, several.labels) == ("multilabel", ("bright", "odd"))
    numbers = lepton.search(table, target="level", output=tmp_path / "level.lepton", **options)
    assert (numbers.task, numbers.target) == ("regression", "level")
    (answer,) = numbers.predict([table.references.read("3.png")])
    assert 20 < answer < 220


def test_sounds_of_a_table(tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        wave = 0.4 * np.sin(2 * np.pi * (300 if number % 2 else 2_000) * np.arange(2_600) / 8_000)
        soundfile.write(tmp_path / f"{number}.wav", wave, 8_000)
        rows.append({"clip": f"{number}.wav", "tone": "low" if number % 2 else "high"})
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
    read = lepton.read(tmp_path / "clips.jsonl", kinds={"clip": "audio"})
    found = subject_of_files(read, column="clip", target="tone", task=None, weight=None, work=one_core())
    assert (found.problem.task, found.values.ndim, found.labels) == ("binary", 3, ("high", "low"))
    assert found.learner(one_core()).spec.kind == "spectrogram"
    assert found.codecs == {"clip": "wav-flac-to-f32/1"}


def test_channels_first_and_pictures_without_channels() -> None:
    y = np.arange(10) % 2
    first = subject_of_arrays(np.zeros((10, 3, 8, 9), np.uint8), y, kind=None, task=None)
    assert first.values.shape == (10, 8, 9, 3)
    grey = subject_of_arrays(np.zeros((10, 8, 9)), y, kind="image", task=None)
    assert grey.values.shape == (10, 8, 9, 1)
    assert grey.samples.dtype == np.uint8
    series = subject_of_arrays(np.full((10, 8, 2), np.nan), np.arange(10), kind=None, task="regression")
    assert (series.problem.task, series.samples.dtype) == ("regression", np.float64)
