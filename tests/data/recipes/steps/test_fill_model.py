"""Predicted values keep the contract of steps, beat the mean where they can, and are plain numbers in a file."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import yaml

from lepton.core import DataError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.fill_model import FillModel
from tests.data.recipes.step_contract import bound_on, check_step, table_of

RNG = np.random.default_rng(0)
ROWS = 80
AREA = RNG.uniform(20, 200, ROWS).round(1)
TOWN = RNG.choice(["a", "b", "é"], ROWS)
HOLES = RNG.random((ROWS, 6)) < 0.15


def _with_holes(values, column):
    return [None if hole else value for value, hole in zip(values, HOLES[:, column], strict=True)]


TABLE = {
    "area": _with_holes(AREA.tolist(), 0),
    "town": _with_holes(TOWN.tolist(), 1),
    "price": _with_holes((1000 * AREA + 20_000 * (TOWN == "a") + RNG.normal(size=ROWS)).round(2).tolist(), 2),
    "rooms": _with_holes((AREA // 25 + 1).astype(int).tolist(), 3),
    "large": _with_holes((AREA > 100).tolist(), 4),
    "noise": _with_holes(RNG.normal(size=ROWS).tolist(), 5),
    "id": [f"row {row}" for row in range(ROWS)],
}
KINDS = {"id": "identifier"}
UNSEEN = {
    "area": [None, 1e308, -np.inf, 0.0],
    "town": ["new", None, "a", None],
    "price": [None, None, 3.0, None],
    "rooms": [None, 4, None, None],
    "large": [None, None, None, True],
    "noise": [1e308, None, None, 0.0],
    "id": ["x", None, "y", "z"],
}


@pytest.mark.parametrize(
    "step",
    [
        FillModel(),
        FillModel("price", ["area", "town"]),
        FillModel(["rooms", "town", "large"], ["price", "town"]),
        FillModel("price", "noise"),
        FillModel("price", "price"),
        FillModel("town", rows=20, seed=3),
    ],
)
def test_the_contract_is_kept(step):
    check_step(step, TABLE, kinds=KINDS, unseen=UNSEEN, tolerance=1e-9)


def test_predictions_are_near_what_was_taken_away():
    made = Recipe().fill_model().fit_transform(table_of(TABLE, KINDS))
    frame = made.frame()
    assert not any(frame[name].null_count() for name in frame.columns)
    gone = pl.Series(HOLES[:, 2])
    truth = pl.Series(1000 * AREA + 20_000 * (TOWN == "a"))
    error = (frame["price"] - truth).filter(gone)
    # Where the area is missing too, only the other columns can tell.
    assert float(error.abs().median()) < 0.2 * float(truth.std())
    assert frame["rooms"].dtype == pl.Int64
    assert (frame["large"] == pl.Series(AREA > 100)).sum() >= 76


def test_what_was_learned_tells_how_good_it_is():
    fitted = Recipe().fill_model().fit(table_of(TABLE, KINDS))
    assert fitted.learned is not None
    (learned,) = fitted.learned
    models = learned["models"]
    assert set(models) == set(TABLE) - {"id"}
    assert models["price"]["explained"] > 0.8
    assert models["noise"] == {
        "rows": ROWS - int(HOLES[:, 5].sum()),
        "least": pytest.approx(min(v for v in TABLE["noise"] if v is not None)),
        "most": pytest.approx(max(v for v in TABLE["noise"] if v is not None)),
        "explained": models["noise"]["explained"],
        "intercepts": models["noise"]["intercepts"],
        "numbers": models["noise"]["numbers"],
        "categories": models["noise"]["categories"],
    }
    assert models["noise"]["explained"] < 0.1
    assert models["large"]["right"] > 0.9
    assert yaml.safe_load(yaml.safe_dump(dict(learned))) == learned


def test_without_anything_to_learn_from_it_is_the_mean_or_the_most_frequent_value():
    frame = pl.DataFrame({"n": [1.0, 2.0, 6.0, None], "s": ["x", "x", "y", None], "i": [1, 1, 2, None]})
    made = Recipe().fill_model(using="n").fit_transform(table_of({**frame.to_dict(), "n": frame["n"]}))
    assert made.frame().row(3) == (3.0, "x", 1)


def test_numbers_stay_within_the_known_ones():
    table = table_of({"x": [*map(float, range(100)), 1e9], "y": [*range(100), None]})
    assert Recipe().fill_model("y", "x").fit_transform(table).frame()["y"][100] == 99


def test_the_target_is_not_predicted_from():
    table = table_of(TABLE, KINDS).with_roles({"price": "target"})
    assert "price" not in FillModel("area").reads(table.schema)
    assert "price" not in FillModel().reads(table.schema)
    with pytest.raises(DataError, match="'price' is the target"):
        bound_on(FillModel("area", "price"), table)


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda: FillModel("id"), DataError, "of kind identifier"),
        (lambda: FillModel("area", "id"), DataError, "of kind identifier"),
        (lambda: FillModel("gone"), DataError, "gone"),
        (lambda: FillModel(rows=3), UsageError, "rows=3"),
    ],
)
def test_what_cannot_be_is_refused(step, error, words):
    with pytest.raises(error, match=words):
        bound_on(step(), table_of(TABLE, KINDS))


def test_too_many_columns_are_refused():
    with pytest.raises(UsageError, match="101 columns to predict from"):
        bound_on(FillModel(), table_of({f"n{i}": [1.0] for i in range(101)}))


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": {}},
        {"numbers": {"area": [0.0, 0.0]}},
        {"categories": {"town": []}},
        {"models": {}},
        {"models": {"price": {"intercepts": [1.0, 2.0], "numbers": {}, "categories": {}, "least": 0, "most": 1}}},
        {"models": {"price": {"intercepts": [1.0], "numbers": {"gone": [1]}, "categories": {}, "least": 0, "most": 1}}},
    ],
)
def test_rules_that_somebody_has_changed_are_refused(change):
    fitted = Recipe((FillModel("price", ["area", "town"]),)).fit(table_of(TABLE, KINDS)).to_dict()
    fitted["learned"][0].update(change)
    with pytest.raises(UsageError, match=r"step 1 \(fill_model\): what the step has learned cannot be used"):
        Recipe.from_dict(fitted).transform(table_of(TABLE, KINDS)).frame()
