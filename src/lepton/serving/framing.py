"""What the bytes of HTTP/1.1 mean beyond what the parser checks, and how an answer is written."""

from __future__ import annotations

from http import HTTPStatus

from lepton.core import ErrorCode, ServingError, printable
from lepton.serving.guard import SECURITY_HEADERS
from lepton.serving.protocols.base import JSON, Response

__all__ = ["AnswerWriter", "has_body", "target_path", "too_large"]

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_FIXED_HEADERS = b"server: lepton\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in SECURITY_HEADERS)
_PAGE_HEADERS = b"\r\n".join(  # a page brings a policy of its own
    line for line in _FIXED_HEADERS.split(b"\r\n") if not line.startswith(b"content-security-policy")
)


_MOST_KNOWN = 64


class AnswerWriter:
    """Writes answers; what all of them share is put together once a second."""

    def __init__(self) -> None:
        self._date = self._ok = b""
        self._known: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}

    def tell_time(self, now: str) -> None:
        """Say from now on that it is `now`, in the form of HTTP."""
        self._date = f"date: {now}\r\n".encode("ascii")
        self._ok = b"%b%b%bcontent-type: application/json\r\ncontent-length: " % (
            _STATUS_LINES[200],
            _FIXED_HEADERS,
            self._date,
        )
        self._known.clear()

    def written(
        self, response: Response, request_id: str, *, keep_alive: bool = True, version: str = "1.1", head: bool = False
    ) -> bytes:
        """An answer as it goes over the wire; of one that is streamed, what stands before its parts.

        Args:
            response: the answer.
            request_id: of what it answers.
            keep_alive: whether more may follow on the connection.
            version: of HTTP, that the request is in.
            head: leave the body out, as `HEAD` wants it.
        """
        body = response.body
        plain = response.status == 200 and response.content_type == JSON and not response.headers
        if plain and keep_alive and version == "1.1" and not head:  # nearly all
            return b"%b%d\r\nx-request-id: %b\r\n\r\n%b" % (self._ok, len(body), request_id.encode("ascii"), body)
        if response.status == 200 and keep_alive and version == "1.1" and not head and response.stream is None:
            before = self._before(response.content_type, response.headers)
            return b"%b%d\r\nx-request-id: %b\r\n\r\n%b" % (before, len(body), request_id.encode("ascii"), body)
        framing = f"content-length: {len(body)}\r\n"
        if response.stream is not None:
            framing = "" if version == "1.0" else "transfer-encoding: chunked\r\n"
        lines = [
            _STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} \r\n".encode(),
            _FIXED_HEADERS if response.content_type[:9] != "text/html" else _PAGE_HEADERS,
            self._date,
            f"content-type: {response.content_type}\r\n{framing}x-request-id: {request_id}\r\n".encode("ascii"),
        ]
        lines += [f"{name}: {value}\r\n".encode("ascii") for name, value in response.headers]
        if not keep_alive:
            lines.append(b"connection: close\r\n")
        elif version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"\r\n")
        if not head:
            lines.append(body)
        return b"".join(lines)

    def _before(self, content_type: str, headers: tuple[tuple[str, str], ...]) -> bytes:
        """What stands before the length of an answer with these headers, as long as the time is the same."""
        key = (content_type, headers)
        before = self._known.get(key)
        if before is None:
            fixed = _FIXED_HEADERS if content_type[:9] != "text/html" else _PAGE_HEADERS
            more = "".join(f"{name}: {value}\r\n" for name, value in (("content-type", content_type), *headers))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            before = self._known[key] = b"%b%b%b%bcontent-length: " % (
                _STATUS_LINES[200],
                fixed,
                self._date,
                more.encode("ascii"),
            )
        return before


def target_path(target: bytes, headers: dict[str, str], version: str) -> str:
    """The path of a target in origin form or absolute form; the host stands in one place only."""
    host = headers.get("host")
    if host is None and version == "1.1":
        raise ServingError(ErrorCode.BAD_REQUEST, "the request has no Host header")
    text = target.decode("ascii", "replace")
    if text[:7].lower() == "http://":
        authority, slash, rest = text[7:].partition("/")
        if authority.lower() != (host or "").lower():
            raise ServingError(ErrorCode.BAD_REQUEST, "the target and the Host header name different hosts")
        text = slash + rest or "/"
    path, _, _ = text.partition("?")
    if path[:1] != "/" or "#" in text or "\ufffd" in text:
        raise ServingError(ErrorCode.BAD_REQUEST, f"the target is {printable(text, 80)!r}", wanted="a path")
    return path


def has_body(headers: dict[str, str], version: str, max_body: int) -> bool:
    """Whether a body follows; refuses every framing that two parsers could read in two ways."""
    length = headers.get("content-length")
    encoding = headers.get("transfer-encoding")
    if encoding is not None:
        if length is not None or version == "1.0" or encoding.strip().lower() != "chunked":
            raise ServingError(
                ErrorCode.BAD_REQUEST,
                f"the body is framed as {printable(encoding, 40)!r}",
                wanted="Content-Length, or Transfer-Encoding: chunked alone in HTTP/1.1",
            )
        return True
    size = int(length) if length and length.isascii() and length.isdigit() else 0
    if size > max_body:
        raise too_large(f"{size} bytes", max_body)
    return size > 0


def too_large(came: str, max_body: int) -> ServingError:
    """What a caller hears whose body is larger than a body may be."""
    return ServingError(
        ErrorCode.TOO_LARGE,
        f"the body has {came}",
        wanted=f"at most {max_body} bytes",
        fix="send fewer rows at once, or start the server with a larger --max-body",
        details={"max_body": max_body},
    )
