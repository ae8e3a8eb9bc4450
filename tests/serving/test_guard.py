"""Who may call: the loopback rule and the token rule."""

from __future__ import annotations

import pytest

from lepton.core import ErrorCode, LeptonError, SecurityError
from lepton.serving.guard import Guard, is_loopback, new_token
from lepton.serving.protocols.base import Request
from lepton.serving.protocols.media import TABLES

JSON = {"content-type": "application/json"}


def refusal(guard: Guard, headers: dict[str, str], method: str = "POST") -> ErrorCode | None:
    try:
        guard.check(Request(method, "/", headers))
    except LeptonError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LocalHost:80", "127.0.0.1:8080", "[::1]", "[::1]:8080", "127.8.8.8"]
)
def test_hosts_of_this_machine_are_answered(host: str) -> None:
    assert refusal(Guard("127.0.0.1"), {"host": host} | JSON) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost:80:80",
        "localhost:port",
        "user@localhost",
        "localhost@evil.example",
        "[::1",
        "[::1]evil",
        "::1",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "169.254.169.254",
        "localhost ",
    ],
)
def test_other_hosts_are_refused(host: str) -> None:
    assert refusal(Guard("127.0.0.1"), {"host": host} | JSON) is ErrorCode.FORBIDDEN_ORIGIN


def test_forwarded_hosts_and_user_agents_change_nothing() -> None:
    headers = {"x-forwarded-host": "localhost", "user-agent": "localhost", "host": "evil.example"} | JSON
    assert refusal(Guard("::1"), headers) is ErrorCode.FORBIDDEN_ORIGIN


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"origin": "http://localhost:8080"}, True),
        ({"origin": "null"}, False),
        ({"origin": "http://localhost:8081"}, False),
        ({"origin": "http://localhost"}, False),
        ({"origin": "https://localhost:8080"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://localhost:8080.evil.example"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_from_elsewhere_are_refused(headers: dict[str, str], allowed: bool, method: str) -> None:
    code = refusal(Guard("127.0.0.1"), {"host": "localhost:8080"} | JSON | headers, method)
    assert code is (None if allowed else ErrorCode.FORBIDDEN_ORIGIN)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("application/json", True),
        ("Application/JSON; Charset=UTF-8", True),
        ('application/json; charset="utf-8"', True),
        ("application/vnd.inference+json", True),
        ("application/json; charset=utf-16", False),
        ("text/plain", False),
        ("text/json", False),
        ("text/plain; application/json", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("application/octet-stream", False),
        ("application/x-pickle", False),
        ("", False),
    ],
)
def test_only_json_is_taken(given: str, allowed: bool) -> None:
    code = refusal(Guard("127.0.0.1"), {"host": "localhost", "content-type": given})
    assert code is (None if allowed else ErrorCode.UNSUPPORTED_MEDIA_TYPE)


@pytest.mark.parametrize("given", ["text/csv", "text/csv; charset=utf-8", *TABLES[1:]])
def test_tables_are_taken_which_no_page_sends_without_asking(given: str) -> None:
    assert refusal(Guard("127.0.0.1"), {"host": "localhost", "content-type": given}) is None


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, False),
        ({"origin": "http://localhost"}, False),
        ({"accept": "text/csv", "accept-language": "en", "range": "bytes=0-1"}, False),
        ({"x-request-id": "1"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, False),
    ],
)
def test_forms_need_what_a_foreign_page_cannot_send(headers: dict[str, str], allowed: bool) -> None:
    form = {"host": "localhost", "content-type": "multipart/form-data; boundary=x"}
    code = refusal(Guard("127.0.0.1"), form | headers)
    assert code is (None if allowed else ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    assert refusal(Guard("0.0.0.0", insecure_no_token=True), form | headers) is code
    token = new_token()
    assert refusal(Guard("127.0.0.1", token), form | {"authorization": f"Bearer {token}"}) is None


def test_bodies_are_not_unpacked() -> None:
    headers = {"host": "localhost", "content-encoding": "gzip"} | JSON
    assert refusal(Guard("127.0.0.1"), headers) is ErrorCode.UNSUPPORTED_MEDIA_TYPE


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "models.example"])
def test_an_open_address_needs_a_token_or_the_typed_out_wish(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(SecurityError, match="--insecure-no-token") as caught:
        Guard(host)
    assert caught.value.code is ErrorCode.UNTRUSTED
    assert refusal(Guard(host, insecure_no_token=True), {"host": "anything"} | JSON) is None


@pytest.mark.parametrize(
    ("shown", "allowed"),
    [
        ("Bearer {}", True),
        ("bearer  {}", True),
        ("Bearer {}x", False),
        ("Bearer x{}", False),
        ("Basic {}", False),
        ("{}", False),
        ("Bearer", False),
        ("", False),
        ("Bearer \xff", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_token_is_demanded_wherever_one_is_set(shown: str | None, allowed: bool, host: str) -> None:
    token = new_token()
    headers = {"host": "models.example"} | JSON
    if shown is not None:
        headers["authorization"] = shown.format(token)
    assert refusal(Guard(host, token), headers) is (None if allowed else ErrorCode.UNAUTHENTICATED)


def test_tokens_hold_256_bits_and_are_not_kept() -> None:
    token = new_token()
    assert len(token) == 43
    assert token != new_token()
    assert token not in repr(vars(Guard("127.0.0.1", token)))


def test_short_tokens_are_refused() -> None:
    with pytest.raises(SecurityError, match="5 characters"):
        Guard("127.0.0.1", "short")
