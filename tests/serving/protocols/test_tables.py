"""Tables as bodies and as answers: what is taken, what is refused, and damaged bytes of every form."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import random
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings, strategies as st

from lepton.core import LeptonError
from lepton.serving import ModelStore
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.media import ARROW_FILE, ARROW_STREAM, CSV, PARQUET, TABLES, media_of
from lepton.serving.protocols.rows import RowReader
from lepton.serving.protocols.tables import TableReader, write_table

SOLD = pl.DataFrame(
    {"rooms": [1.0, None, 2.5], "town": ["Basel", None, '京,"都'], "garden": [True, None, False]}, strict=False
)
BINARY = (ARROW_STREAM, ARROW_FILE, PARQUET)
READERS: dict[str, Callable[[Any], pl.DataFrame]] = {
    CSV: pl.read_csv,
    ARROW_STREAM: pl.read_ipc_stream,
    ARROW_FILE: pl.read_ipc,
    PARQUET: pl.read_parquet,
}


@pytest.fixture(scope="module")
def tables() -> Iterator[TableReader]:
    tables = TableReader(max_rows=2000, max_decoded=2**20)
    yield tables
    tables.close()


def ask(
    store: ModelStore, tables: TableReader, body: bytes, essence: str, accept: str = "", model: str = "sold"
) -> Any:
    headers = {"content-type": essence} | ({"accept": accept} if accept else {})
    response = RowReader(tables).read(store[model], Request("POST", "/", headers, body)).run()
    assert isinstance(response, Response)
    return response if accept else json.loads(response.body)


def expected(store: ModelStore, rows: Any, model: str = "sold") -> Any:
    body = json.dumps(rows).encode()
    return json.loads(RowReader().read(store[model], Request("POST", "/", {}, body)).run().body)


@pytest.mark.parametrize("essence", TABLES)
def test_a_table_is_answered_as_its_rows_are(store: ModelStore, tables: TableReader, essence: str) -> None:
    assert ask(store, tables, write_table(SOLD, essence), essence) == expected(store, SOLD.to_dicts())


@pytest.mark.parametrize("essence", BINARY)
def test_other_types_that_hold_the_same(store: ModelStore, tables: TableReader, essence: str) -> None:
    frame = SOLD.with_columns(
        pl.col("rooms").cast(pl.Float32), pl.col("town").cast(pl.Categorical), pl.col("garden").cast(pl.Int8)
    )
    assert ask(store, tables, write_table(frame, essence), essence) == expected(store, SOLD.to_dicts())
    zone = pl.Series([dt.datetime(1970, 1, 1, 0, 0, 3, tzinfo=dt.UTC)], dtype=pl.Datetime("ms", "UTC"))
    moments = pl.DataFrame({"sold": zone, "straße": pl.Series([None]), "rooms": pl.Series([2], dtype=pl.UInt64)})
    rows = [{"rooms": 2, "straße": None, "sold": "1970-01-01T00:00:03+00:00"}]
    assert ask(store, tables, write_table(moments, essence), essence, model="price") == expected(store, rows, "price")


def test_csv_is_read_by_the_codecs_of_the_columns(store: ModelStore, tables: TableReader) -> None:
    body = '\ufeffsold,straße,rooms\r\n1970-01-01T01:00:03,"a ""b"", c", 2\r\n\r\n,,\r\n'.encode()
    answer = ask(store, tables, body, "text/csv; charset=utf-8; header=present", model="price")
    rows = [
        {"rooms": "2", "straße": 'a "b", c', "sold": "1970-01-01T01:00:03"},
        {"rooms": None, "straße": None, "sold": None},
    ]
    assert answer == expected(store, rows, "price")


@pytest.mark.parametrize("essence", TABLES)
def test_answers_are_tables_of_the_form_that_is_asked_for(store: ModelStore, tables: TableReader, essence: str) -> None:
    rows = SOLD.to_dicts()
    response = ask(store, tables, json.dumps(rows).encode(), "application/json", essence)
    assert media_of(response.content_type).essence == essence
    assert response.headers == (("x-model-version", "1"),)
    given = READERS[essence](io.BytesIO(response.body))
    wanted = expected(store, rows)
    assert given.columns == ["prediction", "probability_no", "probability_yes"]
    assert given["prediction"].to_list() == wanted["predictions"]
    assert given["probability_yes"].to_list() == [row["yes"] for row in wanted["probabilities"]]


def test_a_form_with_a_file(store: ModelStore, tables: TableReader) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.%s"\r\n\r\n'
    for name, data in ((b"csv", write_table(SOLD, CSV)), (b"json", json.dumps(SOLD.to_dicts()).encode())):
        body = head % name + data + b"\r\n--b--"
        assert ask(store, tables, body, "multipart/form-data; boundary=b") == expected(store, SOLD.to_dicts())


def refused(store: ModelStore, tables: TableReader, body: bytes, essence: str) -> LeptonError:
    with pytest.raises(LeptonError) as caught:
        ask(store, tables, body, essence)
    assert 400 <= caught.value.http_status < 500
    assert len(str(caught.value)) < 600
    return caught.value


ONE = b"rooms,town,garden\n"
CSV_REFUSED = {
    "empty": (b"", 400, "empty"),
    "no rows": (ONE, 400, "no rows"),
    "blank lines": (ONE + b"\n\n", 400, "no rows"),
    "a short row": (ONE + b"1,a,1\n1,a\n", 422, "row 1 .* has 2 cells"),
    "a long row": (ONE + b"1,a,1,2\n", 422, "row 0 .* has 4 cells"),
    "a quote in a cell": (ONE + b'1,a"b,1\n', 400, "quote"),
    "behind a quote": (ONE + b'1,"a"b,1\n', 400, "quote"),
    "an open quote": (ONE + b'1,"a,1\n' + b"x" * 100_000, 400, "quote"),
    "latin-1": (ONE + b"1,\xe9,1\n", 400, "UTF-8"),
    "UTF-16": ("rooms,town,garden\n1,a,1\n".encode("utf-16"), 400, "UTF-8"),
    "NUL": (ONE + b"1,a\0b,1\n", 400, "NUL"),
    "names that stand twice": (b"rooms,town,garden,rooms\n1,a,1,1\n", 422, "'rooms' stands twice"),
    "a missing column": (b"rooms,town\n1,a\n", 422, "'garden'"),
    "an extra column": (b"rooms,town,garden,__proto__\n1,a,1,1\n", 422, "'__proto__'"),
    "another delimiter": (b"rooms;town;garden\n1;a;1\n", 422, "missing columns"),
    "no number": (ONE + b"1,a,1\nmany,a,1\n", 422, "'rooms', row 1"),
    "100,000 columns": (b",".join(b"%d" % n for n in range(100_000)), 422, "100000 columns"),
    "too many rows": (ONE + b"1,a,1\n" * 2001, 413, "more than 2000 rows"),
    "a cell of 1 MB": (ONE + b"1," + b"x" * 2**20 + b",1\n", 400, "line 2"),
}


@pytest.mark.parametrize(("body", "status", "says"), CSV_REFUSED.values(), ids=CSV_REFUSED.keys())
def test_what_is_wrong_with_csv_is_said(
    store: ModelStore, tables: TableReader, body: bytes, status: int, says: str
) -> None:
    error = refused(store, tables, body, CSV)
    assert error.http_status == status
    assert re.search(says, str(error))


@pytest.mark.parametrize("parameter", ["charset=latin-1", "header=absent"])
def test_csv_of_another_make(store: ModelStore, tables: TableReader, parameter: str) -> None:
    assert refused(store, tables, ONE + b"1,a,1\n", f"text/csv; {parameter}").http_status == 415


TYPES_REFUSED = {
    "lists": pl.Series([[1.0]] * 3),
    "objects": pl.Series([{"a": 1}] * 3),
    "bytes": pl.Series([b"a"] * 3),
    "durations": pl.Series([dt.timedelta(1)] * 3),
    "times of day": pl.Series([dt.time(1)] * 3),
    "texts": pl.Series(["a"] * 3),
}


@pytest.mark.parametrize("rooms", TYPES_REFUSED.values(), ids=TYPES_REFUSED.keys())
@pytest.mark.parametrize("essence", [ARROW_STREAM, PARQUET])
def test_columns_of_other_types_are_refused(
    store: ModelStore, tables: TableReader, essence: str, rooms: pl.Series
) -> None:
    error = refused(store, tables, write_table(SOLD.with_columns(rooms=rooms), essence), essence)
    assert (error.http_status, "rooms" in str(error)) == (422, True)


@pytest.mark.parametrize("essence", BINARY)
def test_bombs_are_refused(store: ModelStore, tables: TableReader, essence: str) -> None:
    rows = pl.DataFrame({"rooms": [1.0], "town": ["a"], "garden": [True]})
    many = pl.concat([rows] * 2001)
    assert refused(store, tables, write_table(many, essence), essence).http_status == 413
    wide = rows.select(pl.all(), pl.lit("x" * 2**20).alias("more"))
    assert refused(store, tables, write_table(pl.concat([wide] * 4), essence), essence).http_status == 413
    columns = rows.select(pl.all(), *(pl.lit(0).alias(f"x{number}") for number in range(200)))
    assert refused(store, tables, write_table(columns, essence), essence).http_status == 422
    assert refused(store, tables, write_table(rows.clear(), essence), essence).http_status == 400


def test_a_reader_that_dies_is_replaced(
    store: ModelStore, tables: TableReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = write_table(SOLD, PARQUET)
    with monkeypatch.context() as patch:
        patch.setattr("lepton.serving.protocols.tables._DECODE", "tests.serving.dying:die")
        assert refused(store, tables, good, PARQUET).http_status == 400
    assert ask(store, tables, good, PARQUET) == expected(store, SOLD.to_dicts())


@pytest.mark.parametrize("essence", BINARY)
def test_another_form_than_the_type_says(store: ModelStore, tables: TableReader, essence: str) -> None:
    for body in (b"", b"PAR1", b"ARROW1", b"{}", zlib.compress(b"x" * 10_000), b"\xff" * 64, b"PAR1" + b"\xff" * 16):
        assert refused(store, tables, body, essence).http_status == 400


def damaged(good: bytes, seed: int) -> bytes:
    """`good` with a few bytes changed, taken away or put in."""
    draw, body = random.Random(seed), bytearray(good)
    for _ in range(draw.choice([1, 1, 2, 8])):
        place = draw.randrange(len(body))
        if (way := draw.random()) < 0.5:
            body[place] = draw.randrange(256)
        elif way < 0.8:
            body[place : place + 8] = draw.choice([b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f", b"\xff\xff\xff\x7f"])
        else:
            del body[place : place + draw.randrange(1, 20)]
    return bytes(body)


@pytest.mark.parametrize("essence", BINARY)
@settings(max_examples=1000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 8)  # some end the reader: seconds
@given(seed=st.integers(0, 2**32))
def test_damaged_tables_are_read_or_refused(store: ModelStore, tables: TableReader, essence: str, seed: int) -> None:
    _try(store, tables, damaged(write_table(SOLD, essence), seed), essence)


@given(body=st.binary(max_size=300), seed=st.integers(0, 2**32))
@example(body=b'"', seed=0)
def test_damaged_csv_is_read_or_refused(store: ModelStore, tables: TableReader, body: bytes, seed: int) -> None:
    _try(store, tables, body, CSV)
    _try(store, tables, damaged(write_table(SOLD, CSV), seed), CSV)


def _try(store: ModelStore, tables: TableReader, body: bytes, essence: str) -> None:
    try:
        ask(store, tables, body, essence)
    except LeptonError as error:
        assert 400 <= error.http_status < 500  # noqa: PT017
