"""Where searches are kept: the user's folder, or one of few in the cache, and what becomes of them."""

import os
import shutil
from typing import Any

import numpy as np
import pytest

from lepton.core import DataError, UsageError, cache_folder
from lepton.training import SearchOptions, search_of
from lepton.training.automl import Keeper, SearchFolder, kept as kept_module
from lepton.training.automl.kept import remember_search
from lepton.training.learners.linear import Linear
from lepton.training.portfolio import Candidate
from tests.training.automl.test_workdir import FOLDS, asked, scored


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "searches"


def keeper(**options):
    return Keeper(SearchOptions(**options), asked(), FOLDS)


def kept_search(model_id="m" * 64):
    made = keeper()
    made.keep(scored())
    made.finish()
    made.known_by(model_id)
    return made


def test_a_model_knows_its_search(cache):
    kept_search("a" * 64)
    kept_search("b" * 64)
    found = search_of("a" * 64)
    assert found.path.parent == cache
    assert found.path != search_of("b" * 64).path
    assert len(found.candidates([Linear], 1)) == 1


def test_nothing_is_made_before_there_is_something_to_keep(cache):
    keeper().known_by("m" * 64)
    assert not cache.exists()


def test_a_folder_that_is_named(tmp_path, cache):
    made = keeper(workdir=tmp_path / "mine")
    made.keep(scored())
    made.finish()
    made.known_by("m" * 64)
    assert search_of("m" * 64).path == tmp_path / "mine"
    assert [file.suffix for file in cache.iterdir()] == [".json"]


def test_a_search_that_is_gone_is_told_where_it_was(tmp_path, monkeypatch):
    kept_search()
    shutil.rmtree(search_of("m" * 64).path)
    with pytest.raises(DataError, match=r"search of this model is gone; it was in Lepton's cache, as searches/\w{16}"):
        search_of("m" * 64)
    monkeypatch.chdir(tmp_path)
    keeper(workdir=tmp_path.__class__("mine")).known_by("m" * 64)
    shutil.rmtree("mine")
    with pytest.raises(DataError, match=r"is gone; it was in 'mine'.*workdir=") as caught:
        search_of("m" * 64)
    assert str(tmp_path) not in str(caught.value)


def test_a_model_without_a_search():
    with pytest.raises(DataError, match=r"cache does not know a search of the model mmmmmmmmmmmm…"):
        search_of("m" * 64)


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b'{"folder": 3, "given": 4}', b"\xff"])
def test_a_damaged_note(note, cache):
    kept_search()
    (cache / f"{'m' * 64}.json").write_bytes(note)
    with pytest.raises(DataError, match="does not know"):
        search_of("m" * 64)


def test_the_oldest_make_room(cache, monkeypatch):
    monkeypatch.setattr(kept_module, "_MOST_SEARCHES", 3)
    for number in range(6):
        kept_search(f"{number}" * 64)
        for age, folder in enumerate(sorted(cache.glob("*[!n]"), key=lambda each: -each.stat().st_mtime_ns)):
            os.utime(folder, (1e9 - 100 * age + number, 1e9 - 100 * age + number))
    assert sum(each.is_dir() for each in cache.iterdir()) == 3
    assert search_of("5" * 64).path.is_dir()
    with pytest.raises(DataError, match="is gone"):
        search_of("0" * 64)


def test_all_together_are_bounded(cache, monkeypatch):
    monkeypatch.setattr(kept_module, "_MOST_BYTES", 10_000)
    monkeypatch.setattr(kept_module, "_MOST_OF_ONE", 4_000)
    for number in range(5):
        kept_search(f"{number}" * 64)
    held = sum(file.stat().st_size for folder in cache.iterdir() if folder.is_dir() for file in folder.iterdir())
    assert held <= 10_000


def test_notes_are_bounded(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(kept_module, "_MOST_MODELS", 4)
    for number in range(8):
        remember_search(f"{number}" * 64, tmp_path)
    kept_search()
    assert len(list(cache.glob("*.json"))) == 4


def test_one_search_is_bounded(monkeypatch):
    monkeypatch.setattr(kept_module, "_MOST_OF_ONE", 100)
    made = keeper()
    for seed in range(4):
        made.keep(scored(seed))
    made.finish()
    made.known_by("m" * 64)
    assert len(search_of("m" * 64).candidates([Linear], 1)) == 2
    (note,) = made.notes
    assert note.startswith("the search is kept up to here only (its scores are larger than")


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LEPTON_CACHE", str(tmp_path / "file" / "cache"))
    made = kept_search()
    assert len(made.notes) == 1
    assert "workdir=" in made.notes[0]


def test_a_configuration_that_cannot_be_written():
    made = keeper()
    made.keep(Candidate(Linear, {"label": object()}))
    made.finish()
    assert "not JSON serializable" in made.notes[0]


def test_options():
    assert SearchOptions(max_trials=0).earlier is None
    most: Any
    for most in (-1, 1.5, True, "3"):
        with pytest.raises(UsageError, match="max_trials"):
            SearchOptions(max_trials=most)
    with pytest.raises(UsageError, match=r"without a folder.*--workdir"):
        SearchOptions(resume=True)
    SearchOptions().check(searches=False)
    with pytest.raises(UsageError, match="nothing is searched"):
        SearchOptions(max_trials=3).check(searches=False)


def test_folds_of_the_earlier_part_count(tmp_path):
    keeper(workdir=tmp_path / "mine")
    again = Keeper(SearchOptions(tmp_path / "mine", resume=True), asked(), ())
    assert np.array_equal(again.folds[1].train, FOLDS[1].train)
    assert SearchFolder.holds_search(tmp_path / "mine")
    assert cache_folder() == tmp_path / "cache"
