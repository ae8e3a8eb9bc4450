"""The search goes from group to group, checks answers, and keeps what wins twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import read_bundle
from lepton.bundle.machines import machine_type
from lepton.bundle.settings import RuntimeSettings
from lepton.core import Interrupted, LeptonError, Resources, Work
from lepton.optimization.accelerate import search
from lepton.optimization.accelerate.race import Contestant
from lepton.optimization.accelerate.search import find_settings
from tests.optimization.accelerate.conftest import Winners

ONE, TWO = Resources(cpus=1), Resources(cpus=2)


def test_winners_of_groups_are_put_together(model: Path, winners: Winners) -> None:
    ran = winners("memory bound once", "no arena", "not this one")
    found = find_settings(read_bundle(model), work=Work(resources=TWO))
    assert found.settings == RuntimeSettings(bound=True, arena=False)
    assert found.gain is not None
    assert found.gain.speedup == 1.5
    assert found.machine == machine_type()
    assert set(found.plain) == {"onnxruntime with one thread", "onnxruntime with 2 threads"}
    assert ran[0] == "memory bound once"
    assert ran[-3:] == ["no arena", "onnxruntime with one thread", "onnxruntime with 2 threads"]
    assert "1.50 times as quick" in found.text()
    assert found.trials[-1].name == "all of it, measured anew"


def test_of_large_models_few_are_open_at_a_time(model: Path, winners: Winners, monkeypatch: pytest.MonkeyPatch) -> None:
    winners("2 threads, asleep between")
    decide = vars(search)["race"]
    together: list[int] = []

    def race(reference: Contestant, challengers: Sequence[Contestant], **options: Any) -> Any:
        together.append(len(challengers))
        return decide(reference, challengers, **options)

    monkeypatch.setattr(search, "race", race)
    monkeypatch.setattr(search, "_MOST_BYTES", 1)
    found = find_settings(read_bundle(model), work=Work(resources=TWO))
    assert found.settings == RuntimeSettings(threads=2, spinning="never")
    assert set(together[:-1]) == {1}, "the last one is of plain onnxruntime"


def test_what_does_not_win_anew_is_not_kept(model: Path, winners: Winners, monkeypatch: pytest.MonkeyPatch) -> None:
    winners("memory bound once")
    decide = vars(search)["race"]
    ran: list[str] = []

    def race(reference: Contestant, challengers: Sequence[Contestant], **options: Any) -> Any:
        ran.extend(each.name for each in challengers)
        if ran.count("memory bound once") == 2:
            winners()
            return vars(search)["race"](reference, challengers, **options)
        return decide(reference, challengers, **options)

    monkeypatch.setattr(search, "race", race)
    found = find_settings(read_bundle(model), work=Work(resources=ONE))
    assert not found.won
    assert found.settings == RuntimeSettings()
    assert found.plain == {}
    assert "Nothing is clearly quicker" in found.text()


def test_nothing_wins_where_nothing_is_quicker(model: Path, winners: Winners) -> None:
    ran = winners()
    found = find_settings(read_bundle(model), batch=[1, 32], work=Work(resources=ONE))
    assert not found.won
    assert found.batch == (1, 32)
    assert "memory bound once" not in ran, "it is for single rows"
    assert found.to_dict()["gain"] is None
    assert "Outcome" in found._repr_html_()


def test_what_answers_otherwise_is_told_and_not_run(
    model: Path, winners: Winners, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = winners()
    answers = iter(["", "prediction is off by 1"])
    monkeypatch.setattr(search, "what_differs", lambda given, wanted: next(answers, ""))
    found = find_settings(read_bundle(model), work=Work(resources=ONE))
    assert found.trials[1].row() == ("graph optimisation extended", "–", "–", "prediction is off by 1")
    assert "graph optimisation extended" not in ran
    assert "graph optimisation basic" in ran


def test_without_time_nothing_is_tried_and_nothing_wins(model: Path, winners: Winners) -> None:
    winners("memory bound once")
    found = find_settings(read_bundle(model), work=Work(1e-9, resources=ONE))
    assert not found.won
    assert {trial.note for trial in found.trials} == {"no time left"}


def test_a_stop_is_a_stop(model: Path, winners: Winners) -> None:
    winners()
    work = Work(resources=ONE)
    work.cancel.set()
    with pytest.raises(Interrupted):
        find_settings(read_bundle(model), work=work)


@pytest.mark.parametrize("batch", [(), (0,), (1, -1), (65_537,)])
def test_batches_that_cannot_be_are_refused(model: Path, batch: tuple[int, ...]) -> None:
    with pytest.raises(LeptonError, match="got batch"):
        find_settings(read_bundle(model), batch=batch, work=Work())
