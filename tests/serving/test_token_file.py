"""Tokens are read from files whole, and never repeated when they are none."""

from __future__ import annotations

import pytest

from lepton.core import DataError, UsageError
from lepton.serving import read_token


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_token_is_read_without_its_line_s_end(tmp_path, end):
    (tmp_path / "token").write_bytes(f"canary-0123456789{end}".encode())
    assert read_token(tmp_path / "token") == "canary-0123456789"


@pytest.mark.parametrize(
    "text", ["", "canary", "canary 0123456789", "canary-0123456789\ncanary-0", "canäry-0123456789"]
)
def test_what_is_no_token_is_not_repeated(tmp_path, text):
    (tmp_path / "token").write_text(text, "utf-8")
    with pytest.raises(UsageError, match="holds no token") as caught:
        read_token(tmp_path / "token")
    assert "can" not in str(caught.value)
    (tmp_path / "token").write_text("canary" * 4096)
    with pytest.raises(UsageError, match="holds no token"):
        read_token(tmp_path / "token")


def test_a_token_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_token(tmp_path / "nowhere")
