"""Effects of functions that are known: curves are those of theory, and what rows do not show is said."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, UsageError, Work
from lepton.data import Dataset, read
from lepton.evaluation.explain.effects import Effect, effect
from tests.evaluation.explain.functions import function_model, two_labels
from tests.evaluation.models import linear_model

NUMBERS = {"x": "number", "z": "number"}


def table(rows: int = 600, seed: int = 0, together: float = 0.0) -> Dataset:
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, rows)
    z = together * x + (1 - together) * generator.uniform(-1, 1, rows)
    return read(pl.DataFrame({"x": x, "z": z}))


def values(found: Effect, curve: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([each.value for each in found.curves[curve].values], dtype=np.float64)


@pytest.mark.parametrize("kind", ["ale", "pdp"])
def test_effects_of_a_sum_are_its_parts(kind):
    model = function_model(NUMBERS, lambda c: c["x"] ** 2 + 3 * c["z"])
    found = effect(model, table(), "x", kind=kind)
    x = np.array(found.points)
    true = x**2
    assert np.ptp(values(found) - true) == pytest.approx(0, abs=1e-9)
    assert found.curves[0].base == pytest.approx(1 / 3, abs=0.2)
    assert sum(found.num_near) == 600
    held = np.interp(table().frame()["x"].to_numpy(), x, values(found))
    assert held.mean() == pytest.approx(0, abs=0.02)


def test_local_effects_leave_out_what_a_column_borrows_and_dependence_asks_about_impossible_rows():
    """f = x where z goes with x, and far away from there 100: no row is there, only partial dependence asks."""

    def answers(c: dict[str, Any]) -> Any:
        return np.where(np.abs(c["x"] - c["z"]) > 0.7, 100.0, c["x"])

    model, rows = function_model(NUMBERS, answers), table(together=0.9)
    local, plain = effect(model, rows, "x"), effect(model, rows, "x", kind="pdp")
    x = np.array(local.points)
    assert np.abs(values(local) - (x - x.mean())).max() < 0.1
    assert np.abs(values(plain)).max() > 5
    assert any("goes together with 'z'" in note for note in local.notes)
    assert any("kind='ale'" in note for note in plain.notes)
    assert not any("goes together" in note for note in effect(model, table(), "x").notes)


def test_a_column_that_does_nothing_has_no_effect_and_no_width():
    found = effect(function_model(NUMBERS, lambda c: c["z"]), table(), "x")
    assert found.curves[0].range == 0
    assert {(each.lower, each.upper) for each in found.curves[0].values} == {(0.0, 0.0)}


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """f = x·(1 + z) has the effect x, whose slope each sample gets a little wrong."""
    model = function_model(NUMBERS, lambda c: c["x"] * (1 + c["z"]))
    held = []
    for seed in range(30):
        last = effect(model, table(200, seed), "x", points=6, seed=seed)
        low, high = last.points[1], last.points[-2]
        ends = [last.curves[0].values[place] for place in (1, -2)]
        assert all(each.lower is not None and each.upper is not None for each in ends)
        held += [each.lower <= place <= each.upper for each, place in zip(ends, (low, high), strict=True)]
    assert 50 <= sum(held) <= 60  # of 60


def test_categories_from_high_to_low_and_rare_ones_counted():
    generator = np.random.default_rng(0)
    rows = 2_000
    town = [f"t{place}" for place in generator.integers(0, 10_000, rows - 900)] + ["Oslo"] * 600 + ["Bodø"] * 300
    data = read(pl.DataFrame({"town": town, "x": generator.normal(size=rows)}))
    gain = {"Oslo": 5.0, "Bodø": -5.0}
    model = function_model(
        {"town": "category", "x": "number"},
        lambda c: np.array([gain.get(text, 0.0) for text in c["town"]]) + c["x"],
    )
    for kind in ("ale", "pdp"):
        found = effect(model, data, "town", kind=kind, points=4)
        assert found.points[0] == "Oslo"
        assert found.points[-1] == "Bodø"
        assert values(found)[0] - values(found)[-1] == pytest.approx(10)
        assert found.num_near[0] == 600
        assert any("rarer values" in note for note in found.notes)
        assert any("Few rows" in note for note in found.notes)
        assert len(found.figures()) == 1


def test_truth_values_moments_and_missing_numbers():
    generator = np.random.default_rng(0)
    when = np.datetime64("2020-01-01") + generator.integers(0, 1_000, 400).astype("timedelta64[D]")
    x = generator.normal(size=400)
    gone = generator.random(400) < 0.2
    data = read(pl.DataFrame({"when": when, "on": x > 0.3, "x": np.where(gone, np.nan, x)}))
    model = function_model(
        {"when": "datetime", "on": "boolean", "x": "number"},
        lambda c: c["when"] / 8.64e10 + 50 * c["on"] + np.where(np.isnan(c["x"]), 7.0, 0.0),
    )
    moments = effect(model, data, "when")
    assert moments.points[0] == pytest.approx(np.datetime64("2020-01-01", "us").astype(float), rel=1e-3)
    assert np.ptp(values(moments)) == pytest.approx((moments.points[-1] - moments.points[0]) / 8.64e10)
    assert moments.to_dict()["points"][0].startswith("20")
    truth = effect(model, data, "on")
    by_point = dict(zip(truth.points, values(truth), strict=True))
    assert by_point[True] - by_point[False] == pytest.approx(50)
    assert truth.point_texts == ("false", "true")
    number = effect(model, data, "x")
    missing = number.curves[0].missing
    assert missing is not None
    assert missing.value == pytest.approx(7 * (1 - gone.mean()))
    assert number.curves[0].range == 0
    assert any("told apart" in note for note in number.notes)
    assert "missing, in every row" in number.text()


def test_two_columns_that_multiply_and_two_that_add():
    product = function_model(NUMBERS, lambda c: 3 * c["x"] + c["x"] * c["z"])
    both = function_model(NUMBERS, lambda c: 3 * c["x"] + c["z"])
    for kind in ("ale", "pdp"):
        found = effect(product, table(), "x", other="z", kind=kind)
        beyond = np.array(found.surfaces[0].beyond)
        assert beyond.shape == ((5, 5) if kind == "ale" else (10, 10))
        assert beyond[0, 0] == pytest.approx(1, abs=0.25)
        assert beyond[0, -1] == pytest.approx(-1, abs=0.25)
        assert beyond[-1, -1] == pytest.approx(1, abs=0.25)
        joint = np.array(found.surfaces[0].joint)
        assert joint[-1, -1] - joint[0, -1] == pytest.approx(6 + 2, abs=0.6)
        assert found.interaction is not None
        assert found.interaction.told
        added = effect(both, table(), "x", other="z", kind=kind)
        assert np.abs(np.array(added.surfaces[0].beyond)).max() < 1e-9
        assert added.interaction is not None
        assert not added.interaction.told
        assert "No interaction" in added.text()
        assert "changes this effect" in found.text()


def test_a_category_with_a_number_and_cells_without_rows():
    generator = np.random.default_rng(1)
    x = generator.uniform(-1, 1, 800)
    data = read(pl.DataFrame({"x": x, "side": np.where(x > 0, "right", "left")}))
    model = function_model(
        {"x": "number", "side": "category"}, lambda c: np.where(c["side"] == "right", c["x"], -c["x"])
    )
    found = effect(model, data, "side", other="x")
    assert np.isfinite(np.array(found.surfaces[0].joint)).all()
    assert found.interaction is not None
    assert found.interaction.told
    empty = effect(function_model(NUMBERS, lambda c: c["x"]), table(together=0.95), "x", other="z")
    assert any("hold no row" in note for note in empty.notes)
    assert len(found.page().html()) > 1_000


def test_many_labels_a_curve_for_the_five_most_frequent():
    def answers(c: dict[str, Any]) -> Any:
        raw = np.exp(np.stack([c["x"] * place / 3 + place / 4 for place in range(8)], axis=1))
        return raw / raw.sum(axis=1, keepdims=True)

    labels = tuple(f"k{place}" for place in range(8))
    model = function_model(NUMBERS, answers, labels=labels)
    found = effect(model, table(), "x")
    assert [each.label for each in found.curves] == ["k3", "k4", "k5", "k6", "k7"]
    assert any("3 labels" in note for note in found.notes)
    one = effect(model, table(), "x", label="k0")
    assert "'k0'" in one.title
    assert len(one.curves) == 1
    assert values(one)[0] > values(one)[-1]


def test_log_odds_of_a_logistic_model_are_a_line():
    model = function_model(NUMBERS, lambda c: two_labels(1 / (1 + np.exp(-2 * c["x"] - c["z"]))), labels=("no", "yes"))
    found = effect(model, table(), "x", log_odds=True)
    assert np.diff(values(found)) / np.diff(found.points) == pytest.approx(2.0)
    assert "log-odds" in found.title


@pytest.mark.parametrize("task", ["quantile", "ranking", "anomaly"])
def test_tasks_that_answer_other_numbers(task):
    found = effect(function_model(NUMBERS, lambda c: 2 * c["x"], task=task), table(), "x")
    assert found.curves[0].range == pytest.approx(4, abs=0.05)


def test_where_rows_are_few_it_says_so():
    generator = np.random.default_rng(0)
    data = read(pl.DataFrame({"x": np.append(generator.uniform(0, 1, 500), [40.0, 50.0]), "z": np.zeros(502)}))
    found = effect(function_model(NUMBERS, lambda c: c["x"]), data, "x", points=10)
    assert found.thin == (len(found.points) - 2,)
    assert any("Few rows lie at" in note and "50" in note for note in found.notes)
    assert "blank" in found.plot().svg
    assert "Few rows" in found.plot().alt
    assert not any("Few rows" in note for note in effect(function_model(NUMBERS, lambda c: c["x"]), table(), "x").notes)
    few = effect(function_model(NUMBERS, lambda c: c["x"]), table(20), "x")
    assert any("20 rows" in note for note in few.notes)
    assert len(few.points) <= 3


@pytest.mark.parametrize("cells", [[None] * 50, [3.0] * 50, [float("inf")] * 50])
def test_columns_that_show_nothing(cells):
    data = read(pl.DataFrame({"x": pl.Series(cells, dtype=pl.Float64), "z": np.arange(50.0)}))
    found = effect(function_model(NUMBERS, lambda c: np.nan_to_num(c["z"])), data, "x")
    assert found.curves == ()
    assert "do not show what it does" in found.text()
    assert "nothing to draw" in found.page().html()
    json.dumps(found.to_dict(), allow_nan=False)
    two = effect(function_model(NUMBERS, lambda c: np.nan_to_num(c["z"])), data, "z", other="x")
    assert two.surfaces == ()
    assert "not known" in two.page().html()


def test_a_constant_answer_and_answers_that_are_no_numbers():
    flat = effect(function_model(NUMBERS, lambda c: np.full(len(c["x"]), 4.0)), table(), "x")
    assert any("the same for all" in note for note in flat.notes)
    some = effect(function_model(NUMBERS, lambda c: np.where(c["z"] < 0, np.nan, c["x"])), table(), "x")
    assert 200 < some.num_rows < 400
    assert any("no finite number" in note for note in some.notes)
    twins = read(table().frame().with_columns(z=pl.col("x")))
    bad = effect(function_model(NUMBERS, lambda c: np.where(c["x"] == c["z"], c["x"], np.nan)), twins, "x")
    assert {each.value for each in bad.curves[0].values} == {None}
    assert "finite" in bad.curves[0].values[0].reason
    assert "nothing to draw" in bad.page().html()
    json.dumps(bad.to_dict(), allow_nan=False)
    both = effect(function_model(NUMBERS, lambda c: np.where(c["x"] == c["z"], c["x"], np.nan)), twins, "x", other="z")
    assert both.surfaces[0].beyond[0][0] is None
    assert "not known" in both.page().html()
    json.dumps(both.to_dict(), allow_nan=False)
    with pytest.raises(DataError, match="no finite number"):
        effect(function_model(NUMBERS, lambda c: np.full(len(c["x"]), np.nan)), table(), "x")


def test_the_example_of_the_paper():
    """f = x·z of normal columns with correlation ρ: the local effect is ρ·(x² − 1) / 2, the dependence 0."""
    generator = np.random.default_rng(0)
    x, noise = generator.normal(size=(2, 2_000))
    data = read(pl.DataFrame({"x": x, "z": 0.6 * x + 0.8 * noise}))
    model = function_model(NUMBERS, lambda c: c["x"] * c["z"])
    local, plain = effect(model, data, "x"), effect(model, data, "x", kind="pdp")
    inner = slice(2, -2)
    places = np.array(local.points)
    assert values(local)[inner] == pytest.approx(0.3 * (places**2 - 1)[inner], abs=0.12)
    assert np.abs(values(plain)[inner]).max() < 0.1


def test_weights_count_as_often_as_rows():
    frame = pl.DataFrame({"x": np.tile(np.linspace(-1, 1, 40), 2), "z": np.repeat([0.0, 1.0], 40)})
    model = function_model(NUMBERS, lambda c: c["x"] * c["z"])
    weighted = read(frame.with_columns(w=np.repeat([1.0, 3.0], 40))).with_roles({"w": "weight"})
    found = effect(model, weighted, "x", points=5)
    twice = effect(model, read(pl.concat([frame, frame[40:], frame[40:]])), "x", points=5)
    assert found.curves[0].range == pytest.approx(1.5)
    assert twice.curves[0].range == pytest.approx(1.5)


def test_rows_of_no_weight_do_not_count_and_bad_weights_are_refused():
    frame = pl.DataFrame({"x": np.linspace(-1, 1, 80), "z": np.repeat([1.0, 100.0], 40)})
    model = function_model(NUMBERS, lambda c: c["x"] * c["z"])
    first = read(frame.with_columns(w=np.repeat([2.0, 0.0], 40))).with_roles({"w": "weight"})
    found = effect(model, first, "x", other="z")
    assert found.num_rows == 40
    assert found.curves[0].range == pytest.approx(float(np.ptp(frame["x"][:40].to_numpy())))
    for bad in (np.repeat([1.0, -1.0], 40), np.zeros(80)):
        with pytest.raises(DataError, match="weights"):
            effect(model, read(frame.with_columns(w=bad)).with_roles({"w": "weight"}), "x")


@settings(max_examples=8)
@given(st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=2, max_size=60), st.floats(-10, 10))
def test_a_line_stays_a_line_whatever_the_column_holds(cells, slope):
    data = read(pl.DataFrame({"x": pl.Series(cells, dtype=pl.Float64), "z": np.zeros(len(cells))}))
    found = effect(function_model(NUMBERS, lambda c: slope * np.nan_to_num(c["x"])), data, "x", points=6)
    json.dumps(found.to_dict(), allow_nan=False)
    if found.curves:
        told, x = values(found), np.array(found.points)
        assert told - told[0] == pytest.approx(slope * (x - x[0]), rel=1e-6, abs=1e-3)


def test_hostile_names_do_no_harm():
    name = "<script>alert(1)</script>"
    data = read(pl.DataFrame({name: ["<b>&</b>", "\x1b[31m\u202e", ""] * 40, "x": np.arange(120.0)}))
    model = function_model({name: "category", "x": "number"}, lambda c: (c[name] == "<b>&</b>") * c["x"])
    found = effect(model, data, name, other="x")
    html, text = found.page().html(), found.text()
    assert "<script>" not in html
    assert "<b>&</b>" not in html
    assert not {"\x1b", "\u202e"} & set(html + text)


def test_the_same_seed_gives_the_same_and_rows_are_drawn():
    model = function_model(NUMBERS, lambda c: c["x"] * c["z"])
    first, again, other = (effect(model, table(), "x", max_rows=150, seed=seed) for seed in (1, 1, 2))
    assert first.num_rows == 150
    assert first.to_dict() == again.to_dict()
    assert first.to_dict() != other.to_dict()


def test_refusals(tmp_path):
    model, rows = function_model({**NUMBERS, "words": "text"}, lambda c: c["x"]), table(50)
    rows = read(rows.frame().with_columns(words=pl.lit("good and bad")))
    with pytest.raises(UsageError, match="which words"):
        effect(model, rows, "words")
    with pytest.raises(UsageError, match="which words"):
        effect(model, rows, "x", other="words")
    plain = function_model(NUMBERS, lambda c: c["x"])
    with pytest.raises(DataError, match="did you mean 'x'"):
        effect(plain, rows, "X1x")
    with pytest.raises(DataError, match="not among the columns that the model takes"):
        effect(plain, rows, "words")
    with pytest.raises(UsageError, match="'ale' or 'pdp'"):
        effect(plain, rows, "x", kind="ice")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="points=1"):
        effect(plain, rows, "x", points=1)
    with pytest.raises(UsageError, match="twice"):
        effect(plain, rows, "x", other="x")
    with pytest.raises(UsageError, match="max_rows=0"):
        effect(plain, rows, "x", max_rows=0)
    with pytest.raises(DataError, match="no rows"):
        effect(plain, read(rows.frame().head(0)), "x")
    with pytest.raises(DataError, match="'z'"):
        effect(linear_model(tmp_path, {"x": 1.0, "z": 1.0}), read({"x": [1.0, 2.0]}), "x")
    with pytest.raises(UsageError, match="no label"):
        effect(function_model(NUMBERS, lambda c: two_labels(c["x"]), labels=("a", "b")), rows, "x", label="c")


def test_work_is_told_and_stopped():
    seen: list[str] = []
    work = Work(reporter=lambda record: seen.append(record.note))
    effect(function_model(NUMBERS, lambda c: c["x"]), table(), "x", work=work)
    assert "reading" in seen
    work.cancel.set()
    with pytest.raises(Exception, match="asked to stop"):
        effect(function_model(NUMBERS, lambda c: c["x"]), table(), "x", work=work)
