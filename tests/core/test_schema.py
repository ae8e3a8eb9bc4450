"""A schema is an ordered set of named columns that survives JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError

texts = st.text(max_size=10)
records = st.builds(
    ColumnRecord,
    name=texts,
    kind=st.sampled_from(Kind),
    dtype=st.sampled_from(["float64", "int64", "bool", "datetime", "string"]),
    unit=st.none() | texts,
    time_zone=st.none() | texts,
    missing_markers=st.lists(texts, max_size=3).map(tuple),
    role=st.sampled_from(Role),
    datetime_format=st.none() | texts,
    further_formats=st.lists(texts, max_size=3).map(tuple),
    number_format=st.none() | texts,
    units=st.dictionaries(texts, st.floats(0.001, 1000), max_size=3).map(lambda units: tuple(units.items())),
    true_texts=st.lists(texts, max_size=3).map(tuple),
    false_texts=st.lists(texts, max_size=3).map(tuple),
    tidying=st.lists(texts, max_size=3).map(tuple),
    unreadable_is_missing=st.booleans(),
)
schemas = st.lists(records, max_size=5, unique_by=lambda record: record.name).map(lambda found: Schema(tuple(found)))

HOUSES = Schema(
    (
        ColumnRecord("price", Kind.NUMBER, role=Role.TARGET),
        ColumnRecord("sold", Kind.DATETIME, "datetime", time_zone="Europe/Berlin"),
        ColumnRecord("town", Kind.CATEGORY, "string", missing_markers=("n/a",)),
    )
)


@given(schemas)
def test_json_and_back(schema):
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


def test_the_json_form_leaves_defaults_out():
    assert HOUSES.to_dict() == [
        {"name": "price", "kind": "number", "dtype": "float64", "role": "target"},
        {"name": "sold", "kind": "datetime", "dtype": "datetime", "time_zone": "Europe/Berlin"},
        {"name": "town", "kind": "category", "dtype": "string", "missing_markers": ["n/a"]},
    ]


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"name": "a"},
        {"name": "a", "kind": "noun"},
        {"name": "a", "kind": "number", "role": "king"},
        {"name": "a", "kind": "number", "extra": 1},
        {"name": 3, "kind": "number"},
        {"name": "a", "kind": "number", "unit": 3},
        {"name": "a", "kind": "number", "missing_markers": "n/a"},
        {"name": "a", "kind": "number", "missing_markers": [1]},
    ],
)
def test_a_record_of_another_form(raw):
    with pytest.raises((ValueError, KeyError)):
        ColumnRecord.from_dict(raw)


@given(schemas)
def test_selecting_and_changing_keep_what_is_not_named(schema):
    assert schema.select(schema.names) == schema
    assert schema.select(reversed(schema.names)).names == schema.names[::-1]
    ignored = schema.with_roles(dict.fromkeys(schema.names, "ignored"))
    assert ignored.of_role(Role.IGNORED) == tuple(ignored)
    assert ignored.with_roles({record.name: record.role for record in schema}) == schema
    assert len(schema) == len(list(schema)) == len(schema.names)


def test_roles_and_kinds_by_name():
    changed = HOUSES.with_roles({"town": "protected"}).with_kinds({"town": Kind.TEXT})
    assert (changed["town"].role, changed["town"].kind) == (Role.PROTECTED, Kind.TEXT)
    assert changed["price"] == HOUSES["price"]
    assert HOUSES["town"].kind is Kind.CATEGORY
    assert "town" in HOUSES
    assert "city" not in HOUSES


@pytest.mark.parametrize(
    "use",
    [
        lambda: HOUSES["twon"],
        lambda: HOUSES.select(["price", "twon"]),
        lambda: HOUSES.with_roles({"twon": "ignored"}),
        lambda: HOUSES.with_kinds({"twon": "text"}),
    ],
)
def test_an_unknown_column_names_the_closest(use):
    with pytest.raises(DataError, match=r"no column 'twon'.*did you mean 'town'") as caught:
        use()
    assert caught.value.code is ErrorCode.UNKNOWN_COLUMN


def test_an_unknown_column_like_no_other_lists_them():
    with pytest.raises(DataError, match="columns are 'price', 'sold', 'town'"):
        HOUSES["zzz"]


def test_unknown_kinds_and_roles():
    with pytest.raises(UsageError, match=r"got the kind 'noun'.*one of number, boolean"):
        HOUSES.with_kinds({"town": "noun"})
    with pytest.raises(UsageError, match=r"got the role 'king'.*one of feature, target"):
        HOUSES.with_roles({"town": "king"})


def test_a_name_in_another_case_is_suggested():
    with pytest.raises(DataError, match="did you mean 'town'"):
        Schema((ColumnRecord("town", Kind.CATEGORY), ColumnRecord("TOWNS", Kind.CATEGORY)))["TOWN"]
