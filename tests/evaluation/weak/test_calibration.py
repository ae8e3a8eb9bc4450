from __future__ import annotations

import json

import numpy as np
import pytest

from lepton.evaluation.answers import Answers
from lepton.evaluation.weak import calibration_error, calibration_parts
from tests.evaluation.weak.made import columns, labelled, numbered


def _answers(num_rows: int, *, off: float, seed: int, groups: np.ndarray | None = None) -> Answers:
    """Probabilities that are too sure of themselves by about `off`."""
    random = np.random.default_rng([seed, 3])
    true = random.uniform(0.2, 0.8, num_rows) if groups is None else random.uniform(0.2, 0.8, num_rows)[groups]
    y = (random.random(num_rows) < true).astype(np.int64)
    said = true + np.where(true > 0.5, off, -off)
    shares = np.stack([1 - said, said], axis=1)
    return Answers(
        "binary", "y", ("no", "yes"), y, shares.argmax(axis=1), shares, None, groups, columns(num_rows, seed)
    )


def test_chance_is_taken_away() -> None:
    found = [calibration_error(_answers(400, off=0.0, seed=seed)) for seed in range(15)]
    values = np.array([each.value for each in found], dtype=float)
    assert values.mean() < 0.025  # what is computed without it is 0.055
    assert sum(each.lower == 0 for each in found) >= 13


def test_the_interval_holds_what_is_true() -> None:
    found = [calibration_error(_answers(600, off=0.1, seed=seed)) for seed in range(16)]
    assert np.mean([each.value for each in found if each.value is not None]) == pytest.approx(0.095, abs=0.015)
    inside = [each.lower <= 0.1 <= each.upper for each in found if each.lower is not None and each.upper is not None]
    assert len(inside) == 16
    assert sum(inside) >= 13


def test_people_make_it_wider() -> None:
    groups = np.repeat(np.arange(30), 20)
    alone, together = _answers(600, off=0.1, seed=1), _answers(600, off=0.1, seed=1, groups=groups)
    first, second = calibration_error(alone), calibration_error(together)
    assert first.upper is not None
    assert first.lower is not None
    assert second.upper is not None
    assert second.lower is not None
    assert second.upper - second.lower > first.upper - first.lower


def test_of_many_labels_the_likeliest_is_looked_at() -> None:
    found = calibration_error(labelled(2_000, wrong=(0.3, 0.3), num_labels=4))
    assert found.value == pytest.approx(0.2, abs=0.04)  # it says 0.9, and 0.7 are right


def test_what_cannot_be_told() -> None:
    assert "too few" in calibration_error(labelled(10)).reason
    assert "no probability" in calibration_error(numbered(100)).reason
    answers = labelled(100)
    assert answers.probabilities is not None
    answers.probabilities[3] = np.nan
    assert "not finite" in calibration_error(answers).reason


def test_constant_probabilities_and_rows_without_weight() -> None:
    right = labelled(200, wrong=(0.0, 0.0), num_labels=3)
    found = calibration_error(right)
    assert found.value == pytest.approx(0.1, abs=1e-3)
    assert found.lower == pytest.approx(0.1, abs=1e-3)
    weight = np.where(np.arange(200) < 100, 0.0, 1.0)
    weighed = labelled(200, wrong=(0.0, 0.0), num_labels=3, weight=weight)
    assert calibration_error(weighed).value == pytest.approx(0.1, abs=1e-3)


def test_parts_differ() -> None:
    part = columns(3_000)["new"].to_numpy()
    parts = {each.value: each for each in calibration_parts(labelled(3_000, part=part), "new")}
    yes, no = parts["yes"].error, parts["no"].error
    assert yes is not None
    assert no is not None
    assert yes.lower is not None
    assert no.upper is not None
    assert yes.lower > no.upper
    json.dumps([each.to_dict() for each in parts.values()], allow_nan=False)


def test_intervals_of_numbers_in_parts() -> None:
    part = columns(2_000)["new"].to_numpy()
    answers = numbered(2_000, part=part, times=3.0)
    answers.beside.update(lower=answers.predicted - 1.645, upper=answers.predicted + 1.645)
    parts = {each.value: each for each in calibration_parts(answers, "new")}
    yes, no = parts["yes"].coverage, parts["no"].coverage
    assert yes is not None
    assert no is not None
    assert yes.upper is not None
    assert no.value == pytest.approx(0.9, abs=0.03)
    assert yes.upper < 0.6
    few = calibration_parts(answers.only(np.arange(2_000) < 20), "new")
    assert all(each.coverage is not None and "too few" in each.coverage.reason for each in few)
