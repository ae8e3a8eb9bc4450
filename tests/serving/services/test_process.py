from __future__ import annotations

from pathlib import Path

import pytest

from lepton.core import ErrorCode, UsageError
from lepton.serving.services.process import is_service, source_of


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("service.py:Shop", True),
        ("a=folder/service.py:Shop", True),
        ("service.py", False),
        ("houses.lepton", False),
        ("models:x", False),
        ("service.py:a/b", False),
    ],
)
def test_which_words_name_a_service(given: str, found: bool):
    assert is_service(given) is found


def test_a_name_comes_from_the_class_or_from_the_operator(tmp_path: Path):
    path = tmp_path / "service.py"
    path.touch()
    assert source_of(f"{path}:MyShop").name == "myshop"
    found = source_of(f"corner shop={path}:MyShop")
    assert (found.name, found.path, found.class_name) == ("corner shop", path, "MyShop")


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("missing.py:Shop", ErrorCode.BAD_SERVICE, "there is no file 'missing.py'"),
        ("service.py:2", ErrorCode.BAD_SERVICE, "got 'service.py:2'"),
        ("service.py:", ErrorCode.BAD_SERVICE, "got 'service.py:'"),
        ("a\u202e=service.py:Shop", ErrorCode.BAD_NAME, "hidden"),
        (".a=service.py:Shop", ErrorCode.BAD_NAME, "cannot be used"),
    ],
)
def test_words_that_name_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, code: ErrorCode, message: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "service.py").touch()
    with pytest.raises(UsageError, match=message) as caught:
        source_of(given)
    assert caught.value.code is code
