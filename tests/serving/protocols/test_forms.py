"""Forms: what comes again with other numbers is read as the long way would, and nothing else is taken for it."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind, LeptonError
from lepton.serving.model_store import ModelStore, ServedModel
from lepton.serving.protocols import infer
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.binary import BINARY, HEADER
from lepton.serving.protocols.forms import Repeated, recall_bytes, recall_numbers
from lepton.serving.protocols.infer import read_infer

INPUT = {"name": "numbers", "shape": [1, 2], "datatype": "FP64"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """`prediction` = first − second."""
    columns = tuple(ColumnRecord(name, Kind.NUMBER) for name in ("first", "second"))
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    product = builder.node("MatMul", [numbers, builder.constant(np.array([1.0, -1.0]))])
    builder.output("prediction", product, "double", ["N"])
    manifest = Manifest(
        name="less", task="regression", inputs=columns, outputs=(OutputRecord("prediction", "double", ("N",)),)
    )
    path = tmp_path_factory.mktemp("forms") / "less.lepton"
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))})
    write_bundle(path, manifest=manifest, graph=graph)
    store = ModelStore({"less": path})
    store.open_all()
    return store["less"]


@pytest.fixture
def served(opened: ServedModel) -> ServedModel:
    opened.forms.clear()
    opened.byte_forms.clear()
    return opened


def in_json(values: list[Any], **more: Any) -> bytes:
    return json.dumps({"inputs": [{**INPUT, "data": values}], **more}).encode()


def in_bytes(values: list[float], **more: Any) -> Request:
    text = json.dumps({"inputs": [{**INPUT, "parameters": {"binary_data_size": 16}}], **more}).encode()
    return Request("POST", "/", {HEADER: str(len(text)), "content-type": BINARY}, text + np.array(values).tobytes())


def answered(served: ServedModel, request: Request) -> Response:
    return read_infer(served, request).run()


def posted(body: bytes) -> Request:
    return Request("POST", "/", body=body)


def test_a_form_is_known_once_it_was_read_and_answers_are_the_same_to_the_byte(served: ServedModel) -> None:
    other = in_json([4, -1e-3])
    assert recall_numbers(served, other) is None
    first = answered(served, posted(other))
    recalled = recall_numbers(served, other)
    assert recalled is not None
    assert recalled.tensors["numbers"].tolist() == [[4.0, -1e-3]]
    assert [recalled.run() for _ in range(2)] == [first, first]


def test_bytes_behind_a_known_text_are_read_where_they_stand(served: ServedModel) -> None:
    for more in ({}, {"outputs": [{"name": "prediction", "parameters": {"binary_data": True}}]}):
        first = answered(served, in_bytes([1.0, 2.0], **more))
        request = in_bytes([1.0, 2.0], **more)
        text = request.body[: int(request.headers[HEADER])]
        recalled = recall_bytes(served, text, request.body)
        assert recalled is not None
        assert recalled.tensors["numbers"].tolist() == [[1.0, 2.0]]
        assert recalled.run() == first
        assert recall_bytes(served, text, request.body + b"\0") is None
        assert recall_bytes(served, text, request.body[:-1]) is None


def test_parameters_are_kept_with_the_form(served: ServedModel) -> None:
    answered(served, posted(in_json([1, 2], parameters={"timeout": 5_000_000, "priority": 7})))
    recalled = recall_numbers(served, in_json([3, 2], parameters={"timeout": 5_000_000, "priority": 7}))
    assert recalled is not None
    assert (recalled.timeout, recalled.priority) == (5.0, 7)
    assert recall_numbers(served, in_json([3, 2], parameters={"timeout": 5_000_001, "priority": 7})) is None


def test_a_form_holds_the_number_of_rows(served: ServedModel) -> None:
    rows = json.dumps({"inputs": [{**INPUT, "shape": [2, 2], "data": [1, 2, 3, 4]}]}).encode()
    assert json.loads(answered(served, posted(rows)).body)["outputs"][0]["shape"] == [2]
    assert recall_numbers(served, rows.replace(b", 4]", b"]")) is None
    answered(served, posted(in_json([1, 2])))
    recalled = recall_numbers(served, in_json([7, 8]))
    assert recalled is not None
    assert json.loads(recalled.run().body)["outputs"][0]["shape"] == [1]


@pytest.mark.parametrize(
    "body",
    [
        in_json([1, 2], id="one"),
        in_json([1, None]),
        in_json([[1, 2]]),
        b'{"data":[1,2],"inputs":[{"name":"numbers","shape":[1,2],"datatype":"FP64","data":[1,2]}]}',
        b'{"id":"\\"data\\"[1,2,3]","inputs":[{"name":"numbers","shape":[1,2],"datatype":"FP64","data":[1,2]}]}',
        b'{"parameters":{"data":[1,2]},"inputs":[{"name":"numbers","shape":[1,2],"datatype":"FP64","data":[1,2]}]}',
        json.dumps(
            {"inputs": [{"name": n, "shape": [1], "datatype": "FP64", "data": [1]} for n in ("first", "second")]}
        ).encode(),
    ],
)
def test_what_is_less_plain_is_not_learned(served: ServedModel, body: bytes) -> None:
    with contextlib.suppress(LeptonError):
        answered(served, posted(body))
    assert served.forms == {}


NUMBERS = st.text("0123456789+-.eE, \t", max_size=30) | st.lists(
    st.floats(allow_nan=False) | st.integers(-(2**70), 2**70) | st.sampled_from(["null", "true", '"1"', "[]", "1e999"]),
    min_size=1,
    max_size=3,
).map(lambda values: ", ".join(map(str, values)))


@given(NUMBERS)
def test_whatever_stands_for_numbers_is_answered_as_on_the_long_way(opened: ServedModel, text: str) -> None:
    body = in_json([1, 2]).replace(b"[1, 2]", f"[{text}]".encode())

    def told() -> Any:
        try:
            return answered(opened, posted(body))
        except LeptonError as error:
            return str(error), error.code

    answered(opened, posted(in_json([1, 2])))
    with_forms = told()
    opened.forms.clear()
    assert with_forms == told()


def test_answers_without_a_number_and_of_another_shape(served: ServedModel) -> None:
    made = Repeated(lambda answers: infer._emptied(served, answers))
    for shape in ((2,), (2, 2), (2,)):
        values = np.full(shape, math.nan)
        told = json.loads(made({"prediction": values}).body)["outputs"][0]
        assert (told["shape"], set(told["data"])) == (list(shape), {None})


def test_forms_do_not_pile_up(served: ServedModel) -> None:
    for timeout in range(600):
        answered(served, posted(in_json([1, 2], parameters={"timeout": timeout + 1_000_000})))
    assert 0 < len(served.forms) <= 256
