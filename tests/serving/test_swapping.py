"""Models that change under load: every answer is of exactly one version, which it names, and none is dropped."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import open_model
from lepton.client import Client
from lepton.core import LeptonError, ServingError
from lepton.serving import Server, Sources
from tests.serving.models import write_scaled
from tests.serving.wire import post, request

TOKEN = "a token of enough length"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
BINARY = {"Content-Type": "application/octet-stream"}


def binary_body(value: float) -> tuple[bytes, dict[str, str]]:
    entry = {"name": "numbers", "datatype": "FP64", "shape": [1, 1], "parameters": {"binary_data_size": 8}}
    text = json.dumps({"inputs": [entry]}).encode()
    return text + np.array([value]).tobytes(), BINARY | {"Inference-Header-Content-Length": str(len(text))}


@dataclass
class Seen:
    """What callers got: the factors that each version answered with, and statuses."""

    factors: dict[str, set[float]] = field(default_factory=dict)
    statuses: set[int] = field(default_factory=set)
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, status: int, answer: dict[str, object], value: float) -> None:
        with self.lock:
            self.statuses.add(status)
            self.count += 1
            if status != 200:
                return
            outputs = answer.get("outputs")
            found = answer["predictions"] if outputs is None else outputs[0]["data"]  # type: ignore[index]
            assert isinstance(found, list)
            self.factors.setdefault(str(answer["model_version"]), set()).add(found[0] / value)


@contextmanager
def callers(server: Server, count: int) -> Iterator[Seen]:
    """Threads that ask as fast as they are answered, each over one connection and with its own values."""
    seen, ends = Seen(), threading.Event()

    def call(caller: int) -> None:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
        number = 0
        while not ends.is_set():
            number += 1
            value = float(1 + caller * 1000 + number % 7)
            if caller % 2:
                path, (body, headers) = "/v2/models/a/infer", binary_body(value)
            else:
                path, body, headers = "/v2/models/a/rows", json.dumps({"x0": value}).encode(), {}
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            seen.add(response.status, json.loads(response.read()), value)
        connection.close()

    with ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(call, caller) for caller in range(count)]
        try:
            yield seen
        finally:
            ends.set()
        for made in calls:
            made.result()


def wait_for_version(server: Server, version: str, seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while server.models["a"].version != version:
        assert time.monotonic() < ends, f"version {version} does not come"
        time.sleep(0.01)


@pytest.mark.parametrize("in_thread", [False, True])
def test_every_answer_is_of_the_version_that_it_names(
    tmp_path: Path, in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_thread:
        monkeypatch.setattr("lepton.serving.model_store.CHEAP_SECONDS", 0.0)
    write_scaled(tmp_path / "a.lepton", 1.0)
    with (
        Server(Sources([tmp_path]), port=0, watch=0.02) as server,
        callers(server, 50) as seen,
    ):
        server.repository._trial = lambda path: open_model(path).model_id
        for version in range(2, 12):
            write_scaled(tmp_path / "a.lepton", float(version))
            wait_for_version(server, str(version))
            (tmp_path / "b.lepton").write_bytes(b"PK")  # beside it, another that cannot be opened
    assert seen.statuses == {200}
    assert seen.count > 200
    assert len(seen.factors) >= 8
    for named, factors in seen.factors.items():
        np.testing.assert_allclose(sorted(factors), float(named), rtol=1e-12)


def test_a_new_version_is_tried_in_a_child_and_a_damaged_one_changes_nothing(tmp_path: Path) -> None:
    write_scaled(tmp_path / "a.lepton", 1.0)
    with Server(Sources([tmp_path]), port=0, watch=0.05) as server, callers(server, 4) as seen:
        (tmp_path / "a.lepton").write_bytes(b"PK")
        ends = time.monotonic() + 20
        while len(server.models.versions("a")) < 2:
            assert time.monotonic() < ends
            time.sleep(0.05)
        with Client(server.url) as client:
            found = client.metadata("a")
            assert (found["state"], found["version"], found["versions"]) == ("ready", "1", ["1"])
            assert found["unavailable"][0]["state"] == "failed"
            assert found["unavailable"][0]["reason"]
        write_scaled(tmp_path / "a.lepton", 2.0)
        wait_for_version(server, "2")
        time.sleep(0.2)
    assert seen.statuses == {200}
    assert {version: len(factors) for version, factors in seen.factors.items()}.keys() == {"1", "2"}


def test_versions_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for version in (1, 3):
        write_scaled(tmp_path / "a" / f"{version}.lepton", float(version))
    with Server(Sources([tmp_path]), port=0) as server:
        address = (server.host, server.port)
        for version in (1, 3):
            answer = post(address, f"/v2/models/a/versions/{version}/infer", infer_body())
            assert (answer.json["model_version"], answer.json["outputs"][0]["data"]) == (str(version), [version])
        assert post(address, "/v2/models/a/infer", infer_body()).json["model_version"] == "3"
        assert post(address, "/v2/models/a/versions/2/infer", infer_body()).status == 404
        assert request(address, "GET", "/v2/models/a").json["versions"] == ["1", "3"]


def infer_body() -> dict[str, object]:
    return {"inputs": [{"name": "numbers", "datatype": "FP64", "shape": [1, 1], "data": [1]}]}


class TestControl:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        write_scaled(tmp_path / "a.lepton", 1.0)
        with Server(Sources([tmp_path]), port=0, token=TOKEN) as server:
            yield server

    def test_the_client_of_triton(self, server: Server, tmp_path: Path) -> None:
        import tritonclient.http as triton

        client = triton.InferenceServerClient(f"{server.host}:{server.port}")
        entry = {"name": "a", "version": "1", "state": "READY", "reason": ""}
        assert client.get_model_repository_index(HEADERS) == [entry]
        client.unload_model("a", HEADERS)
        assert not client.is_model_ready("a", headers=HEADERS)
        assert client.get_model_repository_index(HEADERS)[0]["reason"] == "it was unloaded"
        write_scaled(tmp_path / "a.lepton", 2.0)
        client.load_model("a", HEADERS)
        assert client.is_model_ready("a", "2", headers=HEADERS)
        with pytest.raises(triton.InferenceServerException, match="brings 'config' along"):
            client.load_model("a", HEADERS, config="{}")
        with pytest.raises(triton.InferenceServerException, match="no file for a model 'x'"):
            client.load_model("x", HEADERS)
        client.close()

    @pytest.mark.parametrize("path", ["index", "models/a/load", "models/a/unload"])
    def test_without_the_token_nothing_is_changed(self, server: Server, tmp_path: Path, path: str) -> None:
        path = f"/v2/repository/{path}"
        address = (server.host, server.port)
        assert request(address, "POST", path, b"").status == 401
        with Server({"a": tmp_path / "a.lepton"}, port=0) as open_server:
            answer = request((open_server.host, open_server.port), "POST", path, b"{}")
        assert answer.status == 401
        assert "without a token" in answer.json["error"]
        assert request(address, "GET", path, headers=HEADERS).status == 405
        assert request(address, "POST", path, b"[]", HEADERS).status == 400

    def test_what_is_asked_is_checked(self, server: Server) -> None:
        address = (server.host, server.port)
        assert request(address, "POST", "/v2/repository/index", b'{"ready": true}', HEADERS).json[0]["name"] == "a"
        assert request(address, "POST", "/v2/repository/index", b'{"ready": 1}', HEADERS).status == 400
        assert request(address, "POST", "/v2/repository/models/a/load", b'{"parameters": 1}', HEADERS).status == 400
        for name in ("..%2fa", "%00", "a%2f", "x"):
            assert request(address, "POST", f"/v2/repository/models/{name}/load", b"", HEADERS).status == 404

    def test_an_empty_folder_waits_for_its_first_model(self, tmp_path: Path) -> None:
        folder = tmp_path / "empty"
        folder.mkdir()
        with pytest.raises(LeptonError, match="no model to serve"):
            Server(Sources([folder]), port=0)
        with Server(Sources([folder]), port=0, watch=0.05) as server, Client(server.url) as client:
            assert not client.ready()
            with pytest.raises(ServingError, match="no model 'a'"):
                client.metadata("a")
            write_scaled(folder / "a.lepton", 3.0)
            ends = time.monotonic() + 20
            while not client.ready():
                assert time.monotonic() < ends
                time.sleep(0.05)
            assert client.predict("a", {"x0": 2}) == [6.0]
