"""One strict reading of URLs, and the networks that are closed."""

import ipaddress

import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, SecurityError, UsageError
from lepton.store.urls import AllowedHosts, is_url, parse_url, redirected, refused_network, scheme_of


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("http://example.org", "http://example.org/"),
        ("HTTP://EXAMPLE.org.:80/a?b#c", "http://example.org/a?b"),
        ("https://example.org:443/a", "https://example.org/a"),
        ("https://example.org:8443/a/%20b", "https://example.org:8443/a/%20b"),
        ("http://good#@bad", "http://good/"),
        ("http://good/@bad", "http://good/@bad"),
        ("http://good?@bad/", "http://good/?@bad/"),
        ("http://[2606:4700::0]/", "http://[2606:4700::]/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("http://example.org/bücher.csv", "http://example.org/b%C3%BCcher.csv"),
    ],
)
def test_a_url_is_read_in_one_way(text, read):
    assert parse_url(text).url == read


@pytest.mark.parametrize(
    "text",
    [
        # other schemes (H087)
        *("file:///etc/passwd", "ftp://a/b", "gopher://a", "data:text/csv,a", "jar:http://a!/b", "dict://a:11211/"),
        *(
            "unix:///run/a.sock",
            "s3://bucket/a",
            "git+ssh://a/b",
            "javascript:alert(1)",
            "//example.org/a",
            "a.csv",
            "",
        ),
        # addresses in disguise (H082)
        *("http://2130706433/", "http://0177.0.0.1/", "http://0x7f.1/", "http://127.1/", "http://0x7f000001/"),
        *("http://1.2.3.4.5/", "http://256.1.1.1/", "http://1.2.3.0x4/", "http://a.0x/", "http://127.0.0.1.:99999/"),
        # what readers disagree about (H085)
        *("http://good\\@bad/", "http://good\\bad/", "http://a\tb/", "http://a\nb/", "http://a b/", " http://a/"),
        *(
            "http://good@bad/",
            "http://user:secret@bad/",
            "http://@bad/",
            "http://a%2fb/",
            "http://a%00b/",
            "http://a:b/",
        ),
        *("http://ａ.example/", "http://example。org/", "http://１２７.0.0.1/", "http://[::1%25lo]/", "http://[::1]a/"),
        *(
            "http://a:0/",
            "http://a:65536/",
            "http://a:/",
            "http://a..b/",
            "http://.a/",
            "http:///a",
            "http://",
            "http:a",
        ),
        *(f"http://{'a' * 64}.org/", f"http://{'a.' * 127}org/", "http://a/" + "b" * 9000, "http://a/\ud800"),
        *("http://a/\u202e", "http://a/\x00", "http://a/\x7f"),
    ],
)
def test_what_is_no_plain_web_address_is_refused(text):
    with pytest.raises(SecurityError) as caught:
        parse_url(text)
    assert caught.value.code is ErrorCode.FORBIDDEN_URL


@pytest.mark.parametrize("url", ["https://me:canary@host/a", "https://canary@host/a?b", "http://canary:@[::1]/"])
def test_credentials_are_refused_and_not_repeated(url):
    with pytest.raises(SecurityError) as caught:
        parse_url(url)
    assert "canary" not in f"{caught.value} {caught.value.details}"


def test_an_address_shows_neither_query_nor_fragment():
    address = parse_url("https://host/a?token=canary#canary")
    assert "canary" in address.url
    assert "canary" not in f"{address} {address!r}"


def test_a_url_is_text():
    with pytest.raises(UsageError, match="int"):
        parse_url(5)  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_a_host_is_never_read_from_elsewhere(text):
    try:
        address = parse_url("http://" + text)
    except SecurityError:
        return
    authority = text.split("/")[0].split("?")[0].split("#")[0].lower()
    spelled = f"[{address.host}]" if ":" in address.host else address.host
    assert authority.startswith(spelled) or ipaddress.IPv6Address(address.host) == ipaddress.IPv6Address(
        authority[1 : authority.index("]")]
    )
    assert address.url.isascii()
    assert parse_url(address.url) == address


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b", "https://host/b"),
        ("b?c", "https://host/a/b?c"),
        ("//other/b", "https://other/b"),
        ("https://other:444/", "https://other:444/"),
    ],
)
def test_a_redirect_is_followed(location, leads_to):
    assert redirected(parse_url("https://host/a/"), location).url == leads_to


@pytest.mark.parametrize(
    "location",
    [
        *("http://host/a", "file:///etc/passwd", "ftp://a/", "//user:pw@host/", "\\\\host\\a", "http:\\\\host", "/a b"),
        *("https://[::1/", "https://[a]/", "javascript:alert(1)", "https://127.1/", "\x00", "https://h\u3002org/"),
    ],
)
def test_a_redirect_is_read_as_strictly(location):
    with pytest.raises(SecurityError):
        redirected(parse_url("https://host/a/"), location)


CLOSED = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a00:1", "64:ff9b:1::1", "fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001::1"),
    *("2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1", "100::1", "5f00::1", "2001:10::1", "fd00:ec2::254"),
]
OPEN = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_public_is_closed(address):
    assert refused_network(address)


@pytest.mark.parametrize("address", [*OPEN, "64:ff9b::808:808"])
def test_what_is_public_is_open(address):
    assert refused_network(address) == ""


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_closed(address):
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert refused_network(str(address)) or getattr(address, "ipv4_mapped", None)


def test_an_allowed_host_is_allowed_at_its_port_alone():
    allowed = AllowedHosts(["Intra.net.:8080", "[::1]:99"])
    assert allowed.includes("intra.net", 8080)
    assert allowed.includes("::1", 99)
    assert not allowed.includes("intra.net", 8081)
    assert not allowed.includes("a.intra.net", 8080)


@pytest.mark.parametrize("entries", [["host"], ["host:0"], ["http://host:1"], ["*:80"], ["127.1:80"], "host:80", [5]])
def test_an_allowed_host_is_host_and_port(entries):
    with pytest.raises(UsageError):
        AllowedHosts(entries)


@pytest.mark.parametrize("port", [22, 25, 70, 1023])
def test_ports_of_other_services_are_closed(port):
    address = parse_url(f"http://host:{port}/")
    with pytest.raises(SecurityError, match="port"):
        AllowedHosts().check_port(address)
    AllowedHosts([f"host:{port}"]).check_port(address)
    AllowedHosts().check_port(parse_url("http://host:8080/"))


@pytest.mark.parametrize("text", ["C:/a.csv", "a.csv", "a:b.csv", "data/*.csv", "", "sheet.xlsx#Sales", "x:file"])
def test_a_path_is_no_url(text):
    assert not is_url(text)


@pytest.mark.parametrize("text", ["http://a", " HTTPS://a", "s3://b/c", "file:/etc/a", "data:,a", "jar:file:a"])
def test_a_url_is_known(text):
    assert scheme_of(text)
