"""`lepton bundle key`, `sign` and `check --key`: what they print, what they end with, and what they never print."""

from __future__ import annotations

import getpass
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from lepton.cli.main import run
from tests.bundle.small import write_small

CANARY = "canary-passphrase-51c2"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_small(tmp_path / "houses.lepton")
    return tmp_path


def call(capsys: Any, *words: str) -> tuple[int, dict[str, Any]]:
    code = run([*words, "--format", "json"])
    captured = capsys.readouterr()
    assert CANARY not in captured.out + captured.err
    assert "PRIVATE KEY" not in captured.out + captured.err
    envelope = json.loads(captured.out)
    assert envelope["exit_code"] == code
    return code, envelope


def failure(capsys: Any, *words: str) -> tuple[int, str, str]:
    code, envelope = call(capsys, *words)
    return code, envelope["error"]["code"], envelope["error"]["message"]


def test_make_keys_sign_and_check(folder, capsys):
    code, made = call(capsys, "bundle", "key", "-o", "my.key", "--name", "Anne, releases")
    assert code == 0
    assert made["result"]["name"] == "Anne, releases"
    assert "not encrypted" in made["notes"][0]
    assert stat.S_IMODE(Path("my.key").stat().st_mode) == 0o600
    code, signed = call(capsys, "bundle", "sign", "houses.lepton", "--key", "my.key")
    assert code == 0
    assert signed["result"]["key_id"] == made["result"]["key_id"]
    for option in ("--key", "--trusted"):
        code, checked = call(capsys, "bundle", "check", "houses.lepton", option, "my.key.pub")
        assert code == 0
        assert checked["result"]["checks"][-1] == {
            "name": "signature", "verdict": "passed", "note": "by Anne, releases",
        }  # fmt: skip
        assert checked["result"]["model_id"] == signed["result"]["model_id"]
    code, checked = call(capsys, "bundle", "check", "houses.lepton")
    assert [row["name"] for row in checked["result"]["checks"]][-1] == "reports"


def test_the_same_for_people(folder, capsys):
    assert run(["bundle", "key", "-o", "my.key"]) == 0
    assert run(["bundle", "sign", "houses.lepton", "--key", "my.key"]) == 0
    assert run(["bundle", "check", "houses.lepton", "--key", "my.key.pub"]) == 0
    captured = capsys.readouterr()
    assert Path("my.key.pub").read_text().strip() in captured.out
    assert "houses.lepton is signed by the key" in captured.out
    assert "passed      signature  by my\n" in captured.out
    assert Path("my.key").read_text().splitlines()[1] not in captured.out + captured.err


def test_what_does_not_hold_ends_with_4(folder, capsys):
    for name in ("my.key", "other.key"):
        call(capsys, "bundle", "key", "-o", name)
    assert failure(capsys, "bundle", "check", "houses.lepton", "--key", "my.key.pub")[:2] == (4, "untrusted")
    call(capsys, "bundle", "sign", "houses.lepton", "--key", "my.key")
    assert failure(capsys, "bundle", "check", "houses.lepton", "--key", "other.key.pub")[:2] == (4, "untrusted")
    code, envelope = call(capsys, "bundle", "check", "houses.lepton", "--trusted", "other.key.pub")
    assert (code, envelope["ok"], envelope["result"]["passed"]) == (4, False, False)
    raw = Path("houses.lepton").read_bytes()
    Path("houses.lepton").write_bytes(raw.replace(b'"name":"houses"', b'"name":"horses"'))
    assert failure(capsys, "bundle", "check", "houses.lepton", "--key", "my.key.pub")[:2] == (4, "bundle-damaged")


def test_keys_that_are_refused(folder, capsys):
    call(capsys, "bundle", "key", "-o", "my.key")
    before = Path("my.key").read_bytes()
    code, kind, message = failure(capsys, "bundle", "key", "-o", "my.key")
    assert (code, kind) == (2, "usage")
    assert "is not overwritten" in message
    assert Path("my.key").read_bytes() == before
    assert failure(capsys, "bundle", "check", "houses.lepton", "--key", "my.key")[:2] == (4, "bad-key")
    assert failure(capsys, "bundle", "check", "houses.lepton", "--trusted", "my.key")[:2] == (4, "bad-key")
    assert failure(capsys, "bundle", "sign", "houses.lepton", "--key", "my.key.pub")[:2] == (4, "bad-key")
    assert failure(capsys, "bundle", "sign", "houses.lepton", "--key", "no.key")[:2] == (3, "not-found")
    Path("my.key").chmod(0o644)
    code, kind, message = failure(capsys, "bundle", "sign", "houses.lepton", "--key", "my.key")
    assert (code, kind) == (4, "bad-key")
    assert "Fix: chmod 600 my.key" in message
    assert "reports/signature" not in Path("houses.lepton").read_text("latin-1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["key"], "there is no -o"),
        (["key", "-o", "none/my.key"], "there is no folder"),
        (["key", "-o", "my.key", "--name", "a=b"], "without '='"),
        (["sign", "houses.lepton"], "--key"),
        (["check", "houses.lepton", "--key", "a", "--trusted", "b"], "Wanted: one of them"),
    ],
)
def test_calls_that_cannot_be_meant(folder, capsys, words, message):
    code, _, text = failure(capsys, "bundle", *words)
    assert code in (2, 3)
    assert message in text
    assert sorted(entry.name for entry in folder.iterdir()) == ["houses.lepton"]


def test_a_passphrase_from_the_environment(folder, capsys, monkeypatch):
    monkeypatch.setenv("KEY_PASSPHRASE", CANARY)
    code, made = call(capsys, "bundle", "key", "-o", "my.key", "--passphrase-env", "KEY_PASSPHRASE")
    assert (code, made["notes"]) == (0, [])
    sign = ["bundle", "sign", "houses.lepton", "--key", "my.key"]
    code, kind, message = failure(capsys, *sign)
    assert (code, kind) == (4, "bad-key")
    assert "--passphrase-env NAME" in message
    assert call(capsys, *sign, "--passphrase-env", "KEY_PASSPHRASE")[0] == 0
    monkeypatch.setenv("KEY_PASSPHRASE", CANARY + "x")
    assert failure(capsys, *sign, "--passphrase-env", "KEY_PASSPHRASE")[:2] == (4, "bad-key")
    monkeypatch.setenv("KEY_PASSPHRASE", "")
    assert failure(capsys, *sign, "--passphrase-env", "KEY_PASSPHRASE")[:2] == (4, "bad-key")
    assert failure(capsys, "bundle", "key", "-o", "b.key", "--passphrase-env", "KEY_PASSPHRASE")[0] == 4
    assert not Path("b.key").exists()


def test_a_passphrase_in_place_of_a_name_is_not_repeated(folder, capsys):
    assert CANARY not in os.environ
    code, _, message = failure(capsys, "bundle", "key", "-o", "my.key", "--passphrase-env", CANARY)
    assert code == 2
    assert "not the passphrase itself" in message
    assert not Path("my.key").exists()


def test_a_passphrase_from_the_terminal(folder, capsys, monkeypatch):
    typed: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: typed.pop(0))
    typed += [CANARY, CANARY + "x"]
    assert failure(capsys, "bundle", "key", "-o", "my.key", "--passphrase")[0] == 2
    typed += [CANARY, CANARY]
    assert call(capsys, "bundle", "key", "-o", "my.key", "--passphrase")[0] == 0
    typed += [CANARY]
    assert call(capsys, "bundle", "sign", "houses.lepton", "--key", "my.key")[0] == 0
    typed += ["wrong"]
    assert failure(capsys, "bundle", "sign", "houses.lepton", "--key", "my.key")[:2] == (4, "bad-key")
    assert not typed
