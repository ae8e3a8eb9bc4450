"""Binary tensors: what a size, a shape or a length prefix claims is compared with the bytes that came."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from lepton.bundle import Predictor
from lepton.core import ErrorCode, LeptonError, ServingError
from lepton.serving import ModelStore
from lepton.serving.datatypes import DATATYPES
from lepton.serving.protocols import InferenceProtocol, Request, Response
from lepton.serving.protocols.binary import HEADER, BinaryReader, split_body, write_binary

INFER = "/v2/models/sold/infer"
NUMBERS = np.array([[1.0, 0.0], [2.5, np.nan]])
STRINGS = np.array([["Basel"], ["京都"]], dtype=object)


def entry(name: str, datatype: str, shape: list[int], size: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}, **more}


def texts(*values: bytes) -> bytes:
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


def request(inputs: list[Any], data: bytes, *, pad: int = 0, length: str | None = None, **body: Any) -> Request:
    text = json.dumps({"inputs": inputs, **body}).encode() + b" " * pad
    return Request("POST", INFER, {HEADER: str(len(text)) if length is None else length}, text + data)


def outputs(response: Response) -> dict[str, Any]:
    """Outputs by name, each an array or, where it came as JSON, a list."""
    length = int(dict(response.headers).get(HEADER, len(response.body)))
    found: dict[str, Any] = {}
    start = length
    for output in json.loads(response.body[:length])["outputs"]:
        if "data" in output:
            found[output["name"]] = output["data"]
            continue
        size = output["parameters"]["binary_data_size"]
        data, start = response.body[start : start + size], start + size
        if output["datatype"] == "BYTES":
            values, position = [], 0
            while position < size:
                end = position + 4 + int.from_bytes(data[position : position + 4], "little")
                values.append(data[position + 4 : end].decode())
                position = end
            found[output["name"]] = np.array(values, dtype=object).reshape(output["shape"])
        else:
            found[output["name"]] = np.frombuffer(data, DATATYPES[output["datatype"]]).reshape(output["shape"])
    assert start == len(response.body)
    return found


@pytest.fixture(scope="module")
def protocol(store: ModelStore) -> InferenceProtocol:
    return InferenceProtocol(store)


@pytest.mark.parametrize("pad", range(9))
def test_tensors_wherever_they_begin_give_the_answers_of_the_model(
    protocol: InferenceProtocol, sold: Predictor, pad: int
) -> None:
    direct = sold.run({"numbers": NUMBERS, "strings": STRINGS})
    strings = texts(b"Basel", "京都".encode())
    inputs = [entry("strings", "BYTES", [2, 1], len(strings)), entry("numbers", "FP64", [2, 2], 32)]
    asked = request(inputs, strings + NUMBERS.tobytes(), pad=pad, parameters={"binary_data_output": True})
    found = outputs(protocol.answer(asked))
    assert list(found) == list(direct)
    for name, answer in direct.items():
        np.testing.assert_array_equal(found[name], answer)


def test_json_and_bytes_may_be_mixed_both_ways(protocol: InferenceProtocol, sold: Predictor) -> None:
    direct = sold.run({"numbers": NUMBERS, "strings": STRINGS})
    strings = {"name": "strings", "datatype": "BYTES", "shape": [2, 1], "data": ["Basel", "京都"]}
    wanted = [{"name": "probabilities"}, {"name": "prediction", "parameters": {"binary_data": False}}]
    asked = request(
        [strings, entry("numbers", "FP64", [2, 2], 32)],
        NUMBERS.tobytes(),
        outputs=wanted,
        parameters={"binary_data_output": True},
        id="7",
    )
    response = protocol.answer(asked)
    found = outputs(response)
    assert list(found) == ["probabilities", "prediction"]
    np.testing.assert_array_equal(found["probabilities"], direct["probabilities"])
    assert found["prediction"] == direct["prediction"].tolist()
    assert response.content_type == "application/octet-stream"
    asked = request([strings, entry("numbers", "FP64", [2, 2], 32)], NUMBERS.tobytes())
    assert protocol.answer(asked).content_type == "application/json"


def test_infinities_are_taken_and_given_as_they_are(protocol: InferenceProtocol, store: ModelStore) -> None:
    numbers = np.array([[np.inf, 1.0], [-np.inf, 0.0], [5e-324, -0.0]])
    strings = texts(b"", b"", b"")
    inputs = [entry("numbers", "FP64", [3, 2], 48), entry("strings", "BYTES", [3, 1], len(strings))]
    asked = request(inputs, numbers.tobytes() + strings, parameters={"binary_data_output": True})
    asked.path = "/v2/models/price/infer"
    assert outputs(protocol.answer(asked))["prediction"].tolist() == [np.inf, -np.inf, 1e-323]


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name not in {"BYTES", "BOOL"}])
@pytest.mark.parametrize("rows", [2, 200])
def test_a_number_column_may_have_any_datatype_of_numbers(
    protocol: InferenceProtocol, sold: Predictor, datatype: str, rows: int
) -> None:
    rooms = np.arange(rows).astype(np.uint8).astype(DATATYPES[datatype]) % 100
    garden = np.arange(rows) % 2 == 0
    town = texts(*[b"Basel"] * rows)
    asked = request(
        [
            entry("garden", "BOOL", [rows], rows),
            entry("rooms", datatype, [rows, 1], rooms.nbytes),
            entry("town", "BYTES", [rows], len(town)),
        ],
        garden.tobytes() + rooms.tobytes() + town,
        parameters={"binary_data_output": True},
    )
    direct = sold.outputs({"rooms": rooms.tolist(), "town": ["Basel"] * rows, "garden": garden.tolist()})
    np.testing.assert_array_equal(outputs(protocol.answer(asked))["probabilities"], direct["probabilities"])


def test_aligned_numbers_are_a_view_of_the_body() -> None:
    body = bytes(16) + NUMBERS.tobytes()
    tensor = BinaryReader(body, 16).read(entry("x", "FP64", [2, 2], 32), 0)
    assert np.shares_memory(tensor.numbers(), np.frombuffer(body, np.uint8))
    moved = BinaryReader(b" " + body, 17).read(entry("x", "FP64", [2, 2], 32), 0).numbers()
    assert moved.flags.aligned
    np.testing.assert_array_equal(moved, NUMBERS)


@given(
    st.sampled_from([dtype for name, dtype in DATATYPES.items() if name != "BYTES"]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(max_dims=3, max_side=4))
    )
    | arrays.arrays(
        object,
        arrays.array_shapes(max_dims=2, max_side=4),
        elements=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
    ),
    st.integers(0, 9),
)
def test_what_is_written_is_read_again(array: np.ndarray, offset: int) -> None:
    (head,), (data,) = write_binary([("x", array)])
    reader = BinaryReader(bytes(offset) + data, offset)
    tensor = reader.read(head, 0)
    reader.finish()
    found = np.array(tensor.values, dtype=array.dtype).reshape(tensor.shape)
    np.testing.assert_array_equal(found, array)


N, S = entry("numbers", "FP64", [1, 2], 16), entry("strings", "BYTES", [1, 1], 5)
DATA = np.zeros(2).tobytes() + texts(b"a")
SIZES: list[Any] = [-1, 1.5, True, "16", None, [], 2**63 - 1]
HOSTILE: dict[str, tuple[list[Any], bytes, str, int]] = {
    "H052 product overflow": ([entry("numbers", "FP64", [2**32, 2**32], 0), S], DATA, "binary_data_size", 400),
    "H052 product overflow of texts": ([N, entry("strings", "BYTES", [2**40, 2**40], 5)], DATA, "at least", 400),
    "H052 negative": ([entry("numbers", "FP64", [-1, -2], 16), S], DATA, "holds -1", 400),
    "H052 zero": ([entry("numbers", "FP64", [0, 2], 0), S], texts(b"a"), "rows", 422),
    "H052 10,000 sizes": ([entry("numbers", "FP64", [1] * 10_000, 16), S], DATA, "10000 sizes", 400),
    "H053 smaller than its shape": ([entry("numbers", "FP64", [1, 2], 8), S], DATA, "is 8. Wanted: 16", 400),
    "H053 larger than its shape": ([entry("numbers", "FP64", [1, 2], 17), S], DATA, "is 17. Wanted: 16", 400),
    "H053 larger than the body": ([N, entry("strings", "BYTES", [1, 1], 6)], DATA, "is 6. Wanted: at most 5", 400),
    "H053 2^62": ([entry("numbers", "FP64", [1, 2], 2**62), S], DATA, "at most 21", 400),
    "H053 the bytes of another": ([N, S, entry("rooms", "FP64", [1], 8)], DATA, "is 8. Wanted: at most 0", 400),
    "H053 bytes left over": ([N, S], DATA + b"x", "1 bytes of the body belong to no input", 400),
    "H053 data and bytes": ([{**N, "data": [1, 2]}, S], DATA, "both", 400),
    "H056 many inputs": ([entry(f"x{n}", "FP64", [1], 0) for n in range(100_000)], b"", "Wanted: 8", 400),
    "H058 FP32 for FP64": ([entry("numbers", "FP32", [1, 2], 8), S], DATA[8:], "is FP32. Wanted: FP64", 422),
    "H058 INT64 for FP64": ([entry("numbers", "INT64", [1, 2], 16), S], DATA, "is INT64. Wanted: FP64", 422),
    "H058 BYTES for FP64": ([entry("numbers", "BYTES", [1, 2], 16), S], bytes(8) + DATA[8:], "bytes", 400),
    "H058 a boolean of 2": (
        [entry("garden", "BOOL", [1], 1), entry("rooms", "FP64", [1], 8), entry("town", "BYTES", [1], 5)],
        b"\2" + DATA[8:],
        "value 0 of the input 'garden' is the byte 2",
        422,
    ),
    "H058 prefix beyond": ([N, S], DATA[:16] + b"\xff\xff\xff\xffa", "claims 4294967295 bytes, and 1 are left", 400),
    "H058 prefix too short": ([N, S], DATA[:16] + bytes(4) + b"a", "1 bytes of the input 'strings' are behind", 400),
    "H058 half a prefix": ([N, entry("strings", "BYTES", [1, 1], 3)], DATA[:19], "at least 4", 400),
    "H058 prefix of the second cut": (
        [entry("numbers", "FP64", [2, 2], 32), entry("strings", "BYTES", [2, 1], 8)],
        bytes(32) + texts(b"ab") + bytes(2),
        "claims 0 bytes, and 0 are left",
        400,
    ),
    "H058 not UTF-8": ([N, S], DATA[:16] + texts(b"\xff"), r"text 0 .* not UTF-8", 422),
    "H058 a surrogate": ([N, entry("strings", "BYTES", [1, 1], 7)], DATA[:16] + texts(b"\xed\xa0\x80"), "UTF-8", 422),
    "H058 NUL": ([N, S], DATA[:16] + texts(b"\0"), "holds a NUL", 422),
    **{
        f"H059 size {size!r}": (
            [entry("numbers", "FP64", [1, 2], size), S],
            DATA,
            "whole number|bytes that are left",
            400,
        )
        for size in SIZES
    },
    "H059 unknown datatype": ([entry("numbers", "BF16", [1, 2], 4), S], DATA[12:], "BF16", 400),
    "H059 twice": ([N, N], bytes(32), "stands twice", 400),
}


@pytest.mark.parametrize(("inputs", "data", "says", "status"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_lies_is_refused(
    protocol: InferenceProtocol, inputs: list[Any], data: bytes, says: str, status: int
) -> None:
    with pytest.raises(LeptonError, match=says) as caught:
        protocol.answer(request(inputs, data))
    assert caught.value.http_status == status


@pytest.mark.parametrize(
    "length", ["", "-1", "0", "1e3", "0x10", "100000", "٣", "1" * 30, " 5", "5, 5", "+5", "99999999999999999999"]
)
def test_lengths_of_the_json_that_lie(protocol: InferenceProtocol, length: str) -> None:
    with pytest.raises(ServingError, match="Inference-Header-Content-Length") as caught:
        protocol.answer(request([N, S], DATA, length=length))
    assert caught.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("shift", [-1, 1, 8])
def test_a_length_that_cuts_the_json_elsewhere_is_refused(protocol: InferenceProtocol, shift: int) -> None:
    asked = request([N, S], DATA)
    length = int(asked.headers[HEADER]) + shift
    with pytest.raises(ServingError):
        protocol.answer(Request("POST", INFER, {HEADER: str(length)}, asked.body))


def test_bytes_without_the_header_are_refused(protocol: InferenceProtocol) -> None:
    asked = request([N, S], b"")
    with pytest.raises(ServingError, match="announces none"):
        protocol.answer(Request("POST", INFER, {}, asked.body))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["numbers", "strings", "rooms", "town", "garden"]),
                "datatype": st.sampled_from(sorted(DATATYPES)),
                "shape": st.lists(st.integers(0, 3), min_size=1, max_size=3),
                "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(0, 40)}),
            }
        ),
        max_size=3,
    ),
    st.binary(max_size=80),
    st.integers(-3, 3),
)
def test_any_bytes_are_answered_or_refused(
    store: ModelStore, inputs: list[dict[str, Any]], data: bytes, shift: int
) -> None:
    asked = request(inputs, data)
    length = int(asked.headers[HEADER]) + shift
    asked = Request("POST", INFER, {HEADER: str(length)}, asked.body)
    try:
        answer = InferenceProtocol(store).answer(asked)
    except LeptonError as error:
        assert error.http_status in {400, 422}  # noqa: PT017 - either way is right, a crash is not
    else:
        assert math.prod(np.shape(outputs(answer)["prediction"])) > 0


def test_a_body_without_the_header_is_json_as_a_whole() -> None:
    assert split_body(b"{}", {}) == (b"{}", None)
