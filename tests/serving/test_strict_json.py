"""One text, one meaning: what is JSON passes unchanged, everything else is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, ServingError
from lepton.serving.strict_json import MAX_DEPTH, _parsed_with_care, dump, numbers, parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=6) | st.dictionaries(TEXTS, v, max_size=6), max_leaves=40)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_the_standard_library_writes_is_read_back(value: object, ascii_only: bool, indent: int | None) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert parse(dump(value)) == value


@given(st.binary(max_size=40) | TEXTS.map(str.encode))
def test_any_bytes_give_a_value_or_a_refusal(body: bytes) -> None:
    try:
        value = parse(body)
    except ServingError:
        return
    assert json.loads(body) == value


REFUSED = {
    "nothing": (b"", "empty"),
    "white space": (b" \n\t", "empty"),
    "NaN": (b"[NaN]", "NaN is not JSON"),
    "Infinity": (b"[Infinity]", "Infinity is not JSON"),
    "-Infinity": (b'{"a":-Infinity}', "-Infinity is not JSON"),
    "1e999": (b"[1e999]", "1e999"),
    "-1e999": (b"[-1.5E+999]", "-1.5E\\+999"),
    "an overflow without exponent": (b"1" * 310 + b".0", "does not fit a 64-bit float"),
    "an overflow with both": (b"1" * 250 + b"e99", "does not fit a 64-bit float"),
    "2^63": (b"9223372036854775808", "does not fit 64 bits"),
    "-2^63-1": (b"-9223372036854775809", "does not fit 64 bits"),
    "2^64": (b"18446744073709551616", "does not fit 64 bits"),
    "5,000 digits": (b"[" + b"9" * 5000 + b"]", "does not fit 64 bits"),
    "a very long float": (b"0." + b"1" * 1200, "1202 characters"),
    "01": (b"[01]", "not JSON"),
    "0x10": (b"[0x10]", "not JSON"),
    "1_000": (b"[1_000]", "not JSON"),
    ".5": (b"[.5]", "not JSON"),
    "+1": (b"[+1]", "not JSON"),
    "two equal keys": (b'{"a":1,"b":{"c":1,"c":1}}', '"c" stands twice'),
    "equal keys, one escaped": (b'{"a":1,"\\u0061":2}', '"a" stands twice'),
    "trailing bytes": (b"{} x", "not JSON"),
    "two values": (b"{}{}", "not JSON"),
    "a comment": (b"[1] // one", "not JSON"),
    "a trailing comma": (b"[1,]", "not JSON"),
    "single quotes": (b"{'a':1}", "not JSON"),
    "a control character": (b'["a\nb"]', "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": ("[]".encode("utf-16"), "not UTF-8"),
    "UTF-16 without a mark": ("[]".encode("utf-16-le"), "not JSON"),
    "Latin-1": (b'["\xe9"]', "not UTF-8"),
    "an overlong byte": (b'["\xc0\xaf"]', "not UTF-8"),
    "a surrogate in UTF-8": (b'["\xed\xa0\x80"]', "not UTF-8"),
    "half of a pair": (b'{"k":["\\ud800"]}', "half of a surrogate"),
    "the other half": (b'["\\uDFFFx"]', "half of a surrogate"),
    "half of a pair as a key": (b'{"\\ud800":1}', "half of a surrogate"),
    "NUL": (b'["a\\u0000b"]', "NUL"),
    "65 levels": (b"[" * 65 + b"]" * 65, "nested too deep"),
    "100,000 levels": (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
    "100,000 objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
    "100,000 brackets that never close": (b"[" * 100_000, "nested too deep or not balanced"),
    "brackets hidden by an escape": (b'["\\\\",' + b"[" * 70 + b"]" * 70 + b"]", "nested too deep"),
}


@pytest.mark.parametrize(("body", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(body: bytes, says: str) -> None:
    with pytest.raises(ServingError, match=says) as caught:
        parse(body)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"-0", 0),
        (b"9223372036854775807", 2**63 - 1),
        (b"1e308", 1e308),
        (b"9007199254740993", 2**53 + 1),
        (b"5e-324", 5e-324),
        (b"0.1234567890123456789012345", 0.1234567890123456789012345),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\\\u0000 \\\\ud800"', "\\u0000 \\ud800"),
        (b'{"":{"__proto__":1}}', {"": {"__proto__": 1}}),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b'["' + b"[" * 500 + b'"]', ["[" * 500]),
        (b'["\\"' + b"[" * 500 + b'"]', ['"' + "[" * 500]),
        (b"[" + b",".join([b"[]"] * 200) + b"]", [[]] * 200),
    ],
)
def test_taken(body: bytes, value: object) -> None:
    parsed = parse(body)
    assert value is None or parsed == value


def test_numbers_that_json_does_not_have_are_written_as_null() -> None:
    assert json.loads(dump({"a": [1.5, math.nan, (math.inf,)], "b": -math.inf})) == {
        "a": [1.5, None, [None]],
        "b": None,
    }


def test_many_keys_and_many_rows_are_quick() -> None:
    keys = json.dumps({f"key {number}": number for number in range(100_000)}).encode()
    rows = json.dumps([{"a": 1, "b": [number]} for number in range(50_000)]).encode()
    assert len(parse(keys)) == 100_000
    assert len(parse(rows)) == 50_000


def both(body: bytes) -> tuple[object, object]:
    """What `parse` says, and what the parser with all checks says."""
    told: list[object] = []
    for read in (parse, lambda body: _parsed_with_care(body, "the body")):
        try:
            told.append(repr(read(body)))
        except ServingError as error:
            told.append(error.code)
    return told[0], told[1]


MARKS = ['{"a":', '"a"', '"a" :', ":", ",", "{", "}", "[", "]", '"', "\\", "\\u0000", '":', "12:00", " ", "é", "null"]
NUMBERS = ["1", "-0", "0.5", "1e5", f"{2**63 - 1}", f"{2**63}", f"{-(2**63) - 1}", "0.0012345678901234567", "1" * 120]
SNIPPETS = st.sampled_from([*MARKS, *NUMBERS])


@given(st.lists(SNIPPETS, max_size=14).map("".join) | VALUES.map(json.dumps))
def test_the_quick_way_takes_what_the_careful_one_takes(text: str) -> None:
    quick, careful = both(text.encode())
    assert quick == careful


@pytest.mark.parametrize(
    "text", ['{"a":1,"a" :2}', '[1,{"a":1,"a":2}]', '{"a":"x\\":","a":1}', '{"t":"10:00","t":"1"}']
)
def test_no_count_hides_a_key_that_stands_twice(text: str) -> None:
    with pytest.raises(ServingError, match="stands twice"):
        parse(text.encode())


@given(st.lists(st.integers(-(2**40), 2**40) | st.floats(-1e15, 1e15), min_size=1), st.sampled_from([None, 1]))
def test_numbers_are_read_as_parse_reads_them(values: list[float], indent: int | None) -> None:
    text = json.dumps(values, indent=indent).encode()
    found = numbers(text[1:-1])
    assert found is not None
    assert found.tolist() == [float(value) for value in parse(text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1,",
        "[1]",
        "null",
        '"1"',
        "1]",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "1 2",
        "--1",
        "1e999",
        "9223372036854775808",
        "-9223372036854775809",
        "0." + "1" * 1_100,
        "1,2," + "3" * 1_101,
        "1" * 1_101,
        "true",
        "1,false",
        "{}",
        "1e200",
    ],
)
def test_what_is_not_surely_numbers_is_left_to_parse(text: str) -> None:
    assert numbers(text.encode()) is None
    assert numbers(b"1," * 300 + text.encode()) is None


def test_many_numbers_are_read() -> None:
    text = ",".join(f"{value}.{'5' * 300}" for value in range(100)).encode()
    found = numbers(text)
    assert found is not None
    assert found.tolist() == pytest.approx([value + 0.5555555555555556 for value in range(100)])
