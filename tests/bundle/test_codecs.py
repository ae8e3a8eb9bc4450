"""Codecs keep to their specification: the vectors hold for single values and for whole columns alike."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle.codecs import (
    CODECS,
    MAX_CHARACTERS,
    NUMBER_FORMATS,
    SEPARATOR,
    TIDYING,
    DatetimeParser,
    NumberParser,
    TextTidier,
    characters,
    hash_digits,
    map_distinct,
    microseconds,
    nfc,
    nfc_casefold,
)
from lepton.bundle.encoding import TextEncoder, numeric_encoder
from lepton.core import ColumnRecord, Kind, SchemaError, UsageError

VECTORS = {
    vectors["codec"]: vectors
    for path in (Path(__file__).parent / "codec_vectors").glob("*.json")
    if (vectors := json.loads(path.read_text(encoding="utf-8")))
}
DATES = VECTORS["parse-datetime/1"]["cases"]
_NAN = float("nan")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "codecs.md"


def test_every_codec_has_vectors_and_a_page() -> None:
    assert set(VECTORS) == set(CODECS)
    page = PAGE.read_text(encoding="utf-8")
    for codec in CODECS:
        assert f"## `{codec}`" in page


@pytest.mark.parametrize("case", DATES, ids=[f"{case['format']} {case['time_zone']}" for case in DATES])
def test_datetime_vectors(case: dict[str, Any]) -> None:
    parser = DatetimeParser(case["format"], case["time_zone"])
    for text, moment in case["texts"].items():
        assert parser.parse(text) == moment, text
    column = pl.Series([*case["texts"], None])
    assert parser.parse_series(column).to_list() == [*case["texts"].values(), None]


def test_columns_without_any_text() -> None:
    for parser in (DatetimeParser(), DatetimeParser(time_zone="Europe/Berlin")):
        assert parser.parse_series(pl.Series([], dtype=pl.String)).to_list() == []
        assert parser.parse_series(pl.Series([None, None], dtype=pl.String)).to_list() == [None, None]


@given(st.datetimes() | st.datetimes(timezones=st.timezones()))
def test_what_python_writes_is_read_back(moment: dt.datetime) -> None:
    try:
        expected = microseconds(moment)
    except OverflowError:  # an offset that leaves Python's years
        return
    text = moment.isoformat()
    if moment.utcoffset() is None or moment.utcoffset() % dt.timedelta(minutes=1) == dt.timedelta(0):  # type: ignore[operator]
        assert DatetimeParser().parse(text) == expected
    else:
        assert DatetimeParser().parse(text) is None


@given(st.datetimes(dt.datetime.fromisoformat("1930-01-01"), dt.datetime.fromisoformat("2037-01-01")))
def test_local_clocks_are_those_of_python(moment: dt.datetime) -> None:
    parser = DatetimeParser(time_zone="America/New_York")
    expected = microseconds(moment.replace(tzinfo=ZoneInfo("America/New_York")))
    assert parser.parse(moment.isoformat()) == expected
    assert parser.to_utc(pl.Series([microseconds(moment), None])).to_list() == [expected, None]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    DatetimeParser().parse(text)
    DatetimeParser("%d.%m.%y %I %p").parse(text)


@pytest.mark.parametrize("datetime_format", ["%d.%m.", "%Y %Q", "%Y-%m-%b-%Y", "%Y %", "%c"])
def test_formats_that_are_not_known(datetime_format: str) -> None:
    with pytest.raises(UsageError, match="datetime format"):
        DatetimeParser(datetime_format)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "+25:00"])
def test_zones_that_are_not_known(zone: str) -> None:
    with pytest.raises(UsageError, match="time zone"):
        DatetimeParser(time_zone=zone)


@pytest.mark.parametrize(("text", "expected"), VECTORS["nfc-casefold/1"]["texts"].items())
def test_casefold_vectors(text: str, expected: str) -> None:
    assert nfc_casefold(text) == expected
    assert map_distinct(pl.Series([text, None, text]), nfc_casefold).to_list() == [expected, None, expected]


@given(st.text())
def test_casefolding_twice_changes_nothing(text: str) -> None:
    assert nfc_casefold(nfc_casefold(text)) == nfc_casefold(text)


@pytest.mark.parametrize(("text", "expected"), VECTORS["characters/1"]["texts"].items())
def test_characters_vectors(text: str, expected: str) -> None:
    assert characters(text) == expected


@given(st.text())
def test_characters_stand_apart_and_are_bounded(text: str) -> None:
    pieces = characters(text * 50).split(SEPARATOR)
    assert len(pieces) <= MAX_CHARACTERS
    assert all(len(piece) == 1 for piece in pieces) or pieces == [""]
    assert "".join(pieces) == " ".join(nfc_casefold(text * 50).split())[:MAX_CHARACTERS]


def test_nfc_of_a_column() -> None:
    assert nfc(pl.Series(["e\u0301", None, "a"])).to_list() == ["\u00e9", None, "a"]
    plain = pl.Series(["a", None])
    assert nfc(plain) is plain


NUMBERS = VECTORS["parse-number/1"]["cases"]


@pytest.mark.parametrize("case", NUMBERS, ids=[f"{case['number_format']} {[*case['units']]}" for case in NUMBERS])
def test_number_vectors(case: dict[str, Any]) -> None:
    parser = NumberParser(case["number_format"], case["units"])
    for text, number in case["texts"].items():
        assert parser.parse(text) == number, text
    column = pl.Series([*case["texts"], None])
    assert parser.parse_series(column).to_list() == [*case["texts"].values(), None]


_PIECES = ["1", "12", "234", "0", ".", ",", " ", "'", "-", "+", "\u2212", "e5", "km", "m", "$", "%", "m2", "x"]


@given(
    st.sampled_from(NUMBER_FORMATS),
    st.lists(st.sampled_from(["km", "m", "$", "%", "m2", ""]), unique=True),
    st.lists(st.lists(st.sampled_from(_PIECES), max_size=6).map("".join), max_size=20),
)
def test_single_texts_and_columns_give_the_same_numbers(number_format: str, units: list[str], texts: list[str]) -> None:
    parser = NumberParser(number_format, {unit: 0.01 if unit == "%" else len(unit) + 1.0 for unit in units})
    column = pl.Series(texts, dtype=pl.String)
    assert parser.parse_series(column).to_list() == [parser.parse(text) for text in texts]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_of_python_are_read_back(number: float) -> None:
    assert NumberParser().parse(repr(number)) == number


@pytest.mark.parametrize(
    ("number_format", "units"),
    [("1.5", {}), ("1234.5", {"5": 1.0}), ("1234.5", {" km": 1.0}), ("1234.5", {"km": 0.0}), ("1234.5", {"e5": 1.0})],
)
def test_number_formats_and_units_that_are_not_known(number_format: str, units: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        NumberParser(number_format, units)


@pytest.mark.parametrize("case", VECTORS["parse-boolean/1"]["cases"])
def test_boolean_vectors(case: dict[str, Any]) -> None:
    record = ColumnRecord(
        "b", Kind.BOOLEAN, "bool", true_texts=tuple(case["true_texts"]), false_texts=tuple(case["false_texts"])
    )
    encoder = numeric_encoder(record)
    for text, expected in case["texts"].items():
        for read in (
            lambda text=text: encoder.cells([text])[0],
            lambda text=text: encoder.series(pl.Series([text]))[0],
        ):
            if expected is None:
                with pytest.raises(SchemaError, match="'ja'"):
                    read()
            else:
                assert read() == expected


def test_an_encoder_reads_numbers_in_the_way_of_its_column() -> None:
    record = ColumnRecord("d", Kind.NUMBER, unit="m", number_format="1.234,5", units=(("km", 1000.0), ("m", 1.0)))
    encoder = numeric_encoder(record)
    assert encoder.cells(["1.500 m", "2,5 km", 7, None]).tolist()[:3] == [1500.0, 2500.0, 7.0]
    assert encoder.series(pl.Series(["1.500 m", "2,5 km"])).to_list() == [1500.0, 2500.0]
    with pytest.raises(SchemaError, match=r"1\.5 m"):
        encoder.cells(["1.5 m"])


def test_further_formats_are_tried_in_their_order() -> None:
    parser = DatetimeParser("%d/%m/%Y", further=("%m/%d/%Y", "%Y-%m-%d"))
    texts = ["01/02/1970", "01/31/1970", "1970-01-02", "x"]
    days = [31, 30, 1, None]
    expected = [None if day is None else day * 86_400_000_000 for day in days]
    assert [parser.parse(text) for text in texts] == expected
    assert parser.parse_series(pl.Series(texts)).to_list() == expected


@pytest.mark.parametrize(("text", "expected"), VECTORS["stable-hash/1"]["texts"].items())
def test_hashes_are_the_same_everywhere(text: str, expected: str) -> None:
    assert hash_digits(text) == expected


@pytest.mark.parametrize("case", VECTORS["tidy-text/1"]["cases"], ids=lambda case: " ".join(case["tidying"]))
def test_texts_are_tidied(case: dict[str, Any]) -> None:
    tidier = TextTidier(case["tidying"])
    texts = case["texts"]
    assert {text: tidier.tidy(text) for text in texts} == texts
    assert tidier.tidy_series(pl.Series([*texts, None])).to_list() == [*texts.values(), None]


@given(st.lists(st.sampled_from(TIDYING), max_size=4), st.lists(st.text(max_size=12), max_size=8))
def test_single_texts_and_columns_are_tidied_alike(changes: list[str], texts: list[str]) -> None:
    texts = [text for text in texts if not any("\ud800" <= character <= "\udfff" for character in text)]
    tidier = TextTidier(changes)
    assert tidier.tidy_series(pl.Series(texts, dtype=pl.String)).to_list() == [tidier.tidy(text) for text in texts]
    encoder = TextEncoder(ColumnRecord("a", Kind.CATEGORY, "string", missing_markers=("?",), tidying=tuple(changes)))
    assert encoder.series(pl.Series([*texts, None], dtype=pl.String)).to_list() == encoder.cells([*texts, None])


@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME])
def test_texts_of_numbers_are_tidied_before_they_are_read(kind: Kind) -> None:
    column = ColumnRecord("n", kind, tidying=("plain", "trim"), missing_markers=("?",))
    encoder = numeric_encoder(column)
    texts = {
        Kind.NUMBER: ["\u22121.5\u3000", "\u3000", "?", "2"],
        Kind.BOOLEAN: ["yes\u3000", "\u3000", "?", "0"],
        Kind.DATETIME: ["2020\u201301\u201302", "\u3000", "?", "1970-01-01"],
    }[kind]
    cells = encoder.cells(texts)
    assert cells.tolist() == pytest.approx(
        {
            Kind.NUMBER: [-1.5, _NAN, _NAN, 2],
            Kind.BOOLEAN: [1, _NAN, _NAN, 0],
            Kind.DATETIME: [1577923200e6, _NAN, _NAN, 0],
        }[kind],
        nan_ok=True,
    )
    assert encoder.series(pl.Series(texts)).to_list() == pytest.approx(cells.tolist(), nan_ok=True)


@pytest.mark.parametrize("changes", [["trim", "exec"], ["trim"] * 101])
def test_changes_that_are_not_specified_are_refused(changes: list[str]) -> None:
    with pytest.raises(UsageError, match=r"exec|101"):
        TextTidier(changes)
