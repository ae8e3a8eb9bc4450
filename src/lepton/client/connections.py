"""Connections to one server: over TCP, with TLS, or to a path of this machine."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lepton.core import DataError, ErrorCode, SecurityError, ServingError, UsageError, printable

__all__ = ["BINARY_HEADER", "Connections"]

_AT_ONCE = 2**16
BINARY_HEADER = "inference-header-content-length"


class _AtPath(http.client.HTTPConnection):
    """HTTP over a socket of the file system."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """See the base."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Connections:
    """Idle connections are kept; a thread takes one out, and puts it back after its request.

    Args:
        url: address of the server; see `Client`.
        timeout: seconds to wait for an answer.
        authority: see `Client`.
        certificate: see `Client`.
        key: see `Client`.

    Raises:
        UsageError: an address of another form, files of TLS for an address without it.
        DataError: NOT_FOUND, a file that is not there.
        SecurityError: BAD_KEY, a file that holds no certificate, or not the key of one.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        *,
        authority: str | Path | None = None,
        certificate: str | Path | None = None,
        key: str | Path | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https", "http+unix"} or not parts.netloc:
            raise UsageError(
                ErrorCode.USAGE,
                f"got the address {printable(url)!r}",
                wanted="one such as http://127.0.0.1:8080, or the http+unix://… that a server at a path prints",
            )
        files = (authority, certificate, key)
        if parts.scheme != "https" and any(file is not None for file in files):
            raise UsageError(
                ErrorCode.USAGE, f"got files of TLS for {printable(url)!r}", wanted="an address with https://"
            )
        self._url, self._timeout, self._parts = url.rstrip("/"), timeout, parts
        self._context = _context(*files) if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/")
        self._idle: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Close those that are idle; a later request opens others."""
        while self._idle:
            self._idle.pop().close()

    def exchange(self, *request: Any) -> tuple[int, str | None, bytes]:
        """Send a request (method, path, body, headers); gives status, length of the JSON of a binary answer, body.

        Raises:
            ServingError: NOT_READY, nothing answers; REQUEST_TIMEOUT.
            SecurityError: UNTRUSTED, the server's certificate.
        """
        with self._errors():
            return self._exchange(*request)

    def lines(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[tuple[int, bytes]]:
        """Send a request over a connection of its own; gives the status and each line of the answer as it comes.

        Raises:
            ServingError: NOT_READY, nothing answers, or the answer breaks off; REQUEST_TIMEOUT, no line came in time.
            SecurityError: UNTRUSTED, the server's certificate.
        """
        with self._errors(), contextlib.closing(self._new()) as connection:
            connection.request(method, self._prefix + path, body, headers)
            response = connection.getresponse()
            begun: list[bytes] = []
            while data := response.read1(_AT_ONCE):  # `readline` passes over an answer that breaks off
                *ends, rest = data.split(b"\n")
                for end in ends:
                    if line := b"".join([*begun, end]):
                        yield response.status, line
                    begun.clear()
                begun.append(rest)
            if line := b"".join(begun):
                yield response.status, line

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """What goes wrong on the way as errors of ours."""
        try:
            yield
        except TimeoutError:
            raise ServingError(
                ErrorCode.REQUEST_TIMEOUT, f"{self._url} gave no answer in {self._timeout:g} s"
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise SecurityError(
                ErrorCode.UNTRUSTED,
                f"the certificate of {self._url} is not trusted: {error.verify_message}",
                wanted="one for this name, of an authority that is known",
                fix="give the file with its authority: Client(url, authority=FILE)",
            ) from None
        except http.client.IncompleteRead:
            raise ServingError(ErrorCode.NOT_READY, f"the answer of {self._url} breaks off", fix="try again") from None
        except (OSError, http.client.HTTPException) as error:
            raise ServingError(
                ErrorCode.NOT_READY,
                f"nothing answers at {self._url}: {error}",
                fix="start a server there: lepton serve FILE",
            ) from None

    def _exchange(self, *request: Any) -> tuple[int, str | None, bytes]:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._over(self._new(), *request)
        try:
            return self._over(connection, *request)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()  # the server closed it, and so others, while they were idle
            return self._over(self._new(), *request)

    def _new(self) -> http.client.HTTPConnection:
        parts = self._parts
        if parts.scheme == "http+unix":
            return _AtPath(unquote(parts.netloc), self._timeout)
        if self._context is not None:
            return http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=self._timeout, context=self._context
            )
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self._timeout)

    def _over(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> tuple[int, str | None, bytes]:
        try:
            connection.request(method, self._prefix + path, body, headers)
            response = connection.getresponse()
            data = response.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return response.status, response.getheader(BINARY_HEADER), data


def _context(authority: str | Path | None, certificate: str | Path | None, key: str | Path | None) -> ssl.SSLContext:
    """How TLS is spoken: the server's certificate is always checked."""
    try:
        context = ssl.create_default_context(cafile=authority)
        if certificate is not None:
            context.load_cert_chain(certificate, key, password=_no_password)
    except FileNotFoundError:
        names = ", ".join(str(file) for file in (authority, certificate, key) if file is not None)
        raise DataError(ErrorCode.NOT_FOUND, f"one of these files is not there: {printable(names)}") from None
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SecurityError(
            ErrorCode.BAD_KEY, f"the files of TLS cannot be used: {error}", wanted="certificates and keys in PEM"
        ) from None
    return context


def _no_password() -> str:
    """Refuse an encrypted key: OpenSSL would ask for its password on the terminal."""
    raise ValueError("the key is encrypted")
