"""Which columns are learned from, and what the steps make of them."""

import numpy as np
import polars as pl
import pytest

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema
from lepton.data.steps import Block
from lepton.training.base import Problem
from lepton.training.features import choose_features, linear_steps, tree_steps


def table(**columns):
    schema = Schema(tuple(ColumnRecord(name, kind, role=role) for name, (kind, role, _) in columns.items()))
    return pl.DataFrame({name: values for name, (_, _, values) in columns.items()}, strict=False), schema


def test_every_column_left_out_has_a_reason():
    frame, schema = table(
        y=(Kind.NUMBER, Role.FEATURE, [1.0, 2.0]),
        x=(Kind.NUMBER, Role.FEATURE, [1.0, 2.0]),
        sometimes=(Kind.NUMBER, Role.FEATURE, [1.0, None]),
        same=(Kind.NUMBER, Role.FEATURE, [1.0, 1.0]),
        empty=(Kind.CATEGORY, Role.FEATURE, [None, None]),
        key=(Kind.IDENTIFIER, Role.FEATURE, ["a1", "a2"]),
        sex=(Kind.CATEGORY, Role.PROTECTED, ["f", "m"]),
        shop=(Kind.CATEGORY, Role.GROUP, ["f", "m"]),
        when=(Kind.NUMBER, Role.TIME, [1.0, 2.0]),
    )
    plan = choose_features(frame, schema, "y")
    assert [c.name for c in plan.columns] == ["x", "sometimes", "when"]
    assert plan.ignored == {
        "same": "its value never changes",
        "empty": "all values are missing",
        "key": "it names rows",
        "sex": "its role is protected",
        "shop": "its role is group",
    }
    assert "not learned from (it names rows): key" in plan.notes


def test_a_table_without_features_is_refused():
    frame, schema = table(y=(Kind.NUMBER, Role.FEATURE, [1.0, 2.0]), key=(Kind.IDENTIFIER, Role.FEATURE, ["a", "b"]))
    with pytest.raises(DataError, match="key: it names rows") as caught:
        choose_features(frame, schema, "y")
    assert caught.value.code is ErrorCode.EMPTY_DATA


def test_many_columns_are_shown_in_part():
    columns = {f"c{i}": (Kind.NUMBER, Role.FEATURE, [1.0, 1.0]) for i in range(13)}
    frame, schema = table(x=(Kind.NUMBER, Role.FEATURE, [1.0, 2.0]), **columns)
    (note,) = choose_features(frame, schema, "y").notes
    assert note.endswith("c9 and 3 more")


def test_steps_for_trees_and_for_linear_models():
    day = 86_400e6
    block = Block(
        np.array([[0.0, 1.0], [day, np.nan], [40 * day, np.inf], [np.nan, 4.0]]),
        ("when", "size"),
        pl.DataFrame({"town": ["a", "b", "a", "b"]}),
    )
    problem = Problem("regression", 0, 4, ("when",), ("town",))
    _, trees = tree_steps(problem, block)
    assert trees.number_names[:2] == ("when", "size")
    assert trees.number_names[-1] == "town"
    assert "month(when)" in trees.number_names
    _, linear = linear_steps(problem, block)
    assert np.isfinite(linear.numbers).all()
    assert {"size is missing", "town=0", "town=1"} <= set(linear.number_names)


def test_rare_categories_of_large_tables_are_one():
    towns = ["often"] * 9_995 + ["rare"] * 5
    block = Block(np.empty((10_000, 0)), (), pl.DataFrame({"town": towns}))
    (*_, ordinal), _ = tree_steps(Problem("regression", 0, 10_000, (), ("town",)), block)
    assert ordinal.to_dict()["values"] == (("often",),)
