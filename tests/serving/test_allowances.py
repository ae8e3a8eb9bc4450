"""Tokens with limits: the file, the rate, what is under way, and what callers hear."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton.core import LeptonError, ServingError, UsageError
from lepton.serving import Guard, ModelStore, Server
from lepton.serving.allowances import Allowance, Limit, read_allowances
from lepton.serving.application import Application
from lepton.serving.dispatch import Dispatcher
from lepton.serving.http import Cancellable
from lepton.serving.protocols import InferenceProtocol, Request, Response
from tests.serving.wire import Answer, read_answer

TOKEN, SLOW, BOSS = "plain-token-of-all", "slow-token-of-shop", "boss-token-of-ops!"
ROWS = "/v2/models/sold/rows"
BODY = b'{"rooms": 1, "town": "Basel", "garden": true}'


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    path.write_text(
        f"tokens:\n  shop: {{sha256: {sha256(SLOW)}, rate: 0.001, burst: 2, concurrent: 1}}\n"
        f"  ops: {{sha256: {sha256(BOSS)}, priority: 1, control: true}}\n"
    )
    return path


class TestFile:
    def test_what_it_says_is_taken_whole_or_in_shares(self, limits: Path) -> None:
        shop = read_allowances(limits).of(bytes.fromhex(sha256(SLOW)))
        assert shop is not None
        assert (shop.name, shop.limit) == ("shop", Limit(0.001, 2, 1))
        half = read_allowances(limits, 0.5).of(bytes.fromhex(sha256(SLOW)))
        assert half is not None
        assert half.limit == Limit(0.0005, 1, 1)
        assert read_allowances(limits).of(bytes.fromhex(sha256("another"))) is None

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "tokens: {}",
            "tokens: [1]",
            f"tokens: {{a: {{sha256: {sha256('a')}}}}}\nmore: 1",
            "tokens: {a: {sha256: abc}}",
            "tokens: {a: {rate: 1}}",
            f"tokens: {{a: {{sha256: {sha256('a')}, rate: -1}}}}",
            f"tokens: {{a: {{sha256: {sha256('a')}, rate: true}}}}",
            f"tokens: {{a: {{sha256: {sha256('a')}, priority: 0}}}}",
            f"tokens: {{a: {{sha256: {sha256('a')}, control: 1}}}}",
            f"tokens: {{a: {{sha256: {sha256('a')}, token: secret}}}}",
            f"tokens: {{a: {{sha256: {sha256('a')}}}, b: {{sha256: {sha256('a')}}}}}",
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "tokens.yaml"
        path.write_text(text)
        with pytest.raises(UsageError):
            read_allowances(path)


def test_a_rate_is_kept_on_average_and_says_when_to_come_again() -> None:
    now = [0.0]
    allowance = Allowance("shop", Limit(rate=10, burst=5), lambda: now[0])
    taken = 0
    for _ in range(1000):  # ten seconds, a hundred requests a second
        with contextlib.suppress(ServingError):
            allowance.take()
            taken += 1
        now[0] += 0.01
    assert 103 <= taken <= 106
    slow = Allowance("shop", Limit(rate=0.1, burst=1), lambda: now[0])
    slow.take()
    with pytest.raises(ServingError) as caught:
        slow.take()
    assert caught.value.details == {"retry_after": 10}


class Held:
    """A dispatcher that answers when it is told."""

    def __init__(self) -> None:
        self.done: list[Callable[[Response], None]] = []
        self.cancelled = 0

    def begin(self, _: Request, done: Callable[[Response], None]) -> Cancellable:
        self.done.append(done)
        return self

    def cancel(self) -> None:
        self.cancelled += 1


def test_what_is_under_way_is_counted_until_it_is_answered_or_given_up(store: ModelStore) -> None:
    held: Any = Held()
    application = Application(InferenceProtocol(store), Guard("127.0.0.1"), held)
    allowance = Allowance("shop", Limit(concurrent=2))
    request = Request("POST", ROWS, body=BODY, allowance=allowance)
    answered: list[Response] = []
    first, second = (application.begin(request, answered.append) for _ in range(2))
    refused = application.begin(request, answered.append)
    assert isinstance(refused, Response)
    assert (refused.status, dict(refused.headers)["retry-after"]) == (429, "1")
    held.done[0](Response(200, b"{}"))
    assert len(answered) == 1
    third = application.begin(request, answered.append)
    assert not isinstance(second, Response)
    assert not isinstance(third, Response)
    second.cancel()
    second.cancel()
    held.done[1](Response(200, b"{}"))  # it ran on all the same
    assert not isinstance(application.begin(request, answered.append), Response)
    assert isinstance(application.begin(request, answered.append), Response)
    assert held.cancelled == 2
    assert not isinstance(first, Response)


def test_a_refusal_of_the_queue_is_not_counted_as_under_way(store: ModelStore) -> None:
    protocol = InferenceProtocol(store)
    application = Application(protocol, Guard("127.0.0.1"), Dispatcher(protocol, lambda call: call(), cpus=1))
    request = Request("POST", "/v2/models/none/rows", allowance=Allowance("shop", Limit(concurrent=1)))
    for _ in range(3):
        refused = application.begin(request, lambda _: None)
        assert isinstance(refused, Response)
        assert refused.status == 404


def test_tokens_on_the_wire(bundles: dict[str, Path], limits: Path) -> None:
    def ask(token: str, path: str = ROWS, body: bytes = BODY) -> Answer:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        return read_answer(stream)

    with (
        Server({"sold": bundles["sold"]}, port=0, token=TOKEN, token_limits=limits) as server,
        socket.create_connection((server.host, server.port), 60) as connection,
    ):
        stream = connection.makefile("rb")
        found = [ask(SLOW) for _ in range(4)]  # on one connection, which stays
        assert [answer.status for answer in found] == [200, 200, 429, 429]
        assert found[2].json["code"] == "rate-limited"
        assert int(found[2].headers["retry-after"]) in range(999, 1001)
        assert [ask(token).status for token in (TOKEN, BOSS)] == [200, 200]
        index = "/v2/repository/index"
        assert [ask(token, index, b"{}").status for token in (TOKEN, BOSS, SLOW)] == [200, 200, 401]


def test_tokens_of_a_file_alone_are_enough_for_strangers(limits: Path) -> None:
    guard = Guard("0.0.0.0", allowances=read_allowances(limits))
    request = Request("GET", "/", {"authorization": f"Bearer {BOSS}"})
    guard.check(request)
    assert request.caller == "ops"
    with pytest.raises(LeptonError):
        guard.check(Request("GET", "/", {"authorization": "Bearer "}))
