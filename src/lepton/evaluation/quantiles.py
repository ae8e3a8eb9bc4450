"""The kernel of the metric of quantiles: `y` float64 [N], `answer` float64 [N, Q], `labels` their shares [Q]."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.core import ErrorCode, SchemaError
from lepton.evaluation.classification import Labels, Score, mean_of

__all__ = ["pinball"]


def pinball(y: Any, answer: Any, labels: Labels) -> Score:
    """Mean over rows and quantiles of `share * (y - answer)` where the answer is too low, else of the rest of it."""
    truth, given = np.asarray(y, dtype=np.float64), np.asarray(answer, dtype=np.float64)
    shares = np.array(labels, dtype=np.float64)
    if given.shape != (len(truth), len(shares)):
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"quantiles have the shape {list(given.shape)}",
            wanted=f"{[len(truth), len(shares)]}: one row for each target, one column a share",
        )
    short = truth[:, None] - given
    return mean_of(np.maximum(shares * short, (shares - 1.0) * short).mean(axis=1))
