"""What the estimators share: scikit-learn's conventions, checked parameters and input, nothing half done."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, MissingExtraError, TrainingError, UsageError
from lepton.training.estimators.bundles import Bundled
from lepton.training.estimators.rows import Doubles, StreamedRows

__all__ = ["Choice", "Estimator", "Interval", "check_fitted", "checked_weight", "validated"]


class Interval:
    """A number of a range, for `Estimator.rules`.

    Args:
        low: smallest value.
        high: largest value.
        open_low: whether `low` itself is excluded.
        whole: whether it must be a whole number.
        optional: whether None is taken.
    """

    def __init__(
        self,
        low: float,
        high: float = float("inf"),
        *,
        open_low: bool = False,
        whole: bool = False,
        optional: bool = False,
    ) -> None:
        self.low, self.high, self.open_low, self.whole, self.optional = low, high, open_low, whole, optional

    def takes(self, value: Any) -> bool:
        """Whether `value` is of the range."""
        if value is None:
            return self.optional
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
            return False
        above = value > self.low if self.open_low else value >= self.low
        return bool(above and value <= self.high and (not self.whole or float(value).is_integer()))

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        bound = f"above {self.low:g}" if self.open_low else f"of at least {self.low:g}"
        top = "" if self.high == float("inf") else f" and at most {self.high:g}"
        return f"{kind} {bound}{top}" + (" or None" if self.optional else "")


class Choice:
    """One of some values, for `Estimator.rules`."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def takes(self, value: Any) -> bool:
        """Whether `value` is one of them."""
        return any(value is known or (isinstance(value, str) and value == known) for known in self.values)

    def __str__(self) -> str:
        return "one of " + ", ".join(map(repr, self.values))


class Estimator(Bundled):
    """Parameters are stored as given by the constructor and checked once, when fitting.

    A subclass declares `rules`: name to `Interval` or `Choice`.
    """

    rules: ClassVar[Mapping[str, Interval | Choice]] = {}
    kind: str
    """`regressor`, `classifier` or `clusterer`, in scikit-learn's words."""
    multi_output = False
    """Whether several targets are fitted at once."""
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    columns_: tuple[ColumnRecord, ...]
    target_: ColumnRecord | None

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments; `deep` is there for scikit-learn."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Change arguments of the constructor; checked when fitting."""
        for name, value in params.items():
            if name not in self._names():
                wanted = "one of " + ", ".join(self._names())
                raise UsageError(ErrorCode.USAGE, f"{type(self).__name__} has no parameter {name!r}", wanted=wanted)
            setattr(self, name, value)
        return self

    def _check_parameters(self) -> None:
        for name, rule in self.rules.items():
            value = getattr(self, name)
            if not rule.takes(value):
                came = f"{type(self).__name__} got {name}={value!r}"
                raise UsageError(ErrorCode.USAGE, came, wanted=str(rule))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Nothing half done: where the block fails, the estimator is what it was before."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _take_columns(self, rows: StreamedRows) -> None:
        """Be fitted to the columns of a stream."""
        self.n_features_in_ = len(rows.names)
        self.feature_names_in_ = np.array(rows.names, dtype=object)
        self.columns_ = rows.features
        self.target_ = rows.target
        self._dataset = rows.dataset

    def _forget_columns(self) -> None:
        """Be fitted to arrays: what an earlier stream said of its columns is no longer true."""
        for name in ("columns_", "target_", "_dataset"):
            vars(self).pop(name, None)

    def _check_columns(self, names: tuple[str, ...]) -> None:
        """Refuse a part of the data that has other columns than the fit."""
        if names != self._column_names():
            raise DataError(
                ErrorCode.WRONG_SHAPE,
                f"a part has the columns {_listed(names)}",
                wanted=f"those of the fit, in their order: {_listed(self._column_names())}",
            )

    def _column_names(self) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", None)
        return tuple(f"x{i}" for i in range(self.n_features_in_)) if names is None else tuple(names)

    def _input_columns(self) -> tuple[ColumnRecord, ...]:
        check_fitted(self)
        plain = (ColumnRecord(str(name), Kind.NUMBER, "float64") for name in self._column_names())
        return getattr(self, "columns_", None) or tuple(plain)

    def _target_column(self, kind: Kind, dtype: str) -> ColumnRecord:
        """What was learned: the column of the stream, or one called target."""
        known: ColumnRecord | None = getattr(self, "target_", None)
        if known is not None:
            return known
        name = "target"
        while name in self._column_names():
            name += "_"
        return ColumnRecord(name, kind, dtype)

    def __getstate__(self) -> dict[str, Any]:
        # A data set is a place on this machine, not part of what was learned.
        return {name: value for name, value in vars(self).items() if name != "_dataset"}

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        given = [f"{name}={value!r}" for name, value in self.get_params().items() if not _same(value, defaults[name])]
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator before it uses one."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=self.kind,
            target_tags=TargetTags(required=self.kind != "clusterer", multi_output=self.multi_output),
            classifier_tags=ClassifierTags() if self.kind == "classifier" else None,
            regressor_tags=RegressorTags() if self.kind == "regressor" else None,
            transformer_tags=TransformerTags(preserves_dtype=[]) if hasattr(self, "transform") else None,
            input_tags=InputTags(),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


def validated(estimator: Estimator, x: Any, y: Any = "no_validation", *, reset: bool = True, **options: Any) -> Any:
    """Arrays checked as scikit-learn checks them: shape, finite numbers, names and count of the features.

    Raises:
        ValueError: what is wrong, in scikit-learn's words, which users and their tools know.
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:
        raise MissingExtraError("scikit-learn", "train", "Fitting on arrays") from None
    return validate_data(estimator, x, y, reset=reset, dtype=[np.float64, np.float32], **options)


def checked_weight(sample_weight: Any, x: NDArray[Any]) -> Doubles | None:
    """Weights of the rows of `x` as doubles of at least 0, or None for equal ones."""
    if sample_weight is None:
        return None
    from sklearn.utils.validation import _check_sample_weight

    weight = np.asarray(_check_sample_weight(sample_weight, x, dtype=np.float64), dtype=np.float64)
    if (weight < 0).any():
        row = int(np.flatnonzero(weight < 0)[0])
        raise UsageError(ErrorCode.USAGE, f"sample_weight is {weight[row]:g} in row {row}", wanted="at least 0")
    return weight


def check_fitted(estimator: Estimator) -> None:
    """Raise scikit-learn's `NotFittedError`, or ours where scikit-learn is not installed."""
    if hasattr(estimator, "n_features_in_"):
        return
    message = f"This {type(estimator).__name__} instance is not fitted yet: call fit first"
    try:
        from sklearn.exceptions import NotFittedError
    except ImportError:
        raise TrainingError(ErrorCode.NOT_FITTED, message) from None
    raise NotFittedError(message)
