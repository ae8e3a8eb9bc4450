"""Answers with losses that are known, and models that carry statistics of known rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl

from lepton.bundle import Predictor
from lepton.core import ColumnRecord, Kind, Role, Schema
from lepton.data.statistics import Baseline
from lepton.evaluation.answers import Answers
from lepton.evaluation.classification import Floats, Positions


def columns(num_rows: int, seed: int = 0) -> pl.DataFrame:
    """Two numbers, a category, a truth value, a moment; some cells missing."""
    random = np.random.default_rng([seed, 7])
    days = random.integers(0, 3_000, num_rows).astype("timedelta64[D]")
    age = pl.Series(random.normal(50, 15, num_rows).round(1))
    return pl.DataFrame(
        {
            "age": age.scatter(np.flatnonzero(random.random(num_rows) < 0.1), None),
            "income": np.exp(random.normal(10, 1, num_rows)),
            "town": random.choice(["Oslo", "Bergen", "Ålesund"], num_rows, p=[0.5, 0.3, 0.2]),
            "new": random.random(num_rows) < 0.3,
            "since": np.datetime64("2015-01-01") + days,
        }
    )


def labelled(
    num_rows: int,
    *,
    part: np.ndarray | None = None,
    wrong: tuple[float, float] = (0.1, 0.5),
    seed: int = 0,
    frame: pl.DataFrame | None = None,
    weight: Floats | None = None,
    groups: Positions | None = None,
    num_labels: int = 2,
) -> Answers:
    """Answers to labels that are wrong with one chance, and in `part` with another."""
    random = np.random.default_rng([seed, 8])
    labels = ("no", "yes") if num_labels == 2 else tuple("abcdefgh"[:num_labels])
    predicted = random.integers(0, num_labels, num_rows)
    chance = np.full(num_rows, wrong[0])
    if part is not None:
        chance[part] = wrong[1]
    fails = random.random(num_rows) < chance
    y = np.where(fails, (predicted + 1) % num_labels, predicted)
    shares = np.full((num_rows, num_labels), 0.1 / (num_labels - 1))
    shares[np.arange(num_rows), predicted] = 0.9
    kept = columns(num_rows, seed) if frame is None else frame
    task = "binary" if num_labels == 2 else "multiclass"
    return Answers(task, "bought", labels, y, predicted, shares, weight, groups, kept)


def numbered(num_rows: int, *, part: np.ndarray | None = None, times: float = 2.0, seed: int = 0) -> Answers:
    """Answers in numbers whose errors are larger in `part`."""
    random = np.random.default_rng([seed, 8])
    error = random.normal(size=num_rows)
    if part is not None:
        error[part] *= times
    predicted = random.normal(size=num_rows)
    return Answers("regression", "y", (), predicted + error, predicted, None, None, None, columns(num_rows, seed))


def model_with(frame: pl.DataFrame, kinds: dict[str, Kind]) -> Predictor:
    """What the outlier score asks of a model: its inputs and the statistics of `frame` in its bundle."""
    records = tuple(ColumnRecord(name, kind, role=Role.FEATURE) for name, kind in kinds.items())
    members = Baseline.of(frame, Schema(records), {}).to_members() if frame.height else {}
    held = {f"baseline/{name}": data for name, data in members.items()}
    bundle = SimpleNamespace(names=tuple(held), member=held.__getitem__)
    fake: Any = SimpleNamespace(bundle=bundle, manifest=SimpleNamespace(inputs=records))
    return cast("Predictor", fake)
