"""Tasks name their outputs in the one order of the contract."""

from __future__ import annotations

import pytest

from lepton.core import OUTPUT_ORDER, TASKS, UsageError, task_record


@pytest.mark.parametrize("name", TASKS)
def test_outputs_stand_in_order(name):
    task = task_record(name)
    assert task.name == name
    positions = [OUTPUT_ORDER.index(output) for output in task.outputs]
    assert positions == sorted(set(positions))
    assert task.classifies == ("probabilities" in task.outputs)


def test_classes_have_probabilities():
    assert [name for name in TASKS if task_record(name).classifies] == ["binary", "multiclass", "multilabel"]
    assert [name for name in TASKS if task_record(name).several] == ["multilabel"]


def test_an_unknown_task():
    with pytest.raises(UsageError, match=r"got the task 'guess'.*one of regression, binary, multiclass"):
        task_record("guess")
