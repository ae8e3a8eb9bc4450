"""The client: the answers of the server's models, and its errors by their own classes."""

from __future__ import annotations

import datetime as dt
import http.server
import pydoc
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from lepton.bundle import open_model
from lepton.client import Client
from lepton.core import DataError, ErrorCode, SchemaError, SecurityError, ServingError, UsageError
from lepton.serving import Limits, Server
from lepton.serving.tls import Tls
from tests.serving.certificates import make
from tests.serving.models import write_price, write_sold

ROW = {"rooms": 1, "town": "Basel", "garden": True}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    damaged = folder / "damaged.lepton"
    damaged.write_bytes(b"PK")
    return {"price": write_price(folder), "sold": write_sold(folder), "damaged": damaged}


@pytest.fixture(scope="module")
def server(bundles: dict[str, Path]) -> Iterator[Server]:
    with Server(bundles, port=0) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


def test_states(client: Client) -> None:
    assert client.models() == {"price": "ready", "sold": "ready", "damaged": "failed"}
    assert client.ready()
    assert client.ready("sold")
    assert not client.ready("damaged")
    assert client.metadata("sold")["labels"] == ["no", "yes"]


def test_predictions_are_the_models(client: Client, bundles: dict[str, Path]) -> None:
    model = open_model(bundles["sold"])
    rows = [ROW, {"rooms": float("nan"), "town": "京都", "garden": None}]
    assert client.predict("sold", rows) == model.predict(rows)
    assert client.predict_proba("sold", rows) == model.predict_proba(rows)
    assert client.predict("sold", ROW) == ["yes"]


CONTAINERS: dict[str, tuple[Any, Any, int]] = {
    "one row": (ROW, list, 1),
    "rows": ([ROW, ROW], list, 2),
    "columns": ({name: [value] * 2 for name, value in ROW.items()}, list, 2),
    "arrays": ({name: np.array([value] * 2) for name, value in ROW.items()}, list, 2),
    "polars": (pl.DataFrame([ROW, {**ROW, "rooms": None}]), pl.Series, 2),
    "pandas": (pd.DataFrame([ROW, {**ROW, "rooms": np.nan, "garden": None}], index=["a", "b"]), pd.Series, 2),
    "arrow": (pl.DataFrame([ROW]).to_arrow(), list, 1),
}


@pytest.mark.parametrize(("rows", "kind", "count"), CONTAINERS.values(), ids=CONTAINERS.keys())
def test_rows_of_any_container(client: Client, rows: Any, kind: Any, count: int) -> None:
    answers = client.sold.predict(rows)
    assert isinstance(answers, kind)
    assert list(answers) == ["yes"] * count
    shares = client.sold.predict_proba(rows)
    assert (list(shares.columns) if kind is not list else list(shares[0])) == ["no", "yes"]
    if kind is pd.Series:
        assert list(answers.index) == list(shares.index) == ["a", "b"]


def test_columns_of_different_lengths(client: Client) -> None:
    with pytest.raises(UsageError, match="'town': 2"):
        client.sold.predict({"rooms": [1], "town": ["a", "b"], "garden": [True]})


def test_models_stand_under_their_names(client: Client) -> None:
    assert client.sold is client.sold
    assert client.sold.columns == ("rooms", "town", "garden")
    assert client.sold.ready()
    assert client.sold.infer({"rooms": [1], "town": ["Basel"], "garden": [True]})["prediction"] == ["yes"]
    assert {"sold", "price", "damaged", "predict", "models"} <= set(dir(client))
    assert repr(client.sold) == "<model sold: rooms, town, garden>"
    assert client.model("sold") is client.sold


def test_help_shows_the_columns(client: Client) -> None:
    shown = pydoc.plain(pydoc.render_doc(client.price.predict))
    for line in ("predict(rows", "rooms: number", "straße: category", "sold: datetime, ISO 8601, Europe/Berlin"):
        assert line in shown
    assert "Labels: no, yes" in pydoc.plain(pydoc.render_doc(client.sold.predict_proba))
    assert str(client.damaged.__doc__).startswith("Not ready: ")


def test_unknown_names_say_what_there_is(client: Client) -> None:
    with pytest.raises(AttributeError, match="no model and no service 'houses'; it has price, sold, damaged"):
        _ = client.houses
    with pytest.raises(AttributeError, match="_private"):
        _ = client._private


def test_datetimes_and_scalars_of_numpy_are_sent(client: Client) -> None:
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert client.predict("price", {"rooms": np.int64(3), "straße": "a", "sold": moment}) == [6.0]


def test_tensors(client: Client, bundles: dict[str, Path]) -> None:
    numbers = np.array([[1.0, 0.0], [2.0, np.nan]])
    strings = np.array([["Basel"], [""]], dtype=object)
    direct = open_model(bundles["sold"]).run({"numbers": numbers, "strings": strings})
    wide = client.infer("sold", {"numbers": numbers, "strings": strings})
    for name, answer in direct.items():
        np.testing.assert_array_equal(wide[name], answer)
        assert wide[name].dtype == answer.dtype
    lists = {"rooms": [1, 2], "town": ["Basel", None], "garden": [False, None]}
    assert client.infer("sold", lists, outputs=["probabilities"]) == {"probabilities": wide["probabilities"].tolist()}
    nested = {"rooms": [[1], [2]], "town": [["Basel"], [""]], "garden": [[False], [None]]}
    assert client.infer("sold", nested)["prediction"] == wide["prediction"].tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "uint64"])
def test_arrays_travel_as_bytes_among_lists(client: Client, dtype: str) -> None:
    columns = {"rooms": np.array([[1], [2]], dtype=dtype), "town": ["Basel", "京都"], "garden": [False, None]}
    for towns in (np.array(["Basel", "京都"]), np.array([["Basel"], ["京都"]], dtype=object)):
        found = client.infer("sold", columns | {"town": towns}, outputs=["probabilities"])
        expected = client.infer("sold", {**columns, "rooms": [1, 2]}, outputs=["probabilities"])
        assert found["probabilities"].tolist() == expected["probabilities"]
    missing = np.array([None, float("nan")], dtype=object)
    assert client.infer("sold", columns | {"town": missing})["prediction"].tolist() == ["yes", "yes"]


@pytest.mark.parametrize("array", [np.array([1 + 2j]), np.array([1.0], dtype=">f8"), np.array([{}], dtype=object)])
def test_arrays_that_the_protocol_does_not_know(client: Client, array: np.ndarray) -> None:
    with pytest.raises(UsageError, match="array"):
        client.infer("sold", {"rooms": array, "town": ["a"], "garden": [True]})


def test_errors_are_those_of_the_server(client: Client) -> None:
    with pytest.raises(SchemaError, match="'garden'") as caught:
        client.predict("sold", {"rooms": 1, "town": "a"})
    assert caught.value.code is ErrorCode.MISSING_COLUMNS
    assert caught.value.details["missing"] == ["garden"]
    with pytest.raises(ServingError) as unknown:
        client.predict("no/such model", [ROW])
    assert unknown.value.code is ErrorCode.UNKNOWN_MODEL
    with pytest.raises(ServingError, match="not ready") as failed:
        client.predict("damaged", [ROW])
    assert failed.value.code is ErrorCode.NOT_READY
    with pytest.raises(UsageError, match="no probabilities"):
        client.predict_proba("price", {"rooms": 1, "straße": None, "sold": None})
    assert client.predict("sold", ROW) == ["yes"]


@pytest.mark.parametrize("value", [float("inf"), {1}, object()])
def test_what_json_cannot_hold_is_refused_here(client: Client, value: object) -> None:
    with pytest.raises(UsageError):
        client.predict("sold", ROW | {"rooms": value})


def test_tokens(bundles: dict[str, Path]) -> None:
    with Server({"sold": bundles["sold"]}, port=0, token="a token of enough length") as server:
        with Client(server.url, token="a token of enough length") as client:
            assert client.predict("sold", ROW) == ["yes"]
        with Client(server.url) as client, pytest.raises(ServingError) as caught:
            client.predict("sold", ROW)
        assert caught.value.code is ErrorCode.UNAUTHENTICATED


def test_threads_may_share_a_client(client: Client) -> None:
    def ask(rooms: int) -> list[float]:
        return list(client.predict("price", {"rooms": rooms, "straße": "a", "sold": "1970-01-01T01:00:00"}))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(100))) == [[2.0 * rooms] for rooms in range(100)]


def test_a_connection_that_the_server_closed_is_opened_again(bundles: dict[str, Path]) -> None:
    with (
        Server({"sold": bundles["sold"]}, port=0, limits=Limits(idle_time=0.1)) as server,
        Client(server.url) as client,
    ):
        for _ in range(3):
            assert client.predict("sold", ROW) == ["yes"]
            threading.Event().wait(0.5)


def test_nothing_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{free.getsockname()[1]}")
        assert not client.ready()
        assert "predict" in dir(client)
        with pytest.raises(ServingError, match="nothing answers") as caught:
            client.models()
    assert caught.value.code is ErrorCode.NOT_READY


def test_no_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
        with pytest.raises(ServingError, match=r"no answer in 0\.2 s") as caught:
            client.models()
    assert caught.value.code is ErrorCode.REQUEST_TIMEOUT


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b'12\r\n{"result": "one"}\n\r\n', "breaks off"),
        (b'8\r\n{"result\r\na\r\n": "one"}\n\r\n1\r\n\n\r\n', "breaks off"),
        (b'12\r\n{"result": "one"}\n\r\n2\r\n5\n\r\n0\r\n\r\n', "the server answers 200"),
        (b'12\r\n{"result": "one"}\n\r\n2\r\n{\n\r\n0\r\n\r\n', "without JSON"),
    ],
)
def test_items_that_break_off_are_no_whole_answer(sent: bytes, says: str) -> None:
    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + sent)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        items = Client(f"http://127.0.0.1:{listening.getsockname()[1]}").stream("/v2/services/x/y", {})
        with pytest.raises(ServingError, match=says):
            assert list(items) == ["one"]
        thread.join()


class _Stranger(http.server.BaseHTTPRequestHandler):
    """Another server, with answers of other shapes."""

    def do_GET(self) -> None:
        body = {"/v2/health/ready": b"<html>", "/": b'["?"]', "/v2/models/x": b'{"code":"new-code"}'}[self.path]
        self.send_response(200 if self.path == "/v2/health/ready" else 418)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(
            b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [1, 2]},'
            b' {"name": "z", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}'
        )

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_other_servers_give_an_error_not_a_traceback() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Stranger) as stranger:
        thread = threading.Thread(target=stranger.serve_forever)
        thread.start()
        client = Client(f"http://127.0.0.1:{stranger.server_port}")
        for ask, says in (
            (client.ready, "without JSON"),
            (client.models, "418"),
            (lambda: client.metadata("x"), "418"),
        ):
            with pytest.raises(ServingError, match=says) as caught:
                ask()
            assert caught.value.code is ErrorCode.BAD_REQUEST
        found = client.infer("x", {"x": np.zeros((2, 1))})
        assert found["y"].dtype == np.float32
        assert (found["y"].tolist(), found["z"].tolist()) == ([[1.0], [2.0]], ["a"])
        client.close()
        stranger.shutdown()
        thread.join()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://a", "http://", "file:///etc/passwd"])
def test_addresses_of_another_form(url: str) -> None:
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:8080"):
        Client(url)


def test_the_client_needs_the_standard_library_alone() -> None:
    program = "import sys, lepton.client; print([m for m in ('numpy', 'polars', 'onnxruntime') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


class TestAddresses:
    def test_a_server_with_a_certificate_of_its_own_authority(self, bundles: dict[str, Path], tmp_path: Path) -> None:
        authority, other = make(tmp_path, "authority"), make(tmp_path, "other")
        pair, mine = make(tmp_path, "server", authority), make(tmp_path, "mine", authority)
        tls = Tls(pair.certificate, pair.key, authority.certificate)
        shown: dict[str, Any] = {"certificate": mine.certificate, "key": mine.key}
        with Server({"sold": bundles["sold"]}, port=0, tls=tls) as server:
            with Client(server.url, authority=authority.certificate, **shown) as client:
                assert client.predict("sold", ROW) in (["no"], ["yes"])
            for trusted in (None, other.certificate):
                with (
                    Client(server.url, authority=trusted, **shown) as client,
                    pytest.raises(SecurityError, match="authority=FILE") as caught,
                ):
                    client.models()
                assert caught.value.code is ErrorCode.UNTRUSTED
            with Client(server.url, authority=authority.certificate) as client, pytest.raises(ServingError):
                client.models()

    def test_a_server_at_a_path(self, bundles: dict[str, Path], tmp_path: Path) -> None:
        path = tmp_path / "a b.sock"
        with Server({"sold": bundles["sold"]}, unix=path) as server, Client(server.url) as client:
            assert client.models() == {"sold": "ready"}
            assert client.predict("sold", ROW) in (["no"], ["yes"])
        with Client(server.url) as client:
            assert not client.ready()

    def test_files_that_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "none.pem").write_text("none")
        with pytest.raises(DataError, match="not there"):
            Client("https://127.0.0.1", authority=tmp_path / "missing.pem")
        with pytest.raises(SecurityError, match="PEM"):
            Client("https://127.0.0.1", authority=tmp_path / "none.pem")
        with pytest.raises(SecurityError, match="PEM"):
            Client("https://127.0.0.1", certificate=tmp_path / "none.pem")
        with pytest.raises(UsageError, match="https"):
            Client("http://127.0.0.1", authority=tmp_path / "none.pem")
