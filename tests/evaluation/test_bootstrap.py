"""Intervals: known cases, coverage by simulation, pairing, groups, weights."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from lepton.core import Interrupted, Work
from lepton.evaluation import METRICS, Estimate, bootstrap, metrics_of
from lepton.evaluation.classification import mean_of


def covered(estimate: Estimate, truth: float) -> bool:
    assert estimate.lower is not None
    assert estimate.upper is not None
    return estimate.lower <= truth <= estimate.upper


def test_an_interval_of_a_mean_is_that_of_theory() -> None:
    rows = np.random.default_rng(1).normal(10, 2, 400)
    found = bootstrap.intervals({"mean": mean_of(rows)}, 400)["mean"]
    half = 1.96 * rows.std() / math.sqrt(400)
    assert found.value == pytest.approx(rows.mean())
    assert found.lower == pytest.approx(rows.mean() - half, abs=0.1 * half)
    assert found.upper == pytest.approx(rows.mean() + half, abs=0.1 * half)


def test_intervals_of_a_mean_and_of_auc_cover_in_92_to_98_percent() -> None:
    # Scores of positives are normal around 1, of negatives around 0: the true area is Φ(1/√2) = 0.76025.
    runs, rows = 300, 200
    area, mean = 0.7602499389065233, 1.0
    hits = {"mean": 0, "area": 0}
    for run in range(runs):
        generator = np.random.default_rng([9, run])
        y = np.repeat([0, 1], rows // 2)
        score = generator.normal(y, 1.0)
        skewed = generator.exponential(mean, rows)
        scores = {
            "mean": mean_of(skewed),
            "area": METRICS["roc_auc"].over(y, np.stack([-score, score], axis=1), range(2)),
        }
        found = bootstrap.intervals(scores, rows, resamples=400, seed=run)
        hits["mean"] += covered(found["mean"], mean)
        hits["area"] += covered(found["area"], area)
    assert all(0.92 <= count / runs <= 0.98 for count in hits.values()), hits


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    score = {"mean": mean_of(np.random.default_rng(3).normal(size=50))}
    first, again, other = (bootstrap.intervals(score, 50, seed=seed)["mean"] for seed in (5, 5, 6))
    assert first == again
    assert first.lower != other.lower


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    generator = np.random.default_rng(4)
    y = generator.normal(size=300)
    shared = generator.normal(size=300)
    first, second = (METRICS["mae"].over(y, y + shared + generator.normal(0, 0.05, 300)) for _ in range(2))
    found = bootstrap.intervals({"a": first, "d": bootstrap.difference(first, second)}, 300)

    def width(estimate: Estimate) -> float:
        assert estimate.lower is not None
        assert estimate.upper is not None
        return estimate.upper - estimate.lower

    assert width(found["d"]) < 0.2 * width(found["a"])
    assert covered(found["d"], 0.0)


def test_a_score_against_itself_differs_by_nothing() -> None:
    score = mean_of(np.arange(10.0))
    assert bootstrap.intervals({"d": bootstrap.difference(score, score)}, 10)["d"] == Estimate(0.0, 0.0, 0.0)


def test_rows_of_a_group_are_drawn_together() -> None:
    generator = np.random.default_rng(5)
    groups = np.repeat(np.arange(20), 50)
    rows = generator.normal(size=20)[groups]  # every row of a group says the same: 20 facts, not 1,000
    score = {"mean": mean_of(rows)}
    alone, together = (bootstrap.intervals(score, 1000, groups=g)["mean"] for g in (None, groups))
    assert together.upper is not None
    assert together.lower is not None
    assert alone.upper is not None
    assert alone.lower is not None
    assert (together.upper - together.lower) > 4 * (alone.upper - alone.lower)
    block = next(bootstrap.weightings(1000, 3, groups=groups))
    assert all((row.reshape(20, 50) == row.reshape(20, 50)[:, :1]).all() for row in block)


def test_parts_are_drawn_whole_beside_their_rows() -> None:
    parts = np.repeat([0, 1, 2, 3], 25)
    weights = np.concatenate(list(bootstrap.weightings(100, 50, parts=parts, seed=1)))
    of_parts = weights.reshape(50, 4, 25).sum(axis=2)
    assert (of_parts == 0.0).any()  # a part that was not drawn
    assert (of_parts > 40.0).any()  # one that was drawn twice and more
    values = np.random.default_rng(0).normal(size=100) + np.array([0.0, 1.0, 2.0, 3.0])[parts]
    score = mean_of(values)
    rows = bootstrap.intervals({"m": score}, 100, seed=0)["m"]
    both = bootstrap.intervals({"m": score}, 100, parts=parts, seed=0)["m"]
    assert rows.value == both.value
    assert both.upper - both.lower > 1.5 * (rows.upper - rows.lower)  # type: ignore[operator]


def test_resamples_draw_as_many_rows_as_there_are_and_carry_the_weights() -> None:
    weight = np.array([0.5, 2.0, 0.0])
    blocks = list(bootstrap.weightings(3, 7, seed=1))
    assert sum(len(block) for block in blocks) == 7
    assert all((block.sum(axis=1) == 3).all() for block in blocks)
    weighted = list(bootstrap.weightings(3, 7, weight=weight, seed=1))
    assert all((w == b * weight).all() for w, b in zip(weighted, blocks, strict=True))


def test_an_undefined_score_has_a_reason_instead_of_a_value() -> None:
    y = np.array([1] * 9 + [0])
    scores = {
        "never": METRICS["roc_auc"].over(np.ones(10, dtype=int), np.full((10, 2), 0.5), range(2)),
        "often": METRICS["roc_auc"].over(y, np.full((10, 2), 0.5), range(2)),
    }
    found = bootstrap.intervals(scores, 10, undefined=dict.fromkeys(scores, "there is one class"))
    assert found["never"] == Estimate(None, reason="there is one class")
    assert found["never"].to_dict() == {"value": None, "lower": None, "upper": None, "reason": "there is one class"}
    assert found["often"].value == 0.5
    assert found["often"].lower is None
    assert "% of the resamples there is one class" in found["often"].reason


def test_fewer_resamples_where_rows_or_labels_are_many() -> None:
    assert bootstrap.num_resamples(100_000) == 1_000
    assert bootstrap.num_resamples(100_001) == 200
    assert bootstrap.num_resamples(20_000, num_labels=10) == 1_000
    assert bootstrap.num_resamples(20_000, num_labels=11) == 200


def test_a_remembered_score_is_asked_once_for_the_same_weights() -> None:
    asked = []

    def score(weights: np.ndarray) -> np.ndarray:
        asked.append(len(weights))
        return np.asarray(weights.sum(axis=1))

    remembered = bootstrap.once(score)
    one, two = np.ones((1, 3)), np.ones((2, 3))
    assert [remembered(w).tolist() for w in (one, one, two, one)] == [[3], [3], [3, 3], [3]]
    assert asked == [1, 2, 1]


def test_work_that_is_stopped_stops() -> None:
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        bootstrap.intervals({"mean": mean_of(np.ones(5))}, 5, work=work)


def test_twenty_thousand_rows_and_every_metric_stay_quick() -> None:
    generator = np.random.default_rng(6)
    y = generator.integers(0, 2, 20_000)
    positive = generator.random(20_000)
    probabilities = np.stack([1 - positive, positive], axis=1)
    scores = {
        each.name: each.over(y, probabilities if each.needs == "probabilities" else positive > 0.5, range(2))
        for each in metrics_of("binary")
    }
    started = time.process_time()
    bootstrap.intervals(scores, 20_000, resamples=100)
    # A tenth of the resamples in half of the time that all may take (2 s): loose, the machine is shared.
    assert time.process_time() - started < 1.0
