from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lepton.core import UsageError
from lepton.evaluation.answers import Answers
from lepton.evaluation.metrics import METRICS
from lepton.evaluation.weak import find_slices
from lepton.evaluation.weak.losses import row_losses
from tests.evaluation.weak.made import columns, labelled, numbered


@pytest.mark.parametrize("metric", ["accuracy", "brier"])
def test_the_mean_of_the_losses_is_the_metric(metric: str) -> None:
    answers = labelled(400, num_labels=3)
    given = answers.predicted if metric == "accuracy" else answers.probabilities
    value = METRICS[metric](answers.y, given, None, range(3))
    mean = row_losses(answers, metric).values.mean()
    assert mean == pytest.approx(1 - value if metric == "accuracy" else value)


@pytest.mark.parametrize(("metric", "power"), [("rmse", 2), ("mae", 1), ("r2", 2), ("median_absolute_error", 1)])
def test_errors_of_numbers(metric: str, power: int) -> None:
    answers = numbered(1_000)
    found = row_losses(answers, metric)
    error = np.abs(answers.y - answers.predicted) ** power
    assert found.cut
    assert (found.values <= error).all()
    assert (found.values == error).mean() >= 0.99


def test_of_several_labels_and_of_quantiles() -> None:
    y = np.tile([[1, 0], [0, 1]], (50, 1))
    shares = np.full((100, 2), 0.5)
    several = Answers("multilabel", "a, b", ("a", "b"), y, np.ones((100, 2)), shares, None, None, columns(100))
    assert row_losses(several, "log_loss").values == pytest.approx(np.log(2))
    assert row_losses(several, "accuracy").values == pytest.approx(1.0)
    assert find_slices(several).found == ()
    quantiles = {"quantiles": np.zeros((100, 2))}
    numbers = replace(numbered(100), task="quantile", y=np.ones(100), shares=(0.1, 0.9), beside=quantiles)
    assert row_losses(numbers).values == pytest.approx(0.5)


def test_rows_of_a_query_share_what_its_order_lacks() -> None:
    y, scores = np.array([1.0, 0.0, 0.0, 1.0]), np.array([2.0, 1.0, 2.0, 1.0])
    ranked = Answers("ranking", "y", (), y, scores, None, None, np.array([0, 0, 1, 1]), columns(4))
    assert row_losses(ranked).values == pytest.approx([0, 0, 1 - 1 / np.log2(3), 1 - 1 / np.log2(3)])


def test_a_metric_of_another_task_is_refused() -> None:
    with pytest.raises(UsageError, match="rmse"):
        row_losses(labelled(10), "rmse")
