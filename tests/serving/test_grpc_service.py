"""gRPC: NVIDIA's client unchanged, and what a stranger can send."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from lepton.bundle import Predictor
from lepton.core import CATALOGUE, ErrorCode, MissingExtraError, ServingError, UsageError
from lepton.serving import Limits, Server
from lepton.serving.allowances import Allowance, Allowances, Limit
from lepton.serving.batching import Job, Lane
from lepton.serving.grpc_service import ERROR_CODE, STATUSES, GrpcService, status_of
from lepton.serving.http2 import frames
from lepton.serving.http2.hpack import Decoder, literal
from lepton.serving.protocols.messages import SERVICE, message_class
from lepton.serving.pulse import Pulse
from tests.serving.models import write_scaled
from tests.serving.services.conftest import wait_for
from tests.serving.wire import Echo, Pending

TOKEN = "a token of enough characters"
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "DEADLINE_EXCEEDED"}
NUMBERS = np.array([[1.0, 0.0], [2.5, 1.0]])
STRINGS = np.array([["Basel"], ["京都"]], dtype=object)


@pytest.fixture(scope="module")
def served(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    slow = write_scaled(tmp_path_factory.mktemp("slow") / "slow.lepton", 2.0, layers=6, width=512)
    models = {**bundles, "slow": slow}
    with Server(models, port=0, grpc_port=0, limits=Limits(max_body=2**20, max_head=8192)) as server:
        yield server


@pytest.fixture(scope="module")
def channel(served: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def client(served: Server) -> Iterator[Any]:
    client = triton.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    yield client
    client.close()


def ask(channel: grpc.Channel, call: str, data: bytes, **options: Any) -> tuple[bytes, dict[str, str]]:
    """The answer to the bytes of a message, and the metadata behind it."""
    answer, ended = channel.unary_unary(f"/{SERVICE}/{call}").with_call(data, timeout=30, **options)
    return answer, dict(ended.trailing_metadata())


def refused(channel: grpc.Channel, call: str, data: bytes, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, call, data, **options)
    return caught.value


def code_of(error: grpc.RpcError) -> str:
    return str(dict(error.trailing_metadata())[ERROR_CODE])


def infer_request(**fields: Any) -> Any:
    """A request to `sold` with the bytes of both tensors."""
    texts = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in STRINGS.ravel())
    request = message_class("ModelInferRequest")(
        model_name="sold",
        inputs=[
            {"name": "numbers", "datatype": "FP64", "shape": [2, 2]},
            {"name": "strings", "datatype": "BYTES", "shape": [2, 1]},
        ],
        raw_input_contents=[NUMBERS.tobytes(), texts],
    )
    request.MergeFrom(message_class("ModelInferRequest")(**fields))
    return request


def triton_inputs() -> list[Any]:
    inputs = [triton.InferInput("numbers", [2, 2], "FP64"), triton.InferInput("strings", [2, 1], "BYTES")]
    inputs[0].set_data_from_numpy(NUMBERS)
    inputs[1].set_data_from_numpy(STRINGS)
    return inputs


class TestTheClientOfTriton:
    def test_health_and_metadata(self, client: Any) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("sold")
        assert client.is_model_ready("sold", "1")
        assert not client.is_model_ready("damaged")
        assert client.get_server_metadata().name == "lepton"
        metadata = client.get_model_metadata("sold")
        assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs] == [
            ("numbers", "FP64", [-1, 2]),
            ("strings", "BYTES", [-1, 1]),
        ]
        assert list(metadata.versions) == ["1"]

    def test_inference_is_that_of_the_model(self, client: Any, sold: Predictor) -> None:
        direct = sold.run({"numbers": NUMBERS, "strings": STRINGS})
        outputs = [triton.InferRequestedOutput(name) for name in ("probabilities", "prediction")]
        for asked, version in itertools.product((outputs, None), ("", "1")):
            result = client.infer(
                "sold", triton_inputs(), version, outputs=asked, request_id="7", timeout=5_000_000, client_timeout=30
            )
            np.testing.assert_array_equal(result.as_numpy("probabilities"), direct["probabilities"])
            assert [text.decode() for text in result.as_numpy("prediction")] == direct["prediction"].tolist()
            assert result.get_response().id == "7"
            assert result.get_response().model_version == "1"

    def test_classes(self, client: Any, sold: Predictor) -> None:
        direct = sold.run({"numbers": NUMBERS, "strings": STRINGS})["probabilities"]
        asked = [triton.InferRequestedOutput("probabilities", class_count=1)]
        found = client.infer("sold", triton_inputs(), outputs=asked).as_numpy("probabilities")
        assert [text.decode() for text in found.ravel()] == [f"{row[1]}:1:yes" for row in direct.tolist()]

    def test_one_tensor_for_each_column(self, client: Any, sold: Predictor) -> None:
        columns = {"rooms": NUMBERS[:, 0], "garden": np.array([False, True]), "town": STRINGS[:, 0]}
        kinds = {"rooms": "FP64", "garden": "BOOL", "town": "BYTES"}
        inputs = []
        for name, values in columns.items():
            inputs.append(triton.InferInput(name, [2], kinds[name]))
            inputs[-1].set_data_from_numpy(values)
        found = client.infer("sold", inputs).as_numpy("probabilities")
        np.testing.assert_array_equal(found, sold.run({"numbers": NUMBERS, "strings": STRINGS})["probabilities"])

    def test_streams_go_on_after_an_error(self, client: Any) -> None:
        import queue

        came: queue.Queue[tuple[Any, Any]] = queue.Queue()
        client.start_stream(lambda result, error: came.put((result, error)))
        for model in ("sold", "nobody", "sold"):
            client.async_stream_infer(model, triton_inputs())
        answers = [came.get(timeout=30) for _ in range(3)]
        client.stop_stream()
        assert [error is None for _, error in answers] == [True, False, True]
        assert "no model 'nobody'" in str(answers[1][1])

    def test_many_at_once_are_answered_each_with_its_own(self, channel: grpc.Channel) -> None:
        def call(number: int) -> bool:
            values = np.full((1, 512), float(number))
            request = message_class("ModelInferRequest")(
                model_name="slow", id=str(number), raw_input_contents=[values.tobytes()]
            )
            request.inputs.add(name="numbers", datatype="FP64", shape=[1, 512])
            answer = message_class("ModelInferResponse").FromString(
                ask(channel, "ModelInfer", request.SerializeToString())[0]
            )
            (value,) = np.frombuffer(answer.raw_output_contents[0])
            return bool(answer.id == str(number) and value == number * 2.0 * 512)

        with ThreadPoolExecutor(32) as pool:
            assert all(pool.map(call, range(64)))

    def test_messages_larger_than_every_window_go_both_ways_side_by_side(self, served: Server) -> None:
        values = np.random.default_rng(0).normal(size=(20_000, 2))
        texts = struct.pack("<I", 5) + b"Basel"
        request = infer_request()
        shaped(0, *values.shape)(request)
        shaped(1, len(values), 1)(request)
        request.raw_input_contents[:] = [values.tobytes(), texts * len(values)]
        data = request.SerializeToString()
        assert len(data) > 2**18
        with grpc.insecure_channel(served.grpc_address) as channel, ThreadPoolExecutor(8) as pool:
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            answers = list(pool.map(lambda _: call(data, timeout=60), range(16)))
        assert len(answers[0]) > 2**18
        assert len(set(answers)) == 1

    def test_a_message_in_many_parts_and_metadata_of_bytes(self, served: Server) -> None:
        async def ask() -> list[bytes]:
            async with grpc.aio.insecure_channel(served.grpc_address) as channel:
                call = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
                found = call(metadata=[("key-bin", bytes(range(256)))])
                for _ in range(3):
                    await found.write(infer_request().SerializeToString())
                await found.done_writing()
                return [answer async for answer in found]

        answers = asyncio.run(ask())
        read = [message_class("ModelStreamInferResponse").FromString(answer) for answer in answers]
        assert [answer.infer_response.model_name for answer in read] == ["sold"] * 3


class TestErrors:
    def test_every_row_of_the_catalogue_has_a_status(self) -> None:
        for record in CATALOGUE.values():
            assert record.http_status in STATUSES
            assert hasattr(grpc.StatusCode, status_of(record.http_status))
        assert status_of(299) == "INTERNAL"

    def test_the_code_stands_in_the_metadata_behind(self, channel: grpc.Channel) -> None:
        request = infer_request()
        request.model_name = "nobody"
        error = refused(channel, "ModelInfer", request.SerializeToString(), metadata=[("x-request-id", "mine")])
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert code_of(error) == "unknown-model"
        assert "no model 'nobody'" in error.details()
        assert dict(error.trailing_metadata())["x-request-id"] == "mine"

    def test_a_model_that_is_not_ready_says_why(self, channel: grpc.Channel) -> None:
        request = infer_request()
        request.model_name = "damaged"
        error = refused(channel, "ModelInfer", request.SerializeToString())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert code_of(error) == "not-ready"
        assert dict(error.trailing_metadata())["retry-after"] == "1"

    def test_a_request_id_comes_back(self, channel: grpc.Channel) -> None:
        data = infer_request().SerializeToString()
        _, behind = ask(channel, "ModelInfer", data, metadata=[("x-request-id", "seven"), ("other-bin", b"\0\1")])
        assert behind["x-request-id"] == "seven"
        assert len(ask(channel, "ModelInfer", data)[1]["x-request-id"]) == 32

    def test_control_needs_a_token(self, channel: grpc.Channel) -> None:
        error = refused(channel, "RepositoryIndex", b"")
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED

    def test_a_deadline_that_is_over_is_said(self, channel: grpc.Channel) -> None:
        def call(timeout: int) -> str:
            request = slow_request(parameters={"timeout": {"int64_param": timeout}})
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer").future(request.SerializeToString(), timeout=30)
            ended = call.exception()
            return "answered" if ended is None else f"{ended.code().name} {code_of(ended)}"

        with ThreadPoolExecutor(32) as pool:
            assert set(pool.map(call, [1] * 64)) <= {"answered", "DEADLINE_EXCEEDED deadline-passed"}


def slow_request(**fields: Any) -> Any:
    """A request to `slow`."""
    given = {"name": "numbers", "datatype": "FP64", "shape": [1, 512]}
    raw = [np.zeros(512).tobytes()]
    return message_class("ModelInferRequest")(model_name="slow", inputs=[given], raw_input_contents=raw, **fields)


def changed(change: Callable[[Any], object]) -> bytes:
    request = infer_request()
    change(request)
    return bytes(request.SerializeToString())


def raw(position: int, data: bytes) -> Callable[[Any], object]:
    def change(request: Any) -> None:
        request.raw_input_contents[position] = data

    return change


def shaped(position: int, *shape: int) -> Callable[[Any], object]:
    def change(request: Any) -> None:
        del request.inputs[position].shape[:]
        request.inputs[position].shape.extend(shape)

    return change


def typed(position: int, **contents: Any) -> Callable[[Any], object]:
    """Contents of one input in place of the raw ones; the other's are right."""

    def change(request: Any) -> None:
        del request.raw_input_contents[:]
        request.inputs[0].contents.fp64_contents.extend([1, 0, 2.5, 1])
        request.inputs[1].contents.bytes_contents.extend([b"Basel", b"x"])
        request.inputs[position].contents.Clear()
        for field, values in contents.items():
            getattr(request.inputs[position].contents, field).extend(values)

    return change


def field(path: str, value: Any) -> Callable[[Any], object]:
    def change(request: Any) -> None:
        *places, name = path.split(".")
        for place in places:
            request = request[int(place)] if place.isdigit() else getattr(request, place)
        setattr(request, name, value)

    return change


def parameter(name: str, **value: Any) -> Callable[[Any], object]:
    return lambda request: request.parameters[name].MergeFrom(message_class("InferParameter")(**value))


def output(name: str, **parameters: dict[str, Any]) -> Callable[[Any], object]:
    return lambda request: request.outputs.add(name=name, parameters=parameters)


HOSTILE: dict[str, bytes | Callable[[Any], object]] = {
    "nothing": b"",
    "no message": b"\xff" * 40,
    "a length that is a lie": b"\x3a\xff\xff\xff\xff\x0f",
    "a name that is not UTF-8": b"\x0a\x02\xff\xfe",
    "no model": field("model_name", ""),
    "a model that is a path": field("model_name", "../../etc/passwd"),
    "a model of many characters": field("model_name", "x" * 100_000),
    "a version that is none": field("model_version", "v/1"),
    "an id that is too long": field("id", "x" * 257),
    "no input": lambda request: request.ClearField("inputs"),
    "no values": lambda request: request.ClearField("raw_input_contents"),
    "an input too many": lambda request: request.inputs.add(name="numbers", datatype="FP64", shape=[2, 2]),
    "raw contents too many": lambda request: request.raw_input_contents.append(b""),
    "an input twice": field("inputs.1.name", "numbers"),
    "an input that is unknown": field("inputs.0.name", "figures"),
    "an input without a name": field("inputs.0.name", ""),
    "a datatype that is unknown": field("inputs.0.datatype", "FP128"),
    "a datatype of another kind": field("inputs.0.datatype", "INT64"),
    "no datatype": field("inputs.0.datatype", ""),
    "too few bytes": raw(0, b"\0" * 31),
    "too many bytes": raw(0, b"\0" * 33),
    "no bytes": raw(0, b""),
    "raw and typed": lambda request: request.inputs[0].contents.fp64_contents.append(1.0),
    "raw and empty typed": lambda request: request.inputs[0].contents.SetInParent(),
    "sizes below 0": shaped(0, -2, -2),
    "sizes that overflow": shaped(0, 2**62, 4),
    "sizes of nothing": shaped(0, 0, 2**62),
    "no rows": lambda request: (shaped(0, 0, 2)(request), raw(0, b"")(request)),
    "no sizes": shaped(0),
    "too many sizes": shaped(0, *[1] * 64, 4),
    "another shape": shaped(0, 4, 1),
    "rows that differ": lambda request: (shaped(1, 1, 1)(request), raw(1, b"\1\0\0\0x")(request)),
    "texts that run over": raw(1, b"\xff\xff\xff\xffBasel"),
    "texts that overlap": raw(1, b"\5\0\0\0Basel\3\0\0\0\0\0"),
    "texts that are not UTF-8": raw(1, b"\1\0\0\0\xff\1\0\0\0x"),
    "texts with NUL": raw(1, b"\1\0\0\0\0\1\0\0\0x"),
    "texts too few": raw(1, b"\1\0\0\0x"),
    "texts too many": raw(1, b"\1\0\0\0x" * 3),
    "typed: too few": typed(0, fp64_contents=[1.0]),
    "typed: none": typed(0),
    "typed: of another field": typed(0, fp32_contents=[1, 2, 3, 4]),
    "typed: of two fields": typed(0, fp64_contents=[1, 2, 3, 4], bool_contents=[True]),
    "typed: not UTF-8": typed(1, bytes_contents=[b"\xff", b"x"]),
    "typed: NUL": typed(1, bytes_contents=[b"\0", b"x"]),
    "typed: FP16": lambda request: (typed(0)(request), field("inputs.0.datatype", "FP16")(request)),
    "typed: out of range": lambda request: (
        typed(0, int_contents=[1, 2, 300, 4])(request),
        field("inputs.0.datatype", "INT8")(request),
    ),
    "a timeout that is a text": parameter("timeout", string_param="soon"),
    "a timeout below 0": parameter("timeout", int64_param=-1),
    "a timeout of nothing": parameter("timeout"),
    "a timeout that is not finite": parameter("timeout", double_param=float("nan")),
    "a priority that is none": parameter("priority", uint64_param=10),
    "an output that is unknown": output("nothing"),
    "an output twice": lambda request: (output("prediction")(request), output("prediction")(request)),
    "classes of texts": output("prediction", classification={"int64_param": 1}),
    "classes below 0": output("probabilities", classification={"int64_param": -1}),
    "classes that are a text": output("probabilities", classification={"string_param": "2"}),
    "shared memory": output("probabilities", shared_memory_region={"string_param": "region"}),
    "too large": lambda request: request.raw_input_contents.append(b"\0" * 2**20),
}


class TestHostileMessages:
    @pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
    def test_are_refused_and_the_server_lives(
        self, channel: grpc.Channel, change: bytes | Callable[[Any], object]
    ) -> None:
        error = refused(channel, "ModelInfer", change if isinstance(change, bytes) else changed(change))
        assert error.code().name in REFUSALS
        assert ask(channel, "ServerLive", b"")[0] == b"\x08\x01"

    @pytest.mark.parametrize("change", [typed(0, fp64_contents=[np.nan, 0, np.inf, 1]), raw(0, b"\xff" * 32)])
    def test_nan_is_a_missing_number(self, channel: grpc.Channel, change: Callable[[Any], object]) -> None:
        answer = message_class("ModelInferResponse").FromString(ask(channel, "ModelInfer", changed(change))[0])
        assert answer.outputs[0].name == "prediction"
        assert list(answer.outputs[0].shape) == [2]

    def test_every_cut_of_a_message_is_refused_or_answered(self, channel: grpc.Channel) -> None:
        data = infer_request().SerializeToString()
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        pending = [call.future(data[:length], timeout=30) for length in range(len(data))]
        assert {one.code().name for one in pending} <= {"INVALID_ARGUMENT", "NOT_FOUND"}

    @pytest.mark.parametrize("call", ["ServerMetadata", "ModelMetadata", "ModelReady", "RepositoryModelLoad"])
    def test_other_calls_say_what_is_wrong(self, channel: grpc.Channel, call: str) -> None:
        assert refused(channel, call, b"\xff" * 3).code().name in {*REFUSALS, "UNAUTHENTICATED"}

    def test_calls_that_are_unknown(self, channel: grpc.Channel) -> None:
        assert refused(channel, "ModelTrain", b"").code() is grpc.StatusCode.UNIMPLEMENTED

    def test_too_much_metadata(self, channel: grpc.Channel) -> None:
        error = refused(channel, "ServerLive", b"", metadata=[("x-long", "x" * 20_000)])
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    def test_a_call_without_a_message(self, channel: grpc.Channel) -> None:
        call = channel.stream_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(iter(()), timeout=30)
        assert code_of(caught.value) == "bad-request"

    def test_what_is_not_http2_is_cut_off(self, served: Server) -> None:
        import socket

        assert served.grpc_port is not None
        with socket.create_connection(("127.0.0.1", served.grpc_port), 30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
            while connection.recv(4096):
                pass


def raw_call(served: Server, headers: list[tuple[str, str]], message: bytes) -> dict[str, str]:
    """What is said at the end of a call that no client of gRPC would send."""
    sent = [(":method", "POST"), (":path", f"/{SERVICE}/ModelInfer"), ("content-type", "application/grpc"), *headers]
    block = b"".join(literal(name, text) for name, text in sent)
    told: dict[str, str] = {}
    with socket.create_connection(("127.0.0.1", served.grpc_port or 0), 60) as connection:
        stream = connection.makefile("rb")
        begun = frames.PREFACE + frames.frame(frames.SETTINGS, 0, 0)
        call = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
        connection.sendall(begun + call + frames.frame(frames.DATA, frames.END_STREAM, 1, message))
        while "grpc-status" not in told:
            head = stream.read(frames.HEAD)
            content = stream.read(int.from_bytes(head[:3], "big"))
            if head[3] == frames.HEADERS:
                told |= dict(Decoder(4096, 8192).decode(content) or [])
    return told


class TestCompressed:
    @pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
    def test_messages_are_unpacked(self, channel: grpc.Channel, algorithm: grpc.Compression) -> None:
        message = infer_request().SerializeToString()
        plain = ask(channel, "ModelInfer", message)[0]
        assert ask(channel, "ModelInfer", message, compression=algorithm)[0] == plain

    def test_by_the_client_of_nvidia(self, client: Any, sold: Predictor) -> None:
        inputs = triton_inputs()
        plain, packed = (client.infer("sold", inputs, compression_algorithm=each) for each in (None, "gzip"))
        assert packed.as_numpy("prediction").tolist() == plain.as_numpy("prediction").tolist()

    def test_large_ones_are_unpacked_beside_the_loop_and_bounded(self, channel: grpc.Channel) -> None:
        def message(rows: int) -> bytes:
            given = {"name": "numbers", "datatype": "FP64", "shape": [rows, 2]}
            return bytes(
                message_class("ModelInferRequest")(
                    model_name="sold", inputs=[given], raw_input_contents=[b"\0" * 16 * rows]
                ).SerializeToString()
            )

        error = refused(channel, "ModelInfer", message(60_000), compression=grpc.Compression.Gzip)
        assert (error.code(), code_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "missing-columns")
        error = refused(channel, "ModelInfer", message(2_000_000), compression=grpc.Compression.Gzip)
        assert (error.code(), code_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too-large")

    def test_a_stream_of_them(self, channel: grpc.Channel) -> None:
        call = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
        messages = [infer_request(id=str(number)).SerializeToString() for number in range(3)]
        kind = message_class("ModelStreamInferResponse")
        answers = list(call(iter(messages), timeout=30, compression=grpc.Compression.Gzip))
        assert [kind.FromString(each).infer_response.id for each in answers] == ["0", "1", "2"]

    @pytest.mark.parametrize(
        ("flag", "encoding", "status", "accepts"),
        [
            (b"\1", None, "3", None),
            (b"\2", "gzip", "3", None),
            (b"\1", "gzip", "3", None),
            (b"\1", "snappy", "12", "identity,gzip,deflate"),
        ],
    )
    def test_what_is_none_is_refused(
        self, served: Server, flag: bytes, encoding: str | None, status: str, accepts: str | None
    ) -> None:
        message = infer_request().SerializeToString()
        headers = [("grpc-encoding", encoding)] if encoding else []
        found = raw_call(served, headers, flag + struct.pack(">I", len(message)) + message)
        assert (found.get("grpc-status"), found.get("grpc-accept-encoding")) == (status, accepts)


class TestTokens:
    def test_calls_show_the_token(self, bundles: dict[str, Path]) -> None:
        with (
            Server({"sold": bundles["sold"]}, port=0, grpc_port=0, token=TOKEN) as server,
            grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
        ):
            for shown in ([], [("authorization", "Bearer other")], [("authorization", TOKEN)]):
                error = refused(channel, "ModelInfer", infer_request().SerializeToString(), metadata=shown)
                assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            shown = [("authorization", f"Bearer {TOKEN}")]
            assert ask(channel, "ModelInfer", infer_request().SerializeToString(), metadata=shown)
            client = triton.InferenceServerClient(f"127.0.0.1:{server.grpc_port}")
            headers = {"authorization": f"Bearer {TOKEN}"}
            (entry,) = client.get_model_repository_index(headers).models
            assert (entry.name, entry.version, entry.state) == ("sold", "1", "READY")
            client.load_model("sold", headers)
            with pytest.raises(triton.InferenceServerException, match="config"):
                client.load_model("sold", headers, config="{}")
            client.unload_model("sold", headers)
            assert not client.is_model_ready("sold", headers=headers)
            client.close()

    def test_a_token_of_the_file_has_its_limits(self, bundles: dict[str, Path], tmp_path: Path) -> None:
        tokens = {"few": "rate: 0.001, burst: 2", "one": "concurrent: 1", "first": "priority: 1"}
        hashes = {name: hashlib.sha256(f"the token {name}".encode()).hexdigest() for name in tokens}
        lines = [f"  {name}: {{sha256: '{hashes[name]}', {limit}}}" for name, limit in tokens.items()]
        path = tmp_path / "tokens.yaml"
        path.write_text("\n".join(["tokens:", *lines]))

        def shown(name: str) -> list[tuple[str, str]]:
            return [("authorization", f"Bearer the token {name}")]

        message = infer_request().SerializeToString()
        with (
            Server({"sold": bundles["sold"]}, port=0, grpc_port=0, token=TOKEN, token_limits=path) as server,
            grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
        ):
            for _ in range(2):
                ask(channel, "ModelInfer", message, metadata=shown("few"))
            error = refused(channel, "ModelInfer", message, metadata=shown("few"))
            assert (error.code(), code_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate-limited")
            assert int(dict(error.trailing_metadata())["retry-after"]) in range(990, 1001)
            ask(channel, "ModelInfer", message, metadata=shown("one"))  # others do not wait for it

    def test_how_much_at_once_and_how_urgently_counts_for_calls(
        self, served: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits = {"one": Limit(concurrent=1), "first": Limit(priority=1)}
        allowances = {name: Allowance(name, limit) for name, limit in limits.items()}
        held = {hashlib.sha256(name.encode()).digest(): allowance for name, allowance in allowances.items()}
        monkeypatch.setattr(served._guard, "_allowances", Allowances(held))
        monkeypatch.setattr(served._guard, "_token_hash", b"")
        predictor, begun, ends = served.models["slow"].predictor, threading.Event(), threading.Event()
        run, put, priorities = predictor.run, Lane.put, []

        def slow(*arguments: Any, **options: Any) -> Any:
            begun.set()
            assert ends.wait(60)
            return run(*arguments, **options)

        def noted(lane: Lane, job: Job) -> Any:
            priorities.append((job.request.caller, job.priority))
            return put(lane, job)

        monkeypatch.setattr(predictor, "run", slow)
        monkeypatch.setattr(Lane, "put", noted)

        def shown(token: str) -> dict[str, Any]:
            return {"metadata": [("authorization", f"Bearer {token}")]}

        message = slow_request(parameters={"priority": {"int64_param": 1}}).SerializeToString()
        with grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel, ThreadPoolExecutor(2) as pool:
            try:
                first = pool.submit(ask, channel, "ModelInfer", message, **shown("one"))
                assert begun.wait(60)
                error = refused(channel, "ModelInfer", message, **shown("one"))
                assert (error.code(), code_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate-limited")
                second = pool.submit(ask, channel, "ModelInfer", message, **shown("first"))
                wait_for(lambda: len(priorities) == 2)
            finally:
                ends.set()
            assert first.result()
            assert second.result()
            assert ask(channel, "ModelInfer", message, **shown("one"))
        assert priorities[:2] == [("one", 5), ("first", 1)]


class TestStarting:
    def test_an_address_in_use_is_said(self, served: Server, bundles: dict[str, Path]) -> None:
        second = Server({"sold": bundles["sold"]}, port=0, grpc_port=served.grpc_port)
        with pytest.raises(ServingError, match="--grpc-port") as caught:
            second.start()
        assert caught.value.code is ErrorCode.ADDRESS_IN_USE

    def test_without_the_library_the_extra_is_named(
        self, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
        with pytest.raises(MissingExtraError, match=r"lepton-ai\[grpc\]"):
            Server({"sold": bundles["sold"]}, port=0, grpc_port=0).start()

    def test_a_port_that_is_none(self, bundles: dict[str, Path]) -> None:
        with pytest.raises(UsageError, match="70000"):
            Server({"sold": bundles["sold"]}, port=0, grpc_port=70_000).start()


class TestService:
    """The service with a handler of the tests, whose answers they choose."""

    def run(self, limits: Limits, body: Callable[[Echo, GrpcService, grpc.aio.Channel], Any]) -> None:
        async def main() -> None:
            handler = Echo()
            loop = asyncio.get_running_loop()
            service = GrpcService(handler, limits, loop, Pulse(loop.time, limits.max_late))
            listening = await loop.create_server(service.connect, "127.0.0.1", 0)
            port = listening.sockets[0].getsockname()[1]
            try:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    await body(handler, service, channel)
            finally:
                handler.release.set()
                listening.close()
                await service.drain()
                handler.threads.shutdown()

        asyncio.run(main())

    def test_a_peer_that_opens_a_call_and_sends_nothing_is_told(self) -> None:
        async def body(_: Echo, __: GrpcService, channel: grpc.aio.Channel) -> None:
            call = channel.stream_unary(f"/{SERVICE}/ModelInfer")()
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED

        self.run(Limits(body_time=0.1, max_body=1024), body)

    def test_what_all_hold_together_is_bounded(self) -> None:
        async def body(handler: Echo, _: GrpcService, channel: grpc.aio.Channel) -> None:
            data = infer_request().SerializeToString()
            handler.refusal = None
            handler.runs_inline = lambda request: False  # type: ignore[method-assign]
            handler.begin = lambda request, done: Pending(handler, request, done)  # type: ignore[method-assign]
            calls = [channel.unary_unary(f"/{SERVICE}/ModelInfer")(data) for _ in range(2)]
            done, waiting = await asyncio.wait(
                [asyncio.ensure_future(call.code()) for call in calls], return_when=asyncio.FIRST_COMPLETED
            )
            assert [await one for one in done] == [grpc.StatusCode.UNAVAILABLE]
            for one in waiting:
                one.cancel()

        size = len(infer_request().SerializeToString())
        self.run(Limits(max_body=size, max_held=size + 10, drain_time=0.1), body)

    def test_an_error_of_ours_says_nothing_of_itself(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(_: object) -> bool:
            raise RuntimeError("secret")

        async def body(handler: Echo, _: GrpcService, channel: grpc.aio.Channel) -> None:
            handler.runs_inline = fail  # type: ignore[assignment,method-assign]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(f"/{SERVICE}/ModelInfer")(infer_request().SerializeToString())
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert "secret" not in str(caught.value.details())
            assert "secret" in caplog.text

        self.run(Limits(), body)

    def test_a_caller_that_is_gone_is_cancelled(self) -> None:
        async def body(handler: Echo, _: GrpcService, channel: grpc.aio.Channel) -> None:
            began, gone = asyncio.Event(), asyncio.Event()

            class Waiting:
                def cancel(self) -> None:
                    gone.set()

            def begin(request: object, done: object) -> Any:
                began.set()
                return Waiting()

            handler.runs_inline = lambda request: False  # type: ignore[method-assign]
            handler.begin = begin  # type: ignore[method-assign]
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")(infer_request().SerializeToString())
            pending = asyncio.ensure_future(call.code())
            await asyncio.wait_for(began.wait(), 30)
            call.cancel()
            await asyncio.wait_for(gone.wait(), 30)
            assert await pending is grpc.StatusCode.CANCELLED

        self.run(Limits(), body)

    def test_a_refusal_comes_before_the_message(self) -> None:
        async def body(handler: Echo, _: GrpcService, channel: grpc.aio.Channel) -> None:
            handler.refusal = ServingError(ErrorCode.UNAUTHENTICATED, "no")
            call = channel.stream_unary(f"/{SERVICE}/ModelInfer")()
            assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
            assert [response.status for _, response, _ in handler.log] == [401]

        self.run(Limits(), body)
