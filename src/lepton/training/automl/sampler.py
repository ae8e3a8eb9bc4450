"""Points of a learner's space, each proposed in the light of those before, by Optuna's Parzen estimators."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any

from lepton.core import MissingExtraError
from lepton.training.spaces import Choice, Dimension, Real

__all__ = ["Sampler"]

_STARTUP_TRIALS = 8  # drawn at random before the estimators have a say


class Sampler:
    """Asks for a point, is told its loss.

    Args:
        space: settings by name; at least one.
        seed: of all draws.

    Raises:
        MissingExtraError: Optuna is not installed.
    """

    def __init__(self, space: Mapping[str, Dimension], seed: int) -> None:
        self._optuna = _optuna()
        self._space = dict(space)
        self._distributions = {name: self._distribution(dimension) for name, dimension in space.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some versions call `multivariate` experimental
            sampler = self._optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=_STARTUP_TRIALS, multivariate=True, constant_liar=True
            )
        self._study = self._optuna.create_study(sampler=sampler)
        self._asked: dict[int, Any] = {}

    def start(self, configuration: Mapping[str, Any], loss: float, folds: int | None = None) -> None:
        """Tell of a configuration that was not asked for; settings that it does not name have their defaults.

        With `folds`, it was given up as a bad one after so many.
        """
        values = {name: configuration.get(name, dimension.default) for name, dimension in self._space.items()}
        if not all(_contains(self._space[name], value) for name, value in values.items()):
            return  # outside of the space
        states = self._optuna.trial.TrialState
        self._study.add_trial(
            self._optuna.trial.create_trial(
                params=values,
                distributions=self._distributions,
                value=loss,
                state=states.COMPLETE if folds is None else states.PRUNED,
                intermediate_values={} if folds is None else {folds: loss},
            )
        )

    def ask(self) -> tuple[int, dict[str, Any]]:
        """The number of a new point and its values."""
        trial = self._study.ask(self._distributions)
        self._asked[trial.number] = trial
        return trial.number, dict(trial.params)

    def tell(self, number: int, loss: float | None, folds: int | None = None) -> None:
        """The loss of a point; None where it failed. With `folds`, it was given up as a bad one after so many."""
        trial = self._asked.pop(number)
        states = self._optuna.trial.TrialState
        if loss is None:
            self._study.tell(trial, state=states.FAIL)
        elif folds is not None:
            trial.report(loss, folds)
            self._study.tell(trial, state=states.PRUNED)
        else:
            self._study.tell(trial, loss)

    def _distribution(self, dimension: Dimension) -> Any:
        distributions = self._optuna.distributions
        if isinstance(dimension, Choice):
            return distributions.CategoricalDistribution(dimension.values)
        kind = distributions.FloatDistribution if isinstance(dimension, Real) else distributions.IntDistribution
        return kind(dimension.low, dimension.high, log=dimension.log)


def _contains(dimension: Dimension, value: Any) -> bool:
    if isinstance(dimension, Choice):
        return value in dimension.values
    return isinstance(value, int | float) and dimension.low <= value <= dimension.high


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError:
        raise MissingExtraError("optuna", "train", "Searching for a better model") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
