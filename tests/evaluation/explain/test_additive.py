"""Exact contributions from graphs: only where each feature comes from one column and the answer is the sum."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.bundle import Predictor, TableInputs
from lepton.bundle.build import GraphBuilder
from lepton.core import Work
from lepton.evaluation.explain.additive import Additive, additive_contributions
from lepton.evaluation.explain.background import Rows
from lepton.evaluation.explain.base import question_of
from lepton.evaluation.explain.coalitions import Game, enumerated
from tests.evaluation.explain.table_models import forest, forest_model, model_file

RANDOM = np.random.default_rng(0)
ROWS, OTHERS = RANDOM.normal(size=(6, 4)), RANDOM.normal(size=(20, 4))


def explained(model: Predictor, *, log_odds: bool = False, rows: Any = ROWS, others: Any = OTHERS) -> Additive | None:
    question = question_of(model, log_odds=log_odds)
    return additive_contributions(model, [question], {"numbers": rows}, {"numbers": others}, Work())


def enumerations(model: Predictor, *, log_odds: bool = False, rows: Any = ROWS, others: Any = OTHERS) -> np.ndarray:
    question, inputs = question_of(model, log_odds=log_odds), model.inputs
    assert isinstance(inputs, TableInputs)
    return enumerated(Game(Rows(inputs, {"numbers": rows}, {"numbers": others}), question.ask), Work()).values


def test_trees_and_weights_together(tmp_path: Path) -> None:
    """A mean of trees and a linear part, behind steps of each column's own."""

    def emit(builder: GraphBuilder, numbers: str) -> str:
        bent = builder.node("Tanh", [numbers])
        order = builder.node("Gather", [bent, builder.constant(np.array([3, 1, 0, 0, 2]))], axis=1)
        trees = forest(1, 5, depth=3).emit(builder, order)
        line = builder.node("MatMul", [bent, builder.constant(np.array([[1.0], [2.0], [0.0], [-1.0]]))])
        parts = [builder.node("Mul", [part, builder.constant(0.5)]) for part in (trees, line)]
        return str(builder.node("Add", parts))

    model = model_file(tmp_path, list("abcd"), emit)
    found = explained(model)
    assert found is not None
    assert found.method == "trees"
    assert found.values == pytest.approx(enumerations(model), abs=1e-9)


def test_log_odds_behind_a_temperature(tmp_path: Path) -> None:
    def emit(builder: GraphBuilder, numbers: str) -> str:
        return str(builder.node("Div", [forest(2, 4, depth=3).emit(builder, numbers), builder.constant(3.0)]))

    model = model_file(tmp_path, list("abcd"), emit, labels=("no", "yes"))
    found = explained(model, log_odds=True)
    assert found is not None
    assert found.values == pytest.approx(enumerations(model, log_odds=True), abs=1e-6)
    assert explained(model) is None  # probabilities are no sum


def test_shares_of_a_forest_are_probabilities(tmp_path: Path) -> None:
    """Log-odds of a sum, as forests of shares have them: the probability is the sum, the log-odds are not."""

    def emit(builder: GraphBuilder, numbers: str) -> str:
        made = forest(3, 4, depth=3)
        values = np.abs(made.leaf_values) / np.abs(made.leaf_values).max() / made.num_trees
        object.__setattr__(made, "leaf_values", 0.1 + 0.8 * values)
        share = made.emit(builder, numbers)
        share = builder.node("Mul", [share, builder.constant(0.5)])
        rest = builder.node("Sub", [builder.constant(1.0), share])
        return str(builder.node("Sub", [builder.node("Log", [share]), builder.node("Log", [rest])]))

    model = model_file(tmp_path, list("abcd"), emit, labels=("no", "yes"))
    found = explained(model)
    assert found is not None
    assert found.values == pytest.approx(enumerations(model), abs=1e-9)
    assert explained(model, log_odds=True) is None


@pytest.mark.parametrize("step", ["product", "largest", "rare"])
def test_features_of_two_columns(tmp_path: Path, step: str) -> None:
    def emit(builder: GraphBuilder, numbers: str) -> str:
        one, two = (builder.node("Gather", [numbers, builder.constant(np.array([at]))], axis=1) for at in (0, 3))
        if step == "rare":  # seen in one of the rows only
            far = builder.node("Greater", [one, builder.constant(float(np.sort(ROWS[:, 0])[-1]) - 1e-9)])
            made = builder.node("Where", [far, two, one])
        else:
            made = builder.node("Mul" if step == "product" else "Max", [one, two])
        features = builder.node("Concat", [numbers, made], axis=1)
        return str(builder.node("MatMul", [features, builder.constant(np.ones((5, 1)))]))

    assert explained(model_file(tmp_path, list("abcd"), emit)) is None


def test_sums_that_are_not_the_answer(tmp_path: Path) -> None:
    def emit(builder: GraphBuilder, numbers: str) -> str:
        return str(builder.node("Exp", [forest(4, 4).emit(builder, numbers)]))

    assert explained(model_file(tmp_path, list("abcd"), emit)) is None


def test_two_rows_do_not_make_a_line(tmp_path: Path) -> None:
    """Through two points there is always a line; so few answers do not say that the sum is the answer."""
    model = forest_model(tmp_path, forest(5, 4), labels=("no", "yes"))
    assert explained(model, rows=ROWS[:1], others=OTHERS[:1]) is None


def test_rows_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = forest_model(tmp_path, forest(6, 4))
    whole = explained(model)
    monkeypatch.setattr("lepton.evaluation.explain.additive._CELLS", 4 * 22)
    parts = explained(model)
    assert whole is not None
    assert parts is not None
    assert parts.values == pytest.approx(whole.values, abs=1e-12)


def test_missing_values_go_their_way(tmp_path: Path) -> None:
    rows, others = ROWS.copy(), OTHERS.copy()
    rows[0, 1] = others[::3, 2] = np.nan
    model = forest_model(tmp_path, forest(7, 4))
    found = explained(model, rows=rows, others=others)
    exact = enumerations(model, rows=rows, others=others)
    assert found is not None
    assert found.values == pytest.approx(exact, abs=1e-9)


def test_leaves_that_are_looked_up(tmp_path: Path) -> None:
    """As classes of a forest are: leaves give numbers, a table says what each class gets."""
    made = forest(8, 4, depth=3, num_targets=6)
    count = len(made.leaf_values)
    table = np.random.default_rng(0).dirichlet(np.ones(3), count) / made.num_trees

    def emit(builder: GraphBuilder, numbers: str) -> str:
        named = replace(made, leaf_values=np.arange(count, dtype=np.float64))
        places = builder.node("Cast", [named.emit(builder, numbers)], to=7)
        shares = builder.node("Gather", [builder.constant(table), places])
        total = builder.node("ReduceSum", [shares, builder.constant(np.array([1]))], keepdims=0)
        return str(builder.node("Log", [builder.node("Add", [total, builder.constant(1e-3)])]))

    model = model_file(tmp_path, list("abcd"), emit, labels=("red", "green", "blue"))
    found = explained(model)
    assert found is not None
    assert found.method == "trees"
    assert found.values == pytest.approx(enumerations(model), abs=1e-9)


def test_a_hidden_layer_as_wide_as_the_labels_is_no_score(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def emit(builder: GraphBuilder, numbers: str) -> str:
        hidden = builder.node("MatMul", [numbers, builder.constant(random.normal(size=(4, 3)))])
        return str(builder.node("Tanh", [hidden]))

    model = model_file(tmp_path, list("abcd"), emit, labels=("red", "green", "blue"))
    scores = replace(question_of(model), places=())
    given = [question_of(model), scores], {"numbers": ROWS}, {"numbers": OTHERS}
    assert additive_contributions(model, *given, Work()) is None
