from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lepton.bundle import OutputRecord
from lepton.bundle.graph import GraphSummary, ValueRecord, summarize_graph
from lepton.bundle.inputs import TableInputs
from lepton.bundle.interface import INPUTS_KEY, check_interface, describe_inputs
from lepton.core import BundleError, ColumnRecord, ErrorCode, Kind
from tests.bundle.small import COLUMNS, small_graph, small_manifest

CATEGORY, DATE = COLUMNS[1], COLUMNS[2]


@pytest.fixture(scope="module")
def summary() -> GraphSummary:
    return summarize_graph(small_graph())


def test_a_graph_that_fits(summary):
    check_interface(small_manifest(), summary)
    check_interface(small_manifest(outputs=(OutputRecord("prediction", "double", ("rows",)),)), summary)


def test_a_stranger_is_told_what_the_packing_does():
    every = [
        ColumnRecord(str(kind), kind, unit="km", time_zone="Asia/Tokyo")
        for kind in Kind
        if kind not in {"image", "audio", "series"}
    ]
    assert describe_inputs(every) == json.loads(TableInputs(every).metadata())
    texts = (ColumnRecord("words", Kind.TEXT), ColumnRecord("town", Kind.CATEGORY))
    assert describe_inputs(texts, {"words": "characters/1"})["strings"] == [
        {"name": "words", "kind": "text", "codec": "characters/1"},
        {"name": "town", "kind": "category"},
    ]
    assert describe_inputs(COLUMNS) == {
        "numbers": [
            {"name": "rooms", "kind": "number", "unit": "m²", "time_zone": None},
            {"name": "sold", "kind": "datetime", "unit": None, "time_zone": "Europe/Berlin"},
        ],
        "strings": [{"name": "straße", "kind": "category"}],
    }


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"inputs": COLUMNS[:2]}, r"inputs are numbers double\['N', 2\], .*Wanted: numbers double\['N', 1\]"),
        (
            {"inputs": (COLUMNS[0], DATE), "codecs": {}},
            r"strings string\['N', 1\]. Wanted: numbers double\['N', 2\], as",
        ),
        ({"inputs": (DATE, CATEGORY, COLUMNS[0])}, "lepton.inputs in the graph's metadata differs"),
        ({"inputs": (replace(COLUMNS[0], unit="km"), *COLUMNS[1:])}, "lepton.inputs in the graph's metadata differs"),
        ({"inner": {"raw": "nothing"}}, "no value 'nothing', the inner point raw"),
        ({"outputs": (OutputRecord("prediction", "int64", ("N",)),)}, r"outputs are prediction double\['N'\]"),
        ({"outputs": (OutputRecord("prediction", "double", ("N", 1)),)}, r"Wanted: prediction double\['N', 1\]"),
        ({"outputs": (*small_manifest().outputs, OutputRecord("score", "double", ("N",)))}, "score double"),
    ],
)
def test_a_manifest_that_speaks_of_another_graph(manifest, message, summary):
    with pytest.raises(BundleError, match=message) as caught:
        check_interface(small_manifest(**manifest), summary)
    assert caught.value.code == ErrorCode.GRAPH_REFUSED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metadata": {}}, "lepton.inputs of the graph is not valid"),
        ({"metadata": {INPUTS_KEY: "[]"}}, "holds a list, not an object"),
        ({"metadata": {INPUTS_KEY: "{}"}}, "differs from the manifest's inputs"),
        ({"inputs": ()}, "the graph's inputs are none"),
        (
            {"inputs": (ValueRecord("numbers", "double", None), ValueRecord("strings", "string", ("N", 1)))},
            "numbers double,",
        ),
        (
            {"inputs": (ValueRecord("numbers", "float", ("N", 2)), ValueRecord("strings", "string", ("N", 1)))},
            "numbers float",
        ),
        (
            {"inputs": (ValueRecord("numbers", "double", (1, 2)), ValueRecord("strings", "string", ("N", 1)))},
            r"double\[1, 2\]",
        ),
        (
            {"inputs": (ValueRecord("strings", "string", ("N", 1)), ValueRecord("numbers", "double", ("N", 2)))},
            "are strings",
        ),
    ],
)
def test_a_graph_that_takes_something_else(changes, message, summary):
    with pytest.raises(BundleError, match=message):
        check_interface(small_manifest(), replace(summary, **changes))
