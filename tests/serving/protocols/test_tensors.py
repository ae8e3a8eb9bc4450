"""JSON tensors: what a shape claims is compared with what came, and nothing is taken for what it is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, LeptonError, SchemaError, ServingError
from lepton.serving.datatypes import DATATYPES, datatype_of
from lepton.serving.protocols.tensors import plain_doubles, read_tensor, write_tensor


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP64", "shape": [2, 2], "data": [1, 2, 3, 4]} | changes


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=4).flatmap(
        lambda shape: st.tuples(
            st.just(shape),
            st.lists(st.none() | st.floats(allow_nan=False), min_size=math.prod(shape), max_size=math.prod(shape)),
        )
    )
)
def test_flat_and_nested_data_are_the_same_tensor(drawn: tuple[list[int], list[float | None]]) -> None:
    shape, values = drawn
    array = np.array(values, dtype=np.float64).reshape(shape)
    nested = np.array(values, dtype=object).reshape(shape).tolist()
    for data in (values, nested):
        if not (data and isinstance(data[0], list) and 0 in shape):
            np.testing.assert_array_equal(read_tensor(tensor(shape=shape, data=data), 0).numbers(), array)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shape": None}, "shape .* is missing"),
        ({"shape": 4}, "shape .* is a number"),
        ({"shape": []}, "has 0 sizes"),
        ({"shape": [1] * 10_000}, "has 10000 sizes"),
        ({"shape": [-1, -4]}, "holds -1"),
        ({"shape": [2.0, 2]}, "holds 2.0"),
        ({"shape": [True, 4]}, "holds True"),
        ({"shape": ["2", 2]}, "holds '2'"),
        ({"shape": [2**32, 2**32]}, "is 4 values"),
        ({"shape": [2**62, 4]}, "is 4 values"),
        ({"shape": [0]}, "is 4 values"),
        ({"shape": [3]}, "is 4 values"),
        ({"data": [[1, 2], [3]]}, "nested otherwise"),
        ({"data": [[1, 2], 3]}, "nested otherwise"),
        ({"data": [[1, 2]]}, "is 2 values"),
        ({"data": [[1], [2], [3], [4]]}, "nested otherwise"),
        ({"data": "1234"}, "is a text"),
        ({"data": {"0": 1}}, "is an object"),
        ({"datatype": "FLOAT"}, "is 'FLOAT'"),
        ({"datatype": "fp64"}, "is 'fp64'"),
        ({"datatype": None}, "is missing"),
        ({"datatype": ["FP64"]}, "is an array"),
        ({"name": ""}, "name of inputs"),
        ({"name": 3}, "is a number"),
        ({"parameters": []}, "parameters .* are an array"),
        ({"parameters": {"binary_data_size": 32}}, "binary data"),
        ({"dtype": "FP64"}, "unknown field 'dtype'"),
    ],
)
def test_what_is_no_tensor_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ServingError, match=says) as caught:
        read_tensor(tensor(**changes), 0)
    assert caught.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("raw", [None, [], "x", 1])
def test_what_is_no_object_is_refused(raw: object) -> None:
    with pytest.raises(ServingError, match=r"inputs\[3\]"):
        read_tensor(raw, 3)


def test_data_must_be_there() -> None:
    raw = tensor()
    del raw["data"]
    with pytest.raises(ServingError, match="has no data"):
        read_tensor(raw, 0)


@pytest.mark.parametrize(
    ("datatype", "value", "code"),
    [
        ("FP64", "1.5", ErrorCode.WRONG_KIND),
        ("FP64", True, ErrorCode.WRONG_KIND),
        ("FP32", 1e39, ErrorCode.BAD_VALUE),
        ("FP16", 70_000, ErrorCode.BAD_VALUE),
        ("INT8", 128, ErrorCode.BAD_VALUE),
        ("INT64", 1.0, ErrorCode.WRONG_KIND),
        ("INT64", True, ErrorCode.WRONG_KIND),
        ("UINT8", -1, ErrorCode.BAD_VALUE),
        ("UINT64", -1, ErrorCode.BAD_VALUE),
        ("BOOL", 1, ErrorCode.WRONG_KIND),
        ("BOOL", "true", ErrorCode.WRONG_KIND),
        ("BYTES", 1, ErrorCode.WRONG_KIND),
        ("BYTES", {}, ErrorCode.WRONG_KIND),
        ("FP64", {}, ErrorCode.WRONG_KIND),
        ("FP64", [1], ErrorCode.WRONG_KIND),
    ],
)
def test_values_are_of_their_datatype(datatype: str, value: object, code: ErrorCode) -> None:
    with pytest.raises(SchemaError, match=datatype) as caught:
        read_tensor({"name": "x", "datatype": datatype, "shape": [2], "data": [None, value]}, 0)
    assert caught.value.code is code
    assert caught.value.details["position"] == 1


@pytest.mark.parametrize(("datatype", "dtype"), DATATYPES.items())
def test_every_datatype_goes_there_and_back(datatype: str, dtype: np.dtype[Any]) -> None:
    array = np.array(["a", "b"], dtype=object) if datatype == "BYTES" else np.array([0, 1], dtype=dtype)
    assert datatype_of(array) == datatype
    read = read_tensor(write_tensor("x", array), 0)
    assert read.values == array.tolist()
    assert read.column() == array.tolist()
    assert read.shape == (2,)


def test_missing_values_are_nan_and_empty() -> None:
    numbers = read_tensor({"name": "x", "datatype": "INT32", "shape": [2], "data": [None, 7]}, 0).numbers()
    texts = read_tensor({"name": "x", "datatype": "BYTES", "shape": [2, 1], "data": [None, "a"]}, 0).texts()
    np.testing.assert_array_equal(numbers, [np.nan, 7.0])
    assert texts.tolist() == [[""], ["a"]]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=5), v, max_size=4),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": json_values | st.just("x"),
            "datatype": json_values | st.sampled_from(sorted(DATATYPES)),
            "shape": json_values | st.lists(st.integers(-1, 3), max_size=3),
            "data": json_values,
            "parameters": json_values | st.just({}),
        },
    )
)
def test_anything_is_a_tensor_or_a_refusal(raw: dict[str, Any]) -> None:
    try:
        read = read_tensor(raw, 0)
    except LeptonError as error:
        refusal: LeptonError | None = error
    else:
        refusal = None
        assert math.prod(read.shape) == len(read.values)
    assert refusal is None or refusal.http_status in {400, 422}


PLAIN = {"name": "numbers", "datatype": "FP64", "shape": [2, 2], "data": [1, 2.5, None, -3]}


@given(
    st.dictionaries(
        st.sampled_from([*PLAIN, "parameters"]),
        st.sampled_from(
            [[2, 2], [2, 2.0], [True, 4], [4], [[1, 2], [3, 4]], [1, 2, 3], ["1", 2, 3, 4], [True, 2, 3, 4]]
        )
        | st.sampled_from(["numbers", "FP32", "FP64", None, 3, {}, []]),
        max_size=2,
    )
)
def test_the_short_way_gives_what_the_long_one_gives(changed):
    raw = {**PLAIN, **changed}
    found = plain_doubles([raw], "numbers", 2)
    if found is not None:
        assert np.array_equal(found, read_tensor(raw, 0).numbers(), equal_nan=True)


def test_the_short_way_is_taken():
    found = plain_doubles([PLAIN], "numbers", 2)
    assert found is not None
    assert np.array_equal(found, [[1.0, 2.5], [np.nan, -3.0]], equal_nan=True)
    assert plain_doubles([PLAIN, PLAIN], "numbers", 2) is None
    assert plain_doubles([PLAIN], "numbers", 4) is None
