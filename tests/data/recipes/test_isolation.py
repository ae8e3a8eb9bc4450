"""Isolation forests rank rows as scikit-learn's do, and their texts are read strictly."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.core import UsageError
from lepton.data.recipes.isolation import IsolationForest, average_path, grow


def _planted(columns: int = 4, rows: int = 2_000, far: int = 40):
    """Rows of correlated numbers, the last `far` of them anywhere in the same range: far in no single column."""
    random = np.random.default_rng(1)
    base = random.normal(size=(rows, 1))
    values = base + 0.3 * random.normal(size=(rows, columns))
    values[-far:] = random.uniform(-3, 3, size=(far, columns))
    return values, np.arange(rows) >= rows - far


def _area(scores, positive) -> float:
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    count = positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(scores) - count)))


def test_scores_are_those_of_scikit_learn():
    ensemble = pytest.importorskip("sklearn.ensemble")
    stats = pytest.importorskip("scipy.stats")
    values, positive = _planted()
    forest = IsolationForest(grow(values, trees=100, rows=256, seed=0), values.shape[1])
    ours = 2 ** (-forest.lengths(values) / 100 / average_path(256))
    models = [ensemble.IsolationForest(random_state=seed).fit(values) for seed in (0, 1)]
    theirs, others = (-model.score_samples(values) for model in models)
    assert _area(ours, positive) > 0.9
    assert _area(ours, positive) == pytest.approx(_area(theirs, positive), abs=0.02)
    # As near to theirs as theirs of another seed.
    assert stats.spearmanr(ours, theirs)[0] > stats.spearmanr(others, theirs)[0] - 0.02
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.01)


def test_cuts_are_short_and_between_the_values():
    for low in (1e9, -1e-9, -1e300, 0.0):
        values = np.array([[low], [np.nextafter(low, np.inf)]])
        (text,) = grow(values, trees=1, rows=256, seed=0)
        assert IsolationForest((text,), 1).lengths(values).tolist() == [1, 1]
        assert text.startswith("0<")
        assert text.endswith(" 1 1")
    assert len(grow(np.array([[0.0], [1e9]]), trees=1, rows=2, seed=0)[0]) < 20


def test_rows_that_are_all_equal_make_one_leaf():
    trees = grow(np.ones((300, 2)), trees=2, rows=256, seed=0)
    assert trees == ("256", "256")
    assert IsolationForest(trees, 2).lengths(np.ones((3, 2))).tolist() == [2 * average_path(256)] * 3


def test_average_paths_are_those_of_the_paper():
    assert [average_path(rows) for rows in (0, 1, 2)] == [0, 0, 1]
    assert average_path(256) == pytest.approx(10.244, abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0<1",
        "0<1 2",
        "0<1 2 3 4",
        "2<1 1 1",
        "0<nan 1 1",
        "0<1e999 1 1",
        "-1",
        "0<1.2.3 1 1",
        "0<1 " * 20,
        "1 ",
    ],
)
def test_other_texts_are_no_trees(text):
    if text == "1 ":
        assert IsolationForest((text,), 2).lengths(np.zeros((1, 2))).tolist() == [0]
        return
    with pytest.raises((UsageError, ValueError)):
        IsolationForest((text,), 2)
