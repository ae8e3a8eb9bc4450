"""The reference page names every metric, for the tasks that it fits."""

from __future__ import annotations

import re
from pathlib import Path

from lepton.core import TASKS
from lepton.evaluation import METRICS, metrics_of

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text("utf-8")


def test_every_metric_has_a_heading_that_says_its_tasks_and_direction() -> None:
    described = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^#)", PAGE, re.M | re.S))
    assert set(described) == set(METRICS)
    for name, text in described.items():
        tasks = re.search(r"((?:Binary|Multi(?:class|label)|Quantile|Ranking|Regression)[a-z, ]*)\.\s*\Z", text)
        assert tasks, name
        assert tuple(tasks[1].lower().split(", ")) == tuple(sorted(METRICS[name].tasks)), name
        assert ("higher is better" in text) is METRICS[name].greater_is_better, name


def test_the_table_lists_the_metrics_of_each_task_default_first() -> None:
    for task in (each.name for each in TASKS.values() if each.supervised and metrics_of(each.name)):
        row = re.search(rf"^\| {task} \| (.*) \|$", PAGE, re.M)
        assert row, task
        named = re.findall(r"`(\w+)`", row[1])
        assert named[0] == metrics_of(task)[0].name
        assert set(named) == {each.name for each in metrics_of(task)}
