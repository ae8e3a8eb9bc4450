"""ModelInfer messages, without a socket: what typed contents mean, and what they are answered with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lepton.bundle import Predictor
from lepton.core import LeptonError, SchemaError
from lepton.serving import ModelStore
from lepton.serving.protocols.base import Request
from lepton.serving.protocols.messages import message_class
from lepton.serving.protocols.protobuf import read_message

ROOMS = {
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


def message(rooms: str = "FP64", **fields: Any) -> Any:
    """Two rows, one tensor for each column, in typed contents."""
    return message_class("ModelInferRequest")(
        model_name="sold",
        inputs=[
            {"name": "rooms", "datatype": rooms, "shape": [2], "contents": {ROOMS[rooms]: [3, 4]}},
            {"name": "town", "datatype": "BYTES", "shape": [2, 1], "contents": {"bytes_contents": [b"Basel", b""]}},
            {"name": "garden", "datatype": "BOOL", "shape": [2], "contents": {"bool_contents": [True, False]}},
        ],
        **fields,
    )


def answer(store: ModelStore, given: Any, timeout: float | None = None) -> Any:
    call = read_message(store["sold"], Request("POST", "-", message=given, timeout=timeout))
    return message_class("ModelInferResponse").FromString(call.run().body)


@pytest.mark.parametrize("datatype", ROOMS)
def test_typed_contents_are_answered_with_typed_contents(store: ModelStore, sold: Predictor, datatype: str) -> None:
    found = answer(store, message(datatype, id="7"))
    direct = sold.outputs({"rooms": [3.0, 4.0], "town": ["Basel", None], "garden": [True, False]})
    prediction, probabilities = found.outputs
    assert (found.model_name, found.model_version, found.id) == ("sold", "1", "7")
    assert [text.decode() for text in prediction.contents.bytes_contents] == direct["prediction"].tolist()
    assert list(probabilities.shape) == [2, 2]
    np.testing.assert_array_equal(list(probabilities.contents.fp64_contents), direct["probabilities"].ravel())
    assert not found.raw_output_contents


def test_half_precision_goes_raw(store: ModelStore) -> None:
    given = message()
    given.raw_input_contents.extend([np.array([3, 4], "<f2").tobytes(), b"\5\0\0\0Basel\0\0\0\0", b"\1\0"])
    given.inputs[0].datatype = "FP16"
    for entry in given.inputs:
        entry.ClearField("contents")
    found = answer(store, given)
    same = answer(store, message())
    assert np.frombuffer(found.raw_output_contents[1]).tolist() == list(same.outputs[1].contents.fp64_contents)


def test_classes_in_the_order_asked_for(store: ModelStore) -> None:
    asked = [{"name": "probabilities", "parameters": {"classification": {"int64_param": 1}}}, {"name": "prediction"}]
    classes, prediction = answer(store, message(outputs=asked)).outputs
    assert (classes.datatype, list(classes.shape)) == ("BYTES", [2, 1])
    labels = [text.decode().rpartition(":")[2] for text in classes.contents.bytes_contents]
    assert labels == [text.decode() for text in prediction.contents.bytes_contents]


@pytest.mark.parametrize(
    ("parameter", "transport", "seconds"), [(None, None, None), (2e6, None, 2.0), (2e6, 1.0, 1.0), (None, 3.0, 3.0)]
)
def test_the_shorter_of_both_timeouts_counts(
    store: ModelStore, parameter: float | None, transport: float | None, seconds: float | None
) -> None:
    given = message()
    if parameter is not None:
        given.parameters["timeout"].uint64_param = int(parameter)
    call = read_message(store["sold"], Request("POST", "-", message=given, timeout=transport))
    assert call.timeout == seconds


def test_what_is_out_of_range_is_said_with_its_place(store: ModelStore) -> None:
    given = message("INT8")
    given.inputs[0].contents.int_contents[1] = 128
    with pytest.raises(SchemaError, match="value 1 of the input 'rooms' is 128") as caught:
        answer(store, given)
    assert caught.value.details == {"input": "rooms", "position": 1}


def test_every_byte_may_be_wrong(store: ModelStore) -> None:
    data = message(id="7", parameters={"timeout": {"int64_param": 5}}).SerializeToString()
    random = np.random.default_rng(0)
    kind = message_class("ModelInferRequest")
    for _ in range(3000):
        broken = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 4)):
            broken[place] = random.integers(0, 256)
        try:
            answer(store, kind.FromString(bytes(broken)))
        except (LeptonError, _undecodable()):
            continue


def _undecodable() -> type[Exception]:
    from google.protobuf.message import DecodeError

    return DecodeError  # type: ignore[no-any-return]
