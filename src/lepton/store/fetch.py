"""The one fetcher of URLs: public addresses only, each looked up once, checked, and connected to as it was checked.

Nothing of the environment has a say: no proxies, no cookies, no stored passwords. A redirect is a new URL, checked
like the first. Time and size are limited, and what arrives is whole or an error (promise S10, decision 0100).
"""

from __future__ import annotations

import http
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import httptools

from lepton.core import ErrorCode, SecurityError, StoreError, Work, show_duration, show_size
from lepton.store.files import replace_file, scratch_folder
from lepton.store.unpack import check_ratio
from lepton.store.urls import (
    AllowedHosts,
    FetchLimits,
    WebAddress,
    allow_fix,
    parse_url,
    redirected,
    refused_network,
)
from lepton.version import __version__

__all__ = ["FetchLimits", "fetch", "safe_file_name"]

Resolver = Callable[[str, int], Sequence[str]]
"""Host and port → the IP addresses of the host, as texts."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200
_HEAD_BYTES = 64 * 2**10
_RECEIVED = 2**18
_TRIED_ADDRESSES = 4
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")

_failed = partial(StoreError, ErrorCode.FETCH_FAILED)


@contextmanager
def fetch(
    url: str,
    *,
    limits: FetchLimits | None = None,
    allow: Sequence[str] = (),
    work: Work | None = None,
    resolve: Resolver | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Path]:
    """Fetch `url` to a temporary file, which is removed at exit. Its name is the last part of the URL's path.

    Args:
        url: `http://` or `https://`.
        limits: of time and size.
        allow: `host:port` that may be reached although they are not public.
        work: stops it, hears of its progress, and names the folder for temporary files.
        resolve: looks up hosts; by default the system does.
        tls: whom to trust; by default those whom the system trusts.

    Raises:
        SecurityError: `FORBIDDEN_URL` for an address that is not allowed, at the start or after a redirect.
        StoreError: `FETCH_FAILED` where the host cannot be reached, answers with an error, stops early, or takes or
            sends too much.
    """
    work = Work.of(work)
    limits = limits or FetchLimits()
    fetcher = _Fetcher(limits, AllowedHosts(allow), work, resolve or look_up, tls or _trusting_the_system())
    address = parse_url(url)
    with scratch_folder(work.resources.scratch) as folder:
        yield fetcher.download(address, folder)


def look_up(host: str, port: int) -> list[str]:
    """The IP addresses of `host` by the system, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def safe_file_name(text: str) -> str:
    """A file name from the end of an address: letters, digits, `.`, `_` and `-` only, never hidden.

    >>> safe_file_name("/data/part%201.csv.gz"), safe_file_name("/%2e%2e/"), safe_file_name("/a/..%2f..%2fx")
    ('part_1.csv.gz', 'download', 'x')
    """
    last = re.split(r"[/\\]", unquote(text))[-1]
    return _UNUSUAL.sub("_", last).lstrip(".")[-100:] or "download"


def _trusting_the_system() -> ssl.SSLContext:
    # ssl.create_default_context would also write session keys to the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context


@dataclass(frozen=True, slots=True)
class _Fetcher:
    """What holds for every hop of one fetch."""

    limits: FetchLimits
    allowed: AllowedHosts
    work: Work
    resolve: Resolver
    tls: ssl.SSLContext

    def download(self, address: WebAddress, folder: Path) -> Path:
        """Follow `address` to the end and write what comes to a file in `folder`."""
        deadline = time.monotonic() + self.limits.total
        first = address
        for _ in range(self.limits.redirects + 1):
            self.work.check()
            with closing(self._connected(address, deadline)) as connection:
                answer = _Answer(connection, address, self.limits, deadline)
                answer.ask()
                if answer.status not in _REDIRECTS:
                    name = safe_file_name(first.path)
                    path = folder / (name if "." in name else safe_file_name(address.path))
                    self._write(answer, path)
                    return path
                address = redirected(address, answer.only_header("location"))
        raise _failed(
            f"{first} redirects more than {self.limits.redirects} times", fix="give the address that it ends at"
        )

    def _connected(self, address: WebAddress, deadline: float) -> socket.socket:
        """A connection to one of the host's addresses, after every one of them was checked."""
        self.allowed.check_port(address)
        try:
            found = list(self.resolve(address.host, address.port))
        except (OSError, UnicodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is no host name"
            raise _failed(
                f"the host {address.host!r} is not known: {said}", fix="check its spelling and the network"
            ) from None
        if not found:
            raise _failed(f"the host {address.host!r} has no address")
        if not self.allowed.includes(address.host, address.port):
            for candidate in found:
                if network := refused_network(candidate):
                    raise SecurityError(
                        ErrorCode.FORBIDDEN_URL,
                        f"{address} leads to {network}",
                        wanted="a host that is public in all its addresses",
                        fix=allow_fix(address),
                    )
        refusals = []
        for candidate in found[:_TRIED_ADDRESSES]:
            seconds = min(self.limits.connect, deadline - time.monotonic())
            if seconds <= 0:
                break
            try:
                return self._encrypted(socket.create_connection((candidate, address.port), seconds), address)
            except OSError as error:
                if isinstance(error, ssl.SSLError):
                    raise _not_encrypted(error, address) from None
                refusals.append("no answer in time" if isinstance(error, TimeoutError) else str(error.strerror))
        raise _failed(
            f"{address} cannot be reached: {refusals[-1] if refusals else 'time is over'}",
            fix="check that the host runs and that this machine may reach it; proxies are not used",
        )

    def _encrypted(self, plain: socket.socket, address: WebAddress) -> socket.socket:
        if address.scheme == "http":
            return plain
        try:
            return self.tls.wrap_socket(plain, server_hostname=address.host, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise

    def _write(self, answer: _Answer, path: Path) -> None:
        with replace_file(path) as file:
            for piece in answer.pieces():
                self.work.check()
                file.write(piece)
                self.work.report(answer.received, answer.announced, "bytes", note="fetching")


def _not_encrypted(error: ssl.SSLError, address: WebAddress) -> StoreError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _failed(
            f"{address} does not prove who it is: {error.verify_message}",
            fix="if it is a server of your own, install the certificate of its authority on this machine",
        )
    return _failed(f"{address} does not speak TLS as it should: {error.reason or error.strerror}")


class _Answer:
    """One request and its answer; httptools reads it strictly and calls the methods `on_*`."""

    def __init__(self, connection: socket.socket, address: WebAddress, limits: FetchLimits, deadline: float) -> None:
        self.connection = connection
        self.address = address
        self.limits = limits
        self.deadline = deadline
        self.received = 0
        self.status = 0
        self.announced: int | None = None
        self._headers: dict[str, list[str]] = {}
        self._body: list[bytes] = []
        self._headed = False
        self._done = False
        self._parser = httptools.HttpResponseParser(self)

    # --- what httptools calls ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if not self._headed:  # what came before was an interim answer
            self._headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed:
            self._headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())

    def on_headers_complete(self) -> None:
        if not self._headed:
            self.status = self._parser.get_status_code()
            self._headed = self.status >= _OK

    def on_body(self, data: bytes) -> None:
        if not self._done:
            self._body.append(data)

    def on_message_complete(self) -> None:
        self._done = self._headed

    # --- what the fetcher calls ----------------------------------------------------------------------------------

    def ask(self) -> None:
        """Send the request and read the head of the answer; an error status is an error."""
        head = (
            f"GET {self.address.target} HTTP/1.1\r\nHost: {self.address.authority}\r\n"
            f"User-Agent: lepton/{__version__}\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
        )
        until = min(self.deadline, time.monotonic() + self.limits.read)
        try:
            self.connection.settimeout(self.limits.read)
            self.connection.sendall(head.encode("ascii"))
        except OSError as error:
            raise self._broke_off(error) from None
        size = 0
        while not self._headed:
            size += (arrived := self._receive(until))
            if not arrived:
                raise _failed(f"{self.address} closed the connection without an answer", fix="try again later")
            if size > _HEAD_BYTES + _RECEIVED:
                raise _failed(f"{self.address} sends a head that does not end")
        if self.status != _OK and self.status not in _REDIRECTS:
            raise self._error_status()

    def pieces(self) -> Iterator[bytes]:
        """The body in pieces, unpacked, whole at the end or an error."""
        self.announced = self._length()
        unpacker = self._unpacker()
        written = 0
        while True:
            arrived, self._body = self._body, []
            for data in arrived:
                self.received += len(data)
                self._check_size(self.received)
                for piece in [data] if unpacker is None else self._unpack(unpacker, data):
                    written += len(piece)
                    self._check_size(written)
                    check_ratio(self.received, written, str(self.address))
                    yield piece
            if self._done:
                break
            if not self._receive(self.deadline) and not self._body:
                break
        ends_with_connection = self.announced is None and "transfer-encoding" not in self._headers
        if not self._done and not ends_with_connection:
            raise self._cut_off()
        if unpacker is not None and not unpacker.eof:
            raise self._cut_off()

    def only_header(self, name: str) -> str:
        """The value of a header that must be there once."""
        values = self._headers.get(name, [])
        if len(values) != 1:
            raise _failed(f"{self.address} answers {self.status} with {len(values)} headers {name!r}", wanted="one")
        return values[0]

    # --- how -----------------------------------------------------------------------------------------------------

    def _receive(self, until: float) -> int:
        """Read once and parse; the number of bytes that came, 0 at the end of the stream."""
        seconds = min(self.limits.read, until - time.monotonic())
        if seconds <= 0:
            raise self._too_slow()
        try:
            self.connection.settimeout(seconds)
            data = self.connection.recv(_RECEIVED)
        except OSError as error:
            raise self._broke_off(error) from None
        try:
            if data:
                self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._done:  # what follows the answer is nobody's
                raise _failed(
                    f"{self.address} does not answer in HTTP: {type(error).__name__}", fix="check host and port"
                ) from None
        return len(data)

    def _length(self) -> int | None:
        if "content-length" not in self._headers:
            return None
        length = int(self.only_header("content-length"))  # digits: httptools has seen to that
        self._check_size(length)
        return length

    def _unpacker(self) -> zlib._Decompress | None:
        encoding = ",".join(self._headers.get("content-encoding", [])).lower()
        if encoding in {"", "identity"}:
            return None
        if encoding not in {"gzip", "x-gzip"}:
            raise _failed(f"{self.address} answers in the encoding {encoding[:40]!r}", wanted="plain or gzip")
        return zlib.decompressobj(wbits=31)

    def _unpack(self, unpacker: zlib._Decompress, data: bytes) -> Iterator[bytes]:
        try:
            while data and not unpacker.eof:
                yield unpacker.decompress(data, _RECEIVED)
                data = unpacker.unconsumed_tail
        except zlib.error:
            raise _failed(f"{self.address} sends damaged gzip") from None
        if unpacker.unused_data:
            raise _failed(f"{self.address} sends more behind the end of its gzip stream")

    def _check_size(self, size: int) -> None:
        if size > self.limits.size:
            raise _failed(
                f"{self.address} sends more than {show_size(self.limits.size)}",
                fix="allow more with max_download= or --max-download, or fetch a part of it",
                details={"limit": self.limits.size},
            )

    def _error_status(self) -> StoreError:
        try:
            phrase = http.HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "no known status"
        fix = {404: "check the address", 401: "it asks for credentials: use a signed URL", 403: "use a signed URL"}
        return _failed(
            f"{self.address} answers {self.status} {phrase}",
            wanted="200 OK",
            fix=fix.get(self.status, "try again later" if self.status >= 500 else ""),
            details={"status": self.status},
        )

    def _cut_off(self) -> StoreError:
        of_all = "" if self.announced is None else f" of {show_size(self.announced)}"
        return _failed(
            f"{self.address} stopped early, after {show_size(self.received)}{of_all}",
            fix="try again; nothing of it was kept",
            details={"received": self.received, "announced": self.announced},
        )

    def _too_slow(self) -> StoreError:
        waited = self.limits.total if time.monotonic() >= self.deadline else self.limits.read
        return _failed(
            f"{self.address} is too slow: {show_size(self.received)} arrived before {show_duration(waited)} were over",
            fix="try again later; nothing of it was kept",
        )

    def _broke_off(self, error: OSError) -> StoreError:
        if isinstance(error, TimeoutError):
            return self._too_slow()
        return self._cut_off() if self._headed else _failed(f"{self.address} broke the connection off")
