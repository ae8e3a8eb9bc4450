"""Methods that give items one by one: lines, events, what ends them, and who does not read them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from lepton.client import Client
from lepton.core import DataError, ErrorCode, LeptonError
from lepton.serving import Server
from lepton.serving.protocols.base import Request
from lepton.serving.services.flow import WINDOW, Flow
from lepton.serving.services.streams import ItemStream
from tests.serving.services.conftest import ask, wait_for, wait_until_ready
from tests.serving.wire import connect, read_all, read_answer


@pytest.fixture
def client(shop: Server) -> Iterator[Client]:
    with Client(shop.url) as client:
        yield client


def raw(value: Any, *headers: str, method: str = "tell", version: str = "1.1") -> bytes:
    body = json.dumps(value).encode()
    lines = [f"POST /v2/services/shop/{method} HTTP/{version}", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    return "".join(f"{line}\r\n" for line in [*lines, *headers, ""]).encode() + body


def chunks(stream: Any) -> Iterator[bytes]:
    """Chunks of an answer whose head was read."""
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        assert stream.read(2) == b"\r\n"
    assert stream.readline() == b"\r\n"


def test_a_client_iterates_over_the_items(client: Client):
    assert list(client.shop.tell(to=3)) == ["0", "1", "2"]
    assert list(client.shop.tell_later(to=3)) == [0, 1, 2]
    assert list(client.shop.tell_later(to=0)) == []


def test_items_come_as_lines_and_the_connection_lives_on(shop: Server):
    with connect((shop.host, shop.port)) as connection:
        stream = connection.makefile("rb")
        connection.sendall(raw({"to": 2}))
        answer = read_answer(stream)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
        assert answer.headers["transfer-encoding"] == "chunked"
        assert list(chunks(stream)) == [b'{"result":"0"}\n', b'{"result":"1"}\n']
        connection.sendall(raw({"value": 1}, method="echo"))
        assert read_answer(stream).json == {"result": 1}


def test_items_come_as_events_to_who_asks_for_them(shop: Server):
    with connect((shop.host, shop.port)) as connection:
        stream = connection.makefile("rb")
        connection.sendall(raw({"to": 1}, "Accept: text/event-stream"))
        assert read_answer(stream).headers["content-type"] == "text/event-stream"
        assert b"".join(chunks(stream)) == b'data: {"result":"0"}\n\nevent: end\ndata: {}\n\n'
        connection.sendall(raw({"to": 1, "ends": "raises"}, "Accept: text/event-stream"))
        read_answer(stream)
        assert b"".join(chunks(stream)).startswith(b'data: {"result":"0"}\n\nevent: error\ndata: {"error":')


def test_a_peer_without_chunks_reads_until_the_end(shop: Server):
    with connect((shop.host, shop.port)) as connection:
        connection.sendall(raw({"to": 2}, version="1.0"))
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert body == b'{"result":"0"}\n{"result":"1"}\n'


def test_what_is_wrong_before_the_first_item_has_a_status(shop: Server, client: Client):
    answer = ask(shop, "POST", "/v2/services/shop/tell", {"to": "x"})
    assert (answer.status, answer.json["code"]) == (422, "bad-parameter")
    with pytest.raises(DataError, match="got a town on the moon") as caught:
        next(client.shop.tell(to=1, ends="first"))
    assert caught.value.code is ErrorCode.BAD_VALUE


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ("raises", ErrorCode.SERVICE_FAILED),
        ("wrong", ErrorCode.SERVICE_FAILED),
        ("dies", ErrorCode.SERVICE_DIED),
    ],
)
def test_what_goes_wrong_later_is_the_last_line(shop: Server, client: Client, ends: str, code: ErrorCode):
    items = client.shop.tell(to=2, ends=ends)
    assert [next(items), next(items)] == ["0", "1"]
    with pytest.raises(LeptonError) as caught:
        next(items)
    assert caught.value.code is code
    assert "secret" not in str(caught.value)
    wait_until_ready(shop)


def test_a_stream_whose_next_item_takes_too_long_is_ended(shop: Server, client: Client):
    items = client.shop.tell_no_more()
    assert next(items) == 0
    with pytest.raises(LeptonError, match=r"shop\.tell_no_more was ended after its timeout of 0\.3 s") as caught:
        next(items)
    assert caught.value.code is ErrorCode.SERVICE_TIMEOUT
    wait_until_ready(shop)


def test_a_stream_ends_when_its_caller_leaves(client: Client):
    items = client.shop.tell(to=10**9)
    assert next(items) == "0"
    items.close()
    assert wait_for(lambda: client.shop.last_told() >= 0)  # its `finally` was run


def test_who_does_not_read_holds_the_stream_back(shop: Server, client: Client):
    size = 2**16
    with connect((shop.host, shop.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        stream = connection.makefile("rb")
        connection.sendall(raw({"to": 1000, "size": size // 2}))
        read_answer(stream)
        host = shop.services._hosts["shop"]
        wait_for(lambda: any(call.stream is not None and call.stream.waits for call in _streaming(host)))
        (run,) = host._runs.values()
        assert run.timer is None  # it is the caller who is waited for
        found = [json.loads(chunk)["result"] for chunk in chunks(stream)]
    assert [len(each) for each in found] == [len(str(number)) * (size // 2) for number in range(1000)]
    assert next(client.shop.tell(to=1)) == "0"


def _streaming(host: Any) -> list[Any]:
    return [call for run in tuple(host._runs.values()) for call in run.calls]


def test_streams_stand_in_the_openapi_document(shop: Server):
    operation = ask(shop, "GET", "/openapi.json").json["paths"]["/v2/services/shop/tell"]["post"]
    content = operation["responses"]["200"]["content"]
    assert set(content) == {"application/x-ndjson", "text/event-stream"}
    assert content["application/x-ndjson"]["schema"]["properties"]["result"] == {"type": "string"}


def test_a_stream_counts_what_is_taken_as_it_was_spent():
    told: list[int] = []
    stream = ItemStream(Request("POST", "/", {}), told.append, lambda: None)
    streamed = stream.response.stream
    assert streamed is not None
    flow, item = Flow(over=1), b"x" * (WINDOW // 4)
    for _ in range(8):
        assert flow.spend(len(item))
        stream.put(item)
        streamed.took(len(item) + 1)
        flow.add(told.pop())
    assert flow._left == WINDOW
    assert not stream.waits
