"""`lepton serve` as an operator runs it: a folder, new versions, a token, and the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from lepton.client import Client
from lepton.core import ErrorCode, ServingError
from lepton.serving.protocols.messages import SERVICE
from tests.serving.models import write_scaled


def test_a_folder_is_watched_behind_a_token(tmp_path: Path) -> None:
    write_scaled(tmp_path / "a.lepton", 1.0)
    command = [sys.executable, "-m", "lepton", "serve", str(tmp_path), "--port", "0", "--watch", "--require-token"]
    command += ["--grpc-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        while not said or (said[-1] and not said[-1].startswith("Token")):
            said.append(process.stdout.readline().strip())
        url = said[0].removesuffix("/v2/models/a")
        token = said[-1].removeprefix("Token, shown this once: ")
        assert "Looking for new models every 1 s" in said
        grpc_address = next(line for line in said if line.startswith("gRPC at ")).removeprefix("gRPC at ")
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
        with grpc.insecure_channel(grpc_address) as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelReady")
            assert call(b"\x0a\x01a", timeout=20, metadata=[("authorization", f"Bearer {token}")]) == b"\x08\x01"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lepton", "serve", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "no model to serve" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grpc-port", "70000"], "70000"),
        (["--tls-cert", "a.pem"], "--tls-cert and --tls-key"),
        (["--tls-client-ca", "a.pem"], "--tls-cert and --tls-key"),
        (["--unix", "a.sock", "--tls-cert", "a.pem", "--tls-key", "b.pem"], "file system"),
        (["--unix", "a/b/c.sock"], "107 bytes"),
        (["--processes", "2", "--grpc-port", "0"], "one for all"),
    ],
)
def test_addresses_that_cannot_be_meant(
    call: Callable[..., tuple[int, dict[str, Any]]], tmp_path: Path, words: list[str], said: str
) -> None:
    model = write_scaled(tmp_path / "a.lepton", 1.0)
    code, envelope = call("serve", str(model), "--port", "0", *words)
    assert code == 2
    assert said in envelope["error"]["message"]


def test_files_of_tls_that_are_not_there(call: Callable[..., tuple[int, dict[str, Any]]], tmp_path: Path) -> None:
    model = write_scaled(tmp_path / "a.lepton", 1.0)
    code, envelope = call("serve", str(model), "--port", "0", "--tls-cert", "a.pem", "--tls-key", "b.pem")
    assert (code, envelope["error"]["code"]) == (3, "not-found")
