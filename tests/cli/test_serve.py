"""`lepton serve` as an operator runs it: a folder, new versions, a token, and the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lepton.client import Client
from lepton.core import ErrorCode, ServingError
from tests.serving.models import write_scaled


def test_a_folder_is_watched_behind_a_token(tmp_path: Path) -> None:
    write_scaled(tmp_path / "a.lepton", 1.0)
    command = [sys.executable, "-m", "lepton", "serve", str(tmp_path), "--port", "0", "--watch", "--require-token"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removesuffix("/v2/models/a")
        assert process.stdout.readline() == "Looking for new models every 1 s\n"
        token = process.stdout.readline().strip().removeprefix("Token, shown this once: ")
        with Client(url) as stranger, pytest.raises(ServingError) as caught:
            stranger.models()
        assert caught.value.code is ErrorCode.UNAUTHENTICATED
        with Client(url, token=token) as client:
            assert client.predict("a", {"x0": 3}) == [3.0]
            write_scaled(tmp_path / "a.lepton", 2.0)
            ends = time.monotonic() + 30
            while client.metadata("a")["version"] != "2":
                assert time.monotonic() < ends
                assert client.predict("a", {"x0": 3}) in ([3.0], [6.0])
                time.sleep(0.05)
            assert client.predict("a", {"x0": 3}) == [6.0]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lepton", "serve", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "no model to serve" in done.stderr
