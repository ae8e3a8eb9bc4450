"""The unit is one that systemd takes, with no right that it does not need and no secret in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lepton.core import UsageError
from lepton.serving.deploying import Asked, systemd_unit

FULL = {
    "watch": True,
    "token_file": Path("token"),
    "tls_cert": Path("cert.pem"),
    "tls_key": Path("key.pem"),
    "traffic": Path("traffic.yaml"),
    "state": Path("here"),
    "max_memory": "1GiB",
    "grpc_port": 8081,
}


def settings(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_it_runs_what_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = settings(systemd_unit(Asked(("shop=a.lepton",), FULL, 8443), "0.0.0.0"))
    (command,) = found["ExecStart"]
    assert f" -m lepton serve shop={tmp_path}/a.lepton " in command
    for words in (
        "--host 0.0.0.0",
        "--port 8443",
        "--grpc-port 8081",
        "--watch",
        "--token-file ${CREDENTIALS_DIRECTORY}/token_file",
        "--tls-key ${CREDENTIALS_DIRECTORY}/tls_key",
        f"--traffic {tmp_path}/traffic.yaml",
        "--state /var/lib/lepton",
        "--max-memory 1GiB",
    ):
        assert words in command
    assert f"token_file:{tmp_path}/token" in found["LoadCredential"]
    assert found["StateDirectory"] == ["lepton"]
    assert found["MemoryMax"] == [str(1536 * 2**20)]
    assert f"{tmp_path}/a.lepton" in found["BindReadOnlyPaths"]  # of /tmp, which the unit does not see


def test_it_has_no_right_that_it_does_not_need():
    found = settings(systemd_unit(Asked(("a.lepton",), {}, 8080), "127.0.0.1"))
    for name in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"):
        assert found[name] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == [""]
    assert "StateDirectory" not in found
    found = settings(systemd_unit(Asked(("a.lepton",), {}, 80), "127.0.0.1"))
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == ["CAP_NET_BIND_SERVICE"]


def test_a_token_of_each_start_is_refused():
    with pytest.raises(UsageError, match="would log it"):
        systemd_unit(Asked(("a.lepton",), {}, 8080), "0.0.0.0")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
@pytest.mark.parametrize("model", ["a.lepton", 'with space, 100% "$HOME" \\ .lepton'])
@pytest.mark.parametrize("options", [{}, FULL])
def test_systemd_takes_it(tmp_path, monkeypatch, model, options):
    monkeypatch.chdir(tmp_path)
    unit = tmp_path / "lepton.service"
    unit.write_text(systemd_unit(Asked((model,), options, 8080), "127.0.0.1"), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd-analyze does not run here")
    assert (done.returncode, done.stderr) == (0, "")
