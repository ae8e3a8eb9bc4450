"""Rows and models whose verdicts are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import Predictor
from lepton.data import Dataset, read
from lepton.evaluation.verify import Result, Verification, rules_of, verify
from tests.evaluation.models import binary_model


def bought(rows: int = 200, *, seed: int = 0, slope: float = 2.0) -> pl.DataFrame:
    """`bought` is "yes" with the probability that `binary_model(…, 2.0)` answers; the rest has no part in it."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=rows)
    yes = draw.random(rows) < 1 / (1 + np.exp(-slope * x))
    return pl.DataFrame(
        {
            "x": x,
            "bought": np.where(yes, "yes", "no"),
            "region": draw.choice(["north", "south"], rows),
            "sex": draw.choice(["f", "m"], rows),
        }
    )


def dataset(frame: pl.DataFrame, **kinds: str) -> Dataset:
    return read(frame, kinds={"bought": "category", **kinds} if "bought" in frame.columns else kinds)


def outcome(
    predictor: Predictor, frame: pl.DataFrame | None, *rules: Any, training: pl.DataFrame | None = None, **options: Any
) -> Verification:
    learned = None if training is None else dataset(training)
    given = None if frame is None else dataset(frame)
    return verify(predictor, given, rules_of(list(rules)), training=learned, **options)


def judged(predictor: Predictor, frame: pl.DataFrame | None, rule: Any, **options: Any) -> Result:
    """What becomes of one rule."""
    (found,) = outcome(predictor, frame, rule, **options).results
    return found


def model(folder: Path, slope: float = 2.0, **named: Any) -> Predictor:
    return binary_model(folder, slope, **named)
