"""`lepton search` on a folder of pictures: what it prints, keeps and refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lepton
from lepton.training.deep import media_net
from lepton.training.deep.architectures import costs

Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "photos"
    random = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        (folder / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(random.normal(level, 20, (9, 9, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_net, "_PASSES", (2, 2))
    monkeypatch.setattr(costs, "_BLOCKS", 1)
    monkeypatch.setattr(costs, "_BLOCK", 0.001)


def test_a_folder_of_pictures_is_searched_and_the_search_goes_on(photos: Path, tmp_path: Path, call: Call) -> None:
    path, kept = tmp_path / "best.lepton", str(tmp_path / "kept")
    words = ("search", str(photos), "--max-size", "5MB", "--workdir", kept, "-o", str(path), "--workers", "1")
    code, envelope = call(*words, "--max-trials", "1")
    assert code == 0
    found = envelope["result"]
    assert (found["task"], found["trials"], found["metric"]) == ("binary", 1, "accuracy")
    assert [row["chosen"] for row in found["leaderboard"]] == [True]
    assert envelope["next"][-1] == f"lepton serve {path}"
    picture = photos / "light" / "1.png"
    assert lepton.load(path).predict([picture.read_bytes()])[0] in {"dark", "light"}
    code, envelope = call(*words, "--max-trials", "2")
    assert (code, envelope["error"]["code"]) == (2, "usage")
    code, envelope = call(*words, "--max-trials", "2", "--continue")
    assert (code, envelope["result"]["trials"]) == (0, 2)
    assert f"{path} was there and has been replaced" in envelope["notes"]


def test_a_limit_that_nothing_keeps_is_an_exit_code_and_the_least_file(
    photos: Path, tmp_path: Path, call: Call
) -> None:
    path = tmp_path / "least.lepton"
    code, envelope = call("search", str(photos), "--max-size", "1KB", "--max-trials", "3", "-o", str(path))
    assert (code, envelope["error"]["code"]) == (5, "budget-missed")
    assert "max_size is 1 kB" in envelope["error"]["message"]
    assert lepton.load(path).labels == ("dark", "light")


def test_what_cannot_be_searched_is_refused(photos: Path, tmp_path: Path, call: Call) -> None:
    code, envelope = call("search", str(photos), "--max-latency", "soon")
    assert (code, envelope["error"]["code"]) == (2, "bad-budget")
    code, envelope = call("search", str(tmp_path / "nothing"))
    assert (code, envelope["error"]["code"]) == (3, "not-found")
    code, envelope = call("search", str(photos), "--within", "1ms", "-o", str(tmp_path / "none.lepton"))
    assert envelope["error"]["code"] == "interrupted"
    assert not (tmp_path / "none.lepton").exists()
