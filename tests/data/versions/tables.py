"""Small tables to be saved."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lepton.data import Dataset, read
from lepton.data.versions.manifest import TableVersion


def claims(rows: int = 60, start: int = 0) -> Dataset:
    """A table with an identifier, a category, a number with gaps, a datetime and a truth value."""
    numbers = range(start, start + rows)
    frame = pl.DataFrame(
        {
            "person_id": [f"p{number % 10}" for number in numbers],
            "town": [("Ulm", "Bonn", "Kiel")[number % 3] for number in numbers],
            "income": [None if number % 7 == 0 else number * 1.5 for number in numbers],
            "when": [f"2024-01-{1 + number % 28:02}" for number in numbers],
            "new": [number % 2 == 0 for number in numbers],
        }
    )
    return read(frame, kinds={"person_id": "identifier", "when": "datetime"}, roles={"income": "target"})


def version_of(path: str | Path) -> TableVersion:
    """The version that is read there."""
    version = read(path).version
    assert version is not None
    return version
