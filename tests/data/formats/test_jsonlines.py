"""JSON Lines and small arrays."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, ErrorCode
from lepton.data import read
from lepton.data.formats import delimited, jsonlines


@pytest.fixture
def write(tmp_path):
    def write(content, name="t.jsonl"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_keys_are_columns(write):
    table = read(write('{"a":1,"b":"x"}\n{"c":true,"a":2.5}\n\n{"b":null}\n'))
    assert table.frame().rows() == [(1.0, "x", None), (2.5, None, True), (None, None, None)]
    assert [str(c.kind) for c in table.schema] == ["number", "category", "boolean"]
    assert table.num_rows == 3


def test_several_files_and_small_blocks(write, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK", 8)
    paths = [write('{"a":1}\n{"a":2}\n', "one.jsonl"), write('{"a":3}', "two.jsonl")]
    assert read(paths).frame()["a"].to_list() == [1, 2, 3]


def test_mixed_values_become_text(write):
    table = read(write('{"a":1}\n{"a":"x"}\n{"a":true}\n'))
    assert table.frame()["a"].to_list() == ["1", "x", "true"]


def test_nested_values_are_left_out_and_said(write):
    table = read(write('{"a":1,"b":[1],"c":{"d":2}}\n'))
    assert table.schema.names == ("a",)
    assert [d.column for d in table.decisions if d.decided == "left out"] == ["b", "c"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"a":1}\n{"a":\n', "line 2 of t.jsonl is not JSON"),
        ('{"a":1}\n[1]\n', "line 2 of t.jsonl is [1]"),
        ('{"a":1,"a":2}\n', "the key 'a' comes twice"),
        ('{"a":' + "[" * 100_000 + "}\n", "nested too deeply"),
        ('{"a":"\\ud800"}\n', "surrogates not allowed"),
        ('{"a":' + "9" * 5000 + "}\n", "line 1 of t.jsonl is not JSON"),
        ("\n\n", "is empty"),
    ],
)
def test_what_is_no_json(write, content, problem):
    with pytest.raises(DataError) as caught:
        read(write(content)).frame()
    assert problem in str(caught.value) or caught.value.code is ErrorCode.EMPTY_DATA


def test_late_rows_are_held_against_the_first(write, monkeypatch):
    monkeypatch.setattr(jsonlines, "SAMPLE_ROWS", 2)
    monkeypatch.setattr(delimited, "_BLOCK", 8)
    assert read(write('{"a":1}\n{"a":2}\n{"a":2.5}\n')).frame()["a"].to_list() == [1.0, 2.0, 2.5]
    with pytest.raises(DataError, match=r"row 3 of t.jsonl, column 'a': got 'x'"):
        read(write('{"a":1}\n{"a":2}\n{"a":"x"}\n')).frame()
    with pytest.raises(DataError, match="the new key 'b'"):
        read(write('{"a":1}\n{"a":2}\n{"b":2}\n')).frame()
    table = read(write('{"a":1}\n{"a":2}\n{"b":2}\n'), kinds={"b": "number"})
    assert table.frame()["b"].to_list() == [None, None, 2.0]


def test_arrays(write):
    assert read(write('[{"a":1},{"a":2}]', "t.json")).frame()["a"].to_list() == [1, 2]
    assert read(write('{"a":1}\n{"a":2}\n', "t.json")).num_rows == 2
    for content in ("5", "[1,2]", "[", "[]"):
        with pytest.raises(DataError):
            read(write(content, "t.json"))


def test_arrays_are_small(write, monkeypatch):
    monkeypatch.setattr(jsonlines, "_MAX_ARRAY", 10)
    with pytest.raises(DataError, match="write one object a line"):
        read(write('[{"a":1},{"a":2}]', "t.json"))


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)


@settings(max_examples=100)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1), min_size=1, max_size=6))
def test_any_objects_are_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("json") / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    table = read(path)
    assert table.frame().height == len(rows)
    assert set(table.schema.names) == {key for row in rows for key in row}
