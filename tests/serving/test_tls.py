"""TLS of both listeners, with certificates that are made here."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from lepton.core import DataError, ErrorCode, LeptonError, SecurityError, UsageError
from lepton.serving import Server, Tls
from lepton.serving.protocols.messages import SERVICE
from tests.serving.certificates import Pair, make

ROWS = [{"rooms": 1.0, "town": "Basel", "garden": True}]


@dataclass
class Pairs:
    folder: Path
    authority: Pair
    server: Pair
    caller: Pair
    stranger: Pair  # of an authority that nobody knows


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = make(folder, "authority"), make(folder, "other-authority")
    return Pairs(
        folder,
        authority,
        make(folder, "server", authority),
        make(folder, "caller", authority),
        make(folder, "stranger", other),
    )


@pytest.fixture(scope="module")
def secured(pairs: Pairs, bundles: dict[str, Path]) -> Iterator[Server]:
    tls = Tls(pairs.server.certificate, pairs.server.key)
    with Server({"sold": bundles["sold"]}, port=0, grpc_port=0, tls=tls) as server:
        yield server


@pytest.fixture(scope="module")
def mutual(pairs: Pairs, bundles: dict[str, Path]) -> Iterator[Server]:
    tls = Tls(pairs.server.certificate, pairs.server.key, pairs.authority.certificate)
    with Server({"sold": bundles["sold"]}, host="0.0.0.0", port=0, grpc_port=0, tls=tls) as server:
        yield server


def context(pairs: Pairs, caller: Pair | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=pairs.authority.certificate)
    if caller is not None:
        made.load_cert_chain(caller.certificate, caller.key)
    return made


def post(server: Server, made: ssl.SSLContext, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=30, context=made)
    with contextlib.closing(connection):
        sent = {"content-type": "application/json", **headers}
        connection.request("POST", "/v2/models/sold/rows", json.dumps(ROWS), sent)
        response = connection.getresponse()
        response.read()
        return response


def live(server: Server, pairs: Pairs, caller: Pair | None = None) -> bytes:
    files = () if caller is None else (caller.key.read_bytes(), caller.certificate.read_bytes())
    credentials = grpc.ssl_channel_credentials(pairs.authority.certificate.read_bytes(), *files)
    with grpc.secure_channel(f"localhost:{server.grpc_port}", credentials) as channel:
        return bytes(channel.unary_unary(f"/{SERVICE}/ServerLive")(b"", timeout=30))


class TestTls:
    def test_http_and_grpc_answer(self, secured: Server, pairs: Pairs) -> None:
        assert secured.url.startswith("https://")
        assert post(secured, context(pairs)).status == 200
        assert live(secured, pairs) == b"\x08\x01"

    def test_answers_to_several_requests_of_a_connection(self, secured: Server, pairs: Pairs) -> None:
        connection = http.client.HTTPSConnection("127.0.0.1", secured.port, timeout=30, context=context(pairs))
        with contextlib.closing(connection):
            for _ in range(3):
                connection.request("GET", "/v2")
                assert connection.getresponse().read()
            connection.request("GET", "/v2", headers={"connection": "close"})
            assert connection.getresponse().read()

    def test_a_page_of_another_site_is_refused(self, secured: Server, pairs: Pairs) -> None:
        assert post(secured, context(pairs), origin="https://evil.example").status == 403
        assert post(secured, context(pairs), origin=f"https://127.0.0.1:{secured.port}").status == 200
        assert post(secured, context(pairs), origin=f"http://127.0.0.1:{secured.port}").status == 403

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    def test_old_versions_are_not_spoken(self, secured: Server, pairs: Pairs) -> None:
        old = context(pairs)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            post(secured, old)

    def test_ciphers_without_forward_secrecy_are_not_spoken(self, secured: Server, pairs: Pairs) -> None:
        weak = context(pairs)
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("AES128-SHA:AES256-SHA:ECDHE-ECDSA-AES128-SHA")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            post(secured, weak)

    def test_who_speaks_plainly_is_cut_off_and_the_server_lives(self, secured: Server, pairs: Pairs) -> None:
        for port in (secured.port, secured.grpc_port):
            with socket.create_connection(("127.0.0.1", port or 0), 30) as connection:
                connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                with contextlib.suppress(ConnectionError):
                    while data := connection.recv(4096):
                        assert b"200 OK" not in data
        assert post(secured, context(pairs)).status == 200
        assert live(secured, pairs) == b"\x08\x01"


class TestMutualTls:
    def test_callers_with_a_certificate_need_no_token(self, mutual: Server, pairs: Pairs) -> None:
        assert post(mutual, context(pairs, pairs.caller)).status == 200
        assert live(mutual, pairs, pairs.caller) == b"\x08\x01"

    def test_pages_of_other_sites_are_refused_all_the_same(self, mutual: Server, pairs: Pairs) -> None:
        assert post(mutual, context(pairs, pairs.caller), origin="https://evil.example").status == 403

    def test_what_changes_models_needs_a_token_all_the_same(self, mutual: Server, pairs: Pairs) -> None:
        made = context(pairs, pairs.caller)
        connection = http.client.HTTPSConnection("127.0.0.1", mutual.port, timeout=30, context=made)
        with contextlib.closing(connection):
            connection.request("POST", "/v2/repository/index", "{}", {"content-type": "application/json"})
            assert connection.getresponse().status == 401

    @pytest.mark.parametrize("who", ["nobody", "stranger"])
    def test_others_are_refused(self, mutual: Server, pairs: Pairs, who: str) -> None:
        caller = pairs.stranger if who == "stranger" else None
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.BadStatusLine)):
            post(mutual, context(pairs, caller))
        with pytest.raises(grpc.RpcError) as caught:
            live(mutual, pairs, caller)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    def test_without_certificates_of_callers_a_token_is_needed(self, pairs: Pairs, bundles: dict[str, Path]) -> None:
        tls = Tls(pairs.server.certificate, pairs.server.key)
        with pytest.raises(SecurityError, match="certificates of the callers"):
            Server({"sold": bundles["sold"]}, host="0.0.0.0", port=0, tls=tls)


class TestFiles:
    def refused(self, *files: Any) -> LeptonError:
        with pytest.raises(LeptonError) as caught:
            Tls(*files).context()
        return caught.value

    def test_those_that_are_not_there(self, pairs: Pairs) -> None:
        missing = pairs.folder / "missing.pem"
        for files in ((missing, pairs.server.key), (pairs.server.certificate, missing)):
            assert isinstance(self.refused(*files), DataError)
        assert self.refused(pairs.server.certificate, pairs.server.key, missing).code is ErrorCode.NOT_FOUND

    def test_the_key_of_another_certificate(self, pairs: Pairs) -> None:
        error = self.refused(pairs.server.certificate, pairs.caller.key)
        assert error.code is ErrorCode.BAD_KEY
        assert "caller-key.pem" in str(error)

    def test_an_encrypted_key_asks_nobody(self, pairs: Pairs) -> None:
        locked = make(pairs.folder, "locked", pairs.authority, password=b"secret")
        assert "not encrypted" in str(self.refused(locked.certificate, locked.key))

    def test_what_is_no_certificate(self, pairs: Pairs) -> None:
        assert "holds no certificate" in str(self.refused(pairs.server.key, pairs.server.key))
        assert "holds no certificate" in str(
            self.refused(pairs.server.certificate, pairs.server.key, pairs.authority.key)
        )

    def test_a_certificate_that_is_over(self, pairs: Pairs) -> None:
        over = make(pairs.folder, "over", pairs.authority, days=-1)
        assert "valid today" in str(self.refused(over.certificate, over.key))

    def test_some_files_alone(self, pairs: Pairs) -> None:
        for given in ((pairs.server.certificate, None, None), (None, None, pairs.authority.certificate)):
            with pytest.raises(UsageError, match="--tls-cert and --tls-key"):
                Tls.of(*given)
        assert Tls.of(None, None) is None
