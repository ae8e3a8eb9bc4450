"""Known heads: only what is equal byte for byte and complete is taken without the parser; the guard is asked anyway."""

from __future__ import annotations

import pytest

from lepton.serving.heads import KnownHeads
from lepton.serving.protocols.base import Request

HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"


def learned(head=HEAD, body=b"abc", **headers):
    heads = KnownHeads()
    given = {"host": "x", "content-length": str(len(body)), **headers}
    heads.learn(
        head + body, Request("POST", "/a", given, body, headers.get("x-request-id", "made")), "1.1", keep_alive=True
    )
    return heads


def test_the_same_head_is_known_with_another_body_of_that_length():
    found = learned().find(HEAD + b"xyz")
    assert found is not None
    assert (found.method, found.path, found.size, found.length, found.keep_alive) == ("POST", "/a", 3, len(HEAD), True)
    assert found.id == ""


@pytest.mark.parametrize(
    "data",
    [
        HEAD,
        HEAD + b"ab",
        HEAD + b"abcd",
        HEAD + b"abc" + HEAD + b"abc",
        HEAD.replace(b"Host", b"host") + b"abc",
        HEAD[:-2],
        b"\r\n" + HEAD + b"abc",
        b"",
        b"\r\n\r\n",
    ],
)
def test_anything_else_is_for_the_parser(data):
    assert learned().find(data) is None


@pytest.mark.parametrize("name", ["transfer-encoding", "expect", "upgrade"])
def test_other_framings_are_not_learned(name):
    assert learned(**{name: "chunked"}).find(HEAD + b"abc") is None


def test_a_body_that_is_not_all_that_came_is_not_learned():
    heads = KnownHeads()
    heads.learn(HEAD + b"abcGET", Request("POST", "/a", {"content-length": "3"}, b"abc", "i"), "1.1", keep_alive=True)
    assert heads.find(HEAD + b"abc") is None


def test_the_id_of_the_caller_is_its_own():
    assert learned(**{"x-request-id": "mine"}).find(HEAD + b"abc").id == "mine"


def test_heads_do_not_pile_up():
    heads = KnownHeads()
    for number in range(3_000):
        head = HEAD.replace(b"/a", b"/%d" % number)
        heads.learn(head + b"abc", Request("POST", "/a", {"content-length": "3"}, b"abc", "i"), "1.1", keep_alive=True)
    assert len(heads._heads) <= 1_024
