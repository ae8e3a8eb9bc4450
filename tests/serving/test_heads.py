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
    head, length, given = found
    assert (head.method, head.path, head.size, head.keep_alive) == ("POST", "/a", 3, True)
    assert (length, given) == (len(HEAD), "")


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


def with_id(value, name=b"x-request-id", more=b""):
    return HEAD[:-2] + more + name + b": " + value + b"\r\nX: y\r\n\r\n"


@pytest.mark.parametrize("name", [b"x-request-id", b"X-Request-ID", b"X-Request-Id"])
@pytest.mark.parametrize("other", [b"mine", b"2", b"4bf92f3577b34da6", b"a" * 128])
def test_heads_that_differ_in_their_ids_are_known_each_with_its_own(name, other):
    heads = learned(with_id(b"mine", name), **{"x-request-id": "mine"})
    found = heads.find(with_id(other, name) + b"xyz")
    assert found is not None
    assert found[1:] == (len(with_id(other, name)), other.decode())


@pytest.mark.parametrize(
    "data",
    [
        with_id(b""),
        with_id(b"a" * 129),
        with_id(b"a b"),
        with_id(b"a\tb"),
        with_id("ä".encode()),
        with_id(b"a\nb: c"),
        with_id(b"a\r\nContent-Length: 9"),
        with_id(b"a", more=b"x-request-id: b\r\n"),
        with_id(b"a", name=b"X-REQUEST-ID"),
        with_id(b"a").replace(b"X: y", b"X: z"),
        with_id(b"a").replace(b"\r\n\r\n", b"\r\n"),
    ],
)
def test_with_another_id_nothing_else_may_differ(data):
    heads = learned(with_id(b"mine"), **{"x-request-id": "mine"})
    assert heads.find(with_id(b"a") + b"abc") is not None
    assert heads.find(data + b"abc") is None


def test_a_head_with_two_ids_is_not_learned():
    twice = with_id(b"mine", more=b"x-request-id: mine\r\n")
    assert learned(twice, **{"x-request-id": "mine"}).find(twice + b"abc") is None


def test_heads_do_not_pile_up():
    heads = KnownHeads()
    for number in range(3_000):
        head = HEAD.replace(b"/a", b"/%d" % number)
        heads.learn(head + b"abc", Request("POST", "/a", {"content-length": "3"}, b"abc", "i"), "1.1", keep_alive=True)
    assert len(heads._heads) <= 1_024
