"""Kernels of the metrics of rankings: `y` relevance [N], `answer` scores [N], `labels` the query of each row [N]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lepton.core import ErrorCode, SchemaError
from lepton.evaluation.classification import Floats, Labels, Score, ratio

__all__ = ["ndcg_at"]


def ndcg_at(most: int | None) -> Callable[[Any, Any, Labels], Score]:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002) of the first `most` rows of each query.

    A row of relevance r is worth 2^r - 1, at place i divided by log2(i + 1); 1 is the best order. Rows of the same
    score share their places. Queries count by the mean weight of their rows; those without a relevant row do not.
    """

    def prepare(y: Any, answer: Any, labels: Labels) -> Score:
        truth, given = np.asarray(y, dtype=np.float64), np.asarray(answer, dtype=np.float64)
        queries = np.asarray(labels)
        if truth.ndim != 1 or given.shape != truth.shape or queries.shape != truth.shape:
            raise SchemaError(
                ErrorCode.WRONG_SHAPE,
                f"{given.size} scores and {queries.size} queries for {truth.size} targets",
                wanted="one of each a row",
            )
        _, query = np.unique(queries, return_inverse=True)
        gains = 2.0**truth - 1.0
        found = np.asarray(np.bincount(query, weights=gains * _discounts(query, given, most)), dtype=np.float64)
        best = np.asarray(np.bincount(query, weights=gains * _discounts(query, truth, most)), dtype=np.float64)
        sizes = np.bincount(query)
        counted = (best > 0.0) / sizes
        share = ratio(found, best)
        worth = np.where(best > 0.0, share, 0.0) / sizes
        if not np.isfinite(given).all():
            return lambda weights: np.full(len(weights), np.nan)
        return lambda weights: ratio(weights @ worth[query], weights @ counted[query])

    return prepare


def _discounts(query: Any, score: Floats, most: int | None) -> Floats:
    """What the place of each row in its query is worth, the highest score first; equal scores share theirs."""
    order = np.lexsort((-score, query))
    firsts = np.searchsorted(query[order], query[order], side="left")
    places = np.arange(len(order)) - firsts
    worth = 1.0 / np.log2(places + 2.0)
    if most is not None:
        worth[places >= most] = 0.0
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(query[order]) != 0) | (np.diff(score[order]) != 0)
    tie = np.cumsum(new) - 1
    shared = np.bincount(tie, weights=worth) / np.bincount(tie)
    discounts = np.empty(len(order))
    discounts[order] = shared[tie]
    return discounts
