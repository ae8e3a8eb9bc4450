"""Small tables of series for the tests of forecasts."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

DAY = dt.timedelta(days=1)


def daily(num_days: int = 120, shops: int = 2, *, noise: float = 1.0, seed: int = 0) -> pl.DataFrame:
    """Sales of shops on days from Monday 1 January 2024: a weekly pattern, a level for each shop, and noise."""
    generator = np.random.default_rng(seed)
    days = np.arange(num_days)
    parts = []
    for shop in range(shops):
        sales = 50.0 + 20.0 * shop + 10.0 * np.sin(2.0 * np.pi * days / 7.0) + generator.normal(0.0, noise, num_days)
        when = [dt.datetime(2024, 1, 1) + int(day) * DAY for day in days]  # noqa: DTZ001 - naive on purpose
        parts.append(pl.DataFrame({"shop": [f"shop {shop}"] * num_days, "when": when, "sales": sales}))
    return pl.concat(parts)


def monthly(num_months: int = 60) -> pl.DataFrame:
    """A yearly pattern that grows, dated by the last day of each month."""
    months = np.arange(num_months)
    when = (np.datetime64("2019-01", "M") + months + 1).astype("M8[D]") - 1
    values = (100.0 + months) * (1.0 + 0.3 * np.sin(2.0 * np.pi * months / 12.0))
    return pl.DataFrame({"month": when, "value": values})
