"""What a web address may be: one strict reading of a URL, which addresses are open to it, and what a fetch may take.

Two readers that disagree on a URL are a hole, so there is one, and it refuses what others read differently: back
slashes, white space, user names, host names in other scripts, numbers that are IP addresses in disguise.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urljoin

from lepton.core import ErrorCode, SecurityError, UsageError, printable

__all__ = [
    "AllowedHosts",
    "FetchLimits",
    "WebAddress",
    "allow_fix",
    "is_url",
    "parse_url",
    "redirected",
    "refused_network",
    "scheme_of",
]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_WITHOUT_SLASHES = frozenset({"file", "data", "jar", "javascript", "mailto", "ldap", "gopher", "dict"})
_PARTS = re.compile(r"(?P<scheme>[^:]+)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_KEPT = "%/:@!$&'()*+,;=~?-._[]"
_LONGEST = 8192
_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024

_REFUSED_4: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this machine"),
    ("10.0.0.0/8", "a private network"),
    ("100.64.0.0/10", "a carrier's private network"),
    ("127.0.0.0/8", "this machine"),
    ("169.254.0.0/16", "the local link, where cloud machines keep their secrets"),
    ("172.16.0.0/12", "a private network"),
    ("192.0.0.0/24", "a reserved network"),
    ("192.0.2.0/24", "a reserved network"),
    ("192.88.99.0/24", "a reserved network"),
    ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "a private network"),
    ("198.51.100.0/24", "a reserved network"),
    ("203.0.113.0/24", "a reserved network"),
    ("224.0.0.0/4", "a multicast group"),
    ("240.0.0.0/4", "a reserved network"),
)
_REFUSED_6: tuple[tuple[str, str], ...] = (
    ("::1/128", "this machine"),
    ("::/128", "this machine"),
    ("fe80::/10", "the local link"),
    ("fc00::/7", "a private network"),
    ("ff00::/8", "a multicast group"),
    ("2001::/23", "a reserved network"),
    ("2001:db8::/32", "a reserved network"),
    ("2002::/16", "a tunnel to another network"),
    ("3fff::/20", "a reserved network"),
)
_NETWORKS_4 = tuple((ipaddress.IPv4Network(network), what) for network, what in _REFUSED_4)
_NETWORKS_6 = tuple((ipaddress.IPv6Network(network), what) for network, what in _REFUSED_6)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_forbidden = partial(SecurityError, ErrorCode.FORBIDDEN_URL)


def scheme_of(text: str) -> str:
    """The scheme of `text` in lower case if it can only be a URL, "" otherwise: `C:/a.csv` and `a:b.csv` are paths.

    >>> scheme_of("HTTPS://example.org/a.csv"), scheme_of("a.csv"), scheme_of("file:/etc/hosts")
    ('https', '', 'file')
    """
    match = _SCHEME.match(text.lstrip())
    if match is None:
        return ""
    scheme = match[1].lower()
    return scheme if text.lstrip()[match.end() :].startswith("//") or scheme in _WITHOUT_SLASHES else ""


def is_url(text: str) -> bool:
    """Whether `text` can only be a URL."""
    return bool(scheme_of(text))


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A URL that was read.

    Attributes:
        scheme: `http` or `https`.
        host: in lower case, without a final dot; an IPv6 address without brackets.
        port: 1 to 65535.
        path: percent-encoded, at least `/`.
        query: with its question mark, or "". It may hold a token: it is sent and never shown.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """What is asked of the host."""
        return self.path + self.query

    @property
    def url(self) -> str:
        """The whole, without fragment. Not for messages: see `str`."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def __str__(self) -> str:
        return printable(f"{self.scheme}://{self.authority}{self.path}", 120)

    __repr__ = __str__


def parse_url(text: str) -> WebAddress:
    """Read the URL `text`.

    Raises:
        SecurityError: `FORBIDDEN_URL` for another scheme, credentials, or what readers of URLs disagree about. The
            message never repeats what could be a secret.
        UsageError: no text.

    >>> parse_url("https://Example.org:443/a b.csv".replace(" ", "%20")).url
    'https://example.org/a%20b.csv'
    """
    if not isinstance(text, str):
        raise UsageError(ErrorCode.USAGE, f"got a URL of type {type(text).__name__}", wanted="text")
    if len(text) > _LONGEST:
        raise _forbidden(f"the URL has {len(text):,} characters", wanted=f"at most {_LONGEST:,}")
    if found := _UNSAFE.search(text):
        raise _forbidden(
            f"the URL holds the character {found[0].encode('unicode_escape', 'surrogatepass').decode()!r}",
            wanted="no white space, back slash or hidden character",
            fix="write it percent-encoded, such as %20 for a space",
        )
    scheme = text.partition(":")[0].lower()
    if scheme not in _PORTS:
        raise _forbidden(f"the scheme {printable(scheme, 40)!r} is not fetched", wanted="http or https")
    match = _PARTS.fullmatch(text)
    if match is None or not match["authority"]:
        raise _forbidden("the URL names no host", wanted=f"{scheme}://host/path")
    host, port = _host_and_port(match["authority"], _PORTS[scheme])
    query = match["query"] or ""
    return WebAddress(scheme, host, port, quote(match["path"] or "/", safe=_KEPT), quote(query, safe=_KEPT))


def redirected(address: WebAddress, location: str) -> WebAddress:
    """Where `address` leads when it answers with `location`.

    Raises:
        SecurityError: as `parse_url`; and for a way from https to http.
    """
    if found := _UNSAFE.search(location):
        raise _forbidden(f"{address} redirects to an address that holds {found[0].encode('unicode_escape').decode()!r}")
    try:
        joined = urljoin(address.url, location)
    except ValueError:
        raise _forbidden(f"{address} redirects to what is no address") from None
    new = parse_url(joined)
    if address.scheme == "https" and new.scheme == "http":
        raise _forbidden(f"{address} redirects to {new}, which is not encrypted", wanted="https to the end")
    return new


def _host_and_port(authority: str, usual: int) -> tuple[str, int]:
    if "@" in authority:
        raise _forbidden(
            "the URL holds a user name or password",
            wanted="a URL without credentials, which end up in histories and logs",
            fix="use a signed URL, or a store's own scheme such as s3://, whose credentials come from the environment",
        )
    if not authority.isascii():
        raise _forbidden(
            f"the host {printable(authority, 60)!r} is not in ASCII", fix="write it in its ASCII form, 'xn--...'"
        )
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise _forbidden(f"the host {printable(authority, 60)!r} is no host name", wanted="host or host:port")
    port = usual if match["port"] is None else int(match["port"])
    if not 1 <= port <= 65535:
        raise _forbidden(f"the URL names the port {port}", wanted="1 to 65535")
    return _checked_host(match["host"].lower()), port


def _checked_host(host: str) -> str:
    """A host name or address in one spelling; numbers that other readers take for addresses are refused."""
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(host[1:-1]))
        host = host.removesuffix(".")
        labels = host.split(".")
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
            return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise _forbidden(
            f"the host {printable(host, 60)!r} is no address in its usual spelling", wanted="four numbers of 0 to 255"
        ) from None
    if len(host) > 253 or not all(1 <= len(label) <= 63 for label in labels):
        raise _forbidden(f"the host {printable(host, 60)!r} is no host name")
    return host


def refused_network(address: str) -> str:
    """What network the IP `address` belongs to if it is not a public one, else "".

    IPv6 addresses that carry an IPv4 address (mapped, NAT64) are judged by that.

    >>> refused_network("10.1.2.3"), refused_network("::ffff:127.0.0.1"), refused_network("93.184.215.14")
    ('a private network', 'this machine', '')
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if isinstance(found, ipaddress.IPv4Address):
        named = next((what for network, what in _NETWORKS_4 if found in network), "")
    else:
        named = next((what for network, what in _NETWORKS_6 if found in network), "")
        if not named and found not in _GLOBAL_6:
            named = "a reserved network"
    return named or ("" if found.is_global else "a reserved network")


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a fetch may take.

    Attributes:
        size: bytes that may arrive, and bytes that they may unpack to.
        connect: seconds until a connection stands, encryption included.
        read: seconds of silence, and seconds until the whole head of an answer is there.
        total: seconds for everything.
        redirects: how many are followed.
    """

    size: int = 4 * 2**30
    connect: float = 10.0
    read: float = 30.0
    total: float = 3600.0
    redirects: int = 5


class AllowedHosts:
    """Hosts that may be reached although they are not public: `host:port`, exactly.

    >>> AllowedHosts(["data.intranet:8080"]).includes("data.intranet", 8081)
    False
    """

    def __init__(self, entries: Sequence[str] = ()) -> None:
        if isinstance(entries, str):
            raise UsageError(ErrorCode.USAGE, f"got the text {entries!r}", wanted="a list of 'host:port'")
        self._pairs = frozenset(map(_pair, entries))

    def includes(self, host: str, port: int) -> bool:
        """Whether `host` may be reached at `port`, wherever it is."""
        return (host, port) in self._pairs

    def check_port(self, address: WebAddress) -> None:
        """Refuse ports below 1024 other than the scheme's own: mail and shell servers misread a request as commands."""
        if (
            address.port < _FIRST_FREE_PORT
            and address.port not in _PORTS.values()
            and not self.includes(address.host, address.port)
        ):
            raise _forbidden(
                f"{address} is at port {address.port}", wanted="80, 443, or a port from 1024 on", fix=allow_fix(address)
            )


def allow_fix(address: WebAddress) -> str:
    """How to allow an address that is refused."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"if you trust it, allow_hosts=['{host}:{address.port}'], or --allow-host {host}:{address.port}"


def _pair(entry: str) -> tuple[str, int]:
    match = _AUTHORITY.fullmatch(str(entry))
    if match is None or match["port"] is None or not 1 <= int(match["port"]) <= 65535:
        raise UsageError(ErrorCode.USAGE, f"got the allowed host {entry!r}", wanted="'host:port'")
    try:
        return _checked_host(match["host"].lower()), int(match["port"])
    except SecurityError as error:
        raise UsageError(ErrorCode.USAGE, error.came, wanted="'host:port'") from None
