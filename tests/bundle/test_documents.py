from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, strategies as st

from lepton.bundle.documents import MAX_DOCUMENT, dump_document, parse_document
from lepton.core import BundleError, ErrorCode, UsageError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(value=st.dictionaries(texts, values, max_size=5))
def test_what_is_written_is_read(value):
    data = dump_document(value, "document")
    assert parse_document(data, "document") == value
    assert dump_document(parse_document(data, "document"), "document") == data
    assert data.endswith(b"}\n")
    assert json.loads(data) == value


def test_the_form_is_canonical():
    assert dump_document({"b": [1, 0.1], "a": "ß\n"}, "document") == '{"a":"ß\\n","b":[1,0.1]}\n'.encode()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), "\ud800", b"x", object(), {1, 2}, {(1,): 2}]
)
def test_what_json_cannot_carry_is_not_written(value):
    with pytest.raises(UsageError, match="the report cannot be written as JSON"):
        dump_document({"x": value}, "report")


def test_too_deep_is_not_written():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(UsageError, match="cannot be written"):
        dump_document(value, "report")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not valid"),
        (b"   ", "is not valid"),
        (b"null", "holds a NoneType, not an object"),
        (b"[]", "holds a list"),
        (b'"x"', "holds a str"),
        (b"1", "holds a int"),
        (b"{} {}", "is not valid: Extra data"),
        (b"{} // x", "is not valid"),
        (b"{'a': 1}", "is not valid"),
        (b'{"a": 01}', "is not valid"),
        (b'{"a": 0x10}', "is not valid"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "is not valid"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice"),
        (b'{"a": "\\ud800"}', "holds what JSON cannot carry"),
        (b'{"a": "\xff"}', "is not valid: 'utf-8' codec"),
        (b'\xef\xbb\xbf{"a": 1}', "is not valid"),
        ('{"a": 1}'.encode("utf-16"), "is not valid"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "is nested too deeply"),
        (b'{"a": [' + b"1," * 500_000 + b"1]}", "holds 500000 values or more"),
        (b'{"a": "' + b"x" * MAX_DOCUMENT + b'"}', "has 16000009 bytes, more than 16000000"),
    ],
)
def test_what_is_no_document_is_refused(data, message, stopwatch):
    with stopwatch(2.0), pytest.raises(BundleError, match=message) as caught:
        parse_document(data, "reports/x.json")
    assert caught.value.code == ErrorCode.BUNDLE_DAMAGED
    assert str(caught.value).startswith("reports/x.json ")
    assert len(str(caught.value)) < 600


def test_dense_documents_take_little_memory():
    data = b'{"a":[' + b"[],{}," * 120_000 + b"[]]}"
    tracemalloc.start()
    parse_document(data, "x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20
