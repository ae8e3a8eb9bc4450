"""`--require verified`: who is served, who is not, and what becomes of a model whose verification ends."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import add_report, open_model
from lepton.core import ErrorCode, LeptonError, Resources, SecurityError, UsageError
from lepton.evaluation.verify import rules_of, save, verify
from lepton.security import PrivateKey
from lepton.serving import Server, Sources
from lepton.serving.model_store import ModelStore
from lepton.serving.repository import Repository
from lepton.serving.residency import MemoryBound
from lepton.serving.verified import Required, keep_checking
from tests.serving.models import write_scaled
from tests.serving.wire import request

PASSES = [{"size": {"most": "1MB"}}]
BREAKS = [{"size": {"most": "10B"}}]
RELEASE, STRANGER = PrivateKey.generate(), PrivateKey.generate()


def verified(path: Path, rules: Any = PASSES, key: PrivateKey | None = RELEASE, valid_for: str | None = None) -> Path:
    document = {"lepton": "release-rules/1", "rules": rules, **({"valid_for": valid_for} if valid_for else {})}
    return save(path, verify(open_model(path), None, rules_of(document)), key=key)


def untried(path: Path) -> str:
    return open_model(path).model_id


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    path = tmp_path / "trusted.keys"
    path.write_text(RELEASE.public("release").to_text() + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "models"
    place.mkdir()
    write_scaled(place / "a.lepton", 1.0)
    return place


class Shelf:
    """A folder that is served to those who ask for verified models, without a server."""

    def __init__(self, folder: Path, required: Required | None, limit: int | None = None) -> None:
        self.folder = folder
        self.store = ModelStore.empty(Resources(cpus=1))
        if limit is not None:
            self.store.residency = MemoryBound(limit, self.store.resources)
        self.store.check = None if required is None else required.check
        self.repository = Repository(Sources([folder]), self.store, untried)
        self.repository.open_all()

    def settle(self) -> None:
        for _ in range(2):
            self.repository.refresh()

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(model.version, str(model.state)) for model in self.store.versions("a")]

    @property
    def error(self) -> LeptonError | None:
        return self.store["a"].error


def shelf_of(folder: Path, trusted: Path | None) -> Shelf:
    return Shelf(folder, Required.of("verified", trusted, insecure_unsigned=trusted is None))


def test_a_model_that_passed_and_is_signed_is_served(folder: Path, trusted: Path) -> None:
    verified(folder / "a.lepton")
    assert shelf_of(folder, trusted).states == [("1", "ready")]
    assert Shelf(folder, Required.of("verified", trusted), limit=10**9).states == [("1", "ready")]


@pytest.mark.parametrize("limit", [None, 10**9])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (None, "was not verified"),
        ({"rules": BREAKS}, r"did not pass when it was verified: size \(failed\)"),
        ({"rules": [*PASSES, "doubts"]}, r"did not pass when it was verified: doubts \(unknown\)"),
        ({"key": None}, "nobody signed that"),
        ({"key": STRANGER}, "which is not trusted"),
    ],
)
def test_a_model_without_a_verification_that_counts_is_not(
    folder: Path, trusted: Path, options: dict[str, Any] | None, said: str, limit: int | None
) -> None:
    if options is not None:
        verified(folder / "a.lepton", **options)
    shelf = Shelf(folder, Required.of("verified", trusted), limit)
    assert shelf.states == [("1", "failed")]
    assert isinstance(shelf.error, SecurityError)
    assert shelf.error.code is ErrorCode.UNTRUSTED
    with pytest.raises(SecurityError, match=said):
        shelf.repository.load("a")
    assert str(folder) not in str(shelf.error)


def forged(path: Path, change: Any) -> None:
    """The report with something changed, written as whoever holds the file can."""
    report = dict(open_model(path).bundle.reports["verification"])
    change(report)
    add_report(path, "verification", report)


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.update(seed=1),
        lambda report: report.update(valid_until=None),
        lambda report: report["rules"][0].update(evidence="fine"),
        lambda report: report["signature"].update(sha256="0" * 64),
        lambda report: report["signature"].update(time="2020-01-01"),
        lambda report: report.update(signature={}),
        lambda report: report.update(signature="yes"),
        lambda report: report["signature"].update(purpose="lepton-bundle-signature/1"),
    ],
)
def test_a_report_that_was_changed_after_it_was_signed_is_refused(folder: Path, trusted: Path, change: Any) -> None:
    verified(folder / "a.lepton", valid_for="90d")
    forged(folder / "a.lepton", change)
    shelf = shelf_of(folder, trusted)
    assert shelf.states == [("1", "failed")]
    assert shelf.error is not None
    assert shelf.error.code is ErrorCode.BAD_SIGNATURE


@pytest.mark.parametrize("rules", [[], None, "all", [3], [{"accepted": "yes"}], [{}]])
def test_an_unsigned_report_must_still_be_whole(folder: Path, rules: Any) -> None:
    verified(folder / "a.lepton", key=None)
    assert shelf_of(folder, None).states == [("1", "ready")]
    forged(folder / "a.lepton", lambda report: report.update(rules=rules))
    assert shelf_of(folder, None).states == [("1", "failed")]


def test_a_verification_of_another_model_does_not_count(folder: Path, trusted: Path) -> None:
    verified(folder / "a.lepton")
    report = dict(open_model(folder / "a.lepton").bundle.reports["verification"])
    write_scaled(folder / "a.lepton", 2.0)
    del report["model_id"]  # the writer of a bundle puts its own there
    add_report(folder / "a.lepton", "verification", report)
    shelf = shelf_of(folder, trusted)
    assert shelf.error is not None
    assert shelf.error.code is ErrorCode.BAD_SIGNATURE


def test_a_new_file_without_a_verification_does_not_replace_one_that_answers(folder: Path, trusted: Path) -> None:
    verified(folder / "a.lepton")
    shelf = shelf_of(folder, trusted)
    write_scaled(folder / "a.lepton", 2.0)
    shelf.settle()
    assert shelf.states == [("1", "ready"), ("2", "failed")]
    verified(folder / "a.lepton")
    shelf.settle()
    assert shelf.states == [("2", "ready")]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: verified(path, BREAKS),
        lambda path: verified(path, key=STRANGER),
        lambda path: forged(path, lambda report: report.update(seed=7)),
        lambda path: write_scaled(path, 1.0),
    ],
)
def test_the_very_model_is_taken_down_when_its_file_says_so(folder: Path, trusted: Path, change: Any) -> None:
    verified(folder / "a.lepton")
    shelf = shelf_of(folder, trusted)
    change(folder / "a.lepton")
    shelf.settle()
    assert [state for _, state in shelf.states] == ["failed"]
    verified(folder / "a.lepton")
    shelf.settle()
    assert shelf.states == [("1", "ready")]


def test_what_is_verified_at_the_start_is_taken_down_when_that_ends(folder: Path, trusted: Path) -> None:
    verified(folder / "a.lepton", valid_for="90d")
    required = Required.of("verified", trusted)
    assert required is not None
    shelf = Shelf(folder, required)
    shelf.repository.recheck()
    assert shelf.states == [("1", "ready")]
    later = datetime.now(UTC) + timedelta(days=91)

    def check_later(bundle: Any) -> None:
        from lepton.evaluation.verify import check_verified

        check_verified(bundle, required.trusted, now=later)

    shelf.store.check = check_later
    shelf.repository.recheck()
    assert shelf.states == [("1", "failed")]
    assert "too long ago" in str(shelf.error)
    with pytest.raises(SecurityError, match="too long ago"):
        shelf.repository.load("a")


def test_a_renewed_verification_counts_from_then_on(folder: Path, trusted: Path) -> None:
    verified(folder / "a.lepton", valid_for="1d")
    shelf = shelf_of(folder, trusted)
    verified(folder / "a.lepton", valid_for="90d")
    shelf.settle()
    until = shelf.store["a"].described.bundle.reports["verification"]["valid_until"]
    assert datetime.fromisoformat(until) > datetime.now(UTC) + timedelta(days=80)
    assert shelf.states == [("1", "ready")]


def test_trust_in_a_key_ends(folder: Path, tmp_path: Path) -> None:
    verified(folder / "a.lepton")
    path = tmp_path / "old.keys"
    words = RELEASE.public("release").to_text().split(" ")
    path.write_text(" ".join([*words[:2], "until=2020-01-01", *words[2:]]) + "\n")
    path.chmod(0o600)
    assert "no longer trusted" in str(shelf_of(folder, path).error)


def test_without_the_option_nothing_is_asked(folder: Path) -> None:
    shelf = Shelf(folder, None)
    shelf.repository.recheck()
    assert shelf.states == [("1", "ready")]


@pytest.mark.parametrize(
    ("options", "family", "said"),
    [
        ({"require": "signed"}, UsageError, "verified"),
        ({"require": "verified"}, SecurityError, "whose word counts"),
        ({"require": "verified", "trusted": "KEYS", "insecure_unsigned": True}, UsageError, "one of them"),
        ({"require": None, "trusted": "KEYS"}, UsageError, "--require verified"),
        ({"require": None, "insecure_unsigned": True}, UsageError, "--require verified"),
    ],
)
def test_options_that_cannot_be_meant(
    folder: Path, trusted: Path, options: dict[str, Any], family: type[LeptonError], said: str
) -> None:
    if options.get("trusted") == "KEYS":
        options = {**options, "trusted": trusted}
    with pytest.raises(family, match=said):
        Server({"a": folder / "a.lepton"}, port=0, **options)


def test_a_server_serves_the_verified_and_refuses_the_rest(folder: Path, trusted: Path) -> None:
    write_scaled(folder / "b.lepton", 3.0)
    verified(folder / "a.lepton")
    token = "t" * 32
    with Server(Sources([folder]), port=0, require="verified", trusted=trusted, token=token) as server:
        server.repository._trial = untried  # no child process for each file

        def ask(path: str, value: Any) -> tuple[int, str]:
            headers = {"Authorization": f"Bearer {token}"}
            answer = request((server.host, server.port), "POST", path, json.dumps(value).encode(), headers)
            return answer.status, "" if answer.status == 200 else answer.json["code"]

        assert ask("/v2/models/a/rows", {"x0": 2}) == (200, "")
        assert ask("/v2/models/b/rows", {"x0": 2}) == (503, "not-ready")
        assert ask("/v2/repository/models/b/load", {}) == (403, "untrusted")
        verified(folder / "b.lepton")
        assert ask("/v2/repository/models/b/load", {}) == (200, "")
        assert ask("/v2/models/b/rows", {"x0": 2}) == (200, "")


def test_a_server_with_nothing_verified_does_not_start(folder: Path, trusted: Path) -> None:
    with pytest.raises(SecurityError, match="was not verified"):
        Server({"a": folder / "a.lepton"}, port=0, require="verified", trusted=trusted).start()
    opened = open_model(folder / "a.lepton")
    with pytest.raises(SecurityError, match="was not verified"):
        Server({"a": opened}, port=0, require="verified", trusted=trusted).start()


def test_models_are_looked_at_again_and_again() -> None:
    looked = threading.Event()

    async def run() -> None:
        task = asyncio.create_task(keep_checking(looked.set, 0.0))
        while not looked.is_set():
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())
    assert looked.is_set()
