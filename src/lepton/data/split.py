"""Seeded splits: which rows are held out. Nothing is written; a split is a mask over row numbers.

The hash is SplitMix64 (Steele, Lea and Flood, 2014) of seed and row number: the same on every machine and version.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, UsageError, printable

__all__ = ["Method", "check_share", "hashed", "split_by_group", "split_by_time", "split_random", "split_stratified"]

Method = Literal["random", "stratified", "group", "time"]
Mask = NDArray[np.bool_]

_BINS = 10
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def split_random(num_rows: int, test: float, seed: int) -> Mask:
    """Hold out a share of rows: exactly `round(num_rows * test)`, at least 1, any rows as likely as others.

    >>> int(split_random(1000, 0.2, seed=0).sum())
    200
    """
    wanted = _wanted(num_rows, test)
    return _smallest(np.arange(num_rows, dtype=np.uint64), wanted, seed)


def split_stratified(key: pl.Series, test: float, seed: int) -> Mask:
    """Hold out the same share of the rows of every value of `key`, within one row; missing is a value of its own.

    Numbers of more than 20 different values are stratified by tenths of their order.
    """
    wanted = _wanted(len(key), test)
    if key.dtype.is_numeric() and key.n_unique() > 20:
        order = key.rank("ordinal").cast(pl.Int64)
        key = (order - 1) * _BINS // max(len(key) - key.null_count(), 1)
    rows = key.alias("key").to_frame().with_row_index("row").group_by("key", maintain_order=True).agg("row")["row"]
    exact = rows.list.len().to_numpy() * (wanted / len(key))
    counts = np.floor(exact).astype(np.int64)
    largest = np.argsort(-(exact - counts), kind="stable")[: wanted - int(counts.sum())]
    counts[largest] += 1
    mask = np.zeros(len(key), bool)
    for count, members in zip(counts, rows, strict=True):
        numbers = members.to_numpy().astype(np.uint64)
        mask[numbers[_smallest(numbers, int(count), seed)]] = True
    return mask


def split_by_group(key: pl.Series, test: float, seed: int) -> Mask:
    """Hold out whole groups, in seeded order, until the share is met as closely as whole groups can."""
    wanted = _wanted(len(key), test)
    _refuse_missing(key, "group")
    groups = (
        key.alias("key")
        .to_frame()
        .with_row_index("row")
        .group_by("key", maintain_order=True)
        .agg(first=pl.col("row").first(), size=pl.len())
    )
    if groups.height < 2:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS, f"column '{printable(key.name)}' holds one group", wanted="two groups to split"
        )
    order = np.argsort(hashed(groups["first"].to_numpy().astype(np.uint64), seed), kind="stable")
    totals = np.cumsum(groups["size"].to_numpy()[order])[:-1]
    cut = int(np.argmin(np.abs(totals.astype(np.int64) - wanted))) + 1
    chosen = groups["key"].gather(order[:cut])
    return np.array(key.is_in(chosen.implode()), dtype=bool)


def split_by_time(key: pl.Series, test: float) -> Mask:
    """Hold out the latest rows, as close to the share as rows of the same time can stay together."""
    wanted = _wanted(len(key), test)
    _refuse_missing(key, "time")
    times = key.alias("time").value_counts(name="count").sort("time", descending=True)
    if times.height < 2:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            f"every row of '{printable(key.name)}' has the same time",
            wanted="two times to split",
        )
    totals = times["count"].cum_sum().to_numpy()[:-1].astype(np.int64)
    cut = int(np.argmin(np.abs(totals - wanted)))
    return np.array(key >= times["time"][cut], dtype=bool)


def check_share(test: float) -> float:
    """`test`, if it is a share of rows; else `UsageError`."""
    if not 0 < test < 1:
        raise UsageError(ErrorCode.USAGE, f"got test={test!r}", wanted="a share of the rows, above 0 and below 1")
    return float(test)


def _wanted(num_rows: int, test: float) -> int:
    if num_rows < 2:
        raise DataError(ErrorCode.TOO_FEW_ROWS, f"the table has {num_rows} rows", wanted="at least 2 rows to split")
    return min(max(round(num_rows * check_share(test)), 1), num_rows - 1)


def _refuse_missing(key: pl.Series, what: str) -> None:
    if missing := key.null_count():
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"column '{printable(key.name)}' is missing in {missing:,} of {len(key):,} rows",
            wanted=f"a {what} in every row",
        )


def _smallest(numbers: NDArray[np.uint64], count: int, seed: int) -> Mask:
    """Which of `numbers` have the `count` smallest hashes; no two numbers have the same."""
    if count == 0:
        return np.zeros(len(numbers), bool)
    hashes = hashed(numbers, seed)
    chosen: Mask = hashes <= np.partition(hashes, count - 1)[count - 1]
    return chosen


def hashed(numbers: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """A hash of each row number; no two numbers have the same, and the same seed gives the same everywhere."""
    offset = np.uint64((_mixed(seed & _MASK) * 2 + 1) & _MASK)
    mixed = (numbers + np.uint64(1)) * np.uint64(_GOLDEN) + offset
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _mixed(value: int) -> int:
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
