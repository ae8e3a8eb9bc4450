"""A small tree: it finds what is a tree, and says of what is none that it did not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import ColumnRecord, DataError, Kind, UsageError
from lepton.data import Dataset, read
from lepton.evaluation.explain.cart import answers_of, grow
from lepton.evaluation.explain.surrogate import Surrogate, surrogate
from tests.evaluation.explain.functions import function_model, two_labels

COLUMNS = {"age": "number", "town": "category", "member": "boolean", "since": "datetime"}


def table(rows: int = 800, seed: int = 0) -> Dataset:
    generator = np.random.default_rng(seed)
    age = generator.uniform(18, 80, rows)
    return read(
        pl.DataFrame(
            {
                "age": np.where(generator.random(rows) < 0.1, np.nan, age),
                "town": generator.choice(["Oslo", "Bergen", "Bodø", ""], rows),
                "member": generator.random(rows) < 0.5,
                "since": np.datetime64("2001-01-01") + generator.integers(0, 900, rows).astype("timedelta64[D]"),
            }
        )
    )


def stairs(c: dict[str, Any]) -> Any:
    north = (c["town"] == "Bodø") | (c["town"] == "")
    return np.where(north, 10.0, np.where(c["age"] > 50, 5.0, np.where(c["member"] > 0, 1.0, 0.0)))


def test_a_model_that_is_a_tree_is_found_and_believed():
    found = surrogate(function_model(COLUMNS, stairs), table())
    assert found.verdict == "close"
    assert found.fidelity.value == pytest.approx(1, abs=0.02)
    assert found.agreement is None
    text = found.text()
    assert "town is Bergen, Oslo" in text
    assert "town is none of these → 10" in text
    assert "age > 49" in text or "age > 50" in text
    assert "member is false" in text
    assert "or missing" in text
    assert "fair picture" in text
    assert len(found.paths()) == 4
    assert found.paths()[0].startswith("town is Bergen, Oslo and age ≤ ")
    assert found.paths()[0].endswith("and member is false → 0 ± 0 (" + found.paths()[0].rsplit("(", 1)[1])
    html = found.page().html()
    assert "The tree" in html
    assert "aria-label" in html
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_is_no_small_tree_is_not_shown_as_one():
    def answers(c: dict[str, Any]) -> Any:
        return np.sin(40 * np.nan_to_num(c["age"]) ** 2)

    found = surrogate(function_model(COLUMNS, answers), table())
    assert found.verdict == "refused"
    assert "No small tree" in found.text()
    assert "→" not in found.text()
    html = found.page().html()
    assert "not shown" in html
    assert "The tree" not in html
    assert found.rules()
    assert "does not do what the model does" in found.figure().caption


def test_fidelity_is_that_of_rows_that_the_tree_did_not_see():
    """A model of noise: the tree learns some of it by heart, and is told to explain nothing."""

    def noise(c: dict[str, Any]) -> Any:
        return np.modf(np.abs(np.sin(np.nan_to_num(c["age"]) * 1e5) * 1e4))[0]

    found = surrogate(function_model(COLUMNS, noise), table(200), depth=4)
    assert found.fidelity.value is not None
    assert found.fidelity.value < 0.1
    assert found.verdict == "refused"


def test_rough_pictures_say_so():
    found = surrogate(function_model(COLUMNS, lambda c: np.nan_to_num(c["age"], nan=40.0)), table(2_000), depth=1)
    assert found.verdict == "rough"
    assert "rough picture" in found.text()
    assert "warning" in found.page().html()


def test_classifiers_of_two_and_of_many_labels_agree():
    two = function_model(COLUMNS, lambda c: two_labels(stairs(c) / 10), labels=("no", "yes"))
    found = surrogate(two, table())
    assert found.agreement is not None
    assert found.agreement.value == pytest.approx(1, abs=0.02)
    assert "same label" in found.text()

    def three(c: dict[str, Any]) -> Any:
        place = (c["member"] > 0).astype(int) + (c["town"] == "Oslo")
        return 0.05 + 0.85 * np.eye(3)[place]

    found = surrogate(function_model(COLUMNS, three, labels=("a", "b", "c")), table())
    assert found.agreement is not None
    assert found.agreement.value == 1
    assert len(found.root.value) == 3
    assert "a 0.9" in found.text()
    assert found.figure().alt


def test_log_odds_are_imitated_and_judged_at_zero():
    model = function_model(COLUMNS, lambda c: two_labels(0.2 + 0.6 * (c["member"] > 0)), labels=("no", "yes"))
    found = surrogate(model, table(), log_odds=True)
    assert found.agreement is not None
    assert found.agreement.value == 1
    assert found.root.left is not None
    assert found.root.left.value[0] == pytest.approx(np.log(0.2 / 0.8))


def test_a_constant_answer_leaves_nothing_to_imitate():
    found = surrogate(function_model(COLUMNS, lambda c: np.full(len(c["age"]), 3.0)), table())
    assert found.fidelity.value is None
    assert found.verdict == "refused"
    assert "nothing to imitate" in found.text()
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.page().html()


def test_groups_stand_on_one_side():
    generator = np.random.default_rng(0)
    data = table().frame().with_columns(house=pl.Series(generator.integers(0, 12, 800)))
    model = function_model(COLUMNS, stairs)
    found = surrogate(model, read(data).with_roles({"house": "group"}))
    assert found.num_rows + found.num_held_out == 800
    assert found.verdict == "close"


def test_texts_are_not_asked_about():
    data = read(table().frame().with_columns(words=pl.lit("a longer text of several words")))
    model = function_model({**COLUMNS, "words": "text"}, stairs)
    assert any("words" in note for note in surrogate(model, data).notes)


def test_refusals():
    model = function_model(COLUMNS, stairs)
    with pytest.raises(UsageError, match="depth=5"):
        surrogate(model, table(), depth=5)
    with pytest.raises(DataError, match="at least 60"):
        surrogate(model, table(40))


def test_names_and_values_from_outside_are_escaped():
    name = "<img src=x onerror=alert(1)>"
    data = read(pl.DataFrame({name: ["<b>bold</b>", "\x1bplain"] * 100}))
    found = surrogate(function_model({name: "category"}, lambda c: (c[name] == "<b>bold</b>") * 1.0), data)
    html = found.page().html()
    assert found.verdict == "close"
    assert "<img src" not in html
    assert "<b>bold" not in html
    assert "\x1b" not in html + found.text()


numbers = st.lists(st.floats(-1e3, 1e3) | st.just(float("nan")) | st.just(float("inf")), min_size=12, max_size=60)


@settings(max_examples=25)
@given(numbers, st.integers(1, 4), st.integers(0, 50))
def test_a_tree_never_explains_less_than_the_mean_and_leaves_hold_their_rows(cells, depth, seed):
    generator = np.random.default_rng(seed)
    column = np.array(cells)
    words = generator.choice(["a", "b", "c"], len(cells)).astype(object)
    y = np.stack([np.nan_to_num(np.clip(column, -9, 9)), (words == "a") * 2.0], axis=1)
    records = [ColumnRecord("n", Kind.NUMBER), ColumnRecord("w", Kind.CATEGORY)]
    data: dict[str, Any] = {"n": column, "w": words}
    root = grow(records, data, y, np.ones(len(y)), depth)
    told = answers_of(root, data, len(y))
    assert np.square(y - told).sum() <= np.square(y - y.mean(axis=0)).sum() + 1e-6
    assert told.mean(axis=0) == pytest.approx(y.mean(axis=0), abs=1e-9)
    sizes = [node.num_rows for _, _, _, node in _leaves(root)]
    assert sum(sizes) == len(y)
    assert min(sizes) >= min(5, len(y))


def _leaves(root: Any) -> list[Any]:
    lines = Surrogate("m", "t", ("a", "b"), root, None, None, 0, 0).lines()  # type: ignore[arg-type]
    return [line for line in lines if line[3].cut is None]


def test_the_best_cut_is_the_one_of_enumeration():
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=40), generator.normal(size=(40, 1))
    root = grow([ColumnRecord("x", Kind.NUMBER)], {"x": x}, y, np.ones(40), 1)
    costs = {}
    for limit in np.sort(x)[4:-5]:
        sides = (y[x <= limit], y[x > limit])
        costs[float(limit)] = sum(float(np.square(side - side.mean()).sum()) for side in sides)
    best = min(costs, key=lambda limit: costs[limit])
    assert root.cut is not None
    assert root.cut.limit is not None
    assert ((x <= root.cut.limit) == (x <= best)).all()
