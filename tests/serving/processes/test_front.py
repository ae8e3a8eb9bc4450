"""Several processes behind TLS and one port of gRPC."""

from __future__ import annotations

import http.client
import ssl
import threading
from pathlib import Path

import grpc
import pytest

from lepton.core import UsageError
from lepton.serving import Sources, Tls
from lepton.serving.address import bind_port
from lepton.serving.processes.supervisor import Supervisor
from lepton.serving.protocols.messages import SERVICE, message_class
from tests.serving.certificates import make
from tests.serving.models import write_scaled


def test_every_process_answers_over_tls_and_grpc(tmp_path: Path) -> None:
    authority = make(tmp_path, "authority")
    pair = make(tmp_path, "server", authority)
    write_scaled(tmp_path / "a.lepton", 2.0)
    with bind_port("127.0.0.1", 0) as free:
        grpc_port = free.getsockname()[1]
    supervisor = Supervisor(
        Sources([tmp_path / "a.lepton"]),
        processes=2,
        port=0,
        grpc_port=grpc_port,
        tls=Tls(pair.certificate, pair.key, authority.certificate),
    )
    announced = threading.Event()
    thread = threading.Thread(target=supervisor.serve_forever, args=(lambda _: announced.set(),))
    thread.start()
    try:
        assert announced.wait(60)
        assert supervisor.url == f"https://127.0.0.1:{supervisor.port}"
        made = ssl.create_default_context(cafile=authority.certificate)
        made.load_cert_chain(pair.certificate, pair.key)
        credentials = grpc.ssl_channel_credentials(
            authority.certificate.read_bytes(), pair.key.read_bytes(), pair.certificate.read_bytes()
        )
        request = message_class("ModelMetadataRequest")(name="a").SerializeToString()
        for number in range(8):
            connection = http.client.HTTPSConnection("127.0.0.1", supervisor.port, timeout=30, context=made)
            connection.request("GET", "/v2/models/a")
            assert connection.getresponse().status == 200
            connection.close()
            options = [("grpc.use_local_subchannel_pool", 1), ("number", number)]
            with grpc.secure_channel(f"localhost:{grpc_port}", credentials, options) as channel:
                assert channel.unary_unary(f"/{SERVICE}/ModelMetadata")(request, timeout=30)
    finally:
        supervisor.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_a_free_port_of_grpc_would_be_another_for_each(tmp_path: Path) -> None:
    write_scaled(tmp_path / "a.lepton", 2.0)
    with pytest.raises(UsageError, match="one for all"):
        Supervisor(Sources([tmp_path / "a.lepton"]), processes=2, port=0, grpc_port=0)
