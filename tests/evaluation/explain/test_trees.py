"""Contributions of trees: those of all coalitions, whatever the trees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import Work
from lepton.evaluation.explain import trees as trees_module
from lepton.evaluation.explain.coalitions import enumerated
from lepton.evaluation.explain.forest import Trees
from lepton.evaluation.explain.trees import MAX_PLAYERS, tree_contributions
from tests.evaluation.explain.table_models import game_of


def drawn_trees(seed: int, num_features: int, depth: int, num_targets: int = 1) -> Trees:
    """Unbalanced trees whose nodes compare in every way that they can."""
    random = np.random.default_rng(seed)
    features: list[int] = []
    yes: list[int] = []
    no: list[int] = []
    roots: list[int] = []
    values: list[np.ndarray] = []

    def grow(left: int) -> int:
        if left == 0 or random.random() < 0.15:
            values.append(random.normal(size=num_targets))
            return ~(len(values) - 1)
        place = len(features)
        features.append(int(random.integers(num_features)))
        yes.append(0)
        no.append(0)
        yes[place] = grow(left - 1)
        no[place] = grow(left - 1)
        return place

    roots.extend(grow(depth) for _ in range(3))
    count = len(features)
    return Trees(
        "features",
        np.array(roots),
        np.array(features, dtype=np.int64),
        random.integers(0, 6, count),
        random.integers(-1, 2, count).astype(np.float64),
        np.zeros((1, 1), dtype=bool),
        np.zeros(count, dtype=np.int64),
        random.random(count) < 0.5,
        np.array(yes, dtype=np.int64),
        np.array(no, dtype=np.int64),
        np.array(values).reshape(-1, num_targets),
    )


def sums(trees: Trees, x: np.ndarray) -> np.ndarray:
    """By following each row alone."""
    out = np.zeros((len(x), trees.leaf_values.shape[1]))
    for row in range(len(x)):
        for root in trees.roots.tolist():
            at = root
            while at >= 0:
                passed = trees.holds(np.array([at]), x[row : row + 1])[0, 0]
                at = int(trees.yes[at] if passed else trees.no[at])
            out[row] += trees.leaf_values[~at]
    return out


@given(seed=st.integers(0, 2**16), depth=st.integers(0, 5), dense=st.booleans(), targets=st.integers(1, 2))
@settings(max_examples=15)
def test_the_contributions_of_all_coalitions(seed: int, depth: int, dense: bool, targets: int) -> None:
    random = np.random.default_rng(seed)
    trees = drawn_trees(seed, 4, depth, targets)
    values = np.array([-1.0, 0.0, 1.0, np.nan])
    rows, others = random.choice(values, (2, 4)), random.choice(values, (3, 4))
    before = trees_module._DENSE
    trees_module._DENSE = 8 if dense else 0
    try:
        found = tree_contributions(trees, rows, others, np.arange(4), 4)
    finally:
        trees_module._DENSE = before
    exact = enumerated(game_of(lambda x: sums(trees, x), rows, others), Work()).values
    assert found == pytest.approx(exact, abs=1e-10)


def test_columns_behind_several_features() -> None:
    """Two features of one column are one player; a feature that never changes is none."""
    trees = drawn_trees(5, 4, 4)
    random = np.random.default_rng(5)
    rows, others = random.normal(size=(3, 2)), random.normal(size=(4, 2))

    def features(x: np.ndarray) -> np.ndarray:
        return np.column_stack([x[:, 0], -x[:, 0], x[:, 1], np.full(len(x), 0.5)])

    found = tree_contributions(trees, features(rows), features(others), np.array([0, 0, 1, -1]), 2)
    exact = enumerated(game_of(lambda x: sums(trees, features(x)), rows, others), Work()).values
    assert found == pytest.approx(exact, abs=1e-10)


def test_ways_of_many_columns() -> None:
    """One way through 20 columns: only the patterns that there are count, not a million."""
    count = 20
    chain = np.arange(count, dtype=np.int64)
    trees = Trees(
        "features",
        np.array([0]),
        chain,
        np.zeros(count, dtype=np.int64),
        np.zeros(count),
        np.zeros((1, 1), dtype=bool),
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=bool),
        np.append(chain[1:], ~0),
        np.full(count, ~1),
        np.array([[1.0], [0.0]]),
    )
    found = tree_contributions(trees, -np.ones((1, count)), np.ones((2, count)), chain, count)
    assert found == pytest.approx(np.full((1, count, 1), 1 / count))  # all are needed, all do the same


def test_ways_of_more_columns_than_fit_are_left_to_others() -> None:
    count = MAX_PLAYERS + 1
    chain = np.arange(count, dtype=np.int64)
    trees = Trees(
        "features",
        np.array([0]),
        chain,
        np.zeros(count, dtype=np.int64),
        np.zeros(count),
        np.zeros((1, 1), dtype=bool),
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=bool),
        np.append(chain[1:], ~0),
        np.full(count, ~1),
        np.array([[1.0], [0.0]]),
    )
    random = np.random.default_rng(0)
    signs = random.choice([-1.0, 1.0], (4, count))
    signs[0] = -1.0
    assert tree_contributions(trees, signs, -signs, chain, count) is None


def test_rows_and_trees_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trees = drawn_trees(3, 4, 5)
    random = np.random.default_rng(3)
    rows, others = random.normal(size=(9, 4)), random.normal(size=(5, 4))
    whole = tree_contributions(trees, rows, others, np.arange(4), 4)
    monkeypatch.setattr(trees_module, "_ROWS", 2)
    monkeypatch.setattr(trees_module, "_CELLS", 16)
    assert tree_contributions(trees, rows, others, np.arange(4), 4) == pytest.approx(whole, abs=1e-12)
