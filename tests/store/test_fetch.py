"""The fetcher against real servers on this machine: what it takes, and that nothing reaches a canary (H081 to H092)."""

import gzip
import http.server
import ipaddress
import ssl
import threading
import time
import zlib

import pytest

from lepton.core import (
    DataError,
    ErrorCode,
    Interrupted,
    ProgressRecord,
    Resources,
    SecurityError,
    StoreError,
    UsageError,
    Work,
)
from lepton.store.fetch import FetchLimits, fetch, look_up, safe_file_name
from tests.store.web import body, redirect, says, serving

QUICK = FetchLimits(size=2**20, connect=1.0, read=0.4, total=2.0)
TABLE = b"rooms,price\n2,100\n3,150\n"


def fetched(url, server=None, **options):
    options.setdefault("limits", QUICK)
    if server is not None:
        options.setdefault("allow", server.allowed)
    with fetch(url, **options) as path:
        return path.read_bytes()


def refused(url, server=None, **options):
    with pytest.raises(StoreError) as caught:
        fetched(url, server, **options)
    assert caught.value.code is ErrorCode.FETCH_FAILED
    return str(caught.value)


def forbidden(url, server=None, **options):
    with pytest.raises(SecurityError) as caught:
        fetched(url, server, **options)
    assert caught.value.code is ErrorCode.FORBIDDEN_URL
    return str(caught.value)


# --- what is taken -----------------------------------------------------------------------------------------------


def test_a_file_is_fetched_from_a_plain_web_server(tmp_path):
    (tmp_path / "table.csv").write_bytes(TABLE)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=tmp_path)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        with fetch(f"http://127.0.0.1:{port}/table.csv?a=b", allow=[f"127.0.0.1:{port}"]) as path:
            assert path.name == "table.csv"
            assert path.read_bytes() == TABLE
        assert not path.exists()
        server.shutdown()


@pytest.mark.parametrize(
    "script",
    [
        body(TABLE),
        body(gzip.compress(TABLE), "Content-Encoding: gzip"),
        body(TABLE, "Content-Encoding: identity"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"c\r\n", TABLE[:12], b"\r\n", b"c\r\n",
             TABLE[12:], b"\r\n0\r\nTrailer: x\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\n\r\n", TABLE),
        says(b"HTTP/1.0 200 OK\r\n\r\n", TABLE),
        says(b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
             b"Content-Length: 24\r\n\r\n", TABLE),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n", TABLE,
             b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"),
    ],
    ids=["length", "gzip", "identity", "chunked", "until the end", "old", "interim", "a second answer"],
)  # fmt: skip
def test_every_framing_is_read(script):
    with serving(script) as server:
        assert fetched(server.url(), server) == TABLE


def test_the_request_says_little_and_nothing_secret(monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(body(TABLE, "Set-Cookie: canary=1")) as server:
        fetched(server.url("/a?b=c#fragment"), server)
        fetched(server.url("/a?b=c"), server)
    for request in server.requests:
        lines = request.decode().split("\r\n")
        assert lines[0] == "GET /a?b=c HTTP/1.1"
        assert {line.split(":")[0] for line in lines[1:] if line} == {
            *("Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"),
        }
        assert "canary" not in request.decode()


def test_redirects_are_followed_and_the_file_is_called_by_an_address_with_an_ending():
    with serving(lambda c, head: (redirect("/final.csv?x") if b"/latest" in head else body(TABLE))(c, head)) as server:
        with fetch(server.url("/latest"), allow=server.allowed) as path:
            assert path.name == "final.csv"
            assert path.read_bytes() == TABLE
        assert server.connections == 2


def test_work_hears_of_progress_and_stops_it():
    seen: list[ProgressRecord] = []
    with serving(body(b"x" * 900_000)) as server:
        fetched(server.url(), server, work=Work(reporter=seen.append))
        assert seen[-1].done == seen[-1].total == 900_000
        work = Work(reporter=lambda _: work.cancel.set())
        with pytest.raises(Interrupted):
            fetched(server.url(), server, work=work)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/b.csv", "b.csv"),
        ("/a/", "download"),
        ("/", "download"),
        ("/%2e%2e%2f%2e%2e%2fcanary", "canary"),
        ("/..%5c..%5ccanary.csv", "canary.csv"),
        ("/.bashrc", "bashrc"),
        ("/-rf", "-rf"),
        ("/" + "a" * 300 + ".csv", "a" * 96 + ".csv"),
        ("/b%C3%BCcher%00.csv", "b_cher_.csv"),
    ],
)
def test_a_file_name_comes_from_the_address_and_stays_in_its_folder(path, name):
    assert safe_file_name(path) == name


def test_the_server_does_not_name_the_file():
    with (
        serving(body(TABLE, 'Content-Disposition: attachment; filename="../../canary"')) as server,
        fetch(server.url("/a.csv"), allow=server.allowed) as path,
    ):
        assert path.name == "a.csv"


# --- where it may go ---------------------------------------------------------------------------------------------

INSIDE = [
    *("127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "100.100.100.200", "192.168.1.1", "224.0.0.1", "::1"),
    *("::ffff:127.0.0.1", "fd00:ec2::254", "fe80::1", "64:ff9b::7f00:1", "2002:7f00:1::"),
]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost.", "0.0.0.0", "[::ffff:127.0.0.1]", "LOCALHOST"])
def test_nothing_reaches_this_machine(host):
    with serving(body(TABLE)) as canary:
        assert "this machine" in forbidden(canary.url(host=host))
        assert canary.connections == 0


def test_the_canary_is_hit_where_the_check_is_off():
    with serving(body(TABLE)) as canary:
        assert fetched(canary.url(host="localhost"), allow=[f"localhost:{canary.port}"]) == TABLE
        assert canary.connections == 1


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_refused(address):
    with serving(body(TABLE)) as canary:
        forbidden(canary.url(host="good.example"), resolve=lambda *_: [address])
        assert canary.connections == 0


@pytest.mark.parametrize("addresses", [["1.1.1.1", "127.0.0.1"], ["127.0.0.1", "1.1.1.1"], ["2606:4700::1", "::1"]])
def test_one_address_inside_among_others_is_enough(addresses):
    with serving(body(TABLE)) as canary:
        forbidden(canary.url(host="mixed.example"), resolve=lambda *_: addresses)
        assert canary.connections == 0


def test_a_host_is_looked_up_once_so_that_a_second_answer_does_not_matter():
    answers = []

    def rebinding(host, port):
        answers.append(host)
        return ["192.0.2.1"] if len(answers) > 1 else ["127.0.0.1"]

    with serving(body(TABLE)) as server:
        allow = [f"rebind.example:{server.port}"]
        assert fetched(server.url(host="rebind.example"), allow=allow, resolve=rebinding) == TABLE
        assert answers == ["rebind.example"]
        assert f"Host: rebind.example:{server.port}".encode() in server.requests[0]


def test_public_first_private_second_reaches_nothing():
    answers = iter([["127.0.0.2"], ["127.0.0.1"]])
    with serving(body(TABLE)) as canary:
        forbidden(canary.url(host="rebind.example"), resolve=lambda *_: next(answers))
        assert canary.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_inside_is_refused(status):
    with serving(body(TABLE)) as canary, serving(redirect(canary.url(), status)) as server:
        message = forbidden(server.url(), server)
        assert canary.connections == 0
        assert f"--allow-host 127.0.0.1:{canary.port}" in message
        assert fetched(server.url(), allow=[*server.allowed, *canary.allowed]) == TABLE  # the negative control
        assert canary.connections == 1


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://a/", "gopher://a", "http://me:canary@127.0.0.1/", "http://127.1/", "//\\a"],
)
def test_a_redirect_to_what_is_no_web_address_is_refused(location):
    with serving(redirect(location)) as server:
        assert "canary" not in forbidden(server.url(), server)


def test_the_same_host_at_another_port_is_not_allowed():
    with serving(body(TABLE)) as canary, serving(body(TABLE)) as server:
        forbidden(canary.url(), server)
        assert canary.connections == 0


def test_redirects_end():
    with serving(lambda c, head: redirect("/a" + head.split()[1].decode())(c, head)) as server:
        assert "more than 5 times" in refused(server.url("/"), server)
        assert server.connections == 6


@pytest.mark.parametrize("headers", [b"", b"Location: /a\r\nLocation: /b\r\n"])
def test_a_redirect_without_one_goal_is_refused(headers):
    with serving(says(b"HTTP/1.1 302 Found\r\n", headers, b"Content-Length: 0\r\n\r\n")) as server:
        assert "location" in refused(server.url(), server)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"])
def test_no_proxy_of_the_environment_is_used(name, monkeypatch):
    with serving(body(b"proxied")) as canary, serving(body(TABLE)) as server:
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
        assert fetched(server.url(), server) == TABLE
        assert canary.connections == 0


@pytest.mark.parametrize("error", [OSError(-2, "Name or service not known"), UnicodeError("bad label")])
def test_a_host_that_is_not_known_is_named(error):
    def unknown(host, port):
        raise error

    assert "nowhere.example" in refused("http://nowhere.example/a?token=canary", resolve=unknown)


def test_a_host_without_addresses_is_refused():
    assert "no address" in refused("http://nowhere.example/", resolve=lambda *_: [])


def test_the_next_address_is_tried_and_the_last_reason_told():
    with serving(body(TABLE)) as server:
        allow = [f"two.example:{server.port}"]
        found = fetched(server.url(host="two.example"), allow=allow, resolve=lambda *_: ["127.0.0.9", "127.0.0.1"])
        assert found == TABLE
        port = server.port
    assert "refused" in refused(f"http://127.0.0.1:{port}/", allow=[f"127.0.0.1:{port}"])


def test_the_system_looks_up():
    assert all(ipaddress.ip_address(address).is_loopback for address in look_up("localhost", 80))


# --- what an answer may be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "says_so"),
    [
        (body(b"", status="404 Not Found"), "404 Not Found"),
        (body(b"", status="500 canary"), "500 Internal"),
        (body(b"", status="299 canary"), "299"),
        (body(b"", status="206 Partial Content"), "206"),
        (body(b"", status="304 Not Modified"), "304"),
        (body(TABLE, "Content-Encoding: br"), "encoding 'br'"),
        (body(TABLE, "Content-Encoding: gzip"), "damaged gzip"),
        (body(gzip.compress(TABLE)[:-9], "Content-Encoding: gzip"), "stopped early"),
        (body(gzip.compress(TABLE) + b"more", "Content-Encoding: gzip"), "behind the end"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", TABLE), "stopped early, after 24 B of 30 B"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n", TABLE), "stopped early"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", TABLE), "HTTP"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", TABLE), "HTTP"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\n", TABLE), "HTTP"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\nTransfer-Encoding: chunked\r\n\r\n", TABLE), "HTTP"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n", TABLE), "HTTP"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", TABLE), "more than 1.05 MB"),
        (says(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_100_000), "more than 1.05 MB"),
        (says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"), "HTTP"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "HTTP"),
        (says(b"\x16\x03\x01\x02\x00"), "HTTP"),
        (says(b""), "without an answer"),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n"), "without an answer"),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000), "does not end"),
        (says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200_000), "does not end"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_whole_is_an_error(script, says_so):
    with serving(script) as server:
        message = refused(server.url("/a?token=canary"), server)
    assert says_so in message
    assert "canary" not in message


def test_a_gzip_bomb_is_given_up_early():
    packed = zlib.compressobj(9, wbits=31)
    bomb = packed.compress(bytes(200 * 2**20)) + packed.flush()
    limits = FetchLimits(read=5.0, total=20.0)
    with serving(body(bomb, "Content-Encoding: gzip")) as server, pytest.raises(DataError, match="unpacks"):
        fetched(server.url(), server, limits=limits)
    with serving(body(bomb, "Content-Encoding: gzip")) as server:
        assert "more than 1.05 MB" in refused(server.url(), server)


def silent_after(start):
    def script(connection, _):
        connection.sendall(start)
        time.sleep(1.0)

    return script


def dripping(head, drop=b"x"):
    def script(connection, _):
        connection.sendall(head)
        for _ in range(100):
            time.sleep(0.05)
            connection.sendall(drop)

    return script


@pytest.mark.parametrize(
    "script",
    [
        silent_after(b""),
        dripping(b"HTTP/1.1 200 OK\r\nX: "),
        dripping(b"HTTP/1.1 200 OK\r\n\r\n"),
        silent_after(b"HTTP/1.1 200 OK\r\n\r\nabc"),
    ],
    ids=["silent", "dripping head", "dripping body", "silent later"],
)
def test_slow_servers_are_left(script):
    limits = FetchLimits(read=0.4, total=0.8)
    with serving(script) as server:
        began = time.monotonic()
        assert "too slow" in refused(server.url(), server, limits=limits)
        assert time.monotonic() - began < 1.4


def test_an_error_leaves_no_file_behind(tmp_path):
    with serving(says(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", TABLE)) as server:
        refused(server.url(), server, work=Work(resources=Resources(scratch=tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("allow", ["127.0.0.1:80", ["127.0.0.1"]])
def test_allow_is_a_list_of_hosts_with_ports(allow):
    with pytest.raises(UsageError):
        fetched("http://127.0.0.1/", allow=allow)


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A folder with `ca.pem`, and `host.pem` for `table.example` signed by it."""
    x509 = pytest.importorskip("cryptography.x509", reason="making certificates needs the library cryptography")
    import datetime as dt

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("authority")
    now = dt.datetime.now(dt.UTC)

    def certificate(name, issuer, key, issuer_key, days, *extensions):
        build = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        build = build.issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        build = build.public_key(key.public_key()).serial_number(x509.random_serial_number())
        build = build.not_valid_before(now - dt.timedelta(days=9)).not_valid_after(now + dt.timedelta(days=days))
        for extension, critical in extensions:
            build = build.add_extension(extension, critical=critical)
        return build.sign(issuer_key, hashes.SHA256())

    def pem(key):
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    root = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = certificate("CA", "CA", root, root, 9, (x509.BasicConstraints(True, None), True), (usage, True))
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    names = x509.SubjectAlternativeName([x509.DNSName("table.example")])
    for file, signer, days in (("host", root, 9), ("old", root, -1), ("own", None, 9)):
        key = ec.generate_private_key(ec.SECP256R1())
        made = certificate("table.example", "CA", key, signer or key, days, (names, False))
        (folder / f"{file}.pem").write_bytes(pem(key) + made.public_bytes(serialization.Encoding.PEM))
    return folder


def tls_serving(authority, name, script=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / f"{name}.pem")
    return serving(script or body(TABLE), tls=context)


def over_tls(server, authority, host="table.example"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority / "ca.pem")
    options = {"allow": [f"{host}:{server.port}"], "resolve": lambda *_: ["127.0.0.1"], "tls": context}
    return server.url(host=host, scheme="https"), options


def test_tls_checks_the_name_of_the_url_at_the_pinned_address(authority):
    with tls_serving(authority, "host") as server:
        url, options = over_tls(server, authority)
        assert fetched(url, **options) == TABLE


@pytest.mark.parametrize(
    ("name", "host"), [("host", "other.example"), ("old", "table.example"), ("own", "table.example")]
)
def test_a_certificate_that_does_not_hold_is_refused(authority, name, host):
    with tls_serving(authority, name) as server:
        url, options = over_tls(server, authority, host)
        assert "does not prove who it is" in refused(url, **options)
        assert server.requests == []


def test_an_authority_that_the_system_does_not_know_is_refused(authority):
    with tls_serving(authority, "host") as server:
        url, options = over_tls(server, authority)
        assert "does not prove" in refused(url, **{**options, "tls": None})


def test_a_redirect_to_plain_http_is_refused(authority):
    with serving(body(TABLE)) as canary, tls_serving(authority, "host", redirect(canary.url())) as server:
        url, options = over_tls(server, authority)
        options["allow"] += canary.allowed
        assert "not encrypted" in forbidden(url, **options)
        assert canary.connections == 0


def test_plain_http_at_a_tls_port_and_the_other_way_round(authority):
    with serving(body(TABLE)) as server:
        refused(server.url(scheme="https"), server)
    with tls_serving(authority, "host") as server:
        refused(server.url(), server)


def test_a_tls_stream_that_is_cut_off_is_no_end(authority):
    def cut(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + TABLE)
        connection.detach()  # the socket goes without the message that ends TLS

    with tls_serving(authority, "host", cut) as server:
        url, options = over_tls(server, authority)
        refused(url, **options)


def test_session_keys_are_not_written(authority, monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with tls_serving(authority, "host") as server:
        url, options = over_tls(server, authority)
        refused(url, **{**options, "tls": None})
    assert not (tmp_path / "keys").exists()
