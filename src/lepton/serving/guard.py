"""Who may call: the loopback rule and the token rule of contract 10, checked on the head of a request.

A web page in a browser reaches 127.0.0.1 too. What it cannot do is leave out its `Origin` or choose its `Host`, and it
cannot send JSON to another origin without asking first; so these three are what a server without a token checks.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Mapping

from lepton.core import ErrorCode, SecurityError, ServingError, printable
from lepton.serving.protocols.base import Request
from lepton.serving.protocols.binary import BINARY, HEADER

__all__ = ["SECURITY_HEADERS", "Guard", "is_loopback", "new_token"]

SECURITY_HEADERS = (
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
)
"""Headers of every response."""


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without port) is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """A token of 256 random bits, to be shown once."""
    return secrets.token_urlsafe(32)


class Guard:
    """Checks the head of each request.

    Args:
        host: the address that the server binds.
        token: what callers must show as `Authorization: Bearer …`; only its sha256 is kept.
        insecure_no_token: the operator wants a server without a token on an address that others reach.

    Raises:
        SecurityError: an address that others reach, without a token.
    """

    def __init__(self, host: str, token: str | None = None, *, insecure_no_token: bool = False) -> None:
        if token is not None and len(token) < 16:
            raise SecurityError(ErrorCode.BAD_KEY, f"got a token of {len(token)} characters", wanted="at least 16")
        self._loopback = is_loopback(host)
        self._token_hash = None if token is None else _hashed(token)
        if not self._loopback and token is None and not insecure_no_token:
            raise SecurityError(
                ErrorCode.UNTRUSTED,
                f"the address {printable(host)!r} is reached by other machines, and there is no token",
                wanted="a loopback address, or a token",
                fix="bind 127.0.0.1, set a token, or pass --insecure-no-token where something else guards the port",
            )

    def check(self, request: Request) -> None:
        """Raise `ServingError` unless this caller may send this request."""
        headers = request.headers
        if self._token_hash is not None:
            self._check_token(headers)
        elif self._loopback:
            _check_same_machine(headers)
        if request.method == "POST":
            _check_content(headers)

    def check_control(self) -> None:
        """Raise `ServingError` unless `check` has seen a token: what changes a server is done with one alone."""
        if self._token_hash is None:
            raise ServingError(
                ErrorCode.UNAUTHENTICATED,
                "this server was started without a token, and models are changed with one alone",
                fix="start it with a token: lepton serve … --require-token",
            )

    def _check_token(self, headers: Mapping[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        shown = _hashed(token.strip())
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown, self._token_hash or b""):
            raise ServingError(
                ErrorCode.UNAUTHENTICATED,
                "the request shows no valid token",
                wanted="the header 'Authorization: Bearer <token>' with the token that the server was started with",
            )


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _check_same_machine(headers: Mapping[str, str]) -> None:
    host = headers.get("host", "")
    if not is_loopback(_without_port(host)):
        raise ServingError(
            ErrorCode.FORBIDDEN_ORIGIN,
            f"the request's Host is {printable(host)!r}",
            wanted="127.0.0.1, localhost or [::1]: this server has no token and answers its own machine alone",
            fix="call it by a loopback address, or start it with a token",
        )
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        raise ServingError(
            ErrorCode.FORBIDDEN_ORIGIN,
            f"the request comes from the page {printable(origin)!r}",
            wanted="no Origin, or the server's own: this server has no token and answers no foreign pages",
        )
    site = headers.get("sec-fetch-site", "none")
    if site not in {"none", "same-origin"}:
        raise ServingError(
            ErrorCode.FORBIDDEN_ORIGIN, f"the request's Sec-Fetch-Site is {printable(site)!r}", wanted="same-origin"
        )


def _without_port(host: str) -> str:
    if host.startswith("["):
        address, bracket, port = host[1:].partition("]")
        port = port.removeprefix(":") if bracket else "?"
    else:
        address, _, port = host.partition(":")
    return address.lower() if port == "" or (port.isascii() and port.isdigit()) else ""


def _check_content(headers: Mapping[str, str]) -> None:
    if "content-encoding" in headers:
        raise ServingError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"the body is encoded as {printable(headers['content-encoding'], 40)!r}",
            wanted="no Content-Encoding",
        )
    given = headers.get("content-type")
    if given is None:
        return  # A page cannot leave out its Origin, which is checked; Triton's own client sends no type.
    essence, _, parameters = given.partition(";")
    essence = essence.strip().lower()
    if essence == BINARY and HEADER in headers:
        return  # A page cannot send such a header to another origin without asking first.
    is_json = essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))
    charset = parameters.strip().lower().replace('"', "")
    if not is_json or charset not in {"", "charset=utf-8"}:
        raise ServingError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {printable(given, 80)!r}",
            wanted=f"application/json in UTF-8, or {BINARY} with Inference-Header-Content-Length",
        )
