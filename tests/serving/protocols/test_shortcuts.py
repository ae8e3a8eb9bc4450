"""Shortcuts: what they answer is what the long way answers, to the byte; all else they leave to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind, LeptonError
from lepton.serving.model_store import ModelStore, ServedModel
from lepton.serving.protocols.base import JSON, Request, Response
from lepton.serving.protocols.binary import BINARY, HEADER
from lepton.serving.protocols.oip import InferenceProtocol
from lepton.serving.protocols.shortcuts import Shortcut, shortcut
from lepton.serving.watching.recorder import Recorder, WatchOptions
from lepton.serving.watching.state import StateStore

COLUMNS = tuple(ColumnRecord(name, Kind.NUMBER) for name in ("first", "second"))
INPUT = {"name": "numbers", "shape": [1, 2], "datatype": "FP64"}
ROW = {"first": 1.5, "second": -2}
BEFORE = b"POST / HTTP/1.1\r\n\r\n"  # what stands before the body in the bytes that come


def write_model(path: Path, weight: float = 1.0, *, shares: bool = False) -> Path:
    """`prediction` = first x weight - second; with `shares` a classifier whose probabilities are 0.25 and 0.75."""
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    total = builder.node("MatMul", [numbers, builder.constant(np.array([weight, -1.0]))])
    outputs = [OutputRecord("prediction", "double", ("N",))]
    more: dict[str, Any] = {"task": "regression"}
    if shares:
        outputs = [OutputRecord("prediction", "int64", ("N",)), OutputRecord("probabilities", "double", ("N", 2))]
        total = builder.node("Cast", [builder.node("Greater", [total, builder.constant(0.0)])], to=7)
        nothing = builder.node("MatMul", [numbers, builder.constant(np.zeros((2, 2)))])
        spread = builder.node("Add", [nothing, builder.constant(np.array([0.25, 0.75]))])
        builder.output("prediction", total, "int64", ["N"])
        builder.output("probabilities", spread, "double", ["N", 2])
        more = {"task": "binary", "labels": (0, 1), "target": ColumnRecord("high", Kind.CATEGORY)}
    else:
        builder.output("prediction", total, "double", ["N"])
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(COLUMNS))})
    write_bundle(path, manifest=Manifest(name="less", inputs=COLUMNS, outputs=tuple(outputs), **more), graph=graph)
    return path


class Asked:
    """A model that is asked on both ways."""

    def __init__(self, path: Path) -> None:
        self.store = ModelStore({"less": path})
        self.store.open_all()
        self.served.row_seconds, self.served.at_once = 1e-5, 4096
        self.protocol = InferenceProtocol(self.store)

    @property
    def served(self) -> ServedModel:
        return self.store["less"]

    def request(self, path: str, body: bytes, **headers: str) -> Request:
        request = Request("POST", f"/v2/models/less/{path}", headers, body, headers.get("x-request-id", "1"))
        request.match = self.protocol.match("POST", request.path)
        return request

    def long(self, request: Request) -> Response:
        return self.protocol.answer(request)

    def shortcut(self, request: Request) -> Shortcut:
        found = shortcut(self.protocol, request)
        assert found is not None
        return found

    def short(self, request: Request) -> Response | None:
        answer = self.shortcut(request).answer
        return answer(Request("POST", request.path, request.headers, id=request.id), BEFORE + request.body, len(BEFORE))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(write_model(tmp_path_factory.mktemp("shortcuts") / "less.lepton"))


def in_json(data: str = "[1.5, -2]", **more: Any) -> bytes:
    return json.dumps({"inputs": [{**INPUT, "data": 0}], **more}).replace('"data": 0', f'"data": {data}').encode()


def in_bytes(asked: Asked, values: Any, **more: Any) -> Request:
    text = json.dumps({"inputs": [{**INPUT, "parameters": {"binary_data_size": 16}}], **more}).encode()
    headers = {HEADER: str(len(text)), "content-type": BINARY}
    return asked.request("infer", text + np.array(values).tobytes(), **headers)


def requests(asked: Asked) -> Iterator[Request]:
    yield asked.request("infer", in_json())
    yield asked.request("infer", in_json(parameters={"binary_data_output": True}))
    yield in_bytes(asked, [1.5, np.nan])
    yield in_bytes(asked, [1.5, -2.0], parameters={"binary_data_output": True})
    yield asked.request("rows", json.dumps([ROW]).encode(), **{"content-type": JSON})
    yield asked.request("rows", json.dumps(ROW).encode())


def test_the_second_time_it_is_answered_to_the_byte_as_the_first(asked: Asked) -> None:
    for request in requests(asked):
        asked.served.forms.clear()
        asked.served.byte_forms.clear()
        asked.served.row_form = None
        assert asked.short(request) is None
        first = asked.long(request)
        assert [asked.short(request) for _ in range(3)] == [first] * 3


def test_a_classifier_is_answered_with_its_probabilities(tmp_path: Path) -> None:
    asked = Asked(write_model(tmp_path / "less.lepton", shares=True))
    for request in requests(asked):
        first = asked.long(request)
        assert asked.short(request) == first
    assert json.loads(first.body)["probabilities"] == [{"0": 0.25, "1": 0.75}]


def test_it_says_for_which_model_and_of_what_size_a_request_was(asked: Asked) -> None:
    request = asked.request("infer", in_json())
    asked.long(request)
    came = Request("POST", request.path)
    asked.served.runs.clear()
    assert asked.shortcut(request).answer(came, request.body, 0) is not None
    assert (came.answered, came.num_rows, came.size) == (asked.served, 1, len(request.body))
    assert [rows for rows, _ in asked.served.runs] == [1]


NUMBERS = st.text("0123456789+-.eE, \t", max_size=30) | st.lists(
    st.floats() | st.integers(-(2**70), 2**70) | st.sampled_from(["null", "true", "false", '"1"', "[]", "{}", "1e999"]),
    min_size=1,
    max_size=3,
).map(lambda values: ", ".join(map(str, values)))
CELLS = st.floats() | st.integers(-(2**70), 2**70) | st.none() | st.booleans() | st.text(max_size=3) | st.just([1])
NAMES = st.sampled_from(["first", "second", "fir\\u0073t", "third", '\\"', "rows"])


def same(asked: Asked, request: Request) -> None:
    short = asked.short(request)
    if short is not None:
        assert short == asked.long(request)


@given(NUMBERS)
def test_whatever_stands_for_numbers_is_answered_as_on_the_long_way(asked: Asked, text: str) -> None:
    asked.long(asked.request("infer", in_json()))
    same(asked, asked.request("infer", in_json(f"[{text}]")))


@given(st.lists(st.tuples(NAMES, CELLS), max_size=4), st.sampled_from(["[{}]", "{}", "[{},{}]", '{{"rows":[{}]}}']))
def test_whatever_row_comes_is_answered_as_on_the_long_way(
    asked: Asked, cells: list[tuple[str, Any]], form: str
) -> None:
    asked.long(asked.request("rows", json.dumps([ROW]).encode()))
    row = "{" + ", ".join(f'"{name}": {json.dumps(value)}' for name, value in cells) + "}"
    same(asked, asked.request("rows", form.format(row, row).encode()))


@pytest.mark.parametrize(
    "body",
    [
        b'[{"first": 1, "second": 2, "second": 2}]',
        b'[{"first": true, "second": 2}]',
        b'[{"first": "t", "second": 2}]',
        b'[{"first": 1, "second": 9223372036854775808}]',
        b'[{"first": 1, "second": 1%b.5}]' % (b"0" * 1_200),
        b'[{"first": 1}, {"second": 2}]',
        b"[]",
        b"[1, 2]",
        b"\xff",
    ],
)
def test_rows_that_are_not_surely_plain_are_left_to_the_long_way(asked: Asked, body: bytes) -> None:
    asked.long(asked.request("rows", json.dumps([ROW]).encode()))
    assert asked.short(asked.request("rows", body)) is None


def test_heads_that_ask_for_more_have_none(asked: Asked) -> None:
    for path, headers in (
        ("rows", {"content-type": "text/csv"}),
        ("rows", {"accept": "text/csv"}),
        ("infer", {HEADER: "-1"}),
        ("infer", {HEADER: "1" * 19}),
        ("versions/1/infer", {}),
        ("feedback", {}),
    ):
        request = Request("POST", f"/v2/models/less/{path}", headers)
        request.match = asked.protocol.match("POST", f"/v2/models/less/{path}") if path != "feedback" else None
        assert shortcut(asked.protocol, request) is None


def test_what_is_too_large_or_not_there_is_left_to_the_long_way(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked.request("infer", in_json())
    asked.long(request)
    assert asked.short(request) is not None
    monkeypatch.setattr(asked.served, "at_once", len(request.body) - 1)
    assert asked.short(request) is None
    monkeypatch.setattr(asked.store, "_answering", {})
    assert asked.short(request) is None


def test_a_run_that_fails_is_left_to_the_long_way(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked.request("infer", in_json())
    asked.long(request)
    prepared = asked.served.prepared["prediction",]
    assert prepared is not None

    def fail() -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(prepared, "run", fail)
    assert asked.short(request) is None


def test_a_model_that_takes_its_place_answers_from_then_on(tmp_path: Path) -> None:
    asked = Asked(write_model(tmp_path / "less.lepton"))
    request = asked.request("rows", json.dumps([ROW]).encode())
    asked.long(request)
    kept = asked.shortcut(request)
    new = ServedModel("less", write_model(tmp_path / "more.lepton", 10.0), "2")
    new.open(asked.store.resources)
    asked.store.change("less", gone=asked.store.versions("less"), come=[new])
    assert kept.answer(Request("POST", request.path), request.body, 0) is None
    expected = asked.long(request)
    new.at_once = 4096
    found = kept.answer(Request("POST", request.path), request.body, 0)
    assert found in {None, expected}
    assert json.loads(expected.body)["predictions"] == [17.0]


def test_a_model_that_failed_has_no_shortcut(asked: Asked, tmp_path: Path) -> None:
    served = ServedModel("less", tmp_path / "missing.lepton")
    served.open(asked.store.resources)
    assert served.at_once == -1
    with pytest.raises(LeptonError):
        served.prepared_for(["prediction"]) or served.predictor


class TestWatched:
    @pytest.fixture
    def watched(self, tmp_path: Path) -> tuple[Asked, Recorder]:
        return self.watch(tmp_path, WatchOptions())

    def watch(self, folder: Path, options: WatchOptions) -> tuple[Asked, Recorder]:
        asked = Asked(write_model(folder / "less.lepton"))
        recorder = Recorder(asked.store, StateStore(folder), options)
        asked.store.change("less")
        assert recorder.watch_of(asked.served) is not None
        return asked, recorder

    def test_answers_are_noted_and_samples_drawn(self, watched: tuple[Asked, Recorder]) -> None:
        asked, recorder = watched
        request = asked.request("infer", in_json(), **{"x-request-id": "mine"})
        asked.long(request)
        recorder.flush()
        watch = recorder.watch_of(asked.served)
        assert watch is not None
        seen = watch.seen
        assert asked.short(request) is not None
        assert (watch.seen, recorder.pending) == (seen + 1, 2)
        recorder.flush()
        recorder.state.unpack("less", {"mine"})
        assert recorder.state.rows_of("less", "mine").keys() == {0}

    def test_where_rows_are_kept_the_long_way_does_it(self, tmp_path: Path) -> None:
        asked, _ = self.watch(tmp_path, WatchOptions(keep_rows=1.0))
        for headers, takes in (({"x-request-id": "mine"}, False), ({}, True)):
            request = asked.request("infer", in_json(), **headers)
            asked.long(request)
            assert (asked.short(request) is not None) == takes
