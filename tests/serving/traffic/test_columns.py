"""Columns of one model among those of another."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.bundle import TableInputs
from lepton.core import ColumnRecord, Kind, Role, SchemaError
from lepton.serving.traffic.columns import Picker, same_columns

ROOMS = ColumnRecord("rooms", Kind.NUMBER)
AREA = ColumnRecord("area", Kind.NUMBER)
TOWN = ColumnRecord("town", Kind.CATEGORY, dtype="string")
STREET = ColumnRecord("street", Kind.TEXT, dtype="string")


def test_columns_are_picked_by_name() -> None:
    given = TableInputs((ROOMS, TOWN, AREA, STREET))
    tensors = given.tensors({"rooms": [1, 2], "town": ["Oslo", "Bern"], "area": [3, 4], "street": ["x", "y"]})
    picked = Picker(given, TableInputs((STREET, AREA, ROOMS))).pick(tensors)
    assert picked["numbers"].tolist() == [[3.0, 1.0], [4.0, 2.0]]
    assert picked["strings"].tolist() == [["x"], ["y"]]
    assert Picker(given, TableInputs((AREA,))).pick(tensors).keys() == {"numbers"}
    assert Picker(given, TableInputs((AREA, TOWN)), ["town"]).pick(tensors).keys() == {"numbers"}
    assert Picker(given, given).pick(tensors)["numbers"] is tensors["numbers"]


@pytest.mark.parametrize(
    ("wanted", "codecs", "said"),
    [
        (ColumnRecord("floor", Kind.NUMBER), {}, "no column 'floor'"),
        (ColumnRecord("town", Kind.NUMBER), {}, "no column 'town'"),
        (ColumnRecord("rooms", Kind.BOOLEAN, dtype="bool"), {}, "read in two ways"),
        (ColumnRecord("area", Kind.NUMBER, unit="km2"), {}, "read in two ways"),
        (TOWN, {"town": "nfc-casefold/1"}, "read in two ways"),
    ],
)
def test_columns_that_are_read_otherwise_are_not_the_same(
    wanted: ColumnRecord, codecs: dict[str, str], said: str
) -> None:
    with pytest.raises(SchemaError, match=said):
        Picker(TableInputs((ROOMS, AREA, TOWN)), TableInputs((wanted,), codecs))


def test_the_same_columns() -> None:
    assert same_columns(
        TableInputs((ROOMS,)), TableInputs((ColumnRecord("rooms", Kind.NUMBER, dtype="int64", role=Role.PROTECTED),))
    )
    assert not same_columns(TableInputs((ROOMS, AREA)), TableInputs((AREA, ROOMS)))
    np.testing.assert_array_equal(TableInputs((ROOMS,)).tensors({"rooms": [1]})["numbers"], [[1.0]])
