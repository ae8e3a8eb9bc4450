"""Models that come, change and go: what answers meanwhile, and which version it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import add_report, open_model
from lepton.core import BundleError, ErrorCode, LeptonError, Resources, ServingError, WorkerError
from lepton.serving.model_store import ModelState, ModelStore
from lepton.serving.repository import Repository
from lepton.serving.sources import Sources
from lepton.serving.trial import open_once, try_bundle
from tests.serving.models import write_scaled


def untried(path: Path) -> str:
    return open_model(path).model_id


class Shelf:
    """A folder that is served, without a server."""

    def __init__(self, folder: Path, trial: Callable[[Path], str] = untried) -> None:
        self.folder = folder
        self.store = ModelStore.empty(Resources())
        self.repository = Repository(Sources([folder]), self.store, trial)
        self.repository.open_all()

    def write(self, name: str, factor: float) -> None:
        """Put a model there in one step, as `lepton train -o` does."""
        path = self.folder / f"{name}.lepton"
        path.parent.mkdir(exist_ok=True)
        write_scaled(path, factor)

    def settle(self) -> None:
        for _ in range(2):
            self.repository.refresh()

    def answer(self, name: str, version: str | None = None) -> tuple[str, float]:
        """The version that answers, and its factor."""
        model = self.store[name] if version is None else self.store.version(name, version)
        return model.version, float(model.predictor.run({"numbers": np.ones((1, 1))})["prediction"][0])

    def states(self, name: str) -> list[tuple[str, str]]:
        return [(model.version, str(model.state)) for model in self.store.versions(name)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    write_scaled(tmp_path / "a.lepton", 1.0)
    return Shelf(tmp_path)


def test_a_changed_file_is_the_next_version(shelf: Shelf) -> None:
    assert shelf.answer("a") == ("1", 1.0)
    shelf.write("a", 2.0)
    shelf.repository.refresh()
    assert shelf.answer("a") == ("1", 1.0)  # it may still be on its way
    shelf.repository.refresh()
    assert shelf.answer("a") == ("2", 2.0)
    assert shelf.states("a") == [("2", "ready")]
    with pytest.raises(ServingError, match="no version '1'"):
        shelf.answer("a", "1")


def test_content_that_comes_back_has_its_number_again(shelf: Shelf) -> None:
    for factor, version in ((2.0, "2"), (1.0, "1"), (3.0, "3"), (2.0, "2")):
        shelf.write("a", factor)
        shelf.settle()
        assert shelf.answer("a") == (version, factor)
        assert shelf.states("a") == [(version, "ready")]


def test_a_report_or_a_touch_changes_nothing(shelf: Shelf) -> None:
    before = shelf.store["a"]
    add_report(shelf.folder / "a.lepton", "note", {"time": "2026-01-01T00:00:00Z", "machine": {"cpus": 1}})
    shelf.settle()
    os.utime(shelf.folder / "a.lepton", (1, 1))
    shelf.settle()
    assert shelf.store["a"] is before


def test_new_models_come_and_deleted_ones_go(shelf: Shelf) -> None:
    shelf.write("b", 5.0)
    shelf.write("c/7", 7.0)
    shelf.write("c/3", 3.0)
    shelf.settle()
    assert shelf.answer("b") == ("1", 5.0)
    assert shelf.answer("c") == ("7", 7.0)
    assert shelf.answer("c", "3") == ("3", 3.0)
    (shelf.folder / "c" / "7.lepton").unlink()
    (shelf.folder / "b.lepton").unlink()
    shelf.repository.refresh()
    assert shelf.answer("c") == ("3", 3.0)
    with pytest.raises(ServingError, match="no model 'b'"):
        shelf.answer("b")
    shelf.write("c/7", 7.5)
    shelf.settle()
    assert shelf.answer("c") == ("7", 7.5)


def test_a_damaged_file_takes_nobody_down_and_says_why(shelf: Shelf) -> None:
    path = shelf.folder / "a.lepton"
    whole = path.read_bytes()
    for damage in (b"", whole[:-50], whole[:300] + b"\xff" + whole[301:], b"PK\3\4" * 99):
        path.write_bytes(damage)
        shelf.settle()
        assert shelf.answer("a") == ("1", 1.0)
        assert shelf.states("a") == [("1", "ready"), ("2", "failed")]
        (bad,) = (entry for entry in shelf.repository.index() if entry["state"] == "UNAVAILABLE")
        assert bad["reason"]
        assert str(shelf.folder) not in bad["reason"]
    shelf.write("a", 4.0)
    shelf.settle()
    assert shelf.answer("a") == ("2", 4.0)
    assert shelf.states("a") == [("2", "ready")]


def test_a_version_that_is_replaced_by_a_damaged_file_answers_on(shelf: Shelf) -> None:
    shelf.write("c/7", 7.0)
    shelf.settle()
    (shelf.folder / "c" / "7.lepton").write_bytes(b"PK")
    shelf.settle()
    assert shelf.states("c") == [("7", "ready"), ("7", "failed")]
    assert shelf.answer("c") == shelf.answer("c", "7") == ("7", 7.0)


def test_what_was_damaged_at_the_start_is_taken_up_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.lepton").write_bytes(b"PK")
    shelf = Shelf(tmp_path)
    assert shelf.states("a") == [("1", "failed")]
    shelf.settle()
    shelf.write("a", 2.0)
    shelf.settle()
    assert shelf.answer("a") == ("1", 2.0)
    assert shelf.states("a") == [("1", "ready")]


def test_a_file_that_is_still_written_is_not_opened(shelf: Shelf) -> None:
    whole = write_scaled(shelf.folder.parent / "whole.lepton", 2.0).read_bytes()
    for size in range(100, len(whole), len(whole) // 5):
        (shelf.folder / "a.lepton").write_bytes(whole[:size])
        shelf.repository.refresh()
    assert shelf.states("a") == [("1", "ready")]
    (shelf.folder / "a.lepton").write_bytes(whole)
    shelf.settle()
    assert shelf.answer("a") == ("2", 2.0)


def test_a_file_that_changes_between_trial_and_opening_is_not_served(tmp_path: Path) -> None:
    write_scaled(tmp_path / "a.lepton", 1.0)

    def trial(path: Path) -> str:
        found = untried(path)
        write_scaled(path, 9.0)
        return found

    shelf = Shelf(tmp_path, trial)
    shelf.write("a", 2.0)
    shelf.settle()
    assert shelf.answer("a") == ("1", 1.0)
    assert "changed while it was opened" in shelf.store.versions("a")[-1].reason


def test_unloading_and_loading(shelf: Shelf) -> None:
    shelf.repository.unload("a")
    with pytest.raises(ServingError, match="it was unloaded") as caught:
        shelf.answer("a")
    assert caught.value.code is ErrorCode.NOT_READY
    shelf.write("a", 2.0)
    shelf.settle()
    assert shelf.states("a") == [("1", "unloaded")]  # until somebody loads it
    shelf.repository.load("a")
    assert shelf.answer("a") == ("2", 2.0)
    before = shelf.store["a"]
    shelf.repository.load("a")
    assert shelf.store["a"] is before
    shelf.write("new", 3.0)
    shelf.repository.load("new")
    assert shelf.answer("new") == ("1", 3.0)


def test_loading_says_what_is_wrong(shelf: Shelf) -> None:
    for call in (shelf.repository.load, shelf.repository.unload):
        with pytest.raises(ServingError) as unknown:
            call("x")
        assert unknown.value.code is ErrorCode.UNKNOWN_MODEL
    (shelf.folder / "a.lepton").write_bytes(b"PK")
    for _ in range(2):
        with pytest.raises(BundleError):
            shelf.repository.load("a")
    assert shelf.answer("a") == ("1", 1.0)


def test_opened_models_are_loaded_again_as_they_are(tmp_path: Path) -> None:
    predictor = open_model(write_scaled(tmp_path / "a.lepton", 1.0))
    store = ModelStore.empty()
    repository = Repository(Sources.of({"a": predictor}), store)
    repository.open_all()
    repository.unload("a")
    repository.refresh()
    assert store["a"].state is ModelState.UNLOADED
    repository.load("a")
    assert store["a"].predictor is predictor


def test_watching_goes_on_after_an_error(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh, calls, stopping = shelf.repository.refresh, [], threading.Event()

    def fails_at_first() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a disk that went away")
        refresh()
        if len(calls) == 4:
            stopping.set()

    monkeypatch.setattr(shelf.repository, "refresh", fails_at_first)
    shelf.write("a", 2.0)
    shelf.repository.watch(stopping, 0.01)
    assert shelf.answer("a") == ("2", 2.0)


class TestTrial:
    def test_a_bundle_is_opened_in_a_child(self, shelf: Shelf) -> None:
        path = shelf.folder / "a.lepton"
        assert try_bundle(path) == open_model(path).model_id

    def test_what_kills_the_child_leaves_the_server(self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lepton.serving.trial._BASE_MEMORY", 1)
        monkeypatch.setattr("lepton.serving.trial._MEMORY_FACTOR", 0)
        with pytest.raises(WorkerError, match="memory"):
            try_bundle(shelf.folder / "a.lepton")

    def test_what_is_wrong_is_said_as_it_is_here(self, tmp_path: Path) -> None:
        from lepton.core import Work

        path = tmp_path / "a.lepton"
        path.write_bytes(b"PK")
        with pytest.raises(LeptonError) as here:
            open_once(str(path), Work())
        with pytest.raises(type(here.value)) as there:
            try_bundle(path)
        assert str(there.value) == str(here.value)
