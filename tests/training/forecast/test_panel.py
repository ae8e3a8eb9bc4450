"""Series of tables: frequencies that are found, decisions that are said, tables that are refused."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from lepton import data
from lepton.core import DataError, LeptonError, UsageError
from lepton.training.forecast.panel import read_panel
from lepton.training.forecast.seasons import find_seasons, usual_seasons
from tests.training.forecast.tables import daily, monthly


def panel_of(frame: pl.DataFrame, target: str = "sales", time: str | None = "when", series: str | None = None):
    return read_panel(data.read(frame), target=target, time=time, series=series)


def at(*days: float) -> pl.DataFrame:
    start = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - naive on purpose
    return pl.DataFrame(
        {"when": [start + dt.timedelta(days=day) for day in days], "sales": np.arange(len(days)) % 5 * 1.5}
    )


def test_daily_series_in_any_order():
    frame = daily(30, 3)
    panel = panel_of(frame.sample(fraction=1.0, shuffle=True, seed=1), series="shop")
    assert panel.frequency.text == "every day"
    assert {series.name for series in panel.series} == {"shop 0", "shop 1", "shop 2"}
    found = next(series for series in panel.series if series.name == "shop 1")
    assert found.target.tolist() == frame.filter(pl.col("shop") == "shop 1")["sales"].to_list()


def test_months_by_their_last_days_and_their_season():
    panel = panel_of(monthly(), "value", "month")
    assert panel.frequency.text == "every month"
    assert panel.frequency.at_end
    assert find_seasons(panel, 20) == (12, 0)
    after = panel.frequency.after(panel.series[0].times[-1:], 3).astype("M8[us]").astype("M8[D]")
    assert after.astype(str).tolist() == [["2024-01-31", "2024-02-29", "2024-03-31"]]


@pytest.mark.parametrize(
    ("hours", "text", "seasons"),
    [(1, "every hour", (24, 168)), (0.25, "every 15 minutes", (4, 96, 672)), (168, "every week", (52,))],
)
def test_frequencies_and_their_usual_seasons(hours, text, seasons):
    panel = panel_of(at(*(np.arange(40) * hours / 24.0)))
    assert panel.frequency.text == text
    assert usual_seasons(panel.frequency) == seasons


def test_years_as_numbers():
    frame = pl.DataFrame({"year": list(range(1980, 2020)), "value": np.arange(40) % 7 * 1.0})
    panel = panel_of(frame, "value", "year")
    assert panel.frequency.text == "every unit"
    assert find_seasons(panel, 10) == (1, 0)


def test_a_season_that_is_not_there_is_not_found():
    noise = daily(200, 1).with_columns(sales=pl.Series(np.random.default_rng(0).normal(size=200)))
    assert find_seasons(panel_of(noise), 50) == (1, 0)
    assert find_seasons(panel_of(daily(200, 1)), 50) == (7, 0)


def test_gaps_are_said():
    frame = daily(30, 1).filter(pl.col("when").dt.day() != 10)
    panel = panel_of(frame)
    assert len(panel.series[0]) == 30
    assert any("1 of 30 steps have no value" in note for note in panel.notes)


def test_days_of_a_zone_are_days_on_its_clock_where_the_clock_changes():
    first, last = dt.datetime(2024, 3, 20), dt.datetime(2024, 4, 10)  # noqa: DTZ001 - on the clock of the zone
    days = pl.datetime_range(first, last, "1d", time_zone="Europe/Oslo", eager=True)
    frame = pl.DataFrame({"when": days, "sales": np.arange(len(days)) * 1.0 % 5})
    panel = panel_of(frame)
    assert panel.frequency.text == "every day"
    assert len(panel.series[0]) == 22
    assert panel.frequency.from_clock(panel.series[0].times).tolist() == days.to_physical().to_list()


def test_series_without_values_are_left_out_and_said():
    frame = daily(30, 2).with_columns(sales=pl.when(pl.col("shop") == "shop 0").then(None).otherwise("sales"))
    panel = panel_of(frame, series="shop")
    assert [series.name for series in panel.series] == ["shop 1"]
    assert any("left out: shop 0" in note for note in panel.notes)


def test_constant_series_among_others_are_said():
    frame = daily(30, 2).with_columns(sales=pl.when(pl.col("shop") == "shop 0").then(3.0).otherwise("sales"))
    assert any("1 of 2 series never change" in note for note in panel_of(frame, series="shop").notes)


def test_more_covariates_than_are_used_are_said():
    wide = daily(30, 1).with_columns(**{f"c{number}": pl.col("sales") * number for number in range(300)})
    panel = panel_of(wide)
    assert len(panel.inputs.covariates) == 198
    assert any("102 more are not used" in note for note in panel.notes)


def test_texts_are_not_used_and_said():
    frame = daily(30, 1)
    assert any("'shop'" in note for note in panel_of(frame).notes)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (daily(30, 2), {}, "there twice"),
        (at(0, 1, 2, 3.4, 4, 5), {}, "2024-01-04 09:36:00 is not a whole number of steps"),
        (at(0, 1, 2, 3, 100), {}, "steps have no value"),
        (at(*range(10)).with_columns(sales=pl.lit(None, dtype=pl.Float64)), {}, "never|missing in every row"),
        (at(*range(10)).with_columns(sales=pl.lit(2.0)), {}, "never changes"),
        (at(*range(10)).with_columns(sales=pl.Series([1.0, np.inf] * 5)), {}, "infinite in 5 rows"),
        (at(*range(10)).with_columns(when=pl.when(pl.int_range(10) != 4).then("when")), {}, "missing in 1"),
        (at(0), {}, "one time only"),
        (at(*(np.arange(10) / 864e5), *(9_999 + np.arange(3) / 864e5)), {}, "more than 20,000,000 steps"),
        (at(*range(10)), {"time": "nothing"}, "no column 'nothing'"),
        (at(*range(10)), {"target": "nothing"}, "no column 'nothing'"),
        (at(*range(10)), {"time": "sales"}, "different columns"),
        (daily(30, 1), {"target": "shop"}, "of kind"),
        (daily(30, 1), {"time": "shop"}, "of kind"),
        (pl.DataFrame({"a": [1.5, 2.5], "sales": [1.0, 2.0]}), {"time": None}, "which column is the time"),
        (pl.DataFrame({"a": [1.5, 2.5], "sales": [1.0, 2.0]}), {"time": "a"}, "whole numbers or dates"),
    ],
)  # fmt: skip
def test_tables_that_are_refused(frame, options, message):
    with pytest.raises((DataError, UsageError), match=message):
        panel_of(frame, **options)


def test_mixed_time_zones_are_refused():
    texts = [f"2024-01-{day:02d}T00:00:00{'+02:00' if day % 2 else '-05:00'}" for day in range(1, 21)]
    frame = pl.DataFrame({"when": texts, "sales": np.arange(20) % 5 * 1.0})
    with pytest.raises(LeptonError) as refused:
        panel_of(frame)
    assert refused.value.fix
