"""Forecasters: packing history, forecasts as rows, and model files that do not say what they must."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, open_model, write_bundle
from lepton.bundle.frequency import DAY, Frequency
from lepton.bundle.series import SeriesInputs
from lepton.core import BundleError, ColumnRecord, Kind, LeptonError, Role, SchemaError

COLUMNS = (
    ColumnRecord("when", Kind.DATETIME, "datetime", role=Role.TIME),
    ColumnRecord("shop", Kind.CATEGORY, "string", role=Role.GROUP),
    ColumnRecord("warm", Kind.NUMBER),
    ColumnRecord("sales", Kind.NUMBER, role=Role.TARGET),
)
DAILY = Frequency("duration", DAY)
START = dt.datetime.fromisoformat("2024-02-27")


def write_forecaster(
    path: Path,
    *,
    columns: tuple[ColumnRecord, ...] = COLUMNS,
    shape: tuple[int | str, ...] = ("N", 3, 3),
    horizon: int | str = 2,
    asset: Any = None,
) -> Path:
    """A model file whose forecast is the last two values of the target; without `lower` and `upper`."""
    builder = GraphBuilder()
    series = builder.input("series", "double", shape)
    target = builder.node("Gather", [series, builder.constant(np.array(1))], axis=2)
    last = builder.node("Gather", [target, builder.constant(np.array([1, 2]))], axis=1)
    builder.output("forecast", last, "double", ["N", horizon])
    metadata = SeriesInputs(columns).metadata() if len({c.role for c in columns}) > 2 else "{}"
    write_bundle(
        path,
        manifest=Manifest(
            name="shops",
            task="forecast",
            inputs=columns,
            outputs=(OutputRecord("forecast", "double", ("N", horizon)),),
            target=columns[-1],
        ),
        graph=builder.finish({"lepton.inputs": metadata}),
        assets={"forecast.json": json.dumps({"frequency": DAILY.to_dict()} if asset is None else asset).encode()},
        training={"kind": b"none"},
    )
    return path


def rows_of(shop: str, *values: float | None, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"when": START + dt.timedelta(days=first + day), "shop": shop, "warm": 20.0 + day, "sales": value}
        for day, value in enumerate(values)
    ]


def test_the_last_steps_of_each_series_stand_at_the_end_of_the_tensor(tmp_path):
    rows = rows_of("b", 1.0, 2.0, 3.0, 4.0)[::-1] + rows_of("a", 9.0, first=7)
    tensor = open_model(write_forecaster(tmp_path / "m.lepton")).tensors(rows)["series"]
    assert tensor.shape == (2, 3, 3)
    assert tensor[0, :, 1].tolist() == [2.0, 3.0, 4.0]
    assert tensor[0, :, 2].tolist() == [21.0, 22.0, 23.0]
    assert np.isnan(tensor[1, :2]).all()
    assert tensor[1, 2, 1] == 9.0
    assert np.diff(tensor[0, :, 0]).tolist() == [DAY, DAY]


def test_gaps_are_unknown(tmp_path):
    rows = [row for row in rows_of("a", 1.0, 2.0, 3.0, None) if row["sales"] != 2.0]
    tensor = open_model(write_forecaster(tmp_path / "m.lepton")).tensors(rows)["series"]
    np.testing.assert_array_equal(tensor[0, :, 1], [np.nan, 3.0, np.nan])


def test_forecasts_are_rows_that_go_on(tmp_path):
    model = open_model(write_forecaster(tmp_path / "m.lepton"))
    found = model.predict(pl.DataFrame(rows_of("b", 1.0, 2.0, 3.0) + rows_of("a", 5.0, 6.0)))
    assert found.to_dicts() == [
        {"shop": "b", "when": dt.datetime.fromisoformat("2024-03-01"), "forecast": 2.0},
        {"shop": "b", "when": dt.datetime.fromisoformat("2024-03-02"), "forecast": 3.0},
        {"shop": "a", "when": dt.datetime.fromisoformat("2024-02-29"), "forecast": 5.0},
        {"shop": "a", "when": dt.datetime.fromisoformat("2024-03-01"), "forecast": 6.0},
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (rows_of("a", 1.0) + rows_of("a", 2.0), "there twice"),
        (rows_of("a", 1.0, float("inf")), "infinite in 1 rows"),
        ([*rows_of("a", 1.0), {**rows_of("a", 2.0)[0], "when": START.replace(hour=5)}], "not a whole number of steps"),
        ([{**rows_of("a", 1.0)[0], "when": None}], "missing in 1 rows"),
        ([{**rows_of("a", 1.0)[0], "when": "soon"}], "got 'soon'"),
        ([{**rows_of("a", 1.0)[0], "sales": "much"}], "got 'much'"),
        ([{"when": START, "sales": 1.0}], "missing columns"),
    ],
)
def test_rows_that_are_refused(tmp_path, rows, message):
    model = open_model(write_forecaster(tmp_path / "m.lepton"))
    with pytest.raises(SchemaError, match=message):
        model.predict(rows)


@pytest.mark.parametrize("tensor", [np.zeros((1, 4, 3)), np.zeros((1, 3)), np.zeros((1, 3, 3), dtype=np.float32)])
def test_tensors_that_are_refused(tmp_path, tensor):
    model = open_model(write_forecaster(tmp_path / "m.lepton"))
    with pytest.raises(SchemaError, match="series double"):
        model.run({"series": tensor})
    assert model.run({"series": np.zeros((0, 3, 3))})["forecast"].shape == (0, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"asset": {}},
        {"asset": []},
        {"asset": {"frequency": {"unit": "fortnight", "count": 1}}},
        {"asset": {"frequency": {"unit": "duration", "count": 0}}},
        {"asset": {"frequency": {"unit": "duration", "count": "1"}}},
        {"asset": {"frequency": {"unit": "duration", "count": 1, "more": 1}}},
        {"asset": {"frequency": {"unit": "duration", "count": DAY, "time_zone": "Nowhere/Else"}}},
        {"asset": {"frequency": {"unit": "duration", "count": DAY, "time_zone": 3}}},
        {"asset": {"frequency": {"unit": "duration", "count": 2**70}}},
        {"shape": ("N", "T", 3)},
        {"shape": ("N", 3, 2)},
        {"columns": (*COLUMNS[1:3], COLUMNS[0], ColumnRecord("sales", Kind.NUMBER))},
        {"columns": (*COLUMNS[1:3], COLUMNS[3])},
        {"horizon": "H"},
    ],
)
def test_files_that_do_not_say_what_they_must(tmp_path, changes):
    with pytest.raises(LeptonError) as refused:
        open_model(write_forecaster(tmp_path / "m.lepton", **changes))
    assert isinstance(refused.value, BundleError)


@pytest.mark.parametrize(
    ("frequency", "last", "wanted"),
    [
        (DAILY, "2024-02-28", ["2024-02-29", "2024-03-01"]),
        (Frequency("month", 1), "2024-01-01", ["2024-02-01", "2024-03-01"]),
        (Frequency("month", 1, at_end=True), "2024-01-31", ["2024-02-29", "2024-03-31"]),
        (Frequency("month", 3), "2023-11-30", ["2024-02-29", "2024-05-30"]),
        (Frequency("duration", 7 * DAY), "2024-12-30", ["2025-01-06", "2025-01-13"]),
    ],
)
def test_times_that_follow(frequency, last, wanted):
    after = frequency.after(np.array([np.datetime64(last, "us").astype(np.int64)]), 2)
    assert after.astype("M8[us]").astype("M8[D]").astype(str).tolist() == [wanted]


def test_steps_in_words():
    words = [Frequency("duration", count).text for count in (DAY, 2 * DAY, DAY // 24, DAY // 96, 7 * DAY, 1_500_000)]
    assert words == [
        "every day",
        "every 2 days",
        "every hour",
        "every 15 minutes",
        "every week",
        "every 1500000 microseconds",
    ]
    assert Frequency("month", 3).text == "every 3 months"


def test_a_day_that_a_clock_change_shortens_is_a_day():
    clock = Frequency("duration", DAY, time_zone="Europe/Oslo")
    before = np.array([np.datetime64("2024-03-30T23:00", "us").astype(np.int64)])  # midnight of 31 March in Oslo
    after = clock.from_clock(clock.after(clock.on_clock(before), 1))
    assert after.astype("M8[us]").astype(str).tolist() == [["2024-03-31T22:00:00.000000"]]
    left_out = clock.from_clock(np.array([np.datetime64("2024-03-31T02:30", "us").astype(np.int64)]))
    assert left_out.astype("M8[us]").astype(str).tolist() == ["2024-03-31T01:30:00.000000"]
