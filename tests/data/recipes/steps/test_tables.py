import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Schema, SchemaError, UsageError, Work
from lepton.data import read
from lepton.data.recipes import Recipe
from lepton.data.recipes.base import RunContext
from lepton.data.recipes.steps.tables import Join, Union
from lepton.store import scratch_folder
from tests.data.recipes.step_contract import check_step, table_of

SCHEMA = Schema((ColumnRecord("id", Kind.NUMBER, "int64"), ColumnRecord("name", Kind.CATEGORY, "string")))
FRAME = pl.DataFrame({"id": [3, 1, None, 2, 1], "name": ["c", "a", "n", "b", "a"]})
PRICES = pl.DataFrame(
    {"id": [1.0, 2.0, 4.0, None], "name": ["one", "two", "four", "none"], "price": [10.0, 20.0, 40.0, 0.0]}
)


class Table:
    """What steps need of a data set, without a reader that has an opinion of its own on kinds."""

    def __init__(self, frame, schema):
        self.frame, self.schema = frame, schema

    def batches(self, rows=2, columns=None):
        return self.frame.select(columns).iter_slices(rows)


PRICES_SCHEMA = Schema(
    (ColumnRecord("id", Kind.NUMBER), ColumnRecord("name", Kind.TEXT, "string"), ColumnRecord("price", Kind.NUMBER))
)
TABLES = {"prices": Table(PRICES, PRICES_SCHEMA)}


def run(step, frame=FRAME, tables=TABLES, piece=100, memory=10**9, schema=SCHEMA):
    bound = step.bind(schema, step.from_tables(tables))
    with scratch_folder() as folder:
        made = list(bound.run(lambda: frame.iter_slices(piece), RunContext(Work(), folder, memory, tables)))
        assert list(folder.iterdir()) == []
    whole = pl.concat(made) if made else pl.DataFrame(schema=list(bound.schema.names))
    assert tuple(whole.columns) == bound.schema.names
    return whole


@pytest.mark.parametrize("memory", [1, 10**9])
@pytest.mark.parametrize("piece", [1, 100])
def test_join_adds_columns_and_keeps_the_order(piece, memory):
    made = run(Join("prices", ("id",)), piece=piece, memory=memory)
    assert made["id"].to_list() == FRAME["id"].to_list()
    assert made["price"].to_list() == [None, 10.0, None, 20.0, 10.0]
    assert made["name (prices)"].to_list() == [None, "one", None, "two", "one"]  # a missing key matches nothing
    made = run(Join("prices", ("id",), columns=("price",), how="inner"), piece=piece, memory=memory)
    assert made.rows() == [(1, "a", 10.0), (2, "b", 20.0), (1, "a", 10.0)]


def test_names_that_are_taken_get_a_suffix():
    assert run(Join("prices", ("id",), suffix="_2")).columns == ["id", "name", "name_2", "price"]
    schema = Schema((*SCHEMA, ColumnRecord("name (prices)", Kind.CATEGORY, "string")))
    names = Join("prices", ("id",)).bind(schema, {"columns": PRICES_SCHEMA.to_dict()}).schema.names
    assert names == ("id", "name", "name (prices)", "name (prices) (prices)", "price")
    assert run(Join("prices", ("name",), ("name",), columns=("id",))).columns == ["id", "name", "id (prices)"]


@pytest.mark.parametrize("memory", [1, 10**9])
def test_rows_are_not_multiplied_unless_that_is_allowed(memory):
    prices = pl.DataFrame({"id": [1.0, 2.0, 1.0], "name": ["one", "two", "uno"], "price": [1.0, 2.0, 3.0]})
    tables = {"prices": Table(prices, PRICES_SCHEMA)}
    with pytest.raises(DataError, match=r"several rows for id=1\.0: rows would be multiplied") as caught:
        run(Join("prices", ("id",)), tables=tables, memory=memory)
    assert caught.value.code is ErrorCode.BAD_VALUE
    made = run(Join("prices", ("id",), columns=("price",), many=True), tables=tables, memory=memory, piece=2)
    assert made["id"].to_list() == [3, 1, 1, None, 2, 1, 1]
    assert made["price"].to_list() == [None, 1.0, 3.0, None, 2.0, 1.0, 3.0]


keys = st.one_of(st.none(), st.integers(0, 6))


@settings(max_examples=60)
@given(
    own=st.lists(keys, max_size=20),
    theirs=st.lists(keys, max_size=20),
    how=st.sampled_from(["left", "inner"]),
    piece=st.sampled_from([1, 3, 100]),
    memory=st.sampled_from([1, 10**9]),
)
def test_join_is_what_python_matches(own, theirs, how, piece, memory):
    schema = Schema((ColumnRecord("k", Kind.NUMBER, "int64"), ColumnRecord("n", Kind.NUMBER, "int64")))
    frame = pl.DataFrame({"k": own, "n": range(len(own))}, schema={"k": pl.Int64, "n": pl.Int64})
    other = pl.DataFrame({"k": theirs, "m": range(len(theirs))}, schema={"k": pl.Int64, "m": pl.Int64})
    tables = {"t": Table(other, Schema((schema["k"], ColumnRecord("m", Kind.NUMBER, "int64"))))}
    expected = []
    for n, key in enumerate(own):
        found: list[tuple[int | None, int, int | None]] = [
            (key, n, m) for m, their in enumerate(theirs) if their == key and key is not None
        ]
        expected += found or ([(key, n, None)] if how == "left" else [])
    made = run(Join("t", ("k",), how=how, many=True), frame, tables, piece, memory, schema)
    assert made.rows() == expected


@pytest.mark.parametrize("piece", [1, 100])
def test_union_puts_rows_below(piece):
    made = run(Union("prices"), piece=piece)
    assert made.columns == ["id", "name", "price"]
    assert made["id"].to_list() == [3.0, 1.0, None, 2.0, 1.0, 1.0, 2.0, 4.0, None]
    assert made["price"].to_list() == [None] * 5 + [10.0, 20.0, 40.0, 0.0]
    bound = Union("prices").bind(SCHEMA, {"columns": PRICES_SCHEMA.to_dict()})
    assert bound.schema["name"].kind is Kind.TEXT
    assert (bound.reads, bound.writes) == (("id", "name"), ("name", "price"))
    assert run(Union("prices", only_common=True)).columns == ["id", "name"]


@pytest.mark.parametrize(
    "step",
    [
        Join("t", ("k",)),
        Join("t", ("k",), how="inner", columns=("v",), suffix="_t"),
        Union("t"),
        Union("t", only_common=True),
    ],
    ids=repr,
)
def test_contract(step, tmp_path):
    other = table_of({"k": ["a", "b", "d"], "v": [1, 2, 3], "w": ["x", None, "z"]})
    check_step(step, {"k": ["b", "a", None, "a"], "v": [1.5, 2.0, None, 3.0]}, tables={"t": other}, scratch=tmp_path)


def test_recipes_take_other_tables_by_name():
    own = read({"article": ["x", "y", "z"] * 4, "amount": list(range(12))})
    prices = read({"article": ["x", "y"] * 3, "price": [1.5, 2.5] * 3})
    recipe = (
        Recipe().join("prices", "article").derive("cost", "amount * price").aggregate("article", {"cost": "sum(cost)"})
    )
    with pytest.raises(DataError, match="several rows for article=x"):
        recipe.fit_transform(own, tables={"prices": prices}).frame()
    single = read({"article": ["x", "y"], "price": [1.5, 2.5]})
    fitted = recipe.fit(own, tables={"prices": single})
    made = Recipe.from_dict(fitted.to_dict()).transform(own, tables={"prices": single}).frame()
    assert made.rows() == [("x", 27.0), ("y", 55.0), ("z", None)]
    with pytest.raises(UsageError, match="no table 'prices'"):
        recipe.fit_transform(own).frame()
    with pytest.raises(SchemaError, match="'prices' has no column 'price'"):
        fitted.transform(own, tables={"prices": read({"article": ["x"], "cost": [1.5]})}).frame()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Join("prices", ()), UsageError, "at least one"),
        (lambda: Join("prices", ("id",), ("id", "name")), UsageError, "as many on both sides"),
        (lambda: run(Join("costs", ("id",))), UsageError, "no table 'costs'; given were: 'prices'"),
        (lambda: run(Join("prices", ("id",), ("name",))), DataError, "number here and text in the other"),
        (lambda: run(Join("prices", ("nr",))), DataError, "no column 'nr'"),
        (lambda: run(Join("prices", ("id",), columns=("cost",))), DataError, "no column 'cost'"),
        (lambda: Join("prices", ("id",)).bind(SCHEMA, {"columns": 3}), UsageError, "cannot be read"),
        (lambda: Join("prices", ("id",), suffix=""), UsageError, "at least one letter"),
        (
            lambda: Join("prices", ("id",)).bind(SCHEMA, {"columns": [SCHEMA["id"].to_dict()] * 2}),
            UsageError,
            "cannot be read",
        ),
        (
            lambda: Union("prices").bind(SCHEMA, {"columns": [{"name": "x", "kind": "number", "dtype": "object"}]}),
            UsageError,
            "cannot be read",
        ),
        (
            lambda: Union("t").bind(SCHEMA, {"columns": [ColumnRecord("id", Kind.BOOLEAN, "bool").to_dict()]}),
            DataError,
            "number here and boolean in the other",
        ),
        (lambda: Union("t", only_common=True).bind(SCHEMA, {"columns": []}), DataError, "no column in common"),
    ],
)
def test_what_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_table_whose_column_changed_its_kind_is_refused():
    bound = Join("prices", ("id",)).bind(SCHEMA, {"columns": PRICES_SCHEMA.to_dict()})
    texts = Table(
        PRICES.with_columns(price=pl.lit("cheap")),
        Schema((*PRICES_SCHEMA.columns[:2], ColumnRecord("price", Kind.CATEGORY, "string"))),
    )
    with scratch_folder() as folder, pytest.raises(SchemaError, match="'price' of table 'prices' is now category"):
        list(bound.run(lambda: iter([FRAME]), RunContext(Work(), folder, 10**9, {"prices": texts})))
