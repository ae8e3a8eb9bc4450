"""Logistic regression, binary and multinomial: Newton steps on sums that add up over parts of the data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import DataError, ErrorCode, Resources, UsageError, Work
from lepton.training.estimators.base import Choice, Estimator, Interval, check_fitted, checked_weight, validated
from lepton.training.estimators.bundles import Written, emit_scores, labels_of
from lepton.training.estimators.classes import numbered_classes
from lepton.training.estimators.descent import Descent, Gradient, descend, drawn_batches, stepped, stochastic_descent
from lepton.training.estimators.logistic_sums import LogisticRecord, logistic_record, sigmoid, softmax
from lepton.training.estimators.moments import Moments, moments_of
from lepton.training.estimators.newton import SEPARATED_LOSS, Stepper, newton_move
from lepton.training.estimators.rows import Block, Blocks, Doubles, StreamedRows, Team, Thinned, is_stream
from lepton.training.estimators.summary import Summary, coefficient_summary

__all__ = ["LogisticRegression", "SeparationWarning"]

_NEWTON_SIZE = 1_000
"""Most parameters for which the matrix of second derivatives is made and solved unasked."""
_L1_SIZE = 5_000
_SAMPLE_ROWS = 65_536
_SAMPLE_WORK = 2e10
"""Most multiplications for the second derivatives of a sample."""
_PATIENCE = 12
"""Steps with an older curvature, or that of the sample, after which that of all rows is taken."""
_MAX_CLASSES = 10_000
_SEPARATED_MOVE = 0.1
"""A step that changes a row's score by more where the loss no longer falls leads to where there is no minimum."""


class SeparationWarning(UserWarning):
    """Some classes are perfectly separable: without a penalty the coefficients have no finite best values."""


@dataclass(frozen=True)
class _Source:
    """All rows of a fit: the blocks, how many rows and what weight they have, and a sample where there are many."""

    blocks: Blocks
    num_rows: int
    weight: float
    sample: Block


class LogisticRegression(Estimator):
    """Classes from linear scores, as in `sklearn.linear_model.LogisticRegression`, and at any size.

    >>> import numpy as np
    >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> LogisticRegression().fit(x, ["low", "low", "high", "high"]).predict([[-3.0], [3.0]]).tolist()
    ['low', 'high']

    Args:
        C: inverse strength of the penalty: the sum of losses + |w|² / (2 C) is minimised; the intercept is free.
        penalty: `"l2"`, `"l1"`, `"elasticnet"` or None.
        l1_ratio: share of L1 in `"elasticnet"`: the penalty is (l1_ratio·|w|₁ + ½·(1 - l1_ratio)·|w|²) / C.
        fit_intercept: whether scores have an intercept.
        solver: `"auto"` takes Newton steps, and quasi-Newton ones (L-BFGS) where there are many parameters; `"newton"`
            and `"lbfgs"` choose; `"gradient_descent"` and `"sgd"` descend as in the textbook, and keep `loss_curve_`.
        learning_rate: of the descents, over standardised features; never longer than is stable.
        max_iter: most steps or epochs.
        tol: stops when the next step promises to lower the loss by less than this share of it.
        batch_size: rows of a step of `"sgd"`.
        random_state: seed of the draws of `"sgd"`.
    """

    kind = "classifier"
    _stepper: Stepper | None
    loss_curve_: list[float]
    rules: ClassVar[Mapping[str, Interval | Choice]] = {
        "C": Interval(0, open_low=True),
        "penalty": Choice("l2", "l1", "elasticnet", None),
        "l1_ratio": Interval(0, 1),
        "fit_intercept": Choice(True, False),
        "solver": Choice("auto", "newton", "lbfgs", "gradient_descent", "sgd"),
        "learning_rate": Interval(0, open_low=True),
        "max_iter": Interval(1, whole=True),
        "tol": Interval(0),
        "batch_size": Interval(1, whole=True),
        "random_state": Interval(0, whole=True, optional=True),
    }

    def __init__(
        self,
        C: float = 1.0,  # noqa: N803 - scikit-learn's name
        *,
        penalty: str | None = "l2",
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        solver: str = "auto",
        learning_rate: float = 0.5,
        max_iter: int = 1000,
        tol: float = 1e-10,
        batch_size: int = 32,
        random_state: int | None = None,
    ) -> None:
        self.C = C
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.random_state = random_state

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
        """Fit to arrays, or to a data set of any size, which is read once for the classes and once for each step.

        Args:
            x: features [N, K], or a `Dataset` or path that is read block by block.
            y: classes [N]; none for a data set.
            sample_weight: [N] of at least 0.
            target: name of the target in the data set.
            work: cancel and deadline; the best parameters so far are kept.

        Raises:
            ValueError: values that are missing, not finite or of another shape, or a single class.

        Warns:
            SeparationWarning: the classes are separable and there is no penalty; `separable_` says so too.
        """
        self._check_parameters()
        if self._strengths(1.0)[0] and self.solver in ("lbfgs", "gradient_descent", "sgd"):
            came = f"got solver={self.solver!r} with an L1 penalty"
            raise UsageError(ErrorCode.USAGE, came, fix='solver="auto"')
        work = Work.of(work)
        with self._whole(), Team(work.resources.cpus) as team:
            source = self._opened(x, y, sample_weight, target)
            self._stepper = None
            self.separable_ = False
            self._inverse: Doubles | None = None
            if self.solver in ("gradient_descent", "sgd"):
                descent = self._descended(source, team, work)
                self._set(descent.parameters)
                self.n_iter_, self.converged_ = max(descent.steps, 1), descent.converged
                self.loss_curve_ = descent.losses
            else:
                self._minimise(source, team, work)
        return self

    def begin(self, columns: int | Sequence[str], classes: Any) -> Self:
        """Start from zero parameters, for a fit by `statistics` and `step`.

        Args:
            columns: how many features there are, or their names.
            classes: all classes.
        """
        self._check_parameters()
        names = None if isinstance(columns, int) else np.array(columns, dtype=object)
        with self._whole():
            self._forget_columns()
            vars(self).pop("feature_names_in_", None)
            if names is not None:
                self.feature_names_in_ = names
            self.n_features_in_ = columns if isinstance(columns, int) else len(columns)
            self.classes_ = np.unique(np.asarray(classes))
            self._check_classes()
            self._stepper = None
            self._inverse = None
            self.n_iter_, self.converged_, self.separable_ = 0, False, False
            self.loss_curve_ = []
            self._set(np.zeros(self._shape))
        return self

    def statistics(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        target: str | None = None,
        at: Doubles | None = None,
    ) -> LogisticRecord:
        """Sums over some rows at parameters: parts are added with `+`, and `step` takes the total.

        The loop `model.step(sum of statistics(part, at=model.parameters))` over all parts is the fit of all rows.

        Args:
            x: features [N, K], or a data set whose columns are those of the fit.
            y: classes [N], among `classes_`.
            sample_weight: [N] of at least 0.
            target: name of the target in a data set.
            at: parameters [S, K + 1]; default: the current ones.
        """
        check_fitted(self)
        at = self._parameters if at is None else np.asarray(at, dtype=np.float64)
        if at.shape != self._shape:
            came = f"got parameters of shape {list(at.shape)}"
            raise DataError(ErrorCode.WRONG_SHAPE, came, wanted=str(list(self._shape)))
        blocks = self._part(x, y, sample_weight, target)
        with Team(Resources().cpus) as team:
            return _sums(blocks, at, self._wants_curvature, team)

    def step(self, record: LogisticRecord) -> bool:
        """Move the parameters by the sums of all rows; returns whether the fit has settled.

        A step that made the loss worse is taken back by half.
        """
        check_fitted(self)
        if self._stepper is None:
            self._stepper = Stepper(self._strengths(record.weight), self.fit_intercept, self.tol)
        self._set(self._stepper.step(record))
        self.n_iter_ += 1
        self.loss_curve_.append(self._stepper.objective)
        self.converged_ = self._stepper.settled
        return self.converged_

    @property
    def parameters(self) -> Doubles:
        """[S, K + 1]: a row of coefficients and the intercept for each score; S is 1 for two classes."""
        check_fitted(self)
        return self._parameters

    def partial_fit(self, x: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One pass of mini-batch steps over these rows, from where the parameters stand.

        Args:
            x: features [N, K].
            y: classes [N].
            classes: all classes there will be; needed at the first call.
            sample_weight: [N] of at least 0.
        """
        self._check_parameters()
        with self._whole():
            if not hasattr(self, "_parameters"):
                if classes is None:
                    came = "the first call of partial_fit got no classes"
                    raise UsageError(ErrorCode.USAGE, came, fix="partial_fit(x, y, classes)")
                checked, _ = validated(self, x, y)
                self.begin(getattr(self, "feature_names_in_", checked.shape[1]), classes)
            blocks = self._part(x, y, sample_weight, None)
            # Steps are over standardised features, by the moments of all rows so far.
            seen = getattr(self, "_seen", None)
            later = _moments(blocks)
            self._seen = later if seen is None else seen.merge(later)
            mean, scale = _standardisation(self._seen, self.fit_intercept)
            self.n_iter_ += 1
            rate = self.learning_rate / np.sqrt(self.n_iter_)
            w = _standardised(self._parameters, mean, scale)
            shrink = self._shrink(scale, self._seen.weight)
            for gradient in self._minibatches(blocks, mean, scale, shrink)(self.n_iter_):
                w = stepped(w, gradient(w)[1], rate, shrink)
            self._set(_in_units(w, mean, scale))
        return self

    @property
    def _shape(self) -> tuple[int, int]:
        return self._num_scores, self.n_features_in_ + 1

    @property
    def _wants_curvature(self) -> bool:
        size = self._num_scores * (self.n_features_in_ + 1)
        if not self._strengths(1.0)[0]:
            return self.solver == "newton" or (self.solver == "auto" and size <= _NEWTON_SIZE)
        if size > _L1_SIZE:
            came = f"an L1 penalty on {size} parameters"
            raise UsageError(ErrorCode.USAGE, came, wanted=f"at most {_L1_SIZE}", fix='penalty="l2"')
        return True

    @property
    def _num_scores(self) -> int:
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _strengths(self, weight: float) -> tuple[float, float]:
        """L1 and L2 of the mean loss."""
        if self.penalty is None:
            return 0.0, 0.0
        share = {"l1": 1.0, "l2": 0.0}.get(self.penalty, self.l1_ratio)
        return share / (self.C * weight), (1 - share) / (self.C * weight)

    def _opened(self, x: Any, y: Any, sample_weight: Any, target: str | None) -> _Source:
        """All rows with class numbers, from arrays or from a stream that can be read again."""
        if is_stream(x):
            return self._described(StreamedRows(x, target, self.kind))
        x, y, weight = self._arrays(x, y, sample_weight, reset=True)
        self._forget_columns()
        if weight is not None and not weight.all():
            counted = weight > 0
            x, y, weight = x[counted], y[counted], weight[counted]
        self.classes_, numbers = numbered_classes(y)
        self._check_classes()
        step = max(len(x) // _SAMPLE_ROWS, 1)
        sample = x[::step], numbers[::step], None if weight is None else weight[::step]
        summed = float(len(x) if weight is None else weight.sum())
        return _Source(lambda: iter([(x, numbers, weight)]), len(x), summed, sample)

    def _part(self, x: Any, y: Any, sample_weight: Any, target: str | None) -> Blocks:
        """Some rows for an estimator that knows its columns and classes."""
        if is_stream(x):
            known = getattr(self, "target_", None)
            rows = StreamedRows(x, known.name if known is not None and target is None else target, self.kind)
            self._check_columns(rows.names)
            return lambda: ((x, self._numbers_of(y), w) for x, y, w in rows.blocks())
        x, y, weight = self._arrays(x, y, sample_weight, reset=False)
        numbers = self._numbers_of(y)
        return lambda: iter([(x, numbers, weight)])

    def _arrays(self, x: Any, y: Any, sample_weight: Any, *, reset: bool) -> Block:
        if y is None:
            came = f"This {type(self).__name__} estimator requires y to be passed, but the target y is None"
            raise UsageError(ErrorCode.USAGE, came, fix='fit(x, y), or fit(table, target="column")')
        x, y = validated(self, x, y, reset=reset)
        return x, y, checked_weight(sample_weight, x)

    def _described(self, rows: StreamedRows) -> _Source:
        """Take the columns of a stream and, in one pass, its classes, its weight and a sample."""
        found: set[Any] = set()
        summed = 0.0
        sample = Thinned(2 * _SAMPLE_ROWS)
        for x, y, weight in rows.blocks():
            w = np.ones(len(x)) if weight is None else weight
            found.update(np.unique(y[w > 0]).tolist())
            summed += float(w.sum())
            sample.add(x, y, w)
            if len(found) > _MAX_CLASSES:
                came = f"the target has more than {_MAX_CLASSES:,} classes"
                raise DataError(ErrorCode.BAD_TARGET, came, fix="it looks like a number: use LinearRegression")
        self._take_columns(rows)
        self.classes_ = np.array(sorted(found))
        self._check_classes()
        x, y, w = sample.arrays()
        known = w > 0
        return _Source(
            lambda: ((x, self._numbers_of(y, w), w) for x, y, w in rows.blocks()),
            sample.num_rows,
            summed,
            (x[known], self._numbers_of(y[known]), w[known]),
        )

    def _check_classes(self) -> None:
        if len(self.classes_) < 2:
            only = "" if not len(self.classes_) else f": {self.classes_.tolist()[0]!r}"
            raise DataError(
                ErrorCode.BAD_TARGET, f"the target holds only one class{only}", wanted="two classes or more"
            )

    def _numbers_of(self, y: NDArray[Any], weight: Doubles | None = None) -> NDArray[np.int64]:
        """Class numbers; a class that is not known is an error unless its row has no weight."""
        numbers = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        strange = self.classes_[numbers] != y
        if weight is not None:
            strange &= weight > 0
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            wanted = "one of " + ", ".join(map(repr, self.classes_[:20].tolist()))
            raise DataError(ErrorCode.BAD_TARGET, f"row {row} has the class {y[row].item()!r}", wanted=wanted)
        return np.asarray(numbers, dtype=np.int64)

    def _minimise(self, source: _Source, team: Team, work: Work) -> None:
        """The penalised minimum, by steps that look at all rows, from that of a sample where there are many."""
        strengths = self._strengths(source.weight)
        curved = self._wants_curvature
        at, held = np.zeros(self._shape), None
        sample = self._sample(source) if curved else None
        if sample is not None:
            at, held = self._warm(sample, strengths, team, work)
        stepper = Stepper(strengths, self.fit_intercept, self.tol, held)
        self.loss_curve_ = []
        self.n_iter_ = 0
        while self.n_iter_ < self.max_iter and not stepper.settled and not work.stopped:
            # Near the end the last curvature does for a while, where there are many scores and it is dear.
            old = stepper.near and self._num_scores > 1 and not strengths[0] and self.n_iter_ % _PATIENCE
            whole = curved and (not old if held is None else self.n_iter_ >= _PATIENCE)
            at = stepper.step(_sums(source.blocks, at, whole, team))
            self.n_iter_ += 1
            self.loss_curve_.append(stepper.objective)
            work.report(self.n_iter_, None, "steps", best=f"{stepper.objective:.6g}")
        self.converged_ = stepper.settled
        if not self.converged_ and stepper.best is not None:
            at = stepper.best
        self._set(at)
        if not self.converged_ and not work.stopped:
            from sklearn.exceptions import ConvergenceWarning

            came = f"not settled after {self.n_iter_} steps; Fix: a larger max_iter, or features of similar scales"
            warnings.warn(came, ConvergenceWarning, stacklevel=3)
        if self.penalty is None and self.converged_ and curved:
            self._look_back(source.blocks, team)

    def _sample(self, source: _Source) -> Block | None:
        """Rows enough to know the curvature well, or None where all rows are few."""
        size = self._num_scores * (self.n_features_in_ + 1)
        rows = int(min(max(source.num_rows // 16, 100 * size, 4096), _SAMPLE_ROWS, _SAMPLE_WORK / size**2))
        if rows < 4 * size or source.num_rows < 4 * rows:
            return None
        x, y, weight = source.sample
        step = max(len(x) // rows, 1)
        return x[::step], y[::step], None if weight is None else weight[::step]

    def _warm(
        self, sample: Block, strengths: tuple[float, float], team: Team, work: Work
    ) -> tuple[Doubles, Doubles | None]:
        """Parameters and mean curvature at the minimum over a sample; zeros and None where it has none."""
        zeros = np.zeros(self._shape)
        stepper = Stepper(strengths, self.fit_intercept, 1e-6)
        at, held = zeros, None
        for _ in range(30):
            record = _sums(lambda: iter([sample]), at, True, team)
            at = stepper.step(record)
            if record.parameters is stepper.best and record.curvature is not None:
                held = record.curvature / record.weight
            if stepper.settled or work.stopped:
                break
        separated = self.penalty is None and stepper.loss < SEPARATED_LOSS
        return (zeros, None) if separated or stepper.best is None else (stepper.best, held)

    def _look_back(self, blocks: Blocks, team: Team) -> None:
        """See whether the unpenalised minimum exists, and how certain it is."""
        record = _sums(blocks, self._parameters, True, team)
        move, self._inverse = newton_move(record, self.fit_intercept)
        reach = max(_reach(block, move) for block in blocks())
        self.separable_ = reach > _SEPARATED_MOVE
        if self.separable_:
            self._inverse = None
            warnings.warn(
                "some classes are perfectly separable: without a penalty the coefficients grow without end, and these "
                'are where the fit was stopped. Fix: penalty="l2"',
                SeparationWarning,
                stacklevel=4,
            )

    def _descended(self, source: _Source, team: Team, work: Work) -> Descent:
        """Descent over standardised features; the parameters come back in the units of the input."""
        moments = _moments(source.blocks)
        mean, scale = _standardisation(moments, self.fit_intercept)
        weight = moments.weight
        shrink = self._shrink(scale, weight)

        def full(w: Doubles) -> tuple[float, Doubles]:
            record = _sums(source.blocks, _in_units(w, mean, scale), False, team)
            slope = record.gradient / weight
            inner = np.column_stack([(slope[:, :-1] - slope[:, -1:] * mean) / scale, slope[:, -1]])
            inner[:, -1] *= self.fit_intercept
            return record.loss / weight + 0.5 * float(np.sum(shrink * w**2)), inner

        start = np.zeros(self._shape)
        settings: dict[str, Any] = {"shrink": shrink, "max_iter": self.max_iter, "tol": self.tol, "work": work}
        if self.solver == "gradient_descent":
            # The curvature of the mean loss is at most a quarter (two classes) or half of that of the features.
            steepest = (0.25 if self._num_scores == 1 else 0.5) * (self.n_features_in_ + 1)
            found = descend(full, start, learning_rate=min(self.learning_rate, 1 / steepest), **settings)
        else:
            settings["tol"] = max(self.tol, 1e-4)
            batches = self._minibatches(source.blocks, mean, scale, shrink)
            found = stochastic_descent(batches, start, learning_rate=self.learning_rate, **settings)
        found.parameters = _in_units(found.parameters, mean, scale)
        return found

    def _shrink(self, scale: Doubles, weight: float) -> Doubles:
        """L2 penalty of the parameters over standardised features, [K + 1]; `weight` is that of all rows."""
        return np.append(self._strengths(weight)[1] / scale**2, 0.0)

    def _minibatches(
        self, blocks: Blocks, mean: Doubles, scale: Doubles, shrink: Doubles
    ) -> Callable[[int], Iterator[Gradient]]:
        """Epoch number to the gradients of its mini-batches."""
        seed = 0 if self.random_state is None else self.random_state

        def epoch(number: int) -> Iterator[Gradient]:
            generator = np.random.default_rng([seed, number])
            for x, y, w in blocks():
                for rows in drawn_batches(x, y[:, None].astype(float), w, self.batch_size, generator):
                    yield _batch_gradient((x[rows] - mean) / scale, y[rows], shrink, self.fit_intercept)

        return epoch

    def _set(self, parameters: Doubles) -> None:
        self._parameters = parameters
        self.coef_ = parameters[:, :-1].copy()
        self.intercept_ = parameters[:, -1].copy()

    def _write(self, builder: GraphBuilder, features: str) -> Written:
        labels, kind, dtype = labels_of(self.classes_)
        task = "binary" if self._num_scores == 1 else "multiclass"
        outputs = emit_scores(builder, features, self.coef_, self.intercept_, task=task, labels=labels)
        state = {"coefficients": self.coef_.tolist(), "intercepts": self.intercept_.tolist()}
        return Written(task, labels, self._target_column(kind, dtype), outputs, state)

    # --- using ---------------------------------------------------------------------------------------------------

    def decision_function(self, x: Any) -> Doubles:
        """Scores [N] of the second of two classes, or [N, C]."""
        check_fitted(self)
        x = validated(self, x, reset=False)
        scores = np.asarray(x @ self.coef_.T + self.intercept_)
        return scores[:, 0] if self._num_scores == 1 else scores

    def predict(self, x: Any) -> NDArray[Any]:
        """Classes [N] for the features `x` [N, K]."""
        scores = self.decision_function(x)
        numbers = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[numbers])

    def predict_proba(self, x: Any) -> Doubles:
        """Probabilities [N, C], in the order of `classes_`."""
        scores = self.decision_function(x)
        if scores.ndim == 1:
            second = sigmoid(scores)
            return np.column_stack([1 - second, second])
        return softmax(scores)

    def predict_log_proba(self, x: Any) -> Doubles:
        """Logarithms of the probabilities [N, C]."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(x))

    def summary(self, level: float = 0.95) -> Summary:
        """Coefficients with standard errors and intervals, of a fit of two classes.

        Source: the inverse of the observed information (Wald). Only fits of `"auto"` and `"newton"` without a penalty
        have such errors; where there are none, "-" is shown.
        """
        check_fitted(self)
        if self._num_scores > 1:
            came = f"got a fit of {len(self.classes_)} classes"
            raise UsageError(ErrorCode.USAGE, came, wanted="two classes")
        errors = np.full(self._shape[1], np.nan)
        if self._inverse is not None:
            errors = np.sqrt(np.maximum(np.diag(self._inverse), 0.0))
        names = (*self._column_names(), "(intercept)")
        order = [-1, *range(self.n_features_in_)] if self.fit_intercept else list(range(self.n_features_in_))
        facts = (
            ("classes", ", ".join(map(str, self.classes_.tolist()))),
            ("steps", self.n_iter_),
            ("mean loss", self.loss_curve_[-1] if self.loss_curve_ else float("nan")),
        )
        chosen = [names[i] for i in order]
        return coefficient_summary(chosen, self._parameters[0][order], errors[order], None, facts, level)

    def score(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of the predictions for `x`."""
        return float(np.average(self.predict(x) == np.asarray(y), weights=sample_weight))


def _sums(blocks: Blocks, at: Doubles, curvature: bool, team: Team) -> LogisticRecord:
    """The record of all blocks at `at`."""
    width = at.size if curvature and len(at) > 1 else len(at)
    return team.total(blocks(), lambda x, y, w: logistic_record(x, y, w, at, curvature), width)


def _batch_gradient(z: Doubles, numbers: NDArray[np.int64], shrink: Doubles, fit_intercept: bool) -> Gradient:
    """Of one mini-batch: standardised features [n, K] and class numbers [n]."""

    def gradient(w: Doubles) -> tuple[float, Doubles]:
        record = logistic_record(z, numbers, None, w, False)
        slope = record.gradient / record.weight
        slope[:, -1] *= fit_intercept
        return record.loss / record.weight + 0.5 * float(np.sum(shrink * w**2)), slope

    return gradient


def _moments(blocks: Blocks) -> Moments:
    """Moments of the features."""
    found: Moments | None = None
    for x, _, weight in blocks():
        part = moments_of(x, np.empty((len(x), 0)), weight)
        found = part if found is None else found.merge(part)
    if found is None or not found.count:
        raise DataError(ErrorCode.EMPTY_DATA, "no row counts", wanted="at least one row")
    return found


def _standardisation(moments: Moments, fit_intercept: bool) -> tuple[Doubles, Doubles]:
    """Mean (0 without an intercept) and spread (1 where constant) of the features."""
    scale = np.sqrt(np.diag(moments.scatter) / moments.weight)
    mean = moments.mean if fit_intercept else np.zeros_like(moments.mean)
    return mean, np.where(scale > 0, scale, 1.0)


def _in_units(w: Doubles, mean: Doubles, scale: Doubles) -> Doubles:
    """Parameters over standardised features as parameters over the features."""
    coefficients = w[:, :-1] / scale
    return np.column_stack([coefficients, w[:, -1] - coefficients @ mean])


def _standardised(w: Doubles, mean: Doubles, scale: Doubles) -> Doubles:
    """Parameters over the features as parameters over standardised features."""
    return np.column_stack([w[:, :-1] * scale, w[:, -1] + w[:, :-1] @ mean])


def _reach(block: Block, move: Doubles) -> float:
    """Largest change of a score that `move` brings to a row that counts."""
    x, _, weight = block
    change = np.abs(x @ move[:, :-1].T + move[:, -1]).max(axis=1)
    return float(change.max() if weight is None else change[weight > 0].max(initial=0.0))
