"""The messages of gRPC: those of the .proto file, and those that clients of others send."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tritonclient.grpc import service_pb2

from lepton.serving.protocols.messages import SERVICE, message_class

ROOT = Path(__file__).parents[3]
NAMES = sorted(
    name
    for name in service_pb2.DESCRIPTOR.message_types_by_name
    if name in (ROOT / "src/lepton/serving/protocols/open_inference.proto").read_text("utf-8")
)


def test_what_is_generated_is_what_the_proto_file_yields() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    done = subprocess.run([sys.executable, ROOT / "scripts" / "proto.py", "--check"], timeout=60)
    assert done.returncode == 0, "run `make proto`"


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_that_of_clients_of_others(name: str) -> None:
    def fields(message: object) -> dict[str, object]:
        found: dict[str, object] = {}
        for field in message.fields:  # type: ignore[attr-defined]
            inner = field.message_type
            found[field.name] = (field.number, field.type, None if inner is None else inner.name)
            if inner is not None and inner.containing_type is message:
                found[inner.name] = fields(inner)
        return found

    assert fields(message_class(name).DESCRIPTOR) == fields(service_pb2.DESCRIPTOR.message_types_by_name[name])


def test_every_call_is_that_of_clients_of_others() -> None:
    ours = message_class("ModelInferRequest").DESCRIPTOR.file.services_by_name[SERVICE.rpartition(".")[2]]
    theirs = {call.name: call for call in service_pb2.DESCRIPTOR.services_by_name[ours.name].methods}
    assert ours.full_name == SERVICE
    for call in ours.methods:
        other = theirs[call.name]
        assert (call.input_type.name, call.output_type.name) == (other.input_type.name, other.output_type.name)
