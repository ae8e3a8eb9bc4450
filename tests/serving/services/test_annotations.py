from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, Literal, Optional

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, ServingError, UsageError
from lepton.serving.services.annotations import ResultError, kind_of


@dataclasses.dataclass
class Box:
    width: float
    name: str = "box"


@dataclasses.dataclass
class Knot:
    inner: Knot | None


ANNOTATIONS = [
    str,
    int,
    float,
    bool,
    None,
    Any,
    list[int],
    dict[str, float],
    Optional[str],  # noqa: UP045 - as others write it
    int | str,
    Literal["a", 1],
    Box,
    list[Box] | None,
    np.ndarray,
    np.ndarray[Any, np.dtype[np.int8]],
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("annotation", "value", "wanted"),
    [
        (str, "a", "a"),
        (int, 3, 3),
        (int, 3.0, 3),
        (float, 3, 3.0),
        (bool, True, True),
        (None, None, None),
        (Any, {"a": [1]}, {"a": [1]}),
        (list, [1, "a"], [1, "a"]),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (str | None, None, None),
        (int | str, "a", "a"),
        (Literal["a", 1, None], 1, 1),
        (Annotated[int, "rooms"], 2, 2),
        (Box, {"width": 2}, Box(2.0)),
        (list[Box], [{"width": 2, "name": "x"}], [Box(2.0, "x")]),
    ],
)
def test_what_fits_is_taken(annotation: Any, value: Any, wanted: Any):
    found = kind_of(annotation, "here").read(value, "p")
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (str, 5, "the parameter 'p' is 5. Wanted: text."),
        (str, None, "the parameter 'p' is null. Wanted: text."),
        (int, True, "the parameter 'p' is true. Wanted: a whole number."),
        (int, 2.5, "is 2.5. Wanted: a whole number."),
        (int, 1e300, "is 1e+300. Wanted: a whole number."),
        (int, "3", 'is the text "3". Wanted: a whole number.'),
        (float, "3", "Wanted: a number."),
        (bool, 1, "the parameter 'p' is 1. Wanted: true or false."),
        (list[str], ["a", None], "the parameter 'p[1]' is null. Wanted: text."),
        (list[list[int]], [[1], [2, "x"]], "the parameter 'p[1][1]' is the text \"x\""),
        (list[str], "ab", "Wanted: a list, each item text."),
        (dict[str, int], {"a": {"b": 1}}, "the parameter 'p.a' is an object of 1 keys"),
        (str | None, 5, "Wanted: text or null."),
        (list[int] | None, ["x"], "the parameter 'p[0]' is the text \"x\""),
        (int | str, [], "is a list of 0. Wanted: a whole number or text."),
        (Literal["a", 1], True, 'is true. Wanted: one of "a", 1.'),
        (Literal[True], 1, "Wanted: one of true."),
        (Box, {"width": "2"}, "the parameter 'p.width' is the text \"2\""),
        (Box, {}, "missing parameters: 'p.width'"),
        (Box, {"width": 1, "depth": 2}, "there is no parameter 'p.depth'"),
        (np.ndarray, [[1], [2, 3]], "Wanted: nested lists of numbers that are float64, equally long."),
        (np.ndarray, ["1"], "is a list of 1"),
        (np.ndarray, 1, "is 1"),
        (np.ndarray[Any, np.dtype[np.uint8]], [256], "numbers that are uint8"),
        (np.ndarray[Any, np.dtype[np.int64]], [0.5], "numbers that are int64"),
    ],
)
def test_what_does_not_fit_is_told_by_name(annotation: Any, value: Any, message: str):
    with pytest.raises(ServingError) as caught:
        kind_of(annotation, "here").read(value, "p")
    assert caught.value.code is ErrorCode.BAD_PARAMETER
    assert caught.value.details["parameter"].startswith("p")
    assert message in str(caught.value)


def test_long_and_hidden_texts_are_cut_and_escaped():
    with pytest.raises(ServingError) as caught:
        kind_of(int, "here").read("\u202e" + "x" * 5000, "p")
    assert "\\u202e" in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.sampled_from(ANNOTATIONS), JSON)
def test_any_json_is_read_or_refused(annotation: Any, value: Any):
    kind = kind_of(annotation, "here")
    try:
        found = kind.read(value, "p")
    except ServingError:  # nothing else
        return
    kind.write(found, "the result")


@pytest.mark.parametrize(
    ("annotation", "value", "wanted"),
    [
        (list[float], np.array([1, 2]), [1.0, 2.0]),
        (list[float], pl.Series([0.5]), [0.5]),
        (list[int], (1, np.int8(2)), [1, 2]),
        (float, np.float32(0.5), 0.5),
        (float, 3, 3.0),
        (bool, np.bool_(True), True),
        (str, np.str_("a"), "a"),
        (Box, Box(1.0), {"width": 1.0, "name": "box"}),
        (dict[str, Box], {"a": Box(1.0)}, {"a": {"width": 1.0, "name": "box"}}),
        (
            Any,
            {"a": Box(1.0), "b": (1, None), "c": np.arange(2)},
            {"a": {"width": 1.0, "name": "box"}, "b": [1, None], "c": [0, 1]},
        ),
        (np.ndarray, np.ones((1, 2)), [[1.0, 1.0]]),
        (int | None, None, None),
        (int | str, "a", "a"),
        (Literal["a"], np.str_("a"), "a"),
    ],
)
def test_results_are_written(annotation: Any, value: Any, wanted: Any):
    found = kind_of(annotation, "here").write(value, "the result")
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, "a", "the result is of type str; the annotation says: a whole number"),
        (int, 2**63, "the result is of type int"),
        (int, True, "type bool"),
        (float, "1", "type str"),
        (float, 1j, "type complex"),
        (str, 1, "type int"),
        (bool, 1, "type int"),
        (None, 0, "the annotation says: null"),
        (list[int], {1}, "type set"),
        (list[int], [1, None], r"the result\[1\] is of type NoneType"),
        (dict[str, int], {1: 1}, "type dict"),
        (dict[str, int], {"a": "b"}, "the result.a is of type str"),
        (Box, {"width": 1}, "type dict"),
        (Any, {"a": object()}, "the result.a is of type object"),
        (Any, 2**63, "type int"),
        (Literal["a"], "b", "type str"),
        (int | str, None, "a whole number or text"),
        (np.ndarray, [1], "type list"),
    ],
)
def test_results_that_do_not_fit_are_faults(annotation: Any, value: Any, message: str):
    with pytest.raises(ResultError, match=message):
        kind_of(annotation, "here").write(value, "the result")


def test_missing_numbers_of_arrays_are_nan():
    found = kind_of(np.ndarray, "here").read([[1, None]], "p")
    assert found.dtype == np.float64
    assert math.isnan(found[0, 1])


def test_schemas():
    assert kind_of(list[Box] | None, "here").schema() == {
        "anyOf": [
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"width": {"type": "number"}, "name": {"type": "string"}},
                    "required": ["width"],
                    "additionalProperties": False,
                    "title": "Box",
                },
            },
            {"type": "null"},
        ]
    }
    assert kind_of(Literal["a", 1], "here").schema() == {"enum": ["a", 1]}
    assert kind_of(dict[str, bool], "here").schema() == {"type": "object", "additionalProperties": {"type": "boolean"}}


@pytest.mark.parametrize(
    "annotation", [set[int], tuple[int, ...], dict[int, str], bytes, object(), Knot, Literal[b"a"], list[complex]]
)
def test_annotations_that_cannot_be_checked_are_refused(annotation: Any):
    with pytest.raises(UsageError, match="here") as caught:
        kind_of(annotation, "here")
    assert caught.value.code is ErrorCode.BAD_SERVICE
