"""The generator counts every request once, charges stalls to everyone who came meanwhile, and outlives bad servers."""

from __future__ import annotations

import base64
import io
import json
import socket
import subprocess
import sys
import threading
from array import array
from collections import Counter
from dataclasses import asdict
from itertools import pairwise

import pytest

from lepton.serving.load import generator
from lepton.serving.load.generator import LOST, UNANSWERED, Load, Plan
from tests.serving.load.scripted import OK, scripted


def request(body: bytes = b"question") -> str:
    data = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    return base64.b64encode(data).decode()


def plan(port: int, **changes) -> Plan:
    given = {"requests": [request()], "answers": [base64.b64encode(b"ok").decode()], "seconds": 0.3, "connections": 4}
    return Plan("127.0.0.1", port, **{**given, **changes})


def counted(load: Load) -> Counter[int]:
    assert len(load.due) == len(load.took) == len(load.codes)
    assert all(took >= 0 for took in load.took)
    return Counter(load.codes)


@pytest.mark.parametrize("rate", [0, 300])
def test_every_request_is_counted_once(rate):
    asked: list[bytes] = []

    def answer(_, body):
        asked.append(body)
        return OK

    with scripted(answer) as port:
        load = Load(plan(port, rate=rate))
        told = load.run()
    assert counted(load) == {200: told["sent"]}
    assert told["sent"] == told["answered"] == told["right"] == len(asked) > 10
    assert set(asked) == {b"question"}
    assert (told["odd"], told["unsent"]) == ([], 0)


def test_requests_are_due_at_the_times_of_a_poisson_process():
    with scripted(lambda *_: OK) as port:
        shape = {"rate": 400, "seed": 3, "connections": 200}  # so many that none is waited for
        first, second = Load(plan(port, **shape)), Load(plan(port, **shape))
        told = first.run()
        second.run()
    due = sorted(first.due)
    assert due == pytest.approx(sorted(second.due), abs=1e-6)  # the same however they were answered
    assert 80 < told["sent"] < 160
    gaps = [b - a for a, b in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    assert 0.6 < sum((gap - mean) ** 2 for gap in gaps) / len(gaps) / mean**2 < 1.6  # of an exponential it is 1


def test_a_stall_is_charged_to_everyone_who_came_meanwhile():
    held = threading.Event()

    def answer(number, _):
        if number == 0:
            held.wait(0.4)
        return OK

    with scripted(answer) as port:
        load = Load(plan(port, rate=200, seconds=0.6, connections=1))
        told = load.run()
    # A clock that starts when a request is sent would have seen one slow answer.
    assert sum(took > 0.1 for took in load.took) + told["unsent"] > 30


def test_questions_are_asked_in_turns_and_answers_compared():
    def answer(_, body):
        return OK if body == b"a" else OK[:-2] + b"no"

    with scripted(answer) as port:
        load = Load(plan(port, requests=[request(b"a"), request(b"b")], answers=["b2s=", "b2s="]))
        told = load.run()
    ((index, body, count),) = told["odd"]
    assert (index, base64.b64decode(body)) == (1, b"no")
    assert told["right"] + count == told["sent"]
    assert abs(told["right"] - count) <= 1


def test_refusals_and_lost_connections_have_codes_of_their_own():
    def answer(number, _):
        if number % 4 == 0:
            return None
        return OK if number % 2 else b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\ncontent-length: 0\r\n\r\n"

    with scripted(answer) as port:
        load = Load(plan(port))
        told = load.run()
    found = counted(load)
    assert set(found) == {200, 503, LOST}
    assert sum(found.values()) == told["sent"]


def test_what_is_never_answered_is_given_up():
    def answer(number, _):
        if number == 0:
            threading.Event().wait(2)
        return OK

    with scripted(answer) as port:
        load = Load(plan(port, connections=2, seconds=1.2, timeout=0.3))
        told = load.run()
    found = counted(load)
    assert found[UNANSWERED] == 1
    assert found[200] == told["sent"] - 1


@pytest.mark.parametrize("parts", [[b"2\r\nok\r\n0\r\n\r\n"], [b"2\r\nok\r\n", b"0\r\n\r\n"]])
def test_chunked_answers_end(parts):
    with scripted(lambda *_: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(parts)) as port:
        load = Load(plan(port, seconds=0.1))
        assert counted(load) == {}
        told = load.run()
    assert counted(load) == {200: told["sent"]}


def test_large_requests_are_sent_in_pieces():
    body = bytes(range(256)) * 40_000
    asked: list[bool] = []

    def answer(_, found):
        asked.append(found == body)
        return OK

    with scripted(answer) as port:
        told = Load(plan(port, requests=[request(body)], connections=2, seconds=0.2, timeout=30.0)).run()
    assert told["right"] == told["sent"] == len(asked) > 0
    assert all(asked)


def test_as_a_script_it_tells_what_it_found():
    with scripted(lambda *_: OK) as port:
        asked = json.dumps(asdict(plan(port, seconds=0.2))).encode()
        done = subprocess.run([sys.executable, "-I", "-S", generator.__file__], input=asked, capture_output=True)
    assert done.stderr == b""
    line, _, rest = done.stdout.partition(b"\n")
    count = json.loads(line)["answered"]
    assert len(rest) == 18 * count > 0
    codes = array("h")
    codes.frombytes(rest[16 * count :])
    assert set(codes) == {200}


def test_nobody_there(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        sink = io.BytesIO()
        monkeypatch.setattr("signal.signal", lambda *_: None)
        generator.main(io.BytesIO(json.dumps(asdict(plan(taken.getsockname()[1]))).encode()), sink)
    assert "refused" in json.loads(sink.getvalue().splitlines()[0])["error"]
