"""Where a model errs: the classes and the ranges of columns whose rows are answered worse than others."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import Kind
from lepton.training.base import Doubles
from lepton.training.honesty.alone import bins_of
from lepton.training.honesty.judged import Judged

__all__ = ["errors_of"]

_BINS = 8
_LEAST_ROWS = 30
_LEAST_RATIO = 1.3  # of the mean loss there over that of all rows
_ERRORS = 4.0  # standard errors: so many places are looked at
_SHOWN = 5
_OUTLIERS = 0.995  # quantile that losses are cut at: a place is not bad for one row


def errors_of(judged: Judged, seconds: float = np.inf) -> list[dict[str, Any]]:
    """Classes and ranges of single columns with much more than their share of the loss, the most loss first.

    Args:
        judged: scored rows.
        seconds: that this may take.

    Returns:
        At most five places: `column` (None for a class of the target), `where`, `rows` and the share of `rows`
        and `loss` that they have, and the `ratio` of the two.
    """
    losses = judged.losses
    losses = np.minimum(losses, np.quantile(losses, _OUTLIERS))
    if judged.num_rows < 2 * _LEAST_ROWS or losses.sum() <= 0.0:
        return []
    places: list[dict[str, Any]] = []
    if judged.labels is not None:
        names = tuple(str(label) for label in judged.labels)
        places += _places(None, judged.truth.astype(np.int64), names, losses)
    end = time.monotonic() + seconds
    for column in judged.columns:
        if time.monotonic() >= end:
            break
        if column.kind is not Kind.TEXT:
            bins = bins_of(judged.frame[column.name], column, _BINS, tails=False)
            places += _places(column.name, bins.codes, bins.names, losses)[:1]
    places.sort(key=lambda place: place["rows_share"] - place["loss_share"])
    return places[:_SHOWN]


def _places(column: str | None, codes: NDArray[np.int64], names: tuple[str, ...], losses: Doubles) -> list[Any]:
    """Bins of one column that are clearly worse than the rest, the worst first."""
    found = []
    for code in np.unique(codes):
        inside = codes == code
        own, rest = losses[inside], losses[~inside]
        if len(own) < _LEAST_ROWS or len(rest) < _LEAST_ROWS:
            continue
        ratio = own.mean() / losses.mean()
        error = np.sqrt(own.var() / len(own) + rest.var() / len(rest))
        if ratio < _LEAST_RATIO or own.mean() - rest.mean() < _ERRORS * error:
            continue
        found.append(
            {
                "column": column,
                "where": names[code],
                "rows": len(own),
                "rows_share": len(own) / len(losses),
                "loss_share": float(own.sum() / losses.sum()),
                "ratio": float(ratio),
            }
        )
    return sorted(found, key=lambda place: place["rows_share"] - place["loss_share"])
