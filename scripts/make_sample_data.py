"""Make the sample table that ships with the package, from the hourly Beijing PM2.5 and weather table.

Usage: python scripts/make_sample_data.py SOURCE.csv src/lepton/data/samples/beijing_air.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from lepton.store import write_bytes

_WINDS = {"cv": "calm", "NE": "northeast", "NW": "northwest", "SE": "southeast"}


def sample_of(hourly: pl.DataFrame) -> pl.DataFrame:
    """Every third hour of 2011 to 2014, with readable names and the measurement of 24 hours before.

    Args:
        hourly: the source, one row an hour in order, with its column names.
    """
    return (
        hourly.with_columns(
            when=pl.datetime("year", "month", "day", "hour").dt.strftime("%Y-%m-%d %H:%M"),
            wind=pl.col("cbwd").replace_strict(_WINDS),
            pm25_day_before=pl.col("pm2.5").shift(24),
        )
        .filter(pl.col("year").is_between(2011, 2014), pl.col("hour") % 3 == 0)
        .select(
            "when",
            "wind",
            pl.col("DEWP").alias("dew_point"),
            pl.col("TEMP").round(1).alias("temperature"),
            pl.col("PRES").round(1).alias("pressure"),
            pl.col("Iws").alias("wind_speed"),
            pl.col("Is").alias("snow_hours"),
            pl.col("Ir").alias("rain_hours"),
            "pm25_day_before",
            pl.col("pm2.5").alias("pm25"),
        )
    )


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    table = sample_of(pl.read_csv(source, null_values="NA", infer_schema_length=None))
    write_bytes(target, table.write_csv().encode())
    print(f"{target}: {table.height:,} rows, {target.stat().st_size:,} bytes")
