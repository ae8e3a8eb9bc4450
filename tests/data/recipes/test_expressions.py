# ruff: noqa: DTZ001
import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.bundle.build import GraphBuilder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Schema, UsageError
from lepton.data.recipes.expressions import FUNCTIONS, MAX_DEPTH, MAX_LENGTH, Expression, parse
from lepton.data.steps import Tensors

SCHEMA = Schema(
    (
        ColumnRecord("a", Kind.NUMBER),
        ColumnRecord("floor area", Kind.NUMBER),
        ColumnRecord("n", Kind.NUMBER, "int64"),
        ColumnRecord("flag", Kind.BOOLEAN, "bool"),
        ColumnRecord("when", Kind.DATETIME, "datetime"),
        ColumnRecord("town", Kind.CATEGORY, "string"),
        ColumnRecord("é", Kind.TEXT, "string"),
        ColumnRecord("picture", Kind.IMAGE, "string"),
    )
)
DTYPES: dict[str, Any] = {
    "a": pl.Float64,
    "floor area": pl.Float64,
    "n": pl.Int64,
    "flag": pl.Boolean,
    "when": pl.Datetime("us"),
    "town": pl.String,
    "é": pl.String,
}
NUMBERS = ("a", "floor area", "n", "flag", "when")
STRINGS = ("town", "é")
FRAME = pl.DataFrame(
    {
        "a": [1.0, 0.0, None, -3.0],
        "floor area": [2.0, 0.0, 3.0, 4.0],
        "n": [1, 2, None, 2**62],
        "flag": [True, False, None, True],
        "when": [dt.datetime(2020, 1, 1), dt.datetime(1950, 2, 3, 4, 5), None, dt.datetime(2024, 2, 29, 23)],
        "town": ["Ulm", "", None, "Bonn"],
        "é": ["kök", "ä b", None, "x"],
    },
    schema=DTYPES,
)


def values(text: str, frame: pl.DataFrame = FRAME) -> list[Any]:
    series = frame.select(result=parse(text).polars(SCHEMA))["result"]
    return (series if series.len() == frame.height else series.extend_constant(series[0], frame.height - 1)).to_list()


def graph_values(expression: Expression, frame: pl.DataFrame) -> list[Any]:
    """What the graph gives, with None for what is missing."""
    builder = GraphBuilder()
    tensors = Tensors(
        builder.input("numbers", "double", ["N", len(NUMBERS)]),
        NUMBERS,
        builder.input("strings", "string", ["N", len(STRINGS)]),
        STRINGS,
    )
    kind = expression.kind(SCHEMA)
    text = kind in (Kind.TEXT, Kind.CATEGORY)
    builder.output("out", expression.emit(builder, tensors, SCHEMA), "string" if text else "double", ["N", 1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(builder.finish(), options, providers=["CPUExecutionProvider"])
    feeds = {
        "numbers": frame.select(
            pl.col("a"), pl.col("floor area"), pl.col("n", "flag").cast(pl.Float64), pl.col("when").to_physical()
        )
        .cast(pl.Float64)
        .fill_null(math.nan)
        .to_numpy(),
        "strings": frame.select(STRINGS).fill_null("").to_numpy().astype(object),
    }
    out = session.run(["out"], {i.name: feeds[i.name] for i in session.get_inputs()})[0]
    assert out.shape == (frame.height, 1)
    cells = out[:, 0].tolist()
    if text:
        return [cell or None for cell in cells]
    cells = [None if math.isnan(cell) else cell for cell in cells]
    if kind is Kind.DATETIME:
        return [None if c is None else dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=c) for c in cells]
    return cells


# --- meaning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a / `floor area`", [0.5, None, None, -0.75]),
        ("a // 2", [0.0, 0.0, None, -2.0]),
        ("-a % 2", [1.0, 0.0, None, 1.0]),
        ("a ** 2 - 1", [0.0, -1.0, None, 8.0]),
        ("log(a)", [0.0, None, None, None]),
        ("exp(a * 1000)", [None, 1.0, None, 0.0]),
        ("sqrt(a)", [1.0, 0.0, None, None]),
        ("abs(a) + floor(a / 2) + ceil(a / 2)", [2.0, 0.0, None, 0.0]),
        ("round(a / 8, 2)", [0.12, 0.0, None, -0.38]),
        ("n * 4", [4.0, 8.0, None, 2.0**64]),
        ("min(a, `floor area`, 2)", [1.0, 0.0, 2.0, -3.0]),
        ("max(a, n)", [1.0, 2.0, None, 2.0**62]),
        ("clip(a, 0, missing)", [1.0, 0.0, None, 0.0]),
        ("coalesce(a, missing, 7)", [1.0, 0.0, 7.0, -3.0]),
        ("a is missing", [False, False, True, False]),
        ("a is not missing and flag", [True, False, False, True]),
        ("is_missing(town)", [False, True, True, False]),
        ("not flag or a > 0", [True, True, None, False]),
        ("0 <= a < 1", [False, True, None, False]),
        ("a != 1", [False, True, None, True]),
        ("town in ('Ulm', 'Köln')", [True, None, None, False]),
        ("a not in [0, -3]", [True, False, None, False]),
        ("when in {date('2020-01-01')}", [True, False, None, False]),
        ("'high' if a > 0 else 'low'", ["high", "low", "low", "low"]),
        ("town + ' ' + é", ["Ulm kök", None, None, "Bonn x"]),
        ("town < 'C'", [False, None, None, True]),
        ("length(é)", [3, 3, None, 1]),
        ("upper(é)", ["KÖK", "Ä B", None, "X"]),
        ("lower(town)", ["ulm", None, None, "bonn"]),
        ("contains(é, 'ö')", [True, False, None, False]),
        ("starts_with(town, 'U') or ends_with(town, 'n')", [True, None, None, True]),
        ("year(when) * 100 + month(when)", [202001.0, 195002.0, None, 202402.0]),
        ("weekday(when)", [2, 4, None, 3]),
        ("day(when)", [1, 3, None, 29]),
        ("hour(when)", [0, 4, None, 23]),
        ("days_between(when, date('2020-01-02 12:00'))", [1.5, 25535 + 0.5 - 245 / 1440, None, -1519.5 + 1 / 24]),
        ("when >= date('2020-01-01T02:00+02:00')", [True, False, None, True]),
        ("max(when, date('2000-01-01')) == date('2000-01-01')", [False, True, True, False]),
        ("true", [True] * 4),
        ("1 + 1", [2.0] * 4),
    ],
)
def test_what_forms_give(text, expected):
    assert values(text) == [
        value if not isinstance(value, float) else pytest.approx(value, rel=1e-15) for value in expected
    ]


def test_dividing_by_a_constant_is_a_division():
    frame = FRAME.head(1).with_columns(a=49.0)
    assert [values(text, frame) for text in ("a / 49", "a // 49", "a % 49")] == [[1.0], [1.0], [0.0]]


def test_dates_with_a_zone_are_of_utc():
    schema = Schema((ColumnRecord("when", Kind.DATETIME, "datetime", time_zone="Asia/Tokyo"),))
    frame = pl.DataFrame({"when": [dt.datetime(2024, 1, 1, 3)]}).select(
        pl.col("when").dt.replace_time_zone("Asia/Tokyo")
    )
    made = frame.select(
        year=parse("year(when)").polars(schema), same=parse("when == date('2023-12-31 18:00')").polars(schema)
    )
    assert made.row(0) == (2023, True)


@pytest.mark.parametrize(
    ("text", "kind", "dtype"),
    [
        ("a", Kind.NUMBER, "float64"),
        ("n", Kind.NUMBER, "float64"),
        ("year(when) if flag else 3", Kind.NUMBER, "int64"),
        ("year(when) if flag else 3.5", Kind.NUMBER, "float64"),
        ("a > 1", Kind.BOOLEAN, "bool"),
        ("coalesce(when, date('2020-01-01'))", Kind.DATETIME, "datetime"),
        ("'x' if a > 1 else lower(town)", Kind.CATEGORY, "string"),
        ("coalesce(town, é)", Kind.TEXT, "string"),
    ],
)
def test_kinds_and_types_of_storage(text, kind, dtype):
    expression = parse(text)
    assert (expression.kind(SCHEMA), expression.dtype(SCHEMA)) == (kind, dtype)
    made = FRAME.select(result=expression.polars(SCHEMA)).schema["result"]
    assert made == {"float64": pl.Float64, "int64": pl.Int64, "bool": pl.Boolean, "string": pl.String}.get(
        dtype, pl.Datetime("us")
    )


def test_columns_are_those_that_are_read():
    assert parse("`floor area` / a + `floor area` + `missing` * (true and `a.b` > 1)").columns == (
        "floor area", "a", "missing", "a.b",
    )  # fmt: skip
    assert parse("'`a`' == town").columns == ("town",)
    assert parse("ﬁ + é").columns == ("ﬁ", "é")  # not folded to fi
    assert str(parse(" a +\n 1 ")) == "a +\n 1"


# --- both forms -------------------------------------------------------------------------------------------------------

plain = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, 1e300, -1e300, 1e-300, 7.25])
cells = {
    "a": st.one_of(st.none(), plain, st.floats(allow_nan=False)),
    "floor area": st.one_of(st.none(), plain),
    "n": st.one_of(st.none(), st.integers(-(2**40), 2**40)),
    "flag": st.one_of(st.none(), st.booleans()),
    "when": st.one_of(st.none(), st.datetimes(dt.datetime(1700, 3, 1), dt.datetime(2200, 1, 1))),
    "town": st.sampled_from([None, "", "Ulm", "a.c", "abc", "大", "x\ny"]),
    "é": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)),
}
frames = st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=8).map(
    lambda rows: pl.DataFrame(rows, schema=DTYPES)
)


def _binary(operators: list[str], parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(parts, st.sampled_from(operators), parts).map(lambda p: f"({p[0]} {p[1]} {p[2]})")


def _called(names: list[str], *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(names), *parts).map(lambda p: f"{p[0]}({', '.join(p[1:])})")


dates: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["when", "date('2020-02-29')", "date('1969-12-31 23:59:59')"]),
        _called(["coalesce", "min", "max"], dates, dates),
    )
)
texts: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["town", "é", "'Ulm'", "'.'", "missing"]),
        _called(["coalesce"], st.just("town"), texts),
        st.tuples(st.just("town"), texts).map(lambda p: f"({p[0]} + {p[1]})"),
    )
)
numbers: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["a", "`floor area`", "n", "2", "-0.5", "0", "1e200", "missing"]),
        _binary(["+", "-", "*", "/", "//", "%"], numbers),
        _called(["abs", "floor", "ceil", "sqrt", "round"], numbers),
        _called(["min", "max", "coalesce"], st.just("a"), numbers),
        _called(["clip"], st.just("n"), numbers, numbers),
        _called(["round"], numbers, st.sampled_from(["0", "2"])),
        _called(["year", "month", "day", "weekday", "hour"], dates),
        _called(["days_between"], dates, dates),
        st.tuples(numbers, truths).map(lambda p: f"({p[0]} if {p[1]} else n)"),
    )
)
truths: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["flag", "true", "false"]),
        _binary(["==", "!=", "<", "<=", ">", ">="], numbers.filter(lambda t: t != "missing")),
        _binary(["==", "!=", "<"], dates),
        st.tuples(st.just("town"), st.sampled_from(["==", "!="]), texts).map(" ".join).map("({})".format),
        _binary(["and", "or"], truths),
        truths.map("(not {})".format),
        st.sampled_from(["a", "town", "when", "flag"]).map("({} is missing)".format),
        st.sampled_from(["(a in (0, 1))", "(town not in ('Ulm', 'b'))", "(when in [date('2020-01-01')])"]),
        _called(
            ["contains", "starts_with", "ends_with"],
            texts.filter(lambda t: t != "missing"),
            st.sampled_from(["'.'", "'U'", "'bc'", r"'\n'", r"'\\'"]),
        ),
    )
)


@settings(max_examples=150)
@given(
    text=st.one_of(numbers, truths, texts, dates).filter(lambda t: t != "missing" and len(t) < MAX_LENGTH), frame=frames
)
def test_polars_and_graph_give_the_same(text, frame):
    expression = parse(text)
    assert graph_values(expression, frame) == values(text, frame)


@pytest.mark.parametrize(
    "text", ["log(a)", "exp(a)", "a ** 3", "a ** -0.5", "a ** 2.5", "log(abs(n) + 1) / exp(flag_number)"]
)
def test_polars_and_graph_agree_on_functions_of_the_library(text):
    text = text.replace("flag_number", "(1 if flag else 0)")
    frame = pl.DataFrame(
        {"a": np.linspace(-3, 30, 200), "n": np.arange(200), "flag": [True, False] * 100}
        | {name: [None] * 200 for name in ("floor area", "when", "town", "é")},
        schema_overrides=DTYPES,
    ).select(list(DTYPES))
    ours, graph = values(text, frame), graph_values(parse(text), frame)
    assert [v is None for v in ours] == [v is None for v in graph]
    np.testing.assert_allclose([v for v in ours if v is not None], [v for v in graph if v is not None], rtol=1e-14)


@pytest.mark.parametrize("text", ["lower(town)", "upper(é)", "length(é)", "town < 'b'"])
def test_what_graphs_lack_is_refused_by_name(text):
    with pytest.raises(DataError, match="no form in a graph") as caught:
        graph_values(parse(text), FRAME)
    assert caught.value.code is ErrorCode.NO_GRAPH_FORM


# --- what is refused --------------------------------------------------------------------------------------------------

HOSTILE = [
    "", "  ", "__import__('os').system('id')", "$(id)", "`id`; 1", "'; DROP TABLE x --", "{{7*7}}", "${7*7}", "%s%n",
    "a.__class__", "a.b", "a[0]", "a[0:1]", "f'{a}'", "[x for x in a]", "{x for x in a}", "(x for x in a)", "lambda: 1",
    "a := 1", "a === 1", "import os", "await a", "yield a", "*a", "{'a': 1}", "[a]", "(a, 1)", "...", "None", "1j",
    "b'x'", "a @ a", "a << 9", "a & 1", "a | 1", "a ^ 1", "~a", "9**9**9", "a ** 65", "a ** n", "2 ** -1e9", "1e999",
    "9" * 3000, "now()", "today()", "eval('1')", "abs", "abs()", "abs(a, a)", "abs(*x)", "abs(*a)", "abs(**a)",
    "max(a)", "`abs`(a)", "(abs)(a)(a)", "(lambda x: x)(a)", "round(a, 16)", "round(a, n)", "round(a, -1)",
    "contains(é, town)",
    "contains(é, '')", "date(a)", "date('31/02/2020')", "date()", "a is None", "a is 1", "a is flag", "a in town",
    "a in ()", "a in (a, 1)", "a in (missing,)", "1 < (a + 1) < 2", "''", "'\\0'", "'\\d'", "'\ud800'", "1if a else 2",
    "a\0", "`a", "'a", "``", "a if flag", "a b", "a;a", "a # b", "(" * 300 + "a" + ")" * 300, "-" * 3000 + "a",
    "not " * 900 + "flag", "a+" * (MAX_DEPTH + 1) + "a", "abs(" * 120 + "a" + ")" * 120, "a" * (MAX_LENGTH + 1),
    "missing.x",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rows"),
    [("a = 1", [1.0]), ("s = 'b='", [2.0]), ("`c=` = 5", [1.0]), ("key = 17", [2.0]), ("key in (17, 'x')", [1.0, 2.0])],
)
def test_one_equals_sign_is_read_as_two_and_digits_as_an_identifier(text, rows):
    schema = Schema(
        (
            ColumnRecord("a", Kind.NUMBER),
            ColumnRecord("s", Kind.TEXT, "string"),
            ColumnRecord("c=", Kind.NUMBER),
            ColumnRecord("key", Kind.IDENTIFIER, "string"),
        )
    )
    frame = pl.DataFrame({"a": [1.0, 2.0], "s": ["b", "b="], "c=": [5.0, 6.0], "key": ["x", "17"]})
    assert frame.filter(parse(text).polars(schema))["a"].to_list() == rows


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_everything_else_is_refused(text):
    if text == "a # b":  # a comment is not part of it
        assert parse(text).columns == ("a",)
        return
    if text == "abs":  # no call: a column of that name
        assert parse(text).columns == ("abs",)
        return
    with pytest.raises(UsageError):
        parse(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        expression = parse(text)
    except UsageError:
        return
    try:
        expression.kind(SCHEMA)
    except (UsageError, DataError):
        return


def test_wide_expressions_stay_flat():
    expression = parse(" or ".join(["flag"] * 480))
    assert FRAME.select(result=expression.polars(SCHEMA))["result"].to_list() == [True, False, None, True]
    assert parse("a < n" + " < n" * 600).columns == ("a", "n")


def test_nesting_does_not_multiply():
    text = "a"
    for _ in range(MAX_DEPTH // 2 - 2):
        text = f"clip(round(({text}), 2), -5, 5)"
    assert values(text) == [1.0, 0.0, None, -3.0]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a + town", ErrorCode.WRONG_KIND, r"position 1: '\+' got number and text"),
        ("1 + nope", ErrorCode.UNKNOWN_COLUMN, r"position 5: there is no column 'nope'"),
        ("é == `floor  area`", ErrorCode.UNKNOWN_COLUMN, r"position 6: .*did you mean 'floor area'"),
        ("when > '2024-01-01'", ErrorCode.WRONG_KIND, r"write the date as date\('2024-01-31'\)"),
        ("2 * (flag + 1)", ErrorCode.WRONG_KIND, r"position 6: .*1 if it holds else 0"),
        ("a if a else a", ErrorCode.WRONG_KIND, "'if' got number and number and number"),
        ("a and flag", ErrorCode.WRONG_KIND, "'and' got number and boolean"),
        ("town in (1, 2)", ErrorCode.WRONG_KIND, "'in' got text and number"),
        ("a in (1, 'x')", ErrorCode.WRONG_KIND, "'in' got number and text"),
        ("picture == 'x'", ErrorCode.WRONG_KIND, "of the kind image"),
        ("missing == missing", ErrorCode.WRONG_KIND, "'==' got missing and missing"),
        ("flag < true", ErrorCode.WRONG_KIND, "one kind throughout: number, datetime, text"),
    ],
)
def test_kinds_that_do_not_fit_are_named_with_their_place(text, error, message):
    with pytest.raises(DataError, match=message) as caught:
        parse(text).polars(SCHEMA)
    assert caught.value.code is error
    assert "position" in caught.value.details


def test_what_is_always_missing_is_refused():
    with pytest.raises(UsageError, match="always missing"):
        parse("missing").kind(SCHEMA)
    with pytest.raises(UsageError, match="type int"):
        parse(3)  # type: ignore[arg-type]


def test_every_function_is_tried_here():
    tried = " ".join(str(p) for p in HOSTILE) + Path(__file__).read_text(encoding="utf-8")
    assert all(f"{name}(" in tried for name in FUNCTIONS)
