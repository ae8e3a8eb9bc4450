"""Descriptions: what they count is right, what they suspect is there, and they stay usable for tables of any shape."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import ColumnRecord, DataError, Interrupted, Kind, ProgressRecord, Role, Schema, Work
from lepton.data import read
from lepton.data.decisions import DecisionRecord
from lepton.data.describe import describe
from lepton.data.describe.relations import relation
from tests.report.test_page import PAYLOADS, Reader

ROWS = 2_000
KINDS = {
    pl.Float64: (Kind.NUMBER, "float64"),
    pl.Int64: (Kind.NUMBER, "int64"),
    pl.Boolean: (Kind.BOOLEAN, "bool"),
    pl.String: (Kind.CATEGORY, "string"),
    pl.Null: (Kind.CATEGORY, "string"),
}


@dataclass
class StandIn:
    """The part of a dataset that describing uses, on a frame."""

    data: pl.DataFrame
    schema: Schema
    decisions: tuple[DecisionRecord, ...] = ()
    passes: list[int] = field(default_factory=list)

    def batches(self, rows: int = 65_536) -> Iterator[pl.DataFrame]:
        self.passes.append(rows)
        yield from self.data.iter_slices(rows)


def table(columns, kinds=None, roles=None):
    data = columns if isinstance(columns, pl.DataFrame) else pl.DataFrame(columns)
    records = []
    for name, dtype in data.schema.items():
        kind, stored = KINDS.get(type(dtype), (Kind.DATETIME, "datetime"))
        kind = (kinds or {}).get(name, kind)
        records.append(ColumnRecord(name, kind, stored, role=(roles or {}).get(name, Role.FEATURE)))
    return StandIn(data, Schema(tuple(records)))


def what(description, column=None):
    return {f.what for f in description.findings if f.column == column}


@pytest.fixture(scope="module")
def houses():
    """A table with a number, a category and a moment that say something of the price, and one that does not."""
    rng = np.random.default_rng(3)
    size = rng.lognormal(4.5, 0.4, ROWS)
    town = rng.choice(["Ulm", "Bonn", "Kiel"], ROWS, p=[0.6, 0.3, 0.1])
    price = size * np.where(town == "Ulm", 2.0, 3.0) + rng.normal(0, 15, ROWS)
    sold = pl.Series(rng.integers(0, 10**15, ROWS)).cast(pl.Datetime("us"))
    noise = np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(size=ROWS))
    data = pl.DataFrame({"size": size, "town": town, "noise": noise, "sold": sold, "price": price})
    return table(data.with_columns(pl.col("noise").fill_nan(None)))


class TestCounts:
    def test_one_pass_is_enough(self, houses):
        houses.passes.clear()
        describe(houses, "price")
        assert len(houses.passes) == 1

    def test_numbers_are_those_of_the_table(self, houses):
        column = describe(houses)["size"].to_dict()
        values = houses.data["size"].to_numpy()
        assert column["rows"] == ROWS
        assert column["numbers"]["mean"] == pytest.approx(values.mean())
        assert column["numbers"]["median"] == pytest.approx(np.median(values))
        assert column["numbers"]["p95"] == pytest.approx(np.quantile(values, 0.95))
        assert (column["numbers"]["min"], column["numbers"]["max"]) == (values.min(), values.max())
        histogram = column["numbers"]["histogram"]
        np.testing.assert_array_equal(histogram["counts"], np.histogram(values, histogram["edges"])[0])

    def test_missing_distinct_and_top(self, houses):
        description = describe(houses)
        missing = int(houses.data["noise"].null_count())
        assert description["noise"].statistics.missing == missing
        assert description.missing_share == pytest.approx(missing / (ROWS * 5))
        town = description["town"].to_dict()
        assert (town["distinct"], town["distinct_exact"], town["top"][0]["value"]) == (3, True, "Ulm")
        with pytest.raises(KeyError):
            description["garden"]

    def test_whole_numbers_get_whole_bins(self):
        histogram = describe(table({"a": [1, 1, 2, 5]}))["a"].histogram()
        assert histogram is not None
        assert histogram.edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
        assert histogram.counts.tolist() == [2, 1, 0, 0, 1]

    def test_far_values_are_left_out_of_the_picture_and_counted(self):
        values = np.concatenate([np.random.default_rng(0).normal(size=999), [1e9]])
        histogram = describe(table({"a": values}))["a"].histogram()
        assert histogram is not None
        assert histogram.edges[-1] < 100
        assert 1 <= histogram.outside <= 20

    def test_text_and_identifiers_tell_their_lengths_only(self):
        description = describe(table({"a": ["x", "long text"] * 9}, kinds={"a": Kind.TEXT}))
        assert description["a"].to_dict()["lengths"]["max"] == 9
        assert "long text" not in json.dumps(description.to_dict())

    def test_batches_do_not_matter(self, houses, monkeypatch):
        whole = describe(houses, "price").to_dict()
        monkeypatch.setattr(StandIn, "batches", lambda self, rows=0: self.data.iter_slices(300))
        parts = describe(houses, "price").to_dict()
        assert parts["columns"][1]["top"] == whole["columns"][1]["top"]
        assert parts["columns"][0]["numbers"]["median"] == whole["columns"][0]["numbers"]["median"]
        assert [c.get("relation") for c in parts["columns"]] == [c.get("relation") for c in whole["columns"]]

    def test_the_same_seed_gives_the_same_description(self, houses):
        big = StandIn(pl.concat([houses.data] * 12), houses.schema)
        first, second, other = (describe(big, "price", Work(seed=s)).to_dict() for s in (1, 1, 2))
        assert first == second
        assert first != other


class TestRelations:
    def test_what_matters_comes_first(self, houses):
        description = describe(houses, "price")
        assert [c.record.name for c in description.related][:2] == ["size", "town"]
        found = {c.record.name: c.relation for c in description.columns if c.relation is not None}
        assert "price" not in found
        assert found["size"].measure == "spearman"
        assert found["size"].value > 0.7
        assert found["town"].measure == "correlation ratio"
        assert abs(found["noise"].strength) < 0.15

    def test_spearman_and_entropy_against_the_textbook(self):
        x, y = pl.Series([1.0, 2, 3, 4, 5] * 4), pl.Series([2.0, 1, 4, 3, 5] * 4)
        found = relation(x, Kind.NUMBER, y, Kind.NUMBER)
        assert found is not None
        assert found.value == pytest.approx(0.8)
        same = pl.Series(["a", "b"] * 500)
        found = relation(same, Kind.CATEGORY, same, Kind.CATEGORY)
        assert found is not None
        assert found.value == pytest.approx(1, abs=0.01)
        assert found.equal == found.alone == 1

    def test_curves_are_seen(self):
        x = np.linspace(-1, 1, 2_000)
        shuffled = np.random.default_rng(0).permutation(x)
        found = relation(pl.Series(shuffled), Kind.NUMBER, pl.Series(shuffled**2), Kind.NUMBER)
        assert found is not None
        assert abs(found.value) < 0.1
        assert found.strength > 0.95

    @pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.CATEGORY])
    def test_noise_is_not_a_relation(self, kind):
        rng = np.random.default_rng(0)
        values = (
            pl.Series(rng.normal(size=4_000)) if kind is Kind.NUMBER else pl.Series(rng.choice(list("abcdef"), 4_000))
        )
        for target, target_kind in (
            (pl.Series(rng.normal(size=4_000)), Kind.NUMBER),
            (pl.Series(rng.choice(["x", "y", "z"], 4_000)), Kind.CATEGORY),
        ):
            found = relation(values, kind, target, target_kind)
            assert found is not None
            assert found.strength < 0.15
            assert found.alone < 0.1

    def test_what_cannot_be_measured(self):
        ten, text = pl.Series(range(10)), pl.Series(map(str, range(50)))
        assert relation(ten, Kind.NUMBER, ten, Kind.NUMBER) is None
        assert relation(text, Kind.TEXT, pl.Series(range(50)), Kind.NUMBER) is None
        assert relation(pl.Series([1] * 50), Kind.NUMBER, pl.Series(range(50)), Kind.NUMBER) is None
        assert relation(pl.Series(range(50)), Kind.NUMBER, pl.Series([None] * 50), Kind.NUMBER) is None


class TestFindings:
    def found(self, values, column="a", **options):
        return what(describe(table({column: values}, **options)), column)

    def test_leakage_copies_and_codes_of_the_target(self, houses):
        data = houses.data.with_columns(
            copy=pl.col("price"),
            scaled=pl.col("price") * 0.3 + 7,
            rounded=(pl.col("price") / 20).round(),
        )
        description = describe(table(data), "price")
        assert what(description, "copy") >= {"copy"}
        assert what(description, "scaled") >= {"leakage"}
        assert what(description, "rounded") >= {"leakage"}
        assert not {"copy", "leakage"} & (what(description, "size") | what(description, "noise"))
        assert description.findings[0].level == "warning"

        label = pl.Series("label", np.random.default_rng(0).choice(["no", "yes"], 500, p=[0.9, 0.1]))
        coded = pl.DataFrame([label]).with_columns(code=pl.when(pl.col("label") == "yes").then(3.0).otherwise(8.0))
        assert "leakage" in what(describe(table(coded), "label"), "code")

    def test_identifiers(self):
        assert "identifier" in self.found([f"c{i}" for i in range(500)])
        assert "identifier" in self.found(list(range(1_000, 1_500)))
        assert "identifier" in self.found(["x", "y"] * 30, kinds={"a": Kind.IDENTIFIER})
        assert "identifier" not in self.found(np.random.default_rng(0).normal(size=500))
        assert "identifier" not in self.found(np.random.default_rng(0).integers(0, 10**6, 500))

    def test_constants_and_emptiness(self):
        assert self.found([3.0] * 60) == {"constant"}
        assert self.found(["x"] * 999 + ["y"]) >= {"constant"}
        assert self.found([None] * 60) == {"empty"}
        assert "missing" in self.found([1.0, None, None, 2.0] * 20)

    def test_markers_limits_zeros_infinities_and_tails(self):
        rng = np.random.default_rng(0)
        values = rng.normal(50, 5, 2_000)
        marked = np.where(rng.random(2_000) < 0.03, -999, values)
        assert "marker" in self.found(marked)
        assert "marker" not in self.found(values)
        assert "limit" in self.found(np.minimum(values, 55))
        assert "limit" not in self.found(values)
        assert "zeros" in self.found(np.where(rng.random(2_000) < 0.7, 0, values))
        assert "infinities" in self.found(np.append(values, np.inf))
        assert "infinities" in self.found([np.inf, -np.inf] * 9)
        assert "skew" in self.found(np.exp(values / 3))

    def test_spellings_and_many_categories(self):
        assert "spelling" in self.found(["New York", "new york", "Ulm"] * 20)
        assert "spelling" not in self.found(["Bonn", "Ulm"] * 20)
        rare = [f"c{i % 1_500}" for i in range(4_000)]
        assert "many-categories" in self.found(rare)

    def test_the_target(self):
        labels = ["a"] * 97 + ["b"] * 3 + [None] * 5
        description = describe(table({"x": range(105), "y": labels}), "y")
        assert what(description, "y") == {"imbalance", "missing"}

    def test_repeated_rows(self):
        description = describe(table({"a": [1, 1, 2, 1], "b": ["x", "x", "x", "y"]}))
        assert (description.repeated_rows, description.repeated_exact) == (1, True)
        assert "repeated-rows" in what(description)

    def test_repeated_rows_of_large_tables_are_estimated(self):
        values = np.random.default_rng(0).integers(0, 400_000, 600_000)
        description = describe(table({"a": values}))
        true = len(values) - len(np.unique(values))
        assert not description.repeated_exact
        assert description.repeated_rows == pytest.approx(true, rel=0.05)


class TestShapes:
    @pytest.mark.parametrize(
        "columns",
        [
            {"a": pl.Series([], dtype=pl.Float64), "y": pl.Series([], dtype=pl.String)},
            {"a": [1.0], "y": ["x"]},
            {"a": pl.Series([None] * 30, dtype=pl.Float64), "y": ["x", "z"] * 15},
            {"a": [1e308, -1e308, np.inf] * 10, "y": ["x", "z", "x"] * 10},
            {"a": [True, None, False] * 10, "y": [1.0, 2.0, np.nan] * 10},
            {"a": pl.Series([0, None, 10**17] * 10).cast(pl.Datetime("us")), "y": ["x", "z", "x"] * 10},
            {"a": ["é\u202e", "", "房子"] * 10, "y": [1, 2, 3] * 10},
        ],
    )
    def test_odd_tables_are_described(self, columns):
        for target in (None, "y", "a"):
            description = describe(table(columns), target)
            json.dumps(description.to_dict(), allow_nan=False)
            assert description.text(80)
            assert Reader(description.page().html()).open == []

    @given(st.lists(st.floats(), max_size=40), st.lists(st.sampled_from(["a", "b", None]), min_size=40, max_size=40))
    def test_any_numbers_are_described(self, numbers, texts):
        data = pl.DataFrame(
            {"a": pl.Series(numbers, dtype=pl.Float64), "b": pl.Series(texts[: len(numbers)], dtype=pl.String)}
        )
        for target in ("a", "b"):
            description = describe(table(data), target)
            json.dumps(description.to_dict(), allow_nan=False)
            assert Reader(description.page().html()).open == []

    def test_ten_thousand_columns_stay_usable(self):
        wide = table(pl.DataFrame({f"c{i}": [1.0, 2.0, i] for i in range(10_000)}))
        description = describe(wide, "c0")
        text = description.text(100)
        assert "The first 50 of 10,000 columns." in text
        assert len(text.splitlines()) < 90
        page = description.page().html()
        assert "The first 50 of 10,000 columns" in page
        assert len(page) < 1_000_000

    @pytest.mark.parametrize("payload", PAYLOADS)
    def test_hostile_names_and_values_stay_text(self, payload):
        data = pl.DataFrame({"n": range(40), "c": ["a", "b"] * 20})
        harmless = describe(table(data), "n").page().html()
        payload = payload.replace("\ud800", "?")
        renamed = data.with_columns(pl.col("c").replace("a", payload)).rename({"c": payload, "n": payload + "n"})
        hostile = describe(table(renamed), payload + "n")
        assert Reader(hostile.page().html()).tags == Reader(harmless).tags
        assert not set(hostile.text(120)) & set("\x00\x1b\u202e\u200b")


class TestText:
    @pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
    def test_lines_fit_and_are_aligned(self, houses, width):
        text = describe(houses, "price").text(width)
        lines = text.splitlines()
        assert max(map(len, lines)) <= width
        head = next(line for line in lines if line.startswith("column"))
        assert all(name in text for name in ("size", "town", "noise", "sold", "price"))
        assert lines[lines.index(head) + 1].index("number") == head.index("kind")

    def test_wide_characters_take_two_places(self):
        text = describe(table({"房子": [1.5, 2.5], "ab": [1.5, 2.5]})).text(100)
        first, second = (line for line in text.splitlines() if "number" in line)
        assert first.index("number") + 2 == second.index("number")

    def test_small_bars_and_findings(self, houses):
        text = describe(houses, "price").text(120)
        assert "█" in text
        assert "target" in text
        assert str(describe(table({"a": [3.0] * 60}))).endswith(
            "! a: every row has the same value: nothing can be learned from it"
        )


class TestWork:
    def test_progress_is_reported(self, houses):
        seen: list[ProgressRecord] = []
        describe(houses, work=Work(reporter=seen.append))
        assert seen[-1].done == ROWS
        assert seen[-1].unit == "rows"

    def test_a_stop_is_obeyed(self, houses):
        stop = threading.Event()
        stop.set()
        with pytest.raises(Interrupted):
            describe(houses, work=Work(cancel=stop))

    def test_past_the_deadline_what_was_seen_is_described(self, houses, monkeypatch):
        monkeypatch.setattr(StandIn, "batches", lambda self, rows=0: self.data.iter_slices(300))
        description = describe(houses, "price", Work(within=1e-9))
        assert (description.num_rows, description.complete) == (300, False)
        assert description.findings[0].what == "incomplete"

    def test_an_unknown_target_is_named(self, houses):
        with pytest.raises(DataError, match="did you mean 'price'"):
            describe(houses, "prise")


class TestDataset:
    def test_a_file_is_described(self, tmp_path: Path):
        path = tmp_path / "houses.csv"
        path.write_text(
            "size,town,price\n" + "".join(f"{i}.5,{'Ulm' if i % 2 else 'Bonn'},{i * 3}\n" for i in range(100))
        )
        description = read(path).describe("price")
        assert description.num_rows == 100
        assert "leakage" in what(description, "size")
        assert "How it was read" in description.page().html()
        shown = description._repr_html_()
        assert shown.startswith("<iframe")

    def test_the_role_of_target_is_taken(self):
        data = read({"a": list(range(30)), "y": list(range(30))}).with_roles({"y": "target"})
        assert data.describe().target == "y"

    @pytest.mark.shared
    def test_a_real_table(self, shared_data):
        description = read(shared_data / "tabular" / "california_housing.csv").describe("median_house_value")
        assert description.num_rows == 20_640
        assert description.related[0].record.name == "median_income"
        assert "limit" in what(description, "median_house_value")
