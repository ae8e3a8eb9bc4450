from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., tuple[int, dict[str, Any]]]


def test_a_service_is_written_once(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code, envelope = call("new", "service", "shop")
    assert (code, envelope["result"]) == (0, {"class": "Shop", "files": ["shop/service.py", "shop/test_service.py"]})
    assert envelope["next"] == ["lepton serve shop/service.py:Shop", "pytest shop"]
    assert (tmp_path / "shop" / "service.py").is_file()
    code, envelope = call("new", "service", "shop")
    assert (code, envelope["error"]["code"]) == (3, "not-a-file")


def test_a_name_that_no_class_can_have(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code, envelope = call("new", "service", "2 shops")
    assert (code, envelope["error"]["code"]) == (2, "bad-name")


def test_a_service_that_is_not_there_cannot_be_served(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code, envelope = call("serve", "service.py:Shop", "--port", "0")
    assert (code, envelope["error"]["code"]) == (2, "bad-service")
