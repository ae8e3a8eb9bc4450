# ruff: noqa: DTZ001
"""What columns are taken for, why, and how to say otherwise."""

import datetime as dt
import uuid

import polars as pl
import pytest

from lepton.core import DataError, ErrorCode, Kind, Role, UsageError
from lepton.data import read


def of_text(tmp_path, values, name="x", **options):
    """A CSV with the column and a filler, as read."""
    path = tmp_path / "t.csv"
    pl.DataFrame({name: values, "filler": ["z"] * len(values)}).write_csv(path)
    return read(path, **options)


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        (["1", "2", "17", "-3"], Kind.NUMBER, "int64"),
        (["1", "2.5", "1e3", "inf"], Kind.NUMBER, "float64"),
        (["1,234.5", "12", "7"], Kind.NUMBER, "float64"),
        (["1,5", "2,25"], Kind.NUMBER, "float64"),
        (["0", "1", "1"], Kind.NUMBER, "int64"),
        (["01234", "99999", "00001"], Kind.CATEGORY, "string"),
        (["yes", "no", "Yes"], Kind.BOOLEAN, "bool"),
        (["TRUE", "false"], Kind.BOOLEAN, "bool"),
        (["t", "f", "t"], Kind.BOOLEAN, "bool"),
        (["y", "y"], Kind.CATEGORY, "string"),
        (["2021-01-01", "2021-02-03"], Kind.DATETIME, "datetime"),
        (["a", "b", "a"], Kind.CATEGORY, "string"),
        ([f"this is sentence number {i} of some length" for i in range(9)], Kind.TEXT, "string"),
        ([f"我们今天讨论机器学习的第{i}个问题" for i in range(9)], Kind.TEXT, "string"),
        ([str(uuid.UUID(int=i)) for i in range(9)], Kind.IDENTIFIER, "string"),
        ([str(i) for i in range(1, 40)], Kind.IDENTIFIER, "string"),
        (["1.5", "two", "3"], Kind.CATEGORY, "string"),
        (["", "NA", "?"], Kind.CATEGORY, "string"),
    ],
)
def test_kinds_of_text(tmp_path, values, kind, dtype):
    record = of_text(tmp_path, values).schema["x"]
    assert (record.kind, record.dtype) == (kind, dtype)


@pytest.mark.parametrize("name", ["id", "user_id", "userId", "PassengerId", "ID", "row.no"])
def test_names_of_identifiers(tmp_path, name):
    values = [str(i * 7) for i in range(10)]
    table = of_text(tmp_path, values, name)
    assert table.schema[name].kind is Kind.IDENTIFIER
    assert table.schema[name].role is Role.IGNORED
    assert of_text(tmp_path, values, "paid").schema["paid"].kind is Kind.NUMBER
    assert of_text(tmp_path, values, name, roles={name: "feature"}).schema[name].role is Role.FEATURE


def test_markers_of_missing(tmp_path):
    table = of_text(tmp_path, ["1", "NA", "-", "2", "?"])
    assert table.frame()["x"].to_list() == [1, None, None, 2, None]
    [missing] = [d for d in table.decisions.about("x") if d.what == "missing"]
    assert missing.evidence == "'NA' 1 times, '?' 1 times, '-' 1 times"
    words = of_text(tmp_path, ["red", "None", "blue", "NA"])
    assert words.frame()["x"].to_list() == ["red", "None", "blue", None]
    assert [d.override for d in words.decisions.about("x") if d.what == "missing?"] == ["missing={'x': ['None']}"]
    assert of_text(tmp_path, ["red", "None", "NA"], missing={"x": ["None"]}).frame()["x"].to_list() == [
        "red",
        None,
        "NA",
    ]
    assert of_text(tmp_path, ["red", "NA"], missing=[]).frame()["x"].to_list() == ["red", "NA"]


def test_codes_are_suspected_and_obeyed(tmp_path):
    values = [str(i % 9 + i / 10) for i in range(50)] + ["-999"] * 5
    table = of_text(tmp_path, values)
    [doubt] = [d for d in table.decisions.about("x") if d.what == "missing?"]
    assert doubt.override == "missing={'x': ['-999']}"
    assert table.frame()["x"].min() == -999
    assert of_text(tmp_path, values, missing={"x": [-999]}).frame()["x"].null_count() == 5


def test_day_or_month(tmp_path):
    table = of_text(tmp_path, ["05/04/2021", "01/02/2021", "11/10/2021"])
    [decision] = [d for d in table.decisions.about("x") if d.what == "kind"]
    assert decision.evidence.startswith("AMBIGUOUS")
    assert decision.override == "kinds={'x': 'datetime:%m/%d/%Y'}"
    assert table.frame()["x"][0] == dt.datetime(2021, 4, 5)
    other = of_text(tmp_path, ["05/04/2021", "01/02/2021"], kinds={"x": "datetime:%m/%d/%Y"})
    assert other.frame()["x"][0] == dt.datetime(2021, 5, 4)
    in_order = of_text(tmp_path, ["01/11/2021", "01/12/2021", "02/01/2021"])
    assert in_order.schema["x"].datetime_format == "%m/%d/%Y"
    assert of_text(tmp_path, ["05/04/2021", "25/04/2021"]).schema["x"].datetime_format == "%d/%m/%Y"


def test_mixed_dates_are_said(tmp_path):
    table = of_text(tmp_path, ["2021-01-01", "02/25/2021", "2021-03-01"])
    assert table.schema["x"].kind is Kind.CATEGORY
    [decision] = [d for d in table.decisions.about("x") if d.what == "dates"]
    assert "mixed formats: %Y-%m-%d in 2" in decision.evidence
    with pytest.raises(DataError, match=r"row 2 of t.csv, column 'x': got '02/25/2021'"):
        of_text(tmp_path, ["2021-01-01", "02/25/2021"], kinds={"x": "datetime"}).frame()


def test_mixed_values_are_said(tmp_path):
    table = of_text(tmp_path, ["1", "2", "three"])
    [decision] = [d for d in table.decisions.about("x") if d.what == "mixed"]
    assert "66.7% of the values are numbers, but not 'three'" in decision.evidence
    with pytest.raises(DataError, match="got 'three'"):
        of_text(tmp_path, ["1", "2", "three"], kinds={"x": "number"}).frame()


def test_typed_columns_keep_their_type():
    moment = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    table = read(
        pl.DataFrame({"s": ["1", "2"], "u": [1.5, float("nan")], "w": [moment, None], "d": [dt.date(2020, 1, 1)] * 2})
    )
    assert [str(c.kind) for c in table.schema] == ["category", "number", "datetime", "datetime"]
    assert table.schema["w"].time_zone == "UTC"
    assert [d.what for d in table.decisions.about("s")] == ["kind", "mixed"]
    assert table.with_kinds({"s": "number"}).frame()["s"].to_list() == [1.0, 2.0]
    assert [d.what for d in table.decisions.about("d")] == ["kind", "constant"]


def test_typed_numbers_as_other_kinds():
    table = read({"n": [1, 2], "b": [0, 1]}, kinds={"n": "category", "b": "boolean"})
    assert table.frame().rows() == [("1", False), ("2", True)]


def test_names_that_are_not_there(tmp_path):
    for option in ({"kinds": {"y": "text"}}, {"roles": {"y": "target"}}, {"missing": {"y": ["-"]}}):
        with pytest.raises(DataError) as caught:
            of_text(tmp_path, ["a"], **option)
        assert caught.value.code is ErrorCode.UNKNOWN_COLUMN
    for option in (
        {"kinds": {"x": "numbr"}},
        {"roles": {"x": "goal"}},
        {"kinds": {"x": "series"}},
        {"kinds": {"x": "number:%d"}},
    ):
        with pytest.raises(UsageError):
            of_text(tmp_path, ["a"], **option)


def test_a_date_column_without_dates(tmp_path):
    with pytest.raises(DataError, match="'hello', which is no date that is known"):
        of_text(tmp_path, ["hello"], kinds={"x": "datetime"})


def test_wide_tables_are_quick(tmp_path):
    path = tmp_path / "wide.csv"
    names = [f"c{i}" for i in range(3000)]
    path.write_text("\n".join([",".join(names), *[",".join(["1.5", "ab", "7"] * 1000)] * 20]))
    table = read(path)
    assert table.frame().shape == (20, 3000)
    assert [str(c.kind) for c in table.schema.columns[:3]] == ["number", "category", "number"]


@pytest.mark.parametrize("name", ["step", "id"])
def test_a_kind_that_is_declared_wins_over_counting(tmp_path, name):
    counting = pl.DataFrame({name: range(40)})
    assert read(counting).schema[name].kind is Kind.IDENTIFIER
    asked = read(counting, kinds={name: "number"})
    assert (asked.schema[name].kind, asked.schema[name].role) == (Kind.NUMBER, Role.FEATURE)
    assert of_text(tmp_path, list(map(str, range(40))), name, kinds={name: "number"}).schema[name].kind is Kind.NUMBER
