"""What training begins with: a portfolio of a prepared table, in which nothing has been tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lepton.core import Work
from lepton.evaluation import Metric
from lepton.training.folds import Fold
from lepton.training.honesty import checking_seconds
from lepton.training.limits import Limits
from lepton.training.portfolio import Portfolio
from lepton.training.prepared import PreparedTable
from lepton.training.writing import measured

__all__ = ["portfolio_of"]

_SAVING_SECONDS = 0.5
_SAVING_SECONDS_A_COLUMN = 0.0005
_SAVING_SHARE = 0.02  # of the time: machines are at times slower at the end than they were at the beginning


def portfolio_of(
    table: PreparedTable, folds: Sequence[Fold], metric: Metric, limits: Limits | None, work: Work
) -> Portfolio:
    """A portfolio that keeps time for saving and for looking at what it gives.

    Args:
        table: what is learned and from what.
        folds: in which candidates are scored.
        metric: what to choose by.
        limits: on size and latency.
        work: the time.
    """
    return Portfolio(
        problem=table.problem,
        rows=table.rows,
        folds=folds,
        metric=metric,
        truth=table.target.values if table.target.labels is None else table.target.values.astype(np.int64),
        scale=table.scale,
        groups=table.groups,
        saving_seconds=_SAVING_SECONDS
        + _SAVING_SECONDS_A_COLUMN * len(table.features.columns)
        + _SAVING_SHARE * (work.within or 0.0)
        + checking_seconds(work, table.problem.num_rows),
        measure=lambda learner: measured(table, learner),
        work=work,
        limits=limits,
        order=table.order,
    )
