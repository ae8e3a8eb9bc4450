"""k-means: Lloyd's algorithm on sums that add up over parts of the data, and its mini-batch form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Resources, UsageError, Work
from lepton.training.estimators.base import Choice, Estimator, Interval, check_fitted, validated
from lepton.training.estimators.rows import StreamedRows, is_stream

__all__ = ["KMeans", "KMeansRecord"]

Doubles = NDArray[np.float64]
Blocks = Callable[[], Iterator[NDArray[Any]]]

_BLOCK_ROWS = 16_384
_SEED_ROWS = 20_000
"""Rows that the first centres are drawn from; more of them do not make the result better."""


@dataclass(frozen=True)
class KMeansRecord:
    """Sums over some rows at given centres; the sums of parts add up to those of the whole.

    Attributes:
        centers: where the sums were taken, [M, K].
        counts: rows nearest to each centre, [M].
        sums: sums of those rows, [M, K].
        inertia: sum of squared distances to the nearest centre.
        farthest: squared distance and row [K] of the row farthest from its centre: it refills a centre without rows.
    """

    centers: Doubles
    counts: Doubles
    sums: Doubles
    inertia: float
    farthest: tuple[float, Doubles]

    def __add__(self, other: KMeansRecord) -> KMeansRecord:
        """The record of both parts together.

        Raises:
            DataError: the two were taken at different centres.
        """
        if not (self.centers is other.centers or np.array_equal(self.centers, other.centers)):
            came = "the parts were measured at different centres"
            raise DataError(ErrorCode.WRONG_SHAPE, came, fix="send every part the same centres, then add")
        farther = self.farthest if self.farthest[0] >= other.farthest[0] else other.farthest
        return KMeansRecord(
            self.centers,
            self.counts + other.counts,
            self.sums + other.sums,
            self.inertia + other.inertia,
            farther,
        )


class KMeans(Estimator):
    """Clusters around means, as in `sklearn.cluster.KMeans`, and at any size.

    It takes no sample weights: repeat rows instead.

    >>> import numpy as np
    >>> x = np.array([[0.0], [0.2], [9.0], [9.2]])
    >>> np.sort(KMeans(2, random_state=0).fit(x).cluster_centers_[:, 0]).round(3).tolist()
    [0.1, 9.1]

    Args:
        n_clusters: number of clusters.
        solver: `"lloyd"` goes through all rows for each step; `"minibatch"` through `batch_size` (Sculley, 2010).
        n_init: starts from different seeds, of which the best is kept.
        max_iter: most steps of one start.
        tol: stops when the centres move less than this share of the spread of the features.
        batch_size: rows of a step of `"minibatch"`.
        random_state: seed of the first centres.
    """

    kind = "clusterer"
    rules: ClassVar[Mapping[str, Interval | Choice]] = {
        "n_clusters": Interval(1, whole=True),
        "solver": Choice("lloyd", "minibatch"),
        "n_init": Interval(1, whole=True),
        "max_iter": Interval(1, whole=True),
        "tol": Interval(0),
        "batch_size": Interval(1, whole=True),
        "random_state": Interval(0, whole=True, optional=True),
    }

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        solver: str = "lloyd",
        n_init: int = 1,
        max_iter: int = 300,
        tol: float = 1e-4,
        batch_size: int = 1024,
        random_state: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.solver = solver
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.random_state = random_state

    # --- fitting -------------------------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any = None, *, work: Work | None = None) -> Self:
        """Fit to features [N, K], or to a `Dataset` or path that is read block by block; `y` is not used.

        Raises:
            ValueError: values that are missing or not finite, or fewer rows than clusters.
        """
        self._check_parameters()
        work = Work.of(work)
        blocks = self._opened(x)
        sample, spread, rows = _sample(blocks)
        if rows < self.n_clusters:
            came = f"got n_samples={rows} rows for n_clusters={self.n_clusters}"
            raise DataError(ErrorCode.TOO_FEW_ROWS, came, wanted="at least as many rows as clusters")
        seed = 0 if self.random_state is None else self.random_state
        best: tuple[float, Doubles, int] | None = None
        for start in range(self.n_init):
            generator = np.random.default_rng([seed, start])
            centers = first_centers(sample, self.n_clusters, generator)
            found = self._run(blocks, centers, spread, generator, work)
            if best is None or found[0] < best[0]:
                best = found
        if best is not None:
            self.inertia_, self.cluster_centers_, self.n_iter_ = best
        if not is_stream(x):
            self.labels_ = self._nearest(next(iter(blocks())))
        return self

    def fit_predict(self, x: Any, y: Any = None) -> NDArray[np.int32]:
        """Fit, and the cluster of each row [N]."""
        return self.fit(x).predict(x)

    def statistics(self, x: Any, *, at: Doubles | None = None) -> KMeansRecord:
        """Sums over some rows at centres: parts are added with `+`, and `step` takes the total.

        Args:
            x: features [N, K], or a data set whose columns are those of the fit.
            at: centres [M, K]; default: the current ones.
        """
        centers = self.cluster_centers_ if at is None else np.asarray(at, dtype=np.float64)
        return _sums(self._opened(x, reset=False), centers, Resources().cpus)

    def begin(self, centers: Any) -> Self:
        """Start from `centers` [M, K], for a fit by `statistics` and `step`."""
        self.cluster_centers_ = np.array(centers, dtype=np.float64)
        self.n_clusters, self.n_features_in_ = self.cluster_centers_.shape
        self.inertia_, self.n_iter_ = float("inf"), 0
        return self

    def step(self, record: KMeansRecord) -> bool:
        """Move the centres to the means of their rows; returns whether none of them moved."""
        centers = moved_centers(record)
        settled = bool(np.array_equal(centers, record.centers))
        self.cluster_centers_, self.inertia_ = centers, record.inertia
        self.n_iter_ += 1
        return settled

    def partial_fit(self, x: Any, y: Any = None) -> Self:
        """One mini-batch step with these rows; the first call draws the centres from them."""
        self._check_parameters()
        first = not hasattr(self, "cluster_centers_")
        blocks = self._opened(x, reset=first)
        if first:
            sample, _, rows = _sample(blocks)
            if rows < self.n_clusters:
                came = f"the first call of partial_fit got n_samples={rows} rows"
                raise DataError(ErrorCode.TOO_FEW_ROWS, came, wanted=f"at least n_clusters={self.n_clusters}")
            generator = np.random.default_rng(0 if self.random_state is None else self.random_state)
            self.begin(first_centers(sample, self.n_clusters, generator))
        if not hasattr(self, "_counts"):
            self._counts = np.zeros(self.n_clusters)
        record = _sums(blocks, self.cluster_centers_, 1)
        self.cluster_centers_, self._counts = _pulled(record, self._counts)
        self.inertia_ = record.inertia
        self.n_iter_ += 1
        self.labels_ = self._nearest(next(iter(blocks())))
        return self

    def _opened(self, x: Any, *, reset: bool = True) -> Blocks:
        if not is_stream(x):
            x = validated(self, x, reset=reset)
            return lambda: iter([x])
        rows = StreamedRows(x, None, needs_target=False)
        if reset:
            self.n_features_in_ = len(rows.names)
            self.feature_names_in_ = np.array(rows.names, dtype=object)
            self.columns_ = rows.features
        return lambda: (block for block, _, _ in rows.blocks())

    def _run(
        self, blocks: Blocks, centers: Doubles, spread: float, generator: np.random.Generator, work: Work
    ) -> tuple[float, Doubles, int]:
        """One start: inertia, centres, steps."""
        threads = work.resources.cpus
        if self.solver == "minibatch":
            centers, steps = self._minibatches(blocks, centers, spread, generator, work)
            return _sums(blocks, centers, threads).inertia, centers, steps
        for step in range(1, self.max_iter + 1):
            record = _sums(blocks, centers, threads)
            later = moved_centers(record)
            moved = float(np.sum((later - centers) ** 2))
            centers = later
            if moved <= self.tol * spread or work.stopped:
                break
        return _sums(blocks, centers, threads).inertia, centers, step

    def _minibatches(
        self, blocks: Blocks, centers: Doubles, spread: float, generator: np.random.Generator, work: Work
    ) -> tuple[Doubles, int]:
        """Mini-batch steps: each centre moves to the running mean of the rows that were nearest to it."""
        counts, steps, calm = np.zeros(len(centers)), 0, 0
        while True:
            for block in blocks():
                order = generator.permutation(len(block))
                for start in range(0, len(order), self.batch_size):
                    rows = block[np.sort(order[start : start + self.batch_size])]
                    later, counts = _pulled(_block_sums(rows, centers), counts)
                    moved, centers = float(np.sum((later - centers) ** 2)), later
                    steps += 1
                    calm = calm + 1 if moved <= self.tol * spread else 0
                    if calm >= 10 or steps >= self.max_iter or work.stopped:
                        return centers, steps

    # --- using ---------------------------------------------------------------------------------------------------

    def predict(self, x: Any) -> NDArray[np.int32]:
        """The cluster of each row, [N]."""
        check_fitted(self)
        return self._nearest(validated(self, x, reset=False))

    def transform(self, x: Any) -> Doubles:
        """Distances to the centres, [N, M]."""
        check_fitted(self)
        x = validated(self, x, reset=False)
        squared = (x * x).sum(axis=1)[:, None] + _closeness(x, self.cluster_centers_)
        return np.sqrt(np.maximum(squared, 0.0))

    def fit_transform(self, x: Any, y: Any = None) -> Doubles:
        """Fit, and the distances to the centres, [N, M]."""
        return self.fit(x).transform(x)

    def score(self, x: Any, y: Any = None) -> float:
        """Minus the sum of squared distances to the nearest centres."""
        check_fitted(self)
        return -_sums(self._opened(x, reset=False), self.cluster_centers_, Resources().cpus).inertia

    def _nearest(self, x: NDArray[Any]) -> NDArray[np.int32]:
        parts = [
            _closeness(x[start : start + _BLOCK_ROWS], self.cluster_centers_).argmin(axis=1)
            for start in range(0, len(x), _BLOCK_ROWS)
        ]
        return np.concatenate(parts).astype(np.int32)


def first_centers(sample: NDArray[Any], count: int, generator: np.random.Generator) -> Doubles:
    """Greedy k-means++ (Arthur and Vassilvitskii, 2007): each centre is the best of a few drawn by squared distance."""
    tries = 2 + int(np.log(count))
    norms = (sample * sample).sum(axis=1)
    chosen = [int(generator.integers(len(sample)))]
    nearest = np.maximum(norms + _closeness(sample, sample[chosen])[:, 0], 0.0)
    for _ in range(1, count):
        reach = np.cumsum(nearest)
        draws = np.minimum(np.searchsorted(reach, generator.random(tries) * reach[-1]), len(sample) - 1)
        distances = np.maximum(norms[:, None] + _closeness(sample, sample[draws]), 0.0)
        lowered = np.minimum(nearest[:, None], distances)
        best = int(lowered.sum(axis=0).argmin())
        chosen.append(int(draws[best]))
        nearest = lowered[:, best]
    return np.array(sample[chosen], dtype=np.float64)


def moved_centers(record: KMeansRecord) -> Doubles:
    """Centres at the means of their rows; one without rows goes to the farthest row."""
    empty = record.counts == 0
    centers = np.where(empty[:, None], record.centers, record.sums / np.maximum(record.counts, 1)[:, None])
    if empty.any() and record.farthest[0] > 0:
        centers[int(np.flatnonzero(empty)[0])] = record.farthest[1]
    return np.asarray(centers)


def _pulled(record: KMeansRecord, counts: Doubles) -> tuple[Doubles, Doubles]:
    """Centres as running means over the rows of all batches so far, and how many rows each has had."""
    later = counts + record.counts
    share = (record.counts / np.maximum(later, 1))[:, None]
    means = record.sums / np.maximum(record.counts, 1)[:, None]
    return record.centers + share * (means - record.centers), later


def _closeness(x: NDArray[Any], centers: NDArray[Any]) -> Doubles:
    """Squared distances [n, M] less the squared length of the row: what is needed to find the nearest."""
    return np.asarray((centers * centers).sum(axis=1) - 2 * (x @ centers.T))


def _sums(blocks: Blocks, centers: Doubles, threads: int) -> KMeansRecord:
    """The record of all blocks at `centers`; parts are added in their order, whatever thread made them."""
    from threadpoolctl import threadpool_limits

    total: KMeansRecord | None = None
    # The parts are the threads: more of them inside each product of small matrices would only wait for each other.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        for block in blocks():
            parts = [block[start : start + _BLOCK_ROWS] for start in range(0, len(block), _BLOCK_ROWS)]
            record = reduce(add, pool.map(lambda part: _block_sums(part, centers), parts))
            total = record if total is None else total + record
    if total is None:
        raise DataError(ErrorCode.EMPTY_DATA, "there are no rows", wanted="at least one row")
    return total


def _block_sums(x: NDArray[Any], centers: Doubles) -> KMeansRecord:
    from scipy.sparse import csc_matrix

    typed = centers.astype(x.dtype, copy=False)
    close = _closeness(x, typed)
    labels = close.argmin(axis=1)
    rows = np.arange(len(x))
    distances = np.maximum(close[rows, labels] + np.einsum("ij,ij->i", x, x), 0.0)
    # A matrix with a one for each row in the line of its centre adds the rows up without sorting them.
    lines = csc_matrix((np.ones(len(x), dtype=x.dtype), labels, np.arange(len(x) + 1)), shape=(len(centers), len(x)))
    farthest = int(distances.argmax())
    return KMeansRecord(
        centers,
        np.bincount(labels, minlength=len(centers)).astype(np.float64),
        np.asarray(lines @ x, dtype=np.float64),
        float(distances.sum(dtype=np.float64)),
        (float(distances[farthest]), np.array(x[farthest], dtype=np.float64)),
    )


def _sample(blocks: Blocks) -> tuple[NDArray[Any], float, int]:
    """Up to `_SEED_ROWS` rows spread evenly over the source, the mean variance of the features, and the number of rows."""
    kept: list[NDArray[Any]] = []
    rows, stride = 0, 1
    count, mean, scatter = 0, 0.0, 0.0
    for block in blocks():
        rows += len(block)
        kept.append(np.array(block[(-(rows - len(block))) % stride :: stride]))
        size = sum(map(len, kept))
        while size > 2 * _SEED_ROWS:
            joined = np.concatenate(kept)[::2]
            kept, size, stride = [joined], len(joined), stride * 2
        gap = block.mean(axis=0, dtype=np.float64) - mean
        scatter = scatter + block.var(axis=0, dtype=np.float64) * len(block) + gap**2 * (count * len(block) / rows)
        mean, count = mean + gap * (len(block) / rows), rows
    if not rows:
        raise DataError(ErrorCode.EMPTY_DATA, "there are no rows", wanted="at least one row")
    return np.concatenate(kept), float(np.mean(scatter / rows)), rows
