"""`lepton verify` as it is called before a release, and `lepton serve --require verified` after it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import read_bundle
from lepton.cli.main import run

Call = Callable[..., tuple[int, dict[str, Any]]]
GOOD = "lepton: release-rules/1\nvalid_for: 90d\nrules:\n- metric: {metric: rmse, most: 1e9}\n- size: {most: 5MB}\n"
BROKEN = GOOD + "- rows: {least: 1000000}\n"
UNKNOWN = GOOD + "- licence: {one_of: CC0-1.0}\n"


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("houses.csv", "houses.lepton"):
        shutil.copy(trained / name, tmp_path / name)
    for name, text in (("good", GOOD), ("broken", BROKEN), ("unknown", UNKNOWN)):
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verify(call: Call, rules: str, *words: str) -> tuple[int, dict[str, Any]]:
    return call("verify", "houses.lepton", "--data", "houses.csv", "--rules", f"{rules}.yaml", *words)


def test_the_exit_code_says_whether_it_may_go_live(folder: Path, call: Call) -> None:
    code, found = verify(call, "good")
    assert code == 0
    assert found["result"]["passed"] is True
    assert [each["verdict"] for each in found["result"]["rules"]] == ["passed", "passed"]
    assert found["result"]["data"]["name"] == "houses.csv"
    code, found = verify(call, "broken")
    assert (code, found["error"]["code"]) == (10, "not-verified")
    assert "of 3 rules 1 failed" in found["error"]["message"]
    assert found["result"]["rules"][2]["verdict"] == "failed"
    code, found = verify(call, "unknown")
    assert (code, found["error"]["code"]) == (11, "not-judged")
    assert read_bundle(folder / "houses.lepton").reports["verification"]["passed"] is False


def test_people_see_a_table_with_the_evidence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verify", "houses.lepton", "--data", "houses.csv", "--rules", "broken.yaml", "--report", "page.html"]
    assert run(words) == 10
    said = capsys.readouterr()
    for part in ("FAILED   rows(least=1000000)", "rows are judged", "Kept in houses.lepton", "Page written: page.html"):
        assert part in said.out
    assert "of 3 rules 1 failed and 0 are unknown" in said.err
    assert "Verification of" in (folder / "page.html").read_text()


def test_the_result_can_be_kept_elsewhere_or_nowhere(folder: Path, call: Call) -> None:
    before = (folder / "houses.lepton").read_bytes()
    code, _ = verify(call, "good", "--no-save")
    assert code == 0
    code, _ = verify(call, "good", "-o", "release.lepton")
    assert code == 0
    assert (folder / "houses.lepton").read_bytes() == before
    kept = read_bundle(folder / "release.lepton")
    assert kept.model_id == read_bundle(folder / "houses.lepton").model_id
    assert kept.reports["verification"]["valid_until"] is not None
    code, found = verify(call, "good", "--no-save", "-o", "other.lepton")
    assert (code, found["error"]["code"]) == (2, "usage")
    assert not (folder / "other.lepton").exists()


def test_a_key_signs_the_result(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "a passphrase")
    code, made = call("bundle", "key", "-o", "my.key", "--name", "release", "--passphrase-env", "SECRET")
    assert code == 0
    code, found = verify(call, "good", "--key", "my.key", "--passphrase-env", "SECRET")
    assert code == 0
    assert found["next"] == ["lepton serve houses.lepton --require verified --trusted KEYS"]
    signature = read_bundle(folder / "houses.lepton").reports["verification"]["signature"]
    assert signature["key_id"] == made["result"]["key_id"]
    code, found = verify(call, "good", "--no-save", "--key", "my.key", "--passphrase-env", "SECRET")
    assert (code, found["error"]["code"]) == (2, "usage")


@pytest.mark.parametrize(
    ("rules", "code", "said"),
    [
        ("- metric: {metric: accuracy, least: 0.5}", 2, "does not fit"),
        ("- metrik: {metric: rmse, most: 5}", 2, "did you mean 'metric'"),
        ("- segments: {column: twon, most: 5}", 3, "'town'"),
        ("- metric: {most: 1.0}\n- metric: {least: 2.0}", 2, "contradict each other"),
        ("rules", 2, "no list of rules"),
    ],
)
def test_rules_that_cannot_be_meant(folder: Path, call: Call, rules: str, code: int, said: str) -> None:
    (folder / "bad.yaml").write_text(rules)
    found_code, found = verify(call, "bad")
    assert found_code == code
    assert said in found["error"]["message"]
    assert "verification" not in read_bundle(folder / "houses.lepton").reports


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--require", "verified"], 4, "whose word counts"),
        (["--trusted", "my.key.pub"], 2, "--require verified"),
        (["--require", "verified", "--insecure-unsigned"], 4, "was not verified"),
        (["--require", "verified", "--trusted", "my.key.pub"], 4, "was not verified"),
        (["--require", "verified", "--trusted", "none.keys"], 3, "none.keys"),
        (["--require", "signed"], 2, "signed"),
        (["--require", "verified", "--processes", "2"], 4, "whose word counts"),
    ],
)
def test_a_server_that_requires_it_does_not_start_without(
    folder: Path, call: Call, words: list[str], code: int, said: str
) -> None:
    call("bundle", "key", "-o", "my.key")
    found_code, found = call("serve", "houses.lepton", "--port", "0", *words)
    assert found_code == code
    assert said in found["error"]["message"]


def test_what_is_required_is_in_printed_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["bundle", "key", "-o", "my.key", "-q"])
    (folder / "token").write_text("t" * 40)
    capsys.readouterr()
    words = ["--require", "verified", "--trusted", "my.key.pub", "--token-file", "token", "--print", "containerfile"]
    assert run(["serve", "houses.lepton", *words]) == 0
    said = capsys.readouterr().out
    assert '"--require", "verified", "--trusted", "/etc/lepton/my.key.pub"' in said
    assert "COPY my.key.pub /etc/lepton/my.key.pub" in said or "my.key.pub" in said.split("COPY", 1)[1]
