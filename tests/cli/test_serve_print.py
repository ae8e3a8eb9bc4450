"""`lepton serve --print`: files for the options that were typed, and no server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

TYPED = ("serve", "shop=a.lepton", "--port", "9090", "--watch", "--token-file", "token", "--workers", "3")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_text("canary-0123456789")


@pytest.mark.parametrize("kind", ["systemd", "containerfile", "kubernetes", "kserve"])
def test_what_was_typed_is_printed(call, kind):
    code, envelope = call(*TYPED, "--print", kind)
    assert code == 0
    text = envelope["result"]["text"]
    words = text.replace('", "', " ").replace("\n        - ", " ").replace("\n    - ", " ").replace("'", "")
    assert envelope["result"]["kind"] == kind
    for typed in ("--port 9090", "--watch", "--workers 3"):
        assert typed in words
    assert "--print" not in words
    assert "--max-body" not in words  # it was not typed
    assert "canary" not in text


def test_the_image_is_named(call):
    code, envelope = call(*TYPED, "--print", "kubernetes", "--image", "registry.example/shop:7")
    assert code == 0
    deployment = next(d for d in yaml.safe_load_all(envelope["result"]["text"]) if d["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/shop:7"


def test_mistakes_are_told(call):
    code, envelope = call("serve", "a.lepton", "--print", "containerfile")
    assert (code, envelope["error"]["code"]) == (2, "usage")
    assert "--token-file" in envelope["error"]["wanted"]
    assert call("serve", "a.lepton", "--print", "windows")[0] == 2
