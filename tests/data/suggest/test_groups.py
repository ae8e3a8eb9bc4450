import numpy as np
import polars as pl
import pytest

from lepton.data.suggest.groups import GROUP_ROWS, is_group

ROWS = 200
EVERY = pl.Series([True] * ROWS)
FEW = pl.Series(np.arange(ROWS) < 20)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (np.arange(ROWS), True),
        (np.arange(ROWS) % 7, False),
        (["x"] * 20 + ["y"] * 180, True),
        (["x", "y"] * 100, False),
        ([f"v{row}" for row in range(ROWS)], False),
        ([None] * ROWS, False),
    ],
)
def test_what_a_column_tells(column, told):
    assert is_group(FEW, EVERY, pl.DataFrame({"other": pl.Series(column)})) is told


def test_only_known_rows_count():
    other = pl.DataFrame({"other": np.arange(ROWS)})
    assert not is_group(FEW, FEW, other)


def test_few_rows_with_a_number_say_nothing():
    numbers = pl.Series([float(row) if row >= 20 or row < GROUP_ROWS - 1 else None for row in range(ROWS)])
    assert not is_group(FEW, EVERY, numbers.to_frame("other"))
