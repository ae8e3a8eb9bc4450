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
from functools import lru_cache

from lepton.core import ErrorCode, SecurityError, ServingError, printable
from lepton.serving.allowances import Allowances
from lepton.serving.protocols.base import JSON, Request
from lepton.serving.protocols.binary import BINARY, HEADER
from lepton.serving.protocols.media import FILES, MULTIPART, PLAIN_TEXT, TABLES, media_of

__all__ = ["SECURITY_HEADERS", "Guard", "is_loopback", "new_token", "unsupported"]

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
        unix: the address is a path, which the file system guards, and which no page of a browser reaches.
        scheme: `https` where callers come by TLS.
        strangers: whether callers of other machines get as far as this without a certificate; None takes it of `host`.
        allowances: further tokens, each with what it allows.

    Raises:
        SecurityError: an address that others reach, without a token.
    """

    def __init__(
        self,
        host: str,
        token: str | None = None,
        *,
        insecure_no_token: bool = False,
        unix: bool = False,
        scheme: str = "http",
        strangers: bool | None = None,
        allowances: Allowances | None = None,
    ) -> None:
        if token is not None and len(token) < 16:
            raise SecurityError(ErrorCode.BAD_KEY, f"got a token of {len(token)} characters", wanted="at least 16")
        self._loopback = is_loopback(host)
        self._allowances = allowances
        # No token has a hash of no bytes, so where there is none that of others alone is taken.
        self._token_hash = _hashed(token) if token is not None else b"" if allowances is not None else None
        self._scheme = scheme
        if strangers is None:
            strangers = not self._loopback
        # A page of a browser comes as whoever is before it: by loopback, or with a certificate.
        self._own_pages_alone = not (strangers or unix)
        if strangers and self._token_hash is None and not insecure_no_token:
            raise SecurityError(
                ErrorCode.UNTRUSTED,
                f"the address {printable(host)!r} is reached by other machines, and there is no token",
                wanted="a loopback address, a token, or certificates of the callers",
                fix="bind 127.0.0.1, set a token, or pass --insecure-no-token where something else guards the port",
            )

    def check(self, request: Request, *, open: bool = False) -> None:  # noqa: A002 - as of a route
        """Raise `ServingError` unless this caller may send this request; `open` addresses need no token."""
        headers = request.headers
        if self._token_hash is not None:
            if not open:
                self._check_token(request)
        elif self._own_pages_alone and request.message is None:
            if self._loopback and self._scheme == "http":
                _check_same_machine(headers)
            _check_page(headers, self._scheme)
        if request.method == "POST" and request.message is None:  # no page speaks gRPC
            _check_content(headers, self._token_hash is not None)

    def check_control(self, request: Request) -> None:
        """Raise `ServingError` unless `check` has seen a token: what changes a server is done with one alone."""
        if request.allowance is not None and not request.allowance.limit.control:
            raise ServingError(
                ErrorCode.UNAUTHENTICATED,
                f"the token '{request.allowance.name}' may not change what is served",
                wanted="a token with 'control: true', or the one that the server was started with",
            )
        if self._token_hash is None:
            raise ServingError(
                ErrorCode.UNAUTHENTICATED,
                "this server was started without a token, and models are changed with one alone",
                fix="start it with a token: lepton serve … --require-token",
            )

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        shown = _hashed(token.strip())
        known = scheme.lower() == "bearer"
        if known and not hmac.compare_digest(shown, self._token_hash or b""):
            request.allowance = None if self._allowances is None else self._allowances.of(shown)
            known = request.allowance is not None
        if not known:
            raise ServingError(
                ErrorCode.UNAUTHENTICATED,
                "the request shows no valid token",
                wanted="the header 'Authorization: Bearer <token>' with the token that the server was started with",
            )


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _check_same_machine(headers: Mapping[str, str]) -> None:
    host = headers.get("host", "")
    if not _is_own(host):
        raise ServingError(
            ErrorCode.FORBIDDEN_ORIGIN,
            f"the request's Host is {printable(host)!r}",
            wanted="127.0.0.1, localhost or [::1]: this server has no token and answers its own machine alone",
            fix="call it by a loopback address, or start it with a token",
        )


def _check_page(headers: Mapping[str, str], scheme: str) -> None:
    origin = headers.get("origin")
    if origin is not None and origin != f"{scheme}://{headers.get('host', '')}":
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


@lru_cache(16)  # callers name one or two hosts, and taking an address apart costs more than the rest of the guard
def _is_own(host: str) -> bool:
    return is_loopback(_without_port(host))


def _without_port(host: str) -> str:
    if host.startswith("["):
        address, bracket, port = host[1:].partition("]")
        port = port.removeprefix(":") if bracket else "?"
    else:
        address, _, port = host.partition(":")
    return address.lower() if port == "" or (port.isascii() and port.isdigit()) else ""


def _check_content(headers: Mapping[str, str], has_token: bool) -> None:
    if "content-encoding" in headers:
        raise ServingError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"the body is encoded as {printable(headers['content-encoding'], 40)!r}",
            wanted="no Content-Encoding",
        )
    given = headers.get("content-type")
    if given is None or given == JSON:
        return  # A page cannot leave out its Origin, which is checked; Triton's own client sends no type.
    essence, parameters = media_of(given)
    if essence == BINARY and HEADER in headers:
        return  # A page cannot send such a header to another origin without asking first.
    if essence in TABLES or (essence in FILES and essence != PLAIN_TEXT):
        return  # Nor such a type.
    if essence in {MULTIPART, PLAIN_TEXT}:
        if has_token or headers.get("sec-fetch-site") == "same-origin" or "x-request-id" in headers:
            return  # What a page can send anywhere comes with a token, from a page of ours, or with a header as above.
        raise ServingError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {'a form' if essence == MULTIPART else 'plain text'}, which pages of other sites can send,"
            " too, and this server has no token",
            wanted="it with the header X-Request-Id, which they cannot send",
            fix="add -H 'x-request-id: 1', or send the file itself with its type",
        )
    is_json = essence == JSON or (essence.startswith("application/") and essence.endswith("+json"))
    if not is_json or parameters.keys() - {"charset"} or parameters.get("charset", "utf-8").lower() != "utf-8":
        raise unsupported(given)


def unsupported(given: str) -> ServingError:
    """What is said of a content type that the address does not take."""
    return ServingError(
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        f"the body is {printable(given, 80)!r}",
        wanted=f"application/json in UTF-8, or {BINARY} with Inference-Header-Content-Length;"
        f" for rows also {', '.join((*TABLES, *FILES, MULTIPART))}",
    )
