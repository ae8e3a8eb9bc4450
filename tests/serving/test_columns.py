"""What is told of a model's columns: what the baseline keeps, and nothing else of the training data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from lepton.bundle import Predictor, open_model
from lepton.core import ColumnRecord, Kind, Role, Schema
from lepton.data import Baseline
from lepton.serving.columns import served_columns

COLUMNS = (
    ColumnRecord("rooms", Kind.NUMBER, unit="m²"),
    ColumnRecord("town", Kind.CATEGORY, dtype="string"),
    ColumnRecord("garden", Kind.BOOLEAN, dtype="bool"),
    ColumnRecord("sold", Kind.DATETIME, dtype="datetime", time_zone="Europe/Berlin", datetime_format="%d.%m.%Y"),
    ColumnRecord("words", Kind.TEXT, dtype="string"),
)


def model(members: dict[str, bytes]) -> Any:
    """As much of a predictor as is looked at."""
    bundle = SimpleNamespace(names=tuple(members), member=members.__getitem__)
    return SimpleNamespace(manifest=SimpleNamespace(inputs=COLUMNS), bundle=bundle)


def test_a_baseline_gives_known_values_and_examples() -> None:
    days = pl.datetime_range(pl.datetime(1999, 1, 1), pl.datetime(1999, 12, 31), "1d", eager=True)[:100]
    frame = pl.DataFrame(
        {
            "rooms": [100.0, 147.12] * 50,
            "town": ["Basel"] * 60 + ["Bern"] * 35 + ["Rare"] * 5,
            "garden": [True, False] * 50,
            "sold": days.dt.replace_time_zone("UTC"),
            "words": ["a secret text"] * 100,
        }
    )
    schema = Schema(tuple(column for column in COLUMNS if column.role is Role.FEATURE))
    members = Baseline.of(frame, schema, {}).to_members()
    rooms, town, garden, sold, words = served_columns(
        model({f"baseline/{name}": data for name, data in members.items()})
    )
    assert (rooms.takes, rooms.example) == ("a number in m²", 124.0)
    assert (town.known, town.example) == (("Basel", "Bern"), "Basel")
    assert garden.example is True
    assert (sold.takes, sold.example) == (
        "a date or time written as %d.%m.%Y, in the zone Europe/Berlin",
        "19.02.1999",
    )
    assert (words.takes, words.known, words.example) == ("a text", (), None)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"columns": 1}', b'{"columns": [{}]}', b'{"columns": [{"name": "town"}]}', b"[" * 9999],
)
def test_a_baseline_of_another_form_tells_nothing(data: bytes) -> None:
    found = served_columns(model({"baseline/inputs.json": data}))
    assert [column.name for column in found] == [column.name for column in COLUMNS]
    assert not any(column.known for column in found)


def test_the_vocabulary_is_not_told(bundles: dict[str, Path], sold: Predictor) -> None:
    assert open_model(bundles["sold"]).bundle.member("assets/vocabulary.json")
    assert [column.known for column in served_columns(sold)] == [(), (), ()]
