# ruff: noqa: DTZ001
import datetime as dt

import numpy as np
import onnxruntime
import polars as pl
import pytest

from lepton.bundle.build import GraphBuilder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError, Work
from lepton.data.recipes.base import RunContext
from lepton.data.recipes.steps.derive import Derive, Filter
from lepton.data.steps import Tensors
from tests.data.recipes.step_contract import check_step

SCHEMA = Schema(
    (
        ColumnRecord("price", Kind.NUMBER, role=Role.TARGET),
        ColumnRecord("rooms", Kind.NUMBER, "int64"),
        ColumnRecord("town", Kind.CATEGORY, "string", role=Role.PROTECTED),
        ColumnRecord("when", Kind.DATETIME, "datetime", role=Role.TIME, time_zone="Asia/Tokyo"),
    )
)
FRAME = pl.DataFrame(
    {
        "price": [10.0, 20.0, None],
        "rooms": [2, 0, 3],
        "town": ["Ulm", None, "Bonn"],
        "when": [dt.datetime(2024, 1, 1, 3), None, dt.datetime(2024, 6, 1)],
    }
).with_columns(pl.col("when").dt.replace_time_zone("Asia/Tokyo"))


COLUMNS = {
    "a": [1.5, 0.0, None, -3.0],
    "n": [1, None, 3, 4],
    "flag": [True, None, False, True],
    "town": ["Ulm", None, "Bonn", "Ulm"],
    "when": [dt.datetime(2024, 2, 29, 3), None, dt.datetime(1969, 6, 1), dt.datetime(2000, 1, 1)],
}


@pytest.mark.parametrize(
    "expression",
    ["a / n", "town + '!'", "'big' if a > 1 else town", "year(when)", "flag or a > n", "max(when, date('2000-01-01'))",
     "town in ('Ulm', 'Bonn')", "coalesce(a, n) ** 2", "2", "'web'", "contains(town, 'l') and flag"],
)  # fmt: skip
@pytest.mark.parametrize("column", ["new", "a"])
def test_contract(column, expression):
    check_step(Derive(column, expression), COLUMNS)


def test_contract_of_other_steps(tmp_path):
    check_step(Derive("new", "length(town)"), COLUMNS, graph=False)
    check_step(Filter("a > 0 or town is missing"), COLUMNS, scratch=tmp_path)


def test_derive_adds_a_column_behind_the_others():
    step = Derive("each", "100 / rooms").bind(SCHEMA, {})
    assert step.schema.names == ("price", "rooms", "town", "when", "each")
    assert (step.reads, step.writes) == (("rooms",), ("each",))
    assert step.apply(FRAME).frame["each"].to_list() == [50.0, None, 100 / 3]
    assert step.apply(FRAME).bad == {}


def test_derive_replaces_a_column_in_its_place():
    step = Derive("when", "year(when)").bind(SCHEMA, {})
    assert step.schema.names == SCHEMA.names
    assert step.schema["when"] == ColumnRecord("when", Kind.NUMBER, "int64", role=Role.TIME)
    assert step.apply(FRAME).frame["when"].to_list() == [2023, None, 2024]
    assert step.apply(FRAME).frame.columns == list(SCHEMA.names)


@pytest.mark.parametrize(
    ("expression", "role"),
    [
        ("price * rooms", Role.IGNORED),
        ("town == 'Ulm'", Role.PROTECTED),
        ("year(when)", Role.FEATURE),
        ("1", Role.FEATURE),
    ],
)
def test_what_is_made_of_the_target_is_no_feature(expression, role):
    assert Derive("new", expression).bind(SCHEMA, {}).schema["new"].role is role


def test_what_is_needed_for_the_column():
    added = Derive("each", "price / rooms").bind(SCHEMA, {})
    assert added.needs({"each", "town"}) == {"price", "rooms", "town"}
    assert added.needs({"town"}) == {"town"}
    replaced = Derive("town", "rooms + 1").bind(SCHEMA, {})
    assert replaced.needs({"town", "when"}) == {"rooms", "when"}


def test_a_constant_column_has_a_value_in_every_row():
    assert Derive("source", "'web'").bind(SCHEMA, {}).apply(FRAME).frame["source"].to_list() == ["web"] * 3


@pytest.mark.parametrize(
    ("step", "names", "rows"),
    [
        (Derive("new", "a * 2"), ("a", "b", "new"), [[1, 2, 2], [3, 4, 6]]),
        (Derive("a", "a * b"), ("b", "a"), [[2, 2], [4, 12]]),
        (Derive("flag", "s == 'x'"), ("a", "b", "flag"), [[1, 2, 1], [3, 4, np.nan]]),
        (Derive("s", "a + 1"), ("a", "b", "s"), [[1, 2, 2], [3, 4, 4]]),
        (Derive("one", "1"), ("a", "b", "one"), [[1, 2, 1], [3, 4, 1]]),
    ],
)
def test_the_graph_holds_the_same_numbers(step, names, rows):
    schema = Schema(
        (ColumnRecord("a", Kind.NUMBER), ColumnRecord("b", Kind.NUMBER), ColumnRecord("s", Kind.TEXT, "string"))
    )
    tensors, out = run(step.bind(schema, {}), "numbers")
    assert tensors.number_names == names
    np.testing.assert_array_equal(out, rows)


def test_the_graph_holds_the_same_texts():
    schema = Schema(
        (ColumnRecord("a", Kind.NUMBER), ColumnRecord("b", Kind.NUMBER), ColumnRecord("s", Kind.TEXT, "string"))
    )
    tensors, out = run(Derive("s", "s + '!'").bind(schema, {}), "strings")
    assert tensors.string_names == ("s",)
    assert out.tolist() == [["x!"], [""]]
    tensors, out = run(Derive("a", "'big' if a > 2 else 'small'").bind(schema, {}), "strings")
    assert (tensors.number_names, tensors.string_names) == (("b",), ("s", "a"))
    assert out.tolist() == [["x", "small"], ["", "big"]]


def run(bound, wanted):
    builder = GraphBuilder()
    tensors = Tensors(
        builder.input("n", "double", ["N", 2]), ("a", "b"), builder.input("s", "string", ["N", 1]), ("s",)
    )
    tensors = bound.emit(builder, tensors)
    if wanted == "numbers":
        builder.output("out", tensors.numbers, "double", ["N", len(tensors.number_names)])
    else:
        builder.output("out", tensors.strings, "string", ["N", len(tensors.string_names)])
    session = onnxruntime.InferenceSession(builder.finish(), providers=["CPUExecutionProvider"])
    feeds = {"n": np.array([[1.0, 2.0], [3.0, 4.0]]), "s": np.array([["x"], [""]], dtype=object)}
    return tensors, session.run(["out"], {i.name: feeds[i.name] for i in session.get_inputs()})[0]


def test_filter_keeps_the_rows_where_the_condition_holds(tmp_path):
    step = Filter("price > 5 or rooms == 3").bind(SCHEMA, {})
    kept = list(step.run(lambda: iter([FRAME[:1], FRAME[1:2], FRAME[2:]]), RunContext(Work(), tmp_path, 10**9)))
    assert pl.concat(kept).equals(FRAME)
    kept = list(
        Filter("town != 'Bonn'").bind(SCHEMA, {}).run(lambda: iter([FRAME]), RunContext(Work(), tmp_path, 10**9))
    )
    assert pl.concat(kept)["town"].to_list() == ["Ulm"]  # missing is not different
    assert (step.schema, step.reads, step.writes) == (SCHEMA, ("price", "rooms"), ())
    assert list(Filter("false").bind(SCHEMA, {}).run(lambda: iter([FRAME]), RunContext(Work(), tmp_path, 10**9))) == []


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Derive("new", "__import__('os')"), UsageError, "no function"),
        (lambda: Derive("a\nb", "1"), UsageError, "control"),
        (lambda: Filter("price >"), UsageError, "cannot be read"),
        (
            lambda: Derive("new", 3),  # type: ignore[arg-type]
            UsageError,
            "got expression=3",
        ),
        (lambda: Filter("price + 1").bind(SCHEMA, {}), DataError, "gives a number"),
        (lambda: Derive("new", "town + 1").bind(SCHEMA, {}), DataError, "text and number"),
        (lambda: Derive("new", "twon").bind(SCHEMA, {}), DataError, "did you mean 'town'"),
    ],
)
def test_what_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_forms_without_a_graph_are_named():
    schema = Schema((ColumnRecord("s", Kind.TEXT, "string"),))
    with pytest.raises(DataError) as caught:
        run(Derive("new", "length(s)").bind(schema, {}), "numbers")
    assert caught.value.code is ErrorCode.NO_GRAPH_FORM
