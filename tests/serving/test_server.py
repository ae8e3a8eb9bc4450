"""The whole server on real sockets: hostile requests, many callers, stopping, and a client that others wrote."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.bundle import Predictor
from lepton.core import CATALOGUE, ErrorCode, LeptonError, SecurityError, ServingError, UsageError
from lepton.serving import Server, new_token, serve
from tests.serving.wire import Address, Answer, post, read_answer, request

ROW = {"rooms": 1, "town": "Basel", "garden": True}
ROWS = "/v2/models/sold/rows"
INFER = "/v2/models/sold/infer"


@pytest.fixture
def address(server: Server) -> Address:
    return server.host, server.port


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def check_refusal(answer: Answer, seconds: float) -> None:
    """What holds for every refusal, whatever was sent."""
    assert 400 <= answer.status < 500
    assert set(answer.json) == {"error", "code", "details"}
    assert CATALOGUE[ErrorCode(answer.json["code"])].http_status == answer.status
    for leak in ("Traceback", "/work/", "/home/", "/tmp/", ".py", "0x7f"):
        assert leak not in answer.body.decode()
    assert seconds <= 2.0


def infer(**changes: Any) -> bytes:
    first = {"name": "numbers", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]} | changes
    return json.dumps(
        {"inputs": [first, {"name": "strings", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}]}
    ).encode()


HOSTILE: dict[str, tuple[str, bytes]] = {
    "H051 NaN": (INFER, infer().replace(b"[1, 2]}", b"[NaN, 2]}")),
    "H051 Infinity": (INFER, infer().replace(b"[1, 2]}", b"[-Infinity, 2]}")),
    "H051 1e999": (INFER, infer().replace(b"[1, 2]}", b"[1e999, 2]}")),
    "H052 product overflow": (INFER, infer(shape=[2**32, 2**32])),
    "H052 negative": (INFER, infer(shape=[-1, 2])),
    "H052 zero": (INFER, infer(shape=[0, 2], data=[])),
    "H052 10,000 sizes": (INFER, infer(shape=[1] * 10_000)),
    "H052 missing": (INFER, infer(shape=None)),
    "H052 float": (INFER, infer(shape=[1.0, 2])),
    "H052 bool": (INFER, infer(shape=[True, 2])),
    "H052 lying": (INFER, infer(shape=[1000, 2])),
    "H055 deep metadata": (INFER, b'{"parameters":' + b'{"a":' * 1000 + b"1" + b"}" * 1001),
    "H056 many inputs": (INFER, json.dumps({"inputs": [{"name": str(n)} for n in range(100_000)]}).encode()),
    "H056 many outputs": (INFER, json.dumps({"outputs": [{"name": str(n)} for n in range(100_000)]}).encode()),
    "H058 BYTES for numbers": (INFER, infer(datatype="BYTES", data=["1", "2"])),
    "H058 BOOL for numbers": (INFER, infer(datatype="BOOL", data=[True, False])),
    "H058 UINT64 above its range": (INFER, infer(datatype="UINT64", data=[2**64, 1])),
    "H058 text among numbers": (INFER, infer(data=[1, "2"])),
    "H059 unknown input": (INFER, infer(name="nombres")),
    "H059 twice": (INFER, infer(name="strings")),
    "H059 binary size": (INFER, infer(parameters={"binary_data_size": 2**62})),
    "H059 binary size without data": (
        INFER,
        infer(parameters={"binary_data_size": 16}).replace(b', "data": [1, 2]', b""),
    ),
    "H060 model": ("/v2/models/x/infer", infer()),
    "H060 version": ("/v2/models/sold/versions/01/infer", infer()),
    "H064 1,000": (ROWS, b"[" * 1000 + b"]" * 1000),
    "H064 100,000": (ROWS, b'{"a":' * 100_000),
    "H065 surrogate": (ROWS, json.dumps(ROW).replace("Basel", "\\ud800").encode()),
    "H065 NUL": (ROWS, json.dumps(ROW).replace("Basel", "\\u0000").encode()),
    "H065 UTF-8": (ROWS, json.dumps(ROW).encode().replace(b"Basel", b"\xff\xfe")),
    "H065 UTF-16": (ROWS, json.dumps(ROW).encode("utf-16")),
    "H065 BOM": (ROWS, b"\xef\xbb\xbf" + json.dumps(ROW).encode()),
    "H066 2^64": (ROWS, json.dumps(ROW | {"rooms": 2**64}).encode()),
    "H066 5,000 digits": (ROWS, b'{"rooms":' + b"9" * 5000 + b"}"),
    "H066 1e400": (ROWS, b'{"rooms":1e400,"town":"a","garden":true}'),
    "H066 01": (ROWS, b'{"rooms":01,"town":"a","garden":true}'),
    "H066 0x10": (ROWS, b'{"rooms":0x10,"town":"a","garden":true}'),
    "H067 twice": (ROWS, b'{"rooms":1,"rooms":2,"town":"a","garden":true}'),
    "H067 __proto__": (ROWS, json.dumps(ROW | {"__proto__": {}}).encode()),
    "H067 empty key": (ROWS, json.dumps(ROW | {"": 1}).encode()),
    "H067 100,000 keys": (ROWS, json.dumps({str(n): n for n in range(100_000)}).encode()),
    "H067 a key of 1 MB": (ROWS, json.dumps(ROW | {"x" * 2**20: 1}).encode()),
    "H068 null": (ROWS, b"null"),
    "H068 text": (ROWS, b'"x"'),
    "H068 number": (ROWS, b"1"),
    "H068 empty": (ROWS, b""),
    "H068 white space": (ROWS, b"  \n"),
    "H068 trailing": (ROWS, json.dumps(ROW).encode() + b"x"),
    "H068 comment": (ROWS, b"// rows\n" + json.dumps(ROW).encode()),
    "H069 year 0": ("/v2/models/price/rows", b'{"rooms":1,"stra\xc3\x9fe":"a","sold":"0000-01-01"}'),
    "H069 year 10000": ("/v2/models/price/rows", b'{"rooms":1,"stra\xc3\x9fe":"a","sold":"10000-01-01"}'),
    "H121 a page": (ROWS, json.dumps(ROW | {"<script>alert(1)</script>": 1}).encode()),
}


class TestHostileRequests:
    @pytest.fixture(scope="class", autouse=True)
    @staticmethod
    def nothing_is_kept(server: Server) -> Iterator[None]:
        post((server.host, server.port), ROWS, ROW)
        files, memory, threads = open_files(), resident(), threading.active_count()
        yield
        time.sleep(1.2)
        assert open_files() <= files + 2
        assert resident() - memory < 64 * 2**20
        assert threading.active_count() <= threads + (os.cpu_count() or 1)

    @pytest.mark.parametrize(("path", "body"), HOSTILE.values(), ids=HOSTILE.keys())
    def test_bodies(self, address: Address, path: str, body: bytes) -> None:
        started = time.monotonic()
        answer = request(address, "POST", path, body)
        check_refusal(answer, time.monotonic() - started)
        assert post(address, ROWS, ROW).status == 200

    @pytest.mark.parametrize("length", ["0", "10", "100000", "-1", "1e2", "2, 2"])
    def test_binary_bodies(self, address: Address, length: str) -> None:
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": length}
        started = time.monotonic()
        answer = request(address, "POST", INFER, infer() + bytes(16), headers)
        check_refusal(answer, time.monotonic() - started)
        assert post(address, ROWS, ROW).status == 200

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Content-Type": "application/octet-stream"}, 415),
            ({"Content-Type": "text/plain", "Inference-Header-Content-Length": "10"}, 415),
            ({"Content-Type": "text/plain"}, 415),
            ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
            ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
            ({"Content-Encoding": "gzip"}, 415),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Host": "evil.example"}, 403),
            ({"Host": "evil.example", "X-Forwarded-Host": "127.0.0.1"}, 403),
        ],
    )
    def test_callers(self, address: Address, headers: dict[str, str], status: int) -> None:
        started = time.monotonic()
        answer = request(address, "POST", ROWS, json.dumps(ROW).encode(), headers)
        check_refusal(answer, time.monotonic() - started)
        assert answer.status == status
        assert not any(name.startswith("access-control") for name in answer.headers)
        assert post(address, ROWS, ROW).status == 200

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "HEAD"])
    def test_methods(self, address: Address, method: str) -> None:
        answer = request(address, method, ROWS, headers={"X-HTTP-Method-Override": "POST"})
        assert answer.status == 405
        assert answer.headers["allow"] == "POST"


class TestAnswers:
    def test_a_million_cells_in_one_request_leave_the_loop_alive(self, address: Address, sold: Predictor) -> None:
        rows = [ROW | {"rooms": number % 7} for number in range(100_000)]
        with ThreadPoolExecutor(1) as pool:
            large = pool.submit(post, address, ROWS, rows)
            waits = []
            while not large.done():
                started = time.monotonic()
                assert request(address, "GET", "/v2/health/live").status == 200
                waits.append(time.monotonic() - started)
            assert large.result().json["predictions"] == sold.outputs(rows)["prediction"].tolist()
        assert sorted(waits)[len(waits) // 2] < 0.5

    @pytest.mark.parametrize("in_thread", [False, True])
    def test_fifty_callers_get_the_answers_to_their_own_rows(
        self, server: Server, sold: Predictor, in_thread: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server.models["sold"], "row_seconds", 1.0 if in_thread else 1e-6)
        rows = [[ROW | {"rooms": caller + number / 10} for number in range(1 + caller % 3)] for caller in range(50)]

        def call(caller: int) -> list[list[float]]:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
            found = []
            for _ in range(10):
                connection.request("POST", ROWS, json.dumps(rows[caller]), {"content-type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status == 503:
                    time.sleep(0.05)
                    continue
                found.append([[p["no"], p["yes"]] for p in answer["probabilities"]])
            connection.close()
            assert found
            assert all(answer == found[0] for answer in found)
            return found[0]

        with ThreadPoolExecutor(50) as pool:
            for caller, found in enumerate(pool.map(call, range(50))):
                assert found == sold.outputs(rows[caller])["probabilities"].tolist()

    def test_the_client_of_triton(self, server: Server, sold: Predictor) -> None:
        import tritonclient.http as triton

        client = triton.InferenceServerClient(f"{server.host}:{server.port}")
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("sold")
        assert client.is_model_ready("sold", "1")
        assert not client.is_model_ready("damaged")
        assert client.get_server_metadata()["name"] == "lepton"
        metadata = client.get_model_metadata("sold")
        assert [tensor["datatype"] for tensor in metadata["inputs"]] == ["FP64", "BYTES"]
        numbers = np.array([[1.0, 0.0], [2.5, 1.0]])
        strings = np.array([["Basel"], ["京都"]], dtype=object)
        inputs = [triton.InferInput("numbers", [2, 2], "FP64"), triton.InferInput("strings", [2, 1], "BYTES")]
        direct = sold.run({"numbers": numbers, "strings": strings})
        for binary_in, binary_out in itertools.product([True, False], repeat=2):
            inputs[0].set_data_from_numpy(numbers, binary_data=binary_in)
            inputs[1].set_data_from_numpy(strings, binary_data=not binary_in or binary_out)
            outputs = [
                triton.InferRequestedOutput("prediction", binary_data=binary_out),
                triton.InferRequestedOutput("probabilities", binary_data=not binary_in),
            ]
            for asked in (outputs, None):
                result = client.infer("sold", inputs, outputs=asked, request_id="7", timeout=5_000_000)
                np.testing.assert_array_equal(result.as_numpy("probabilities"), direct["probabilities"])
                texts = [t.decode() if isinstance(t, bytes) else t for t in result.as_numpy("prediction").tolist()]
                assert texts == direct["prediction"].tolist()
                assert result.get_response()["id"] == "7"
        with pytest.raises(triton.InferenceServerException, match="no model 'x'"):
            client.infer("x", inputs, outputs=outputs)
        client.close()


class TestStarting:
    def test_an_address_in_use_is_said(self, server: Server, bundles: dict[str, Path]) -> None:
        second = Server({"sold": bundles["sold"]}, port=server.port)
        with pytest.raises(ServingError, match=f":{server.port}") as caught:
            second.start()
        assert caught.value.code is ErrorCode.ADDRESS_IN_USE

    @pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "256.1.1.1"])
    def test_an_address_that_is_not_ours_is_said(self, bundles: dict[str, Path], host: str) -> None:
        with pytest.raises(UsageError, match="cannot be bound"):
            Server({"sold": bundles["sold"]}, host=host, port=0, token=new_token()).start()

    @pytest.mark.parametrize("port", [-1, 65_536, 99_999])
    def test_a_port_that_there_is_not(self, bundles: dict[str, Path], port: int) -> None:
        with pytest.raises(UsageError, match=f"got the port {port}"):
            Server({"sold": bundles["sold"]}, port=port)

    def test_an_open_address_needs_a_token(self, bundles: dict[str, Path]) -> None:
        with pytest.raises(SecurityError, match="token"):
            Server({"sold": bundles["sold"]}, host="0.0.0.0")

    def test_when_no_model_opens_the_server_does_not_start(self, bundles: dict[str, Path]) -> None:
        server = Server({"damaged": bundles["damaged"]}, port=0)
        with pytest.raises(LeptonError) as caught:
            server.start()
        assert caught.value is server.models["damaged"].error
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), 1)

    def test_a_token_opens_an_open_address(self, bundles: dict[str, Path]) -> None:
        token = new_token()
        with Server({"sold": bundles["sold"]}, host="0.0.0.0", port=0, token=token) as server:
            address = ("127.0.0.1", server.port)
            assert request(address, "GET", "/v2").status == 401
            assert request(address, "GET", "/v2").headers["www-authenticate"] == "Bearer"
            headers = {"Authorization": f"Bearer {token}", "Host": "models.example"}
            assert request(address, "GET", "/v2", headers=headers).status == 200

    def test_an_open_address_gets_a_token_that_is_shown_once(
        self, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines: list[str] = []
        seen: list[int] = []

        def serve_and_stop(server: Server, announce: Any) -> None:
            with server:
                announce(server)
                address = ("127.0.0.1", server.port)
                token = lines[-1].removeprefix("Token, shown this once: ")
                seen.append(request(address, "GET", "/v2", headers={"Authorization": f"Bearer {token}"}).status)

        monkeypatch.setattr(Server, "serve_forever", serve_and_stop)
        serve(bundles, host="0.0.0.0", port=0, announce=lines.append)
        assert seen == [200]
        assert [line.partition(" ")[0] for line in lines] == [lines[0], lines[1], "damaged", "Drift", "Token,"]
        with pytest.raises(SecurityError, match="token"):
            serve(bundles, host="0.0.0.0", port=0)

    def test_starting_twice_is_starting_once(self, bundles: dict[str, Path]) -> None:
        with Server({"sold": bundles["sold"]}, port=0).start() as server:
            port = server.port
            assert server.start().port == port
            threading.Timer(0.2, server.stop).start()
            server.wait()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)

    def test_without_uvloop(self, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lepton.serving.server.uvloop", None)
        with Server({"sold": bundles["sold"]}, port=0) as server:
            assert post((server.host, server.port), ROWS, ROW).json["predictions"] == ["yes"]

    def test_ipv6(self, bundles: dict[str, Path]) -> None:
        with Server({"sold": bundles["sold"]}, host="::1", port=0) as server:
            assert server.url == f"http://[::1]:{server.port}"
            assert request(("::1", server.port), "GET", "/v2", headers={"Host": "[::1]"}).status == 200


class TestStopping:
    def test_no_accepted_request_fails_when_the_server_stops_under_load(self, bundles: dict[str, Path]) -> None:
        server = Server({"sold": bundles["sold"]}, port=0)
        server.start()
        body = json.dumps(ROW).encode()
        ask = f"POST {ROWS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

        def call(_: int) -> list[int]:
            """Statuses of one request after the other, until the server says that an answer was its last."""
            statuses = []
            with socket.create_connection((server.host, server.port), 5) as connection:
                stream = connection.makefile("rb")
                while True:
                    connection.sendall(ask)
                    answer = read_answer(stream)
                    statuses.append(answer.status)
                    if answer.headers.get("connection") == "close":
                        return statuses

        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(call, caller) for caller in range(8)]
            time.sleep(0.5)
            server.stop()
            statuses = [status for made in calls for status in made.result()]
        assert len(statuses) > 100
        assert set(statuses) == {200}

    def test_connections_that_the_kernel_has_made_are_still_answered(self, bundles: dict[str, Path]) -> None:
        server = Server({"sold": bundles["sold"]}, port=0)
        server.start()
        loop = server._loop
        assert loop is not None
        loop.call_soon_threadsafe(time.sleep, 0.3)
        connections = [socket.create_connection((server.host, server.port), 5) for _ in range(20)]
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        for connection in connections:
            with connection:
                connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        stopper.join()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_finishes_what_is_in_flight_and_exits_with_0(
        self, bundles: dict[str, Path], number: signal.Signals
    ) -> None:
        program = (
            "import sys; from pathlib import Path; from lepton.serving import serve;"
            "serve({'sold': Path(sys.argv[1])}, port=0, announce=lambda line: print(line, flush=True))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, bundles["sold"]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            port = int(process.stdout.readline().split("/")[2].split(":")[1])
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                body = json.dumps(ROW).encode()
                head = f"POST {ROWS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                connection.sendall(head + body[:5])
                time.sleep(0.1)
                process.send_signal(number)
                time.sleep(0.1)
                connection.sendall(body[5:])
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            _, errors = process.communicate(timeout=10)
        assert process.returncode == 0
        assert errors == ""

    def test_a_stopping_server_is_not_ready(self, bundles: dict[str, Path]) -> None:
        server = Server({"sold": bundles["sold"]}, port=0)
        server.start()
        with socket.create_connection((server.host, server.port), 5) as connection:
            connection.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: loc")
            time.sleep(0.1)
            stopper = threading.Thread(target=server.stop)
            stopper.start()
            time.sleep(0.1)
            connection.sendall(b"alhost\r\n\r\n")
            answer = connection.recv(65536)
            stopper.join()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        assert b"the server is stopping" in answer

    def test_stopping_twice_is_stopping_once(self, bundles: dict[str, Path]) -> None:
        server = Server({"sold": bundles["sold"]}, port=0)
        server.start()
        server.stop()
        server.stop()
