"""HTTP at a path of the file system."""

from __future__ import annotations

import http.client
import socket
import stat
from pathlib import Path
from urllib.parse import unquote

import pytest

from lepton.core import ErrorCode, LeptonError, SecurityError, UsageError
from lepton.serving import Server, Tls
from lepton.serving.unix_socket import bind_unix


class Unix(http.client.HTTPConnection):
    """HTTP to a path."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.host)


def refused(path: Path) -> LeptonError:
    with pytest.raises(LeptonError) as caught:
        bind_unix(path)
    return caught.value


def test_a_server_at_a_path(bundles: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "lepton.sock"
    with Server({"sold": bundles["sold"]}, unix=path) as server:
        assert unquote(server.url) == f"http+unix://{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        connection = Unix(str(path))
        for host in ("localhost", "models.example"):  # no page of a browser reaches it
            connection.request("GET", "/v2/models/sold", headers={"host": host})
            response = connection.getresponse()
            assert response.status == 200
            response.read()
        connection.close()
        assert refused(path).code is ErrorCode.ADDRESS_IN_USE
    assert not path.exists()


def test_what_a_killed_server_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "left.sock"
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(path))
    left.close()
    bind_unix(path).close()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert refused(path).code is ErrorCode.BAD_SETTING
    link = tmp_path / "link.sock"
    link.symlink_to(path)
    assert refused(link).code is ErrorCode.BAD_SETTING
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["x" * 200, "no/folder/here.sock"])
def test_paths_that_cannot_be_bound(tmp_path: Path, name: str) -> None:
    assert "107 bytes" in str(refused(tmp_path / name))


def test_a_path_guards_itself_alone(bundles: dict[str, Path], tmp_path: Path) -> None:
    models = {"sold": bundles["sold"]}
    Server(models, unix=tmp_path / "a.sock", host="0.0.0.0")  # the host is not bound
    with pytest.raises(SecurityError):
        Server(models, unix=tmp_path / "a.sock", host="0.0.0.0", grpc_port=0)
    tls = Tls(tmp_path / "none.pem", tmp_path / "none.pem")
    with pytest.raises(UsageError, match="file system"):
        Server(models, unix=tmp_path / "a.sock", tls=tls)
