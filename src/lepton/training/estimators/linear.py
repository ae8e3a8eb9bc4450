"""Linear and ridge regression: exact at any size, and gradient descent as the textbook shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.core import DataError, ErrorCode, Kind, UsageError, Work
from lepton.training.estimators.base import Choice, Estimator, Interval, check_fitted, checked_weight, validated
from lepton.training.estimators.bundles import Written, emit_scores
from lepton.training.estimators.descent import Descent, Gradient, descend, drawn_batches, stochastic_descent
from lepton.training.estimators.least_squares import (
    Solution,
    elastic_net,
    is_ill_conditioned,
    solve_factor,
    solve_moments,
    triangular_factor,
)
from lepton.training.estimators.moments import Moments, moments_of
from lepton.training.estimators.rows import Blocks, Doubles, StreamedRows, is_stream
from lepton.training.estimators.summary import Summary, coefficient_summary

__all__ = ["LinearRegression", "Ridge"]

_SMALL_CELLS = 1_000_000
"""Up to so many cells the triangular factor takes no time that one would notice, and keeps the most digits."""
_SOLVERS = ("auto", "moments", "qr", "gradient_descent", "sgd")


class _LeastSquares(Estimator):
    """What linear and ridge regression share. Attributes after `fit` end in an underscore, as in scikit-learn."""

    kind = "regressor"
    multi_output = True
    fit_intercept: bool
    solver: str
    learning_rate: float
    max_iter: int
    tol: float
    batch_size: int
    random_state: int | None

    def _penalties(self, weight: float) -> tuple[float, float]:
        """L1 and L2 of the mean squared error over 2; `weight` is the sum of the rows' weights."""
        raise NotImplementedError

    # --- fitting -------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        target: str | None = None,
        work: Work | None = None,
    ) -> Self:
        """Fit to arrays, or to a data set of any size.

        Args:
            x: features [N, K], or a `Dataset` or path that is read block by block.
            y: targets [N] or [N, T]; none for a data set.
            sample_weight: [N] of at least 0.
            target: name of the target in the data set.
            work: cancel and deadline of the iterative solvers.

        Raises:
            ValueError: values that are missing, not finite or of another shape; the message says which.
        """
        self._check_parameters()
        with self._whole():
            blocks = self._opened(x, y, sample_weight, target)
            self._solve(_moments(blocks), blocks, Work.of(work))
        return self

    def partial_fit(self, x: Any, y: Any = None, sample_weight: Any = None, *, target: str | None = None) -> Self:
        """Take more rows in: the result is that of one fit on all rows so far; the descents take full steps here.

        The arguments are those of `fit`.
        """
        self._check_parameters()
        earlier = getattr(self, "moments_", None)
        with self._whole():
            later = _moments(self._opened(x, y, sample_weight, target, reset=earlier is None))
            self._solve(later if earlier is None else earlier.merge(later), None, Work())
        return self

    def merge(self, other: Self) -> Self:
        """A new estimator, fitted to the rows of both as if they had been one table.

        Raises:
            DataError: the two have other columns.
        """
        check_fitted(self)
        check_fitted(other)
        self._check_columns(other._column_names())
        joint = type(self)(**self.get_params())
        joint.__dict__.update({name: value for name, value in vars(self).items() if name in _DESCRIBES_COLUMNS})
        joint._solve(self.moments_.merge(other.moments_), None, Work())
        return joint

    def _opened(self, x: Any, y: Any, sample_weight: Any, target: str | None, *, reset: bool = True) -> Blocks:
        """Where the rows come from: arrays, or a stream that can be read again."""
        if is_stream(x):
            rows = StreamedRows(x, target, self.kind)
            if reset:
                self._take_columns(rows)
                self._flat = True
            else:
                self._check_columns(rows.names)
            return rows.blocks
        if y is None:
            raise UsageError(
                ErrorCode.USAGE,
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None",
                fix='fit(x, y), or fit(table, target="column")',
            )
        x, y = validated(self, x, y, reset=reset, y_numeric=True, multi_output=True)
        weight = checked_weight(sample_weight, x)
        if reset:
            self._forget_columns()
            self._flat = y.ndim == 1
        columns = y.reshape(len(y), -1)
        return lambda: iter([(x, columns, weight)])

    def _solve(self, moments: Moments, blocks: Blocks | None, work: Work) -> None:
        """Coefficients from moments; `blocks` give the rows again where a solver needs them."""
        columns = self.n_features_in_
        if not moments.count:
            raise DataError(ErrorCode.EMPTY_DATA, "no row counts: every weight is 0", wanted="at least one row")
        if not np.isfinite(moments.scatter).all():
            came = "the numbers are so large that sums of their squares overflow"
            raise DataError(ErrorCode.BAD_VALUE, came, wanted="at most about 1e150", fix="divide them by a power of 10")
        self.moments_ = moments
        used = moments if self.fit_intercept else moments.about_zero()
        l1, l2 = self._penalties(moments.weight)
        self.n_iter_ = 1
        self.loss_curve_: list[float] = []
        self._inverse: Doubles | None = None
        self._residual: Doubles | None = None
        if self.solver in ("gradient_descent", "sgd"):
            descent = self._descended(used, blocks, l1, l2, work)
            coefficients, self.rank_ = descent.parameters, columns
            self.n_iter_, self.loss_curve_ = max(descent.steps, 1), descent.losses
        elif l1 > 0:
            coefficients, self.n_iter_ = elastic_net(used, columns, l1, l2, max_iter=self.max_iter, tol=self.tol)
            self.rank_ = columns
        else:
            solution = self._exact(used, blocks, l2 * moments.weight)
            coefficients, self.rank_, self._inverse = solution.coefficients, solution.rank, solution.inverse
            self._residual = None if l2 else solution.residual
        self._set(coefficients, used)

    def _exact(self, moments: Moments, blocks: Blocks | None, penalty: float) -> Solution:
        columns = self.n_features_in_
        stable = self.solver == "qr" or (
            self.solver == "auto"
            and blocks is not None
            and (
                moments.count * columns <= _SMALL_CELLS
                or moments.count <= columns
                or (penalty == 0 and is_ill_conditioned(moments, columns))
            )
        )
        if not stable or blocks is None:
            return solve_moments(moments, columns, penalty)
        factor = triangular_factor(blocks(), moments.mean)
        if penalty:
            # Ridge is least squares with one more row for each column: √penalty there, 0 elsewhere and in the target.
            extra = np.zeros((columns, factor.shape[1]))
            np.fill_diagonal(extra, np.sqrt(penalty))
            factor = np.asarray(np.linalg.qr(np.concatenate([factor, extra]), mode="r"))
        return solve_factor(factor, columns)

    def _descended(self, moments: Moments, blocks: Blocks | None, l1: float, l2: float, work: Work) -> Descent:
        """Descent over standardised features; the coefficients come back in the units of the input."""
        if l1:
            raise UsageError(ErrorCode.USAGE, f"got solver={self.solver!r} with an L1 penalty", fix='solver="auto"')
        columns = self.n_features_in_
        scale = np.sqrt(np.diag(moments.scatter)[:columns] / moments.weight)
        scale[scale == 0] = 1.0
        shrink = l2 / scale[:, None] ** 2
        matrix = moments.scatter[:columns, :columns] / np.outer(scale, scale) / moments.weight
        products = moments.scatter[:columns, columns:] / scale[:, None] / moments.weight
        spread = float(np.trace(moments.scatter[columns:, columns:])) / moments.weight

        def full(w: Doubles) -> tuple[float, Doubles]:
            slope = matrix @ w - products
            return 0.5 * (spread + float(np.sum(w * (slope - products + shrink * w)))), slope

        start = np.zeros_like(products)
        settings: dict[str, Any] = {"shrink": shrink, "max_iter": self.max_iter, "tol": self.tol, "work": work}
        if self.solver == "gradient_descent" or blocks is None:
            steepest = float(np.linalg.eigvalsh(matrix)[-1])
            rate = min(self.learning_rate, 1 / max(steepest, np.finfo(float).tiny))
            found = descend(full, start, learning_rate=rate, **settings)
        else:
            batches = self._minibatches(blocks, moments, scale, shrink)
            found = stochastic_descent(batches, start, learning_rate=self.learning_rate, **settings)
        found.parameters = found.parameters / scale[:, None]
        return found

    def _minibatches(
        self, blocks: Blocks, moments: Moments, scale: Doubles, shrink: Doubles
    ) -> Callable[[int], Iterator[Gradient]]:
        """Epoch number to the gradients of its mini-batches."""
        columns = len(scale)
        mean_x, mean_y = moments.mean[:columns], moments.mean[columns:]
        seed = 0 if self.random_state is None else self.random_state

        def epoch(number: int) -> Iterator[Gradient]:
            generator = np.random.default_rng([seed, number])
            for x, y, weight in blocks():
                targets = y.reshape(len(y), -1)
                for rows in drawn_batches(x, targets, weight, self.batch_size, generator):
                    yield _batch_gradient((x[rows] - mean_x) / scale, targets[rows] - mean_y, shrink)

        return epoch

    def _set(self, coefficients: Doubles, moments: Moments) -> None:
        columns = self.n_features_in_
        intercept = moments.mean[columns:] - moments.mean[:columns] @ coefficients
        self.coef_ = coefficients[:, 0].copy() if self._flat else coefficients.T.copy()
        self.intercept_: Any = 0.0
        if self.fit_intercept:
            self.intercept_ = float(intercept[0]) if self._flat else intercept

    def _write(self, builder: GraphBuilder, features: str) -> Written:
        if not self._flat:
            came = f"got a fit of {len(self.coef_)} targets"
            raise UsageError(ErrorCode.USAGE, came, wanted="one target: a model file has one prediction a row")
        weights, intercepts = self.coef_[None, :], np.array([self.intercept_])
        outputs = emit_scores(builder, features, weights, intercepts, task="regression", labels=None)
        state = {
            "coefficients": weights.tolist(),
            "intercepts": intercepts.tolist(),
            "moments": self.moments_.to_dict(),
        }
        return Written("regression", None, self._target_column(Kind.NUMBER, "float64"), outputs, state)

    # --- using ---------------------------------------------------------------------------------------------------

    def predict(self, x: Any) -> Doubles:
        """Numbers [N] (or [N, T]) for the features `x` [N, K]."""
        check_fitted(self)
        x = validated(self, x, reset=False)
        return np.asarray(x @ self.coef_.T + self.intercept_)

    def score(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of the predictions for `x`."""
        from sklearn.metrics import r2_score

        return float(r2_score(y, self.predict(x), sample_weight=sample_weight))

    def summary(self, level: float = 0.95) -> Summary:
        """Coefficients with standard errors and intervals, residual error and R².

        Source: the classical linear model (independent errors of one variance). Penalised fits and fits below full rank
        have no such errors: they are shown as "-".
        """
        check_fitted(self)
        if not self._flat:
            raise UsageError(ErrorCode.USAGE, "got a fit of several targets", wanted="one target")
        columns, moments = self.n_features_in_, self.moments_
        used = moments if self.fit_intercept else moments.about_zero()
        w = self.coef_
        total = float(used.scatter[columns, columns])
        if self._residual is not None:
            residual = float(self._residual[0])
        else:
            explained = w @ (2 * used.scatter[:columns, columns] - used.scatter[:columns, :columns] @ w)
            residual = max(total - float(explained), 0.0)
        freedom = moments.count - columns - int(self.fit_intercept)
        l1, l2 = self._penalties(moments.weight)
        errors = np.full(columns + 1, np.nan)
        if self._inverse is not None and freedom > 0 and not (l1 or l2):
            variance = residual / freedom
            errors[1:] = np.sqrt(variance * np.diag(self._inverse))
            mean = moments.mean[:columns]
            errors[0] = np.sqrt(variance * (1 / moments.weight + mean @ self._inverse @ mean))
        first = 0 if self.fit_intercept else 1
        facts = (
            ("rows", moments.count),
            ("degrees of freedom", freedom),
            ("residual standard error", float(np.sqrt(residual / freedom)) if freedom > 0 else float("nan")),
            ("R2", 1 - residual / total if total > 0 else float("nan")),
            ("rank", self.rank_),
        )
        names = ("(intercept)", *self._column_names())
        values = np.concatenate([[self.intercept_], w])
        return coefficient_summary(names[first:], values[first:], errors[first:], float(freedom), facts, level)


_DESCRIBES_COLUMNS = ("n_features_in_", "feature_names_in_", "columns_", "target_", "_flat")
"""What a merged fit has from its first part."""


class LinearRegression(_LeastSquares):
    """Least squares, as in `sklearn.linear_model.LinearRegression`, and at any size.

    >>> import numpy as np
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> model = LinearRegression().fit(x, [1.0, 3.0, 5.0])
    >>> float(model.coef_[0].round(9)), round(model.intercept_, 9)
    (2.0, 1.0)

    Args:
        fit_intercept: whether the line may miss the origin.
        penalty: None, `"l1"`, `"l2"` or `"elasticnet"`; what is minimised then is
            ½·mean squared error + alpha·(l1_ratio·|w|₁ + ½(1-l1_ratio)·|w|²).
        alpha: strength of the penalty.
        l1_ratio: share of L1 in `"elasticnet"`.
        solver: `"auto"` is exact and as stable as the condition asks; `"moments"` and `"qr"` choose one of its two
            ways; `"gradient_descent"` and `"sgd"` descend, and keep `loss_curve_`.
        learning_rate: of the descents, over standardised features; never longer than is stable.
        max_iter: most steps, sweeps or epochs of the iterative solvers.
        tol: relative change at which they stop.
        batch_size: rows of a step of `"sgd"`.
        random_state: seed of the shuffles of `"sgd"`.
    """

    rules: ClassVar[Mapping[str, Interval | Choice]] = {
        "fit_intercept": Choice(True, False),
        "penalty": Choice(None, "l1", "l2", "elasticnet"),
        "alpha": Interval(0),
        "l1_ratio": Interval(0, 1),
        "solver": Choice(*_SOLVERS),
        "learning_rate": Interval(0, open_low=True),
        "max_iter": Interval(1, whole=True),
        "tol": Interval(0),
        "batch_size": Interval(1, whole=True),
        "random_state": Interval(0, whole=True, optional=True),
    }

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        penalty: str | None = None,
        alpha: float = 1.0,
        l1_ratio: float = 0.5,
        solver: str = "auto",
        learning_rate: float = 0.1,
        max_iter: int = 1000,
        tol: float = 1e-8,
        batch_size: int = 32,
        random_state: int | None = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.random_state = random_state

    def _penalties(self, weight: float) -> tuple[float, float]:
        if self.penalty is None:
            return 0.0, 0.0
        share = {"l1": 1.0, "l2": 0.0}.get(self.penalty, self.l1_ratio)
        return self.alpha * share, self.alpha * (1 - share)


class Ridge(_LeastSquares):
    """Least squares with an L2 penalty, as in `sklearn.linear_model.Ridge`: |y - Xw|² + alpha·|w|².

    Args:
        alpha: strength of the penalty.
        fit_intercept: whether the line may miss the origin; the intercept is not penalised.
        solver: as of `LinearRegression`.
        learning_rate: as of `LinearRegression`, and so are the rest.
        max_iter: most steps or epochs.
        tol: relative change at which the descents stop.
        batch_size: rows of a step of `"sgd"`.
        random_state: seed of the shuffles of `"sgd"`.
    """

    rules: ClassVar[Mapping[str, Interval | Choice]] = {
        name: rule for name, rule in LinearRegression.rules.items() if name not in ("penalty", "l1_ratio")
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        solver: str = "auto",
        learning_rate: float = 0.1,
        max_iter: int = 1000,
        tol: float = 1e-8,
        batch_size: int = 32,
        random_state: int | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.random_state = random_state

    def _penalties(self, weight: float) -> tuple[float, float]:
        return 0.0, self.alpha / weight


def _moments(blocks: Blocks) -> Moments:
    """Moments of all rows of a source."""
    found: Moments | None = None
    for x, y, weight in blocks():
        part = moments_of(x, y.reshape(len(y), -1), weight)
        found = part if found is None else found.merge(part)
    if found is None:
        raise DataError(ErrorCode.EMPTY_DATA, "there are no rows", wanted="at least one row")
    return found


def _batch_gradient(z: Doubles, t: Doubles, shrink: Doubles) -> Gradient:
    """Of one mini-batch: standardised features [n, K] and centred targets [n, T]."""

    def gradient(parameters: Doubles) -> tuple[float, Doubles]:
        miss = z @ parameters - t
        penalty = float(np.sum(shrink * parameters**2))
        return 0.5 * (float(np.mean(miss**2)) * t.shape[1] + penalty), z.T @ miss / len(z)

    return gradient
