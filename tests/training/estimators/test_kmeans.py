"""k-means: clusters found, sums additive over parts, streams, and what cannot be clustered."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from sklearn import cluster
from sklearn.datasets import make_blobs

from lepton.core import DataError
from lepton.data import read
from lepton.training.estimators import KMeans, kmeans as module
from lepton.training.estimators.kmeans import kmeans_record, moved_centers

X, TRUTH = make_blobs(900, centers=[[0, 0, 0], [9, 0, 0], [0, 9, 9]], random_state=0)


@pytest.mark.parametrize("solver", ["lloyd", "minibatch"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_clusters_are_found(solver, dtype):
    model = KMeans(3, solver=solver, random_state=0).fit(X.astype(dtype))
    pairs = set(zip(model.labels_.tolist(), TRUTH.tolist(), strict=True))
    assert len(pairs) == 3
    assert np.array_equal(model.predict(X.astype(dtype)), model.labels_)
    nearest = ((X[:, None] - model.cluster_centers_) ** 2).sum(axis=2)
    assert model.inertia_ == pytest.approx(nearest.min(axis=1).sum(), rel=1e-4)
    assert model.score(X) == pytest.approx(-model.inertia_, rel=1e-4)
    np.testing.assert_allclose(model.transform(X), np.sqrt(nearest), rtol=1e-3, atol=1e-3)


def test_steps_are_lloyds():
    start = X[:3]
    ours = KMeans(3).begin(start)
    for _ in range(100):
        if ours.step(ours.statistics(X)):
            break
    theirs = cluster.KMeans(3, init=start, n_init=1, tol=0, max_iter=100).fit(X)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-9, atol=1e-12)
    assert ours.inertia_ == pytest.approx(theirs.inertia_)
    assert np.array_equal(ours.predict(X), theirs.labels_)


@given(st.lists(st.integers(1, 899), max_size=5))
def test_the_loop_over_parts_is_the_joint_loop(cuts):
    edges = [0, *sorted(set(cuts)), 900]
    joint, loop = KMeans(4).begin(X[:4]), KMeans(4).begin(X[:4])
    for _ in range(50):
        parts = [loop.statistics(X[a:b]) for a, b in pairwise(edges)]
        record = parts[0]
        for part in parts[1:]:
            record = record + part
        loop.step(record)
        if joint.step(joint.statistics(X)):
            break
    np.testing.assert_allclose(loop.cluster_centers_, joint.cluster_centers_, rtol=1e-9, atol=1e-9)
    assert loop.inertia_ == pytest.approx(joint.inertia_, rel=1e-9)


def test_rows_as_near_to_two_centres_count_once():
    record = kmeans_record(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [0.0], [2.0]]))
    assert record.counts.tolist() == [2, 0, 1]
    assert record.inertia == 1.0


def test_a_centre_without_rows_goes_to_the_farthest_row():
    record = kmeans_record(np.array([[0.0], [1.0], [8.0]]), np.array([[0.0], [100.0]]))
    assert moved_centers(record).tolist() == [[3.0], [8.0]]


def test_many_rows_settle_on_a_sample_first(monkeypatch):
    monkeypatch.setattr(module, "_SAMPLE_ROWS", 200)
    model = KMeans(3, random_state=1).fit(X)
    assert model.n_iter_ <= 4
    assert model.inertia_ == pytest.approx(KMeans(3, random_state=0, n_init=3).fit(X).inertia_, rel=1e-3)


def test_the_best_of_several_starts_is_kept():
    spread = np.random.default_rng(0).random((400, 2))
    single = [KMeans(12, random_state=seed).fit(spread).inertia_ for seed in range(5)]
    assert KMeans(12, random_state=0, n_init=8).fit(spread).inertia_ <= min(single[0], np.median(single))


def test_the_same_seed_gives_the_same_clusters():
    one, other = (KMeans(5, solver="minibatch", random_state=4).fit(X) for _ in range(2))
    assert np.array_equal(one.cluster_centers_, other.cluster_centers_)


def test_partial_fit_moves_on():
    model = KMeans(3, random_state=0)
    for _ in range(3):
        for start in range(0, 900, 300):
            model.partial_fit(X[start : start + 300])
    assert model.inertia_ < 1.2 * KMeans(3, random_state=0).fit(X[-300:]).inertia_
    assert model.n_iter_ == 9


@pytest.mark.parametrize("solver", ["lloyd", "minibatch"])
def test_streams(tmp_path, solver):
    path = tmp_path / "table.parquet"
    pl.DataFrame(X, schema=["a", "b", "c"]).write_parquet(path)
    streamed = KMeans(3, solver=solver, random_state=0).fit(str(path))
    arrays = KMeans(3, solver=solver, random_state=0).fit(X)
    np.testing.assert_allclose(streamed.cluster_centers_, arrays.cluster_centers_, rtol=1e-12)
    assert streamed.inertia_ == pytest.approx(arrays.inertia_)
    assert not hasattr(streamed, "labels_")
    again = KMeans(3, random_state=0).partial_fit(read(path))
    assert again.n_iter_ == 1
    with pytest.raises(DataError, match="a part has the columns 'a', 'b'"):
        streamed.statistics(read(path).select(["a", "b"]))


def test_bad_input():
    with pytest.raises(DataError, match=r"n_samples=3 rows for n_clusters=8. Wanted: at least as many rows"):
        KMeans(8).fit(X[:3])
    with pytest.raises(DataError, match="first call of partial_fit got n_samples=2"):
        KMeans(3).partial_fit(X[:2])
    with pytest.raises(ValueError, match="NaN"):
        KMeans(2).fit(np.full((5, 2), np.nan))
    with pytest.raises(DataError, match=r"centres of shape \[2, 3\]. Wanted: \[3, features\]"):
        KMeans(3).begin(X[:2])
    model = KMeans(3).begin(X[:3])
    with pytest.raises(DataError, match="measured at different centres"):
        model.statistics(X) + model.statistics(X, at=X[3:6])
    with pytest.raises(DataError, match=r"Wanted: \[3, 3\]"):
        model.statistics(X, at=X[:2])


def test_rows_that_are_all_the_same():
    model = KMeans(3, random_state=0).fit(np.ones((10, 2)))
    assert model.inertia_ == 0
    assert model.cluster_centers_.tolist() == [[1, 1]] * 3
