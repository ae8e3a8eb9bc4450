"""Words of a command elsewhere: files are there, all else is as it was given."""

from __future__ import annotations

import contextlib
import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lepton.core import UsageError
from lepton.serving.deploying import Asked
from lepton.serving.deploying.asked import health_check

TOKEN = {"token_file": Path("token")}


def test_files_are_moved_and_other_words_kept():
    models = ("a.lepton", "shop=my=b.lepton", "c=service.py:Shop", "folder")
    asked = Asked(models, {"watch": True, "max_body": "1 MiB", "port": 5, **TOKEN}, 5)
    words = asked.words(lambda path: f"/m/{path}", lambda option, path: f"/{option}/{path}", port="80")
    assert words == [
        "/m/a.lepton",
        "shop=my=/m/b.lepton",
        "c=/m/service.py:Shop",
        "/m/folder",
        *("--watch", "--max-body", "1 MiB", "--port", "80", "--token-file", "/token_file/token"),
    ]
    assert asked.sources() == (Path("a.lepton"), Path("b.lepton"), Path("service.py"), Path("folder"))


@pytest.mark.parametrize(
    ("models", "options", "port", "told"),
    [
        (("a",), {}, 0, "port 0"),
        (("a",), {"grpc_port": 0}, 8080, "port 0"),
        (("a",), {"unix": Path("s")}, 8080, "--unix"),
        (("a\nUser=root",), {}, 8080, "User=root"),
        (("a",), {"max_body": "1\nUser=root"}, 8080, "User=root"),
        (("a",), {"token_file": Path("x\nUser=root")}, 8080, "User=root"),
    ],
)
def test_what_cannot_be_written_is_refused(models, options, port, told):
    with pytest.raises(UsageError, match=told):
        Asked(models, options, port)


@pytest.mark.parametrize(
    ("host", "options", "guarded"),
    [
        ("127.0.0.1", {}, True),
        ("127.0.0.1", {"require_token": True}, False),
        ("0.0.0.0", {}, False),
        ("0.0.0.0", TOKEN, True),
        ("0.0.0.0", {"token_limits": Path("t")}, True),
        ("0.0.0.0", {"insecure_no_token": True}, True),
        ("0.0.0.0", {"tls_client_ca": Path("ca")}, True),
    ],
)
def test_no_token_is_made_at_a_start(host, options, guarded):
    with contextlib.nullcontext() if guarded else pytest.raises(UsageError, match="would log it"):
        Asked(("a",), options, 8080).check_guarded(host)


def test_memory_is_that_of_the_models_and_some_more():
    assert Asked(("a",), {}, 1).memory == 2 * 2**30
    assert Asked(("a",), {"max_memory": "4GiB"}, 1).memory == (4 * 1024 + 512) * 2**20


def test_the_health_check_asks_the_server_and_shows_the_token(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("canary-0123456789\n")
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["authorization"]))
            self.send_response(200 if len(seen) == 1 else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        python, flag, code = health_check(Asked(("a",), {}, server.server_port), "/v2/x", str(tmp_path / "token"))
        assert (python, flag) == ("python", "-c")
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {})
            with pytest.raises(OSError, match="503"):
                exec(code, {})
        server.shutdown()
    assert seen == [("/v2/x", "Bearer canary-0123456789")] * 2
