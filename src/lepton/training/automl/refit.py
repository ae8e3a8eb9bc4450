"""One more fit on some of the rows, scored on others, in a child process: what a learning curve is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, Interrupted, TrainingError, Work
from lepton.training.automl.files import load_table
from lepton.training.automl.trials import Setting, loaded_learner
from lepton.training.base import Doubles, TableLearner

__all__ = ["REFIT", "Refitted", "refit"]

REFIT = f"{__name__}:refit"


@dataclass(frozen=True)
class Refitted:
    """What a fit gives.

    Attributes:
        raw: raw scores of the rows that were scored [N, S].
        learner: as it was fitted, where it was asked for.
    """

    raw: Doubles
    learner: TableLearner | None


def refit(
    setting: Setting,
    learner: str,
    configuration: Mapping[str, Any],
    train: NDArray[np.int64],
    valid: NDArray[np.int64],
    keep: bool,
    *,
    work: Work,
) -> Refitted:
    """Fit as a trial does, early stopping included, and score.

    Args:
        setting: of the search.
        learner: `address_of` its class.
        configuration: as it was tried.
        train: positions of the rows to learn from.
        valid: positions of the rows to score.
        keep: give the fitted learner back.
        work: threads and time.

    Raises:
        Interrupted: the time was over: what was cut short would make a curve fall.
        TrainingError: raw scores are not finite.
    """
    kind = loaded_learner(learner)
    rows, _ = load_table(setting.folder, setting.number_names, setting.num_folds)
    learned = rows.to_learn(setting.problem)
    fitted = kind(setting.problem, configuration, Work(seed=setting.seed).seed_for(kind.name))
    fitted.fit(learned.take(train), valid=learned.take(valid), work=work)
    if fitted.cut_short:
        raise Interrupted(ErrorCode.INTERRUPTED, "the fit was not finished in the time")
    raw = fitted.raw(rows.block.take(valid))
    if not np.isfinite(raw).all():
        raise TrainingError(ErrorCode.TRAINING_FAILED, "gave scores that are not finite")
    return Refitted(raw, fitted if keep else None)
