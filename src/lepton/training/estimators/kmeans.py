"""k-means: Lloyd's algorithm on sums that add up over parts of the data, and its mini-batch form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, OutputRecord
from lepton.core import DataError, ErrorCode, Resources, Work
from lepton.training.estimators.base import Choice, Estimator, Interval, check_fitted, validated
from lepton.training.estimators.bundles import Written
from lepton.training.estimators.moments import Moments, moments_of
from lepton.training.estimators.rows import Blocks, Doubles, StreamedRows, Team, Thinned, is_stream, product

__all__ = ["KMeans", "KMeansRecord"]

_SAMPLE_ROWS = 100_000
"""Most rows on which the centres settle before all rows are looked at."""
_SEED_ROWS = 20_000
"""Most rows that the first centres are drawn from; more of them do not make the result better."""
_ROWS_PER_CLUSTER = 10
"""Fewer rows than this many times the clusters say too little about them."""
_CALM_STEPS = 10


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
        with self._whole(), Team(work.resources.cpus) as team:
            blocks = self._opened(x)
            sample = _sample(blocks)
            if sample.num_rows < self.n_clusters:
                came = f"got n_samples={sample.num_rows} rows for n_clusters={self.n_clusters}"
                raise DataError(ErrorCode.TOO_FEW_ROWS, came, wanted="at least as many rows as clusters")
            limit = self.tol * sample.spread
            starts = self._starts(sample.rows)
            if self.solver == "minibatch":
                runs = [self._minibatches(blocks, c, limit, g, team, work) for c, g in starts]
            else:
                parts = self._parts(sample)
                runs = [self._settled(sample, parts, c, team, work) for c, _ in starts]
            _, centers, steps = min(runs, key=lambda run: run[0])
            if self.solver == "lloyd" and parts:
                _, centers, steps = self._lloyd(blocks, centers, limit, team, work)
            self.cluster_centers_, self.n_iter_ = centers, steps
            vars(self).pop("_counts", None)
            if is_stream(x):
                vars(self).pop("labels_", None)
                self.inertia_ = _sums(blocks, centers, team).inertia
            else:
                self.labels_, self.inertia_ = _assigned(blocks, centers, team)
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
        check_fitted(self)
        centers = self.cluster_centers_ if at is None else np.asarray(at, dtype=np.float64)
        if centers.shape != self.cluster_centers_.shape:
            came = f"got centres of shape {list(centers.shape)}"
            raise DataError(ErrorCode.WRONG_SHAPE, came, wanted=str(list(self.cluster_centers_.shape)))
        with Team(Resources().cpus) as team:
            return _sums(self._opened(x, reset=False), centers, team)

    def begin(self, centers: Any, *, columns: Sequence[str] | None = None) -> Self:
        """Start from `centers` [n_clusters, K], for a fit by `statistics` and `step`.

        Args:
            centers: first centres.
            columns: names of the features, for parts that have names.
        """
        self._check_parameters()
        centers = np.array(centers, dtype=np.float64)
        if centers.ndim != 2 or len(centers) != self.n_clusters:
            came = f"got centres of shape {list(centers.shape)}"
            raise DataError(ErrorCode.WRONG_SHAPE, came, wanted=f"[{self.n_clusters}, features]")
        self._forget_columns()
        vars(self).pop("feature_names_in_", None)
        if columns is not None:
            self.feature_names_in_ = np.array(columns, dtype=object)
        self._begin(centers)
        return self

    def _begin(self, centers: Doubles) -> None:
        self.cluster_centers_ = centers
        self.n_features_in_ = centers.shape[1]
        self.inertia_, self.n_iter_ = float("inf"), 0

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
        with self._whole(), Team(Resources().cpus) as team:
            blocks = self._opened(x, reset=first)
            if first:
                sample = _sample(blocks)
                if sample.num_rows < self.n_clusters:
                    came = f"the first call of partial_fit got n_samples={sample.num_rows} rows"
                    raise DataError(ErrorCode.TOO_FEW_ROWS, came, wanted=f"at least n_clusters={self.n_clusters}")
                self._begin(next(self._starts(sample.rows))[0])
            if not hasattr(self, "_counts"):
                self._counts = np.zeros(self.n_clusters)
            record = _sums(blocks, self.cluster_centers_, team)
            self.cluster_centers_, self._counts = _pulled(record, self._counts)
            self.n_iter_ += 1
            if is_stream(x):
                vars(self).pop("labels_", None)
                self.inertia_ = record.inertia
            else:
                self.labels_, self.inertia_ = _assigned(blocks, self.cluster_centers_, team)
        return self

    def _opened(self, x: Any, *, reset: bool = True) -> Blocks:
        if not is_stream(x):
            x = validated(self, x, reset=reset)
            if reset:
                self._forget_columns()
            return _single(x)
        rows = StreamedRows(x, None, self.kind)
        if reset:
            self._take_columns(rows)
        else:
            self._check_columns(rows.names)
        return rows.blocks

    def _starts(self, sample: NDArray[Any]) -> Iterator[tuple[Doubles, np.random.Generator]]:
        """First centres of each start, and the generator to go on with."""
        seed = 0 if self.random_state is None else self.random_state
        few = sample[:: -(-len(sample) // _SEED_ROWS)]
        for start in range(self.n_init):
            generator = np.random.default_rng([seed, start])
            # Where rows are hardly more than clusters all of them are needed.
            seeds = few if len(few) >= _ROWS_PER_CLUSTER * self.n_clusters else sample
            yield first_centers(seeds, self.n_clusters, generator), generator

    def _parts(self, sample: _Sample) -> list[NDArray[Any]]:
        """Samples of growing size on which the centres settle before all rows are looked at; none of a small table."""
        stride = -(-len(sample.rows) // _SEED_ROWS)
        strides = [stride] if stride > 1 and len(sample.rows) // stride >= _ROWS_PER_CLUSTER * self.n_clusters else []
        if len(sample.rows) < sample.num_rows:
            strides.append(1)
        return [sample.standardised[::stride] for stride in strides]

    def _settled(
        self, sample: _Sample, parts: Sequence[NDArray[Any]], centers: Doubles, team: Team, work: Work
    ) -> tuple[float, Doubles, int]:
        """Full steps on each of the `parts`, from where the last one ended, or on the whole sample without parts."""
        if not parts:
            return self._lloyd(_single(sample.rows), centers, self.tol * sample.spread, team, work)
        inertia, steps = 0.0, 0
        centers = (centers - sample.mean) / sample.scale
        for part in parts:
            limit = self.tol * sample.spread / sample.scale**2
            inertia, centers, steps = self._lloyd(_single(part), centers, limit, team, work)
        return inertia, centers * sample.scale + sample.mean, steps

    def _lloyd(
        self, blocks: Blocks, centers: Doubles, limit: float, team: Team, work: Work
    ) -> tuple[float, Doubles, int]:
        """Full steps until the centres move by no more than `limit`: inertia before the last step, centres, steps."""
        record, steps, moved = _sums(blocks, centers, team), 0, float("inf")
        while True:
            later = moved_centers(record)
            moved, centers = float(np.sum((later - centers) ** 2)), later
            steps += 1
            work.report(steps, None, "steps", best=f"{record.inertia:.6g}")
            if moved <= limit or steps >= self.max_iter or work.stopped:
                return record.inertia, centers, steps
            record = _sums(blocks, centers, team)

    def _minibatches(
        self,
        blocks: Blocks,
        centers: Doubles,
        limit: float,
        generator: np.random.Generator,
        team: Team,
        work: Work,
    ) -> tuple[float, Doubles, int]:
        """Mini-batch steps: each centre moves to the running mean of the rows that were nearest to it."""
        counts, steps, calm = np.zeros(len(centers)), 0, 0
        while True:
            for block, _, _ in blocks():
                order = generator.permutation(len(block))
                for start in range(0, len(order), self.batch_size):
                    rows = block[np.sort(order[start : start + self.batch_size])]
                    later, counts = _pulled(kmeans_record(rows, centers), counts)
                    moved, centers = float(np.sum((later - centers) ** 2)), later
                    steps += 1
                    calm = calm + 1 if moved <= limit else 0
                    if calm >= _CALM_STEPS or steps >= self.max_iter or work.stopped:
                        return _sums(blocks, centers, team).inertia, centers, steps

    def _write(self, builder: GraphBuilder, features: str) -> Written:
        centers = self.cluster_centers_
        # Squared distances less the squared length of the row: the nearest centre is the same.
        weights, lengths = builder.constant(-2 * centers.T), builder.constant((centers * centers).sum(axis=1))
        raw = builder.mark("raw", builder.node("Gemm", [features, weights, lengths]))
        record = OutputRecord("cluster", "int64", ("N",))
        builder.output("cluster", builder.node("ArgMin", [raw], axis=1, keepdims=0), record.dtype, record.shape)
        return Written("clustering", None, None, (record,))

    # --- using ---------------------------------------------------------------------------------------------------

    def predict(self, x: Any) -> NDArray[np.int32]:
        """The cluster of each row, [N]."""
        check_fitted(self)
        x = validated(self, x, reset=False)
        with Team(Resources().cpus) as team:
            return _assigned(_single(x), self.cluster_centers_, team)[0]

    def transform(self, x: Any) -> Doubles:
        """Distances to the centres, [N, M]."""
        check_fitted(self)
        x = validated(self, x, reset=False)
        squared = (x * x).sum(axis=1)[:, None] + _closeness(x, self.cluster_centers_)
        return np.asarray(np.sqrt(np.maximum(squared, 0.0)))

    def fit_transform(self, x: Any, y: Any = None) -> Doubles:
        """Fit, and the distances to the centres, [N, M]."""
        return self.fit(x).transform(x)

    def score(self, x: Any, y: Any = None) -> float:
        """Minus the sum of squared distances to the nearest centres."""
        check_fitted(self)
        with Team(Resources().cpus) as team:
            return -_sums(self._opened(x, reset=False), self.cluster_centers_, team).inertia


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
    typed = centers.astype(x.dtype, copy=False)
    return np.asarray((typed * typed).sum(axis=1) - 2 * product(x, typed.T))


def _single(x: NDArray[Any]) -> Blocks:
    nothing = np.empty(0)
    return lambda: iter([(x, nothing, None)])


def _sums(blocks: Blocks, centers: Doubles, team: Team) -> KMeansRecord:
    """The record of all blocks at `centers`."""
    return team.total(blocks(), lambda x, _y, _w: kmeans_record(x, centers), width=len(centers))


def _assigned(blocks: Blocks, centers: Doubles, team: Team) -> tuple[NDArray[np.int32], float]:
    """The cluster of each row [N], and the inertia."""
    places = np.arange(len(centers))

    def part(x: NDArray[Any], _y: object, _w: object) -> list[tuple[NDArray[np.int32], float]]:
        nearest, _, distances = _nearest(x, centers)
        labels = product(places.astype(x.dtype), nearest)
        return [(labels.astype(np.int32), float(distances.sum(dtype=np.float64)))]

    parts = team.total(blocks(), part, width=len(centers))
    return np.concatenate([labels for labels, _ in parts]), sum(inertia for _, inertia in parts)


def _nearest(x: NDArray[Any], centers: Doubles) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Which centre is the nearest of each row, as a one in its line [M, n]; (row, 1) [n, K + 1]; squared distances [n].

    Lines are centres, because numpy finds the smallest of each column many times faster than that of each row.
    """
    typed = centers.astype(x.dtype, copy=False)
    design = np.ones((len(x), x.shape[1] + 1), dtype=x.dtype)
    design[:, :-1] = x
    close = product(np.column_stack([-2 * typed, (typed * typed).sum(axis=1)]), design.T)
    least = close.min(axis=0)
    nearest = close == least
    if np.count_nonzero(nearest) != len(x):  # some rows are as near to two centres: the first counts
        nearest = close.argmin(axis=0) == np.arange(len(centers))[:, None]
    return nearest.astype(x.dtype), design, np.maximum(least + np.einsum("ij,ij->i", x, x), 0.0)


def kmeans_record(x: NDArray[Any], centers: Doubles) -> KMeansRecord:
    """Sums over the rows `x` [n, K] at `centers` [M, K]."""
    nearest, design, distances = _nearest(x, centers)
    sums = np.asarray(product(nearest, design), dtype=np.float64)
    farthest = int(distances.argmax())
    return KMeansRecord(
        centers,
        sums[:, -1],
        sums[:, :-1],
        float(distances.sum(dtype=np.float64)),
        (float(distances[farthest]), np.array(x[farthest], dtype=np.float64)),
    )


@dataclass(frozen=True)
class _Sample:
    """Rows spread evenly over a source.

    Attributes:
        rows: at most `_SAMPLE_ROWS` of them, [n, K].
        mean: of the features over all rows, [K].
        spread: mean variance of the features over all rows.
        num_rows: how many rows the source has.
    """

    rows: NDArray[Any]
    mean: Doubles
    spread: float
    num_rows: int

    @property
    def scale(self) -> float:
        """One factor for all features, which keeps their proportions."""
        return float(np.sqrt(self.spread)) or 1.0

    @cached_property
    def standardised(self) -> NDArray[np.float32]:
        """The rows around 0 in single precision, which halves the time of steps that only prepare the last ones."""
        return ((self.rows - self.mean) / self.scale).astype(np.float32)


def _sample(blocks: Blocks) -> _Sample:
    """A sample of all blocks, and what is known of the whole."""
    kept = Thinned(_SAMPLE_ROWS)
    moments: Moments | None = None
    for x, _, _ in blocks():
        kept.add(x)
        part = moments_of(x, np.empty((len(x), 0)))
        moments = part if moments is None else moments.merge(part)
    if moments is None:
        raise DataError(ErrorCode.EMPTY_DATA, "there are no rows", wanted="at least one row")
    spread = float(np.mean(np.diag(moments.scatter))) / moments.weight
    return _Sample(kept.arrays()[0], moments.mean, spread, kept.num_rows)
