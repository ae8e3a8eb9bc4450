"""Counterfactuals: they are the nearest there are, keep to the limits, and say when there is none."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, Predictor, open_model, write_bundle
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, DataError, Kind, LeptonError, Role, Schema, UsageError, Work
from lepton.data import Dataset, read
from lepton.data.statistics import Baseline
from lepton.evaluation.explain.counterfactuals import counterfactuals
from tests.bundle.pictures import write_brightness
from tests.evaluation.models import binary_model, linear_model
from tests.evaluation.robustness.models import applicants, credit_model

GRID = [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]


def table(**columns: Any) -> Dataset:
    return read(pl.DataFrame(columns))


def conjunction(folder: Path, width: int, needed: int) -> Predictor:
    """1 where the first columns are all above 0, else 0: nothing tells which way is better."""
    columns = tuple(ColumnRecord(f"x{place}", Kind.NUMBER) for place in range(width))
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", width])
    first = builder.node("Gather", [numbers, builder.constant(np.arange(needed))], axis=1)
    least = builder.node("ReduceMin", [first, builder.constant(np.array([1]))], keepdims=0)
    above = builder.node("Cast", [builder.node("Greater", [least, builder.constant(0.0)])], to=11)
    builder.output("prediction", above, "double", ["N"])
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))})
    outputs = (OutputRecord("prediction", "double", ("N",)),)
    manifest = Manifest(name="all", task="regression", inputs=columns, outputs=outputs)
    write_bundle(folder / "all.lepton", manifest=manifest, graph=graph)
    return open_model(folder / "all.lepton")


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.floats(0.5, 4), st.integers(0, 1_000))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_first_is_the_nearest_of_all(tmp_path: Path, weights: list[float], wish: float, seed: int) -> None:
    """Against every combination of the values: as few columns as possible, and of these the least distance."""
    names = ["a", "b", "c"]
    (tmp_path / "linear.lepton").unlink(missing_ok=True)
    model = linear_model(tmp_path, dict(zip(names, weights, strict=True)))
    random = np.random.default_rng(seed)
    data = pl.DataFrame({name: random.choice(GRID, 50) for name in names})
    own = np.array([0.0, 0.0, 0.0])
    found = counterfactuals(model, dict(zip(names, own.tolist(), strict=True)), wanted=(wish, None), data=read(data))
    spreads = [(np.quantile(data[n], 0.75) - np.quantile(data[n], 0.25)) / 1.349 for n in names]
    best = (9, np.inf)
    for row in itertools.product(*([0.0, *data[name].unique().to_list()] for name in names)):
        if np.dot(row, weights) >= wish:
            steps = [abs(value) / spread for value, spread in zip(row, spreads, strict=True)]
            best = min(best, (int(np.count_nonzero(row)), sum(steps)))
    if best[0] == 9:
        assert not found.found
        assert found.nearest is not None
        assert "No change" in found.reason
    else:
        assert len(found.found[0].changes) == best[0]
        assert found.found[0].distance == pytest.approx(best[1])
        assert found.complete >= min(best[0], 2)


def test_every_one_is_verified_and_none_holds_another(tmp_path: Path) -> None:
    model = credit_model(tmp_path, of_sex=2.0)
    data = applicants(rows=200)
    row = {"income": 52.0, "age": 40.0, "sex": "f", "note": "late again"}
    found = counterfactuals(model, row, data=data, k=3)
    assert found.answer == "default"
    assert found.wanted == "the answer 'paid'"
    for each in found.found:
        assert model.predict([dict(each.row)]) == ["paid"]
        assert each.answer == "paid"
        assert each.value is not None
        assert each.value >= 0.5
        assert {change.column for change in each.changes} == {n for n in row if each.row[n] != row[n]}
    columns = [{change.column for change in each.changes} for each in found.found]
    assert columns == [{"sex"}, {"income"}]
    assert found.fixed == {"note": "a text of its own in each row"}
    assert "2 of 3 found" in found.reason


def test_changes_are_minimal_where_two_are_needed(tmp_path: Path) -> None:
    model = credit_model(tmp_path, trap=60.0)
    row = {"income": 50.5, "age": 40.0, "sex": "m", "note": ""}
    data = table(income=[50.5, 60.0, 92.0, 95.0], age=[20.0, 22.0, 30.0, 70.0], sex=["m", "f", "m", "m"])
    found = counterfactuals(model, row, data=data, immutable=["sex"], k=1)
    assert [(c.column, c.after) for c in found.found[0].changes] == [("income", 92), ("age", 22)]


def test_limits_are_kept(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 1.0, "b": 1.0})
    data = table(a=GRID, b=GRID)
    row = {"a": 0.0, "b": 0.0}
    for ranges, columns in (
        ({"a": (None, 0.6)}, {"b"}),
        ({"a": "down"}, {"b"}),
        ({"a": "up", "b": (-9, -0.1)}, {"a"}),
    ):
        found = counterfactuals(model, row, wanted=(1, None), data=data, ranges=ranges, k=2)
        assert [{c.column for c in each.changes} for each in found.found[:1]] == [columns]
        for each in found.found:
            for change in each.changes:
                low, high = {"up": (0, 9), "down": (-9, 0)}.get(str(ranges.get(change.column)), (-9, 9))
                assert low <= change.after <= high
    one = counterfactuals(model, row, wanted=(3, None), data=data, max_changes=1)
    assert not one.found
    assert one.nearest is not None
    assert (one.nearest.value, len(one.nearest.changes)) == (2.0, 1)
    assert "One of 2 columns does" in one.reason
    assert "The nearest try" in one.text()
    assert len(counterfactuals(model, row, wanted=(3, None), data=data).found[0].changes) == 2


def test_what_many_columns_together_do_is_found(tmp_path: Path) -> None:
    """No single change moves the answer, so nothing leads the way: rows that have it are cut down to what they need."""
    model = conjunction(tmp_path, 12, 5)
    values = np.linspace(-1, 1, 24)
    data = table(**{f"x{place}": values for place in range(12)})
    row = dict.fromkeys(data.schema.names, -1.0)
    found = counterfactuals(model, row, wanted=(1, None), data=data, k=1)
    assert {change.column for change in found.found[0].changes} == {f"x{place}" for place in range(5)}
    assert all(change.after == pytest.approx(values[12]) for change in found.found[0].changes)
    assert not counterfactuals(model, row, wanted=(1, None), data=data, max_changes=4).found


def test_nothing_is_changed_where_nothing_need_or_may_be(tmp_path: Path) -> None:
    model = binary_model(tmp_path, 2.0)
    data = table(x=GRID)
    there = counterfactuals(model, {"x": 3.0}, wanted="yes", data=data)
    assert (there.found, there.nearest) == ((), None)
    assert "already" in there.reason
    fixed = counterfactuals(model, {"x": -1.0}, immutable=["x"], data=data)
    assert "No column may be changed" in fixed.reason
    assert fixed.fixed == {"x": "immutable"}
    assert fixed.asked == 0
    empty = counterfactuals(model, {"x": -1.0}, ranges={"x": (5, None)}, data=data)
    assert empty.fixed == {"x": "no other value occurs in its range"}


def test_a_constant_model_has_none(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 0.0, "b": 0.0}, offset=1.0)
    found = counterfactuals(model, {"a": 0.0, "b": None}, wanted=(2, None), data=table(a=GRID, b=GRID))
    assert not found.found
    assert found.nearest is not None
    assert found.nearest.value == 1.0
    json.dumps(found.to_dict(), allow_nan=False)
    assert "No change" in found.page().html()


def test_wishes(tmp_path: Path) -> None:
    model = binary_model(tmp_path, 1.0)
    data = table(x=np.linspace(-6, 6, 121).round(1))
    row = {"x": -2.0}

    def first(wanted: Any) -> Any:
        return counterfactuals(model, row, wanted=wanted, data=data).found[0]

    assert first(None).changes[0].after == pytest.approx(0.0, abs=0.11)
    assert first({"yes": 0.9}).changes[0].after == 2.2
    assert 0.2 <= first({"yes": (0.2, 0.3)}).value <= 0.3
    assert first({"yes": (None, 0.01)}).changes[0].after == -4.6
    assert first(["yes"]).answer == "yes"
    number = linear_model(tmp_path, {"x": 2.0})
    within = counterfactuals(number, row, wanted=(None, -8), data=data).found[0]
    assert (within.answer, within.changes[0].after) == (-8.0, -4)


def test_booleans_dates_and_missing_cells(tmp_path: Path) -> None:
    columns = (
        ColumnRecord("owner", Kind.BOOLEAN, "bool"),
        ColumnRecord("since", Kind.DATETIME, "datetime"),
    )
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    weights = builder.constant(np.array([[1.0], [1e-15]]))
    product = builder.node("Squeeze", [builder.node("MatMul", [numbers, weights]), builder.constant(np.array([1]))])
    builder.output("prediction", product, "double", ["N"])
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))})
    outputs = (OutputRecord("prediction", "double", ("N",)),)
    manifest = Manifest(name="dates", task="regression", inputs=columns, outputs=outputs)
    write_bundle(tmp_path / "d.lepton", manifest=manifest, graph=graph)
    model = open_model(tmp_path / "d.lepton")
    days = [dt.datetime(2000 + year, 1, 1) for year in range(20)]  # noqa: DTZ001
    data = table(owner=[True, False] * 10, since=days)
    row = {"owner": False, "since": "1999-05-01"}
    found = counterfactuals(model, row, wanted=(1.3, None), data=data)
    assert {change.column for each in found.found for change in each.changes} == {"owner", "since"}
    late = counterfactuals(model, row, wanted=(1.3, None), data=data, ranges={"owner": [False], "since": "up"})
    assert late.found[0].changes[0].after == days[12]
    json.dumps(late.to_dict(), allow_nan=False)
    limited = counterfactuals(model, row, wanted=(1.3, None), data=data, ranges={"since": (None, "2005-01-01")})
    assert [c.column for c in limited.found[0].changes] == ["owner", "since"] or limited.found[0].changes[
        0
    ].after is True
    gone = counterfactuals(model, {"owner": None, "since": None}, wanted=(1.3, None), data=data)
    assert gone.found


def test_the_bundles_statistics_stand_in_for_data(tmp_path: Path) -> None:
    columns = (ColumnRecord("age", Kind.NUMBER, role=Role.FEATURE), ColumnRecord("x", Kind.NUMBER, role=Role.FEATURE))
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    product = builder.node("MatMul", [numbers, builder.constant(np.array([[1.0], [0.0]]))])
    builder.output("prediction", builder.node("Squeeze", [product, builder.constant(np.array([1]))]), "double", ["N"])
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))})
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"age": random.integers(18, 80, 2_000).astype(float), "x": random.normal(size=2_000)})
    baseline = Baseline.of(frame, Schema(columns), {"prediction": frame["age"].to_numpy()})
    outputs = (OutputRecord("prediction", "double", ("N",)),)
    manifest = Manifest(name="old", task="regression", inputs=columns, outputs=outputs)
    write_bundle(tmp_path / "o.lepton", manifest=manifest, graph=graph, baseline=baseline.to_members())
    found = counterfactuals(open_model(tmp_path / "o.lepton"), {"age": 30, "x": 0.0}, wanted=(40.5, None))
    assert [(c.column, c.after) for c in found.found[0].changes] == [("age", 41)]


def test_without_data_or_statistics_it_asks_for_some(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data="):
        counterfactuals(binary_model(tmp_path, 1.0), {"x": -1.0})


def test_same_seed_same_result_and_work_that_is_over(tmp_path: Path) -> None:
    model = conjunction(tmp_path, 8, 4)
    data = table(**{f"x{place}": np.linspace(-1, 1, 24) for place in range(8)})
    row = dict.fromkeys(data.schema.names, -1.0)
    one, two = (counterfactuals(model, row, wanted=(1, None), data=data, seed=3).to_dict() for _ in range(2))
    assert one == two
    over = counterfactuals(model, row, wanted=(1, None), data=data, work=Work(within=1e-9))
    assert not over.found
    assert "The time was over" in over.reason


def test_hostile_names_are_shown_harmless(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"<b>a</b>": 1.0})
    found = counterfactuals(model, {"<b>a</b>": 0.0}, wanted=(1, None), data=table(**{"<b>a</b>": GRID}))
    assert "<b>a" not in found.page().html()
    assert "Change &lt;b&gt;a" in found.page().html()


@pytest.mark.parametrize(
    "options",
    [
        {"wanted": None},
        {"wanted": 5},
        {"wanted": (None, None)},
        {"wanted": (3, 1)},
        {"wanted": (float("nan"), 1)},
        {"wanted": (1, None), "k": 0},
        {"wanted": (1, None), "max_changes": 0},
        {"wanted": (1, None), "ranges": {"a": (3, 1)}},
        {"wanted": (1, None), "ranges": {"a": "sideways"}},
        {"wanted": (1, None), "ranges": {"a": ("many", None)}},
        {"wanted": (1, None), "ranges": {"a": (0, 1)}, "immutable": ["a"]},
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        counterfactuals(linear_model(tmp_path, {"a": 1.0}), {"a": 0.0}, data=table(a=GRID), **options)


def test_a_narrow_range_is_met_by_the_one_value_that_does(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 1.0, "b": 0.0})
    data = table(a=np.arange(250.0), b=np.arange(250.0))
    found = counterfactuals(model, {"a": 0.5, "b": 0.5}, wanted=(137, 137), data=data, immutable="b")
    assert [(c.column, c.after) for c in found.found[0].changes] == [("a", 137)]
    with pytest.raises(UsageError, match="nothing is known of the values"):
        counterfactuals(model, {"a": 0.5, "b": 0.5}, wanted=(137, 137), data=table(c=[1, 2]))


def test_unknown_columns_labels_and_rows_are_refused(tmp_path: Path) -> None:
    model = binary_model(tmp_path, 1.0)
    data = table(x=GRID)
    with pytest.raises(DataError, match="takes no column 'agee'"):
        counterfactuals(model, {"x": 0.0}, data=data, immutable=["agee"])
    with pytest.raises(UsageError, match="no label 'maybe'"):
        counterfactuals(model, {"x": 0.0}, data=data, wanted="maybe")
    with pytest.raises(UsageError, match="0 to 1"):
        counterfactuals(model, {"x": 0.0}, data=data, wanted={"yes": 1.5})
    with pytest.raises(UsageError, match="2 rows"):
        counterfactuals(model, [{"x": 0.0}, {"x": 1.0}], data=data)
    with pytest.raises(LeptonError):
        counterfactuals(model, {"y": 0.0}, data=data)
    write_brightness(tmp_path / "b.lepton")
    with pytest.raises(UsageError, match="model of image"):
        counterfactuals(open_model(tmp_path / "b.lepton"), np.zeros((1, 2, 2, 3), np.uint8))
