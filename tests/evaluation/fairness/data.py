"""Answers and tables whose fairness is known by counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from lepton.evaluation.answers import Answers


def counted(cells: dict[str, tuple[int, int, int, int]], *, weight: Any = None, **columns: Any) -> Answers:
    """Answers with so many (true positive, false positive, false negative, true negative) rows of each group."""
    true, given, group = [], [], []
    for name, (tp, fp, fn, tn) in cells.items():
        true += [1] * tp + [0] * fp + [1] * fn + [0] * tn
        given += [1] * (tp + fp) + [0] * (fn + tn)
        group += [name] * (tp + fp + fn + tn)
    frame = pl.DataFrame({"group": group, **columns})
    return Answers("binary", "y", ("no", "yes"), np.array(true), np.array(given), None, weight, None, frame)


def lenders(rows: int = 1_200, seed: int = 0, *, gap: float = 1.0) -> pl.DataFrame:
    """Applicants: x is worth `gap` less to those of group b, and zip tells the group in nine of ten rows."""
    rng = np.random.default_rng(seed)
    b = rng.random(rows) < 0.5
    x = rng.normal(size=rows) - gap * b
    bought = np.where(rng.random(rows) < 1 / (1 + np.exp(-2 * x)), "yes", "no")
    near = rng.random(rows) < 0.9
    return pl.DataFrame(
        {
            "x": x,
            "group": np.where(b, "b", "a"),
            "age": rng.integers(18, 90, rows),
            "zip": np.where(b == near, 1.0, 0.0) + rng.normal(0, 0.1, rows),
            "bought": bought,
        }
    )
