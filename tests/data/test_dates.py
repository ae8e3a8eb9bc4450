# ruff: noqa: DTZ001, DTZ007
"""Which format a column of dates has."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle.codecs import DatetimeParser
from lepton.data.dates import date_formats, like_date, parse_dates

MOMENT = dt.datetime(2021, 3, 25, 14, 5, 9)
FORMATS = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y",
    "%m/%d/%y",
    "%d-%b-%Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%m/%d/%Y %I:%M %p",
]


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_is_found_and_read_as_the_codec_reads_it(form):
    moments = [MOMENT + dt.timedelta(days=3 * i, hours=i) for i in range(40)]
    texts = pl.Series([moment.strftime(form) for moment in moments])
    best, count = date_formats(texts)[0]
    assert count == len(texts)
    read = parse_dates(texts, best).to_physical().to_list()
    assert read == [DatetimeParser(best.strptime).parse(text) for text in texts]
    assert read == [
        (dt.datetime.strptime(text, form) - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1) for text in texts
    ]


@pytest.mark.parametrize("zone", ["Z", "+02:00", "-0530"])
def test_offsets_give_utc(zone):
    texts = pl.Series([f"2021-03-25T14:05:09.25{zone}"])
    best, _ = date_formats(texts)[0]
    assert best.zoned
    assert best.iso
    assert parse_dates(texts, best).to_physical()[0] == DatetimeParser().parse(texts[0])


@given(st.lists(st.dates(dt.date(1970, 1, 1), dt.date(2068, 12, 31)), min_size=1, max_size=20))
def test_both_orders_of_day_and_month_are_found_exactly_where_both_fit(days):
    texts = pl.Series([day.strftime("%d/%m/%Y") for day in days])
    whole = {f.strptime for f, count in date_formats(texts) if count == len(texts)}
    assert "%d/%m/%Y" in whole
    assert ("%m/%d/%Y" in whole) == all(day.day <= 12 for day in days)


def test_what_is_no_date():
    assert date_formats(pl.Series(["hello", "12", "2021-13-45", "31/31/2020"])) == []
    assert [like_date(text) for text in ("hello", "12.5", "2021-01-01")] == [False, False, True]
