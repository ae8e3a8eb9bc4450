from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lepton.bundle import Manifest, MemberRecord, OutputRecord
from lepton.bundle.documents import dump_document
from lepton.bundle.manifest import FORMAT, model_id_of
from lepton.core import BundleError, ColumnRecord, ErrorCode, Kind, UsageError
from tests.bundle.small import small_manifest

LABELS = ("no", "yes")
SEVERAL = (OutputRecord("prediction", "int64", ("N", 2)), OutputRecord("probabilities", "double", ("N", 2)))
CLASSES = (OutputRecord("prediction", "string", ("N",)), OutputRecord("probabilities", "double", ("N", 2)))


def written() -> Manifest:
    return small_manifest().with_members({"model.onnx": b"graph", "assets/a": b""})


def changed(**fields: Any) -> bytes:
    return dump_document(json.loads(written().to_json()) | fields, "manifest")


def test_a_manifest_reads_back():
    manifest = written()
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert again.to_json() == manifest.to_json()
    assert again.members["model.onnx"] == MemberRecord(5, sha256(b"graph").hexdigest())


def test_classes_read_back():
    for labels, dtype in ((LABELS, "string"), ((-1, 2**63 - 1), "int64")):
        outputs = (OutputRecord("prediction", dtype, ("N",)), CLASSES[1])
        manifest = small_manifest(task="binary", labels=labels, outputs=outputs, target=None)
        assert Manifest.from_json(manifest.to_json()) == manifest


def test_several_labels_read_back():
    manifest = small_manifest(task="multilabel", labels=LABELS, outputs=SEVERAL, target=None)
    assert Manifest.from_json(manifest.to_json()) == manifest


COLUMN = ColumnRecord("a", Kind.NUMBER)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "has 0 characters"),
        ({"name": "../x"}, "cannot be used"),
        ({"name": "a\u202eb"}, "bidirectional"),
        ({"name": "e\u0301"}, "is not in NFC"),
        ({"task": "telepathy"}, "got the task 'telepathy'"),
        ({"inputs": ()}, "no input columns"),
        ({"inputs": (COLUMN, COLUMN)}, "two input columns are called 'a'"),
        ({"inputs": (ColumnRecord("a\nb", Kind.NUMBER),)}, "control"),
        ({"inputs": (ColumnRecord("a", Kind.IMAGE),)}, "has the kind image"),
        ({"inputs": (ColumnRecord("a", Kind.NUMBER, dtype="object"),)}, "has the dtype 'object'"),
        ({"inputs": (ColumnRecord("a", Kind.DATETIME, time_zone="../../etc/passwd"),)}, "has the time zone"),
        ({"inputs": (ColumnRecord("a", Kind.DATETIME, time_zone="a" * 65),)}, "has the time zone"),
        ({"inputs": (ColumnRecord("a", Kind.NUMBER, unit="\x1b[31m"),)}, "the unit of a column"),
        ({"inputs": (ColumnRecord("a", Kind.DATETIME, datetime_format=""),)}, "the datetime format of a column"),
        ({"target": ColumnRecord("", Kind.NUMBER)}, "the target"),
        ({"outputs": ()}, r"the outputs are \[\]"),
        ({"outputs": (OutputRecord("answer", "double", ("N",)),)}, r"the outputs are \['answer'\]"),
        ({"outputs": (CLASSES[1], CLASSES[0])}, "in that order"),
        ({"outputs": (CLASSES[1],)}, "at least prediction"),
        ({"outputs": (OutputRecord("prediction", "float", ("N",)),)}, "has the dtype 'float'"),
        ({"outputs": (OutputRecord("prediction", "double", ()),)}, r"has the shape \(\)"),
        ({"outputs": (OutputRecord("prediction", "double", (1,)),)}, r"has the shape \(1,\)"),
        ({"outputs": (OutputRecord("prediction", "double", ("N", 1)),)}, "one value a row"),
        ({"outputs": (OutputRecord("prediction", "double", ("N", 0)),)}, "has the shape"),
        ({"outputs": (OutputRecord("prediction", "double", ("N", *[1] * 8)),)}, "has the shape"),
        ({"outputs": (OutputRecord("prediction", "string", ("N",)),)}, "regression gives string"),
        ({"labels": ("a", "b")}, "double, no labels"),
        ({"task": "binary", "outputs": CLASSES}, "the labels are None"),
        ({"task": "binary", "outputs": CLASSES, "labels": ("a",)}, "two or more"),
        ({"task": "binary", "outputs": CLASSES, "labels": ("a", "a")}, "each once"),
        ({"task": "binary", "outputs": CLASSES, "labels": ("a", 1)}, "each once"),
        ({"task": "binary", "outputs": CLASSES, "labels": (True, False)}, "texts or ints"),
        ({"task": "binary", "outputs": CLASSES, "labels": ("a", "b\0")}, "the label"),
        ({"task": "binary", "outputs": CLASSES, "labels": (1, 2)}, "int64, as the labels"),
        ({"task": "binary", "outputs": CLASSES, "labels": (1, 2**63)}, "an int of 64 bits"),
        ({"task": "multiclass", "outputs": CLASSES, "labels": ("a", "b", "c")}, "3 a row"),
        ({"task": "multilabel", "outputs": CLASSES, "labels": LABELS}, "several values a row"),
        ({"task": "multilabel", "outputs": SEVERAL, "labels": (0, 1)}, "one value for each name"),
        ({"task": "multilabel", "outputs": SEVERAL, "labels": None}, "two or more"),
        ({"task": "binary", "outputs": SEVERAL, "labels": (0, 1)}, "one value a row"),
        ({"task": "quantile", "outputs": (OutputRecord("prediction", "double", ("N",)),)}, "at least"),
        ({"codecs": {"nobody": "nfc-casefold/1"}}, "a codec for 'nobody'"),
        ({"codecs": {"rooms": "pickle/1"}}, "got the codec 'pickle/1'"),
        ({"codecs": []}, "codecs is"),
        ({"lineage": {"seed": float("nan")}}, "cannot be written as JSON"),
        ({"lineage": []}, "lineage is"),
        ({"inner": {"secret": "x"}}, "inner points are"),
        ({"inner": {"raw": "x\0"}}, "name of an inner point"),
        ({"minimum_onnxruntime": "latest"}, "minimum_onnxruntime is 'latest'"),
        ({"minimum_onnxruntime": 1.2}, "minimum_onnxruntime is 1.2"),
        ({"members": {"../x": MemberRecord.of(b"")}}, "cannot be called"),
        ({"members": {"reports/a.json": MemberRecord.of(b"")}}, "members lists"),
        ({"members": {"manifest.json": MemberRecord.of(b"")}}, "members lists"),
        ({"members": {"model.onnx": MemberRecord(-1, "0" * 64)}}, "has the size -1"),
        ({"members": {"model.onnx": MemberRecord(1, "0" * 63)}}, "64 hexadecimal digits"),
        ({"format": 2}, "the format is 2"),
    ],
)
def test_what_cannot_be_meant_is_neither_written_nor_read(changes, message):
    manifest = small_manifest(**changes)
    with pytest.raises(UsageError, match=message):
        manifest.to_json()


def test_what_is_wrong_in_a_file_is_a_damaged_bundle():
    with pytest.raises(BundleError, match=r"^manifest.json: the name of the model .* has 0 characters") as caught:
        Manifest.from_json(changed(name=""))
    assert caught.value.code == ErrorCode.BUNDLE_DAMAGED


@pytest.mark.parametrize("found", [2, 7, 10**30])
def test_newer_formats(found):
    with pytest.raises(BundleError, match=rf"format {found}\. Wanted: at most format {FORMAT}") as caught:
        Manifest.from_json(dump_document({"format": found, "unheard": "of"}, "manifest"))
    assert caught.value.code == ErrorCode.BUNDLE_TOO_NEW
    assert caught.value.fix == "pip install --upgrade lepton-ai"


@pytest.mark.parametrize("found", [None, True, "1", 1.0, 0, -1])
def test_no_format(found):
    with pytest.raises(BundleError, match="has the format") as caught:
        Manifest.from_json(changed(format=found))
    assert caught.value.code == ErrorCode.BUNDLE_DAMAGED


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "segmentation"}, "the task 'segmentation'"),
        ({"inputs": [{"name": "a", "kind": "smell", "dtype": "float64"}]}, "the kind 'smell'"),
        ({"codecs": {"rooms": "parse-datetime/2"}}, "the codec 'parse-datetime/2'"),
    ],
)
def test_words_of_a_newer_lepton(fields, message):
    with pytest.raises(BundleError, match=message) as caught:
        Manifest.from_json(changed(**fields))
    assert caught.value.code == ErrorCode.BUNDLE_TOO_NEW


@pytest.mark.parametrize(
    "fields",
    [
        {"extra": 1},
        {"task": None},
        {"task": ["regression"]},
        {"name": 7},
        {"inputs": None},
        {"inputs": "ab"},
        {"inputs": [7]},
        {"inputs": [{"name": "a"}]},
        {"inputs": [{"name": "a", "kind": "number", "dtype": "float64", "color": "red"}]},
        {"inputs": [{"name": "a", "kind": "number", "dtype": None}]},
        {"inputs": [{"name": ["a"], "kind": "number", "dtype": "float64"}]},
        {"inputs": [{"name": "a", "kind": {}, "dtype": "float64"}]},
        {"inputs": [{"name": "a", "kind": "number", "dtype": "float64", "role": "feature"}]},
        {"outputs": {}},
        {"outputs": [{"name": "prediction", "dtype": "double"}]},
        {"outputs": [{"name": "prediction", "dtype": "double", "shape": "N"}]},
        {"outputs": [{"name": "prediction", "dtype": ["double"], "shape": ["N"]}]},
        {"outputs": [{"name": ["prediction"], "dtype": "double", "shape": ["N"]}]},
        {"labels": "ab"},
        {"labels": [[], []]},
        {"target": "price"},
        {"codecs": {"straße": ["nfc-casefold/1"]}},
        {"lineage": []},
        {"inner": {"raw": 1}},
        {"members": []},
        {"members": {"model.onnx": 7}},
        {"members": {"model.onnx": {"size": True, "sha256": "0" * 64}}},
        {"members": {"model.onnx": {"size": 1, "sha256": None}}},
        {"members": {"model.onnx": {"size": 1}}},
        {"minimum_onnxruntime": None},
    ],
)
def test_fields_of_other_types_and_unknown_fields(fields):
    with pytest.raises(BundleError, match=r"^manifest.json") as caught:
        Manifest.from_json(changed(**fields))
    assert caught.value.code == ErrorCode.BUNDLE_DAMAGED


def test_missing_fields():
    raw = json.loads(written().to_json())
    del raw["lineage"]
    with pytest.raises(BundleError, match=r"lacks \['lineage'\]"):
        Manifest.from_json(dump_document(raw, "manifest"))


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: d + b"\n", lambda d: b" " + d, lambda d: d.replace(b",", b", ", 1)]
)
def test_only_one_form_is_read(change):
    with pytest.raises(BundleError, match="canonical form"):
        Manifest.from_json(change(written().to_json()))


@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_changed_bytes_give_a_manifest_or_a_bundle_error(position, byte):
    data = bytearray(written().to_json())
    data[position % len(data)] = byte
    try:
        manifest = Manifest.from_json(bytes(data))
    except BundleError:
        return
    assert manifest.to_json() == bytes(data)


def test_the_model_id_is_what_the_reference_says():
    members = {
        "model.onnx": MemberRecord.of(b"g"),
        "manifest.json": MemberRecord.of(b"{}"),
        "assets/a": MemberRecord.of(b""),
    }
    lines = [f"{name} {record.size} {record.sha256}\n" for name, record in members.items()]
    expected = sha256("".join(sorted(lines)).encode()).hexdigest()
    assert model_id_of(members) == expected
    assert model_id_of(members | {"reports/speed.json": MemberRecord.of(b"{}")}) == expected
    assert model_id_of(members | {"assets/b": MemberRecord.of(b"{}")}) != expected


def test_wide_manifests_are_quick(stopwatch):
    columns = tuple(ColumnRecord(f"column {i}", Kind.NUMBER) for i in range(10_000))
    manifest = replace(small_manifest(), inputs=columns, codecs={})
    with stopwatch(1.0):
        assert Manifest.from_json(manifest.to_json()) == manifest
