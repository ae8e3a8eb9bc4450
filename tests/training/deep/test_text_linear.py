"""Linear scores agree with those of scikit-learn, and stop when they shall."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

from lepton.core import Work
from lepton.training.deep import text_linear
from lepton.training.deep.text_linear import LinearScores
from lepton.training.deep.text_rows import PieceRows


def some_rows(num_rows: int = 80, num_pieces: int = 12) -> tuple[PieceRows, np.ndarray]:
    random = np.random.default_rng(0)
    dense = np.where(random.random((num_rows, num_pieces)) < 0.4, random.random((num_rows, num_pieces)), 0.0)
    dense[:, 0] = 0
    dense = dense.astype(np.float32)
    row, piece = dense.nonzero()
    starts = np.searchsorted(row, np.arange(num_rows + 1))
    return PieceRows(starts, piece.astype(np.int32), dense[row, piece]), dense


@pytest.fixture(autouse=True)
def _to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_linear, "_SETTLED", 1e-6)
    monkeypatch.setattr(text_linear, "_ROUNDS", 400)


def test_classes_as_a_support_vector_machine() -> None:
    rows, dense = some_rows()
    classes = (dense[:, 1] + dense[:, 2] > dense[:, 3]).astype(int) + (dense[:, 4] > 0.5)
    targets = np.where(classes[:, None] == np.arange(3), 1, -1).astype(np.float32)
    found = LinearScores.fit(rows, targets, num_pieces=12, strength=1.0, work=Work())
    reference = LinearSVC(C=1.0, tol=1e-8, max_iter=100_000).fit(dense, classes)
    np.testing.assert_allclose(found.scores(rows), reference.decision_function(dense), atol=2e-3)


def test_numbers_as_ridge_regression() -> None:
    rows, dense = some_rows()
    targets = (dense @ np.arange(12.0) / 10 - 1)[:, None].astype(np.float32)
    weight = np.linspace(0.5, 1.5, len(rows)).astype(np.float32)
    found = LinearScores.fit(rows, targets, num_pieces=12, strength=2.0, work=Work(), weight=weight)
    with_one = np.hstack([dense, np.ones((len(dense), 1))])
    reference = Ridge(alpha=1 / 4, fit_intercept=False).fit(with_one, targets[:, 0], sample_weight=weight)
    np.testing.assert_allclose(found.scores(rows)[:, 0], reference.predict(with_one), atol=2e-3)


def test_a_stop_gives_what_is_there() -> None:
    rows, _ = some_rows()
    cancel = threading.Event()
    cancel.set()
    found = LinearScores.fit(rows, np.ones((80, 1), np.float32), num_pieces=12, strength=1.0, work=Work(cancel=cancel))
    assert not found.table.any()


def test_rows_that_hold_nothing() -> None:
    rows = PieceRows(np.array([0, 0, 1, 1]), np.array([1], np.int32), np.array([1.0], np.float32))
    targets = np.array([[1.0], [-1.0], [1.0]], np.float32)
    found = LinearScores.fit(rows, targets, num_pieces=2, strength=1.0, work=Work())
    assert found.scores(rows)[0, 0] > 0 > found.scores(rows)[1, 0]
    np.testing.assert_array_equal(rows.take(np.array([1, 2])).starts, [0, 1, 1])
