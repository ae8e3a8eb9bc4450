"""What may be asked together, and what is said of the rest before a table is read."""

from pathlib import Path

import polars as pl
import pytest

from lepton.bundle import read_bundle
from lepton.core import Resources, UsageError, Work
from lepton.data import read
from lepton.training import Options, Request, SearchOptions


def request(**asked):
    return Request(**{"target": "y", "options": Options(), "search": SearchOptions(), **asked})


def test_several_targets_are_labels_of_a_row():
    assert request().kind is None
    assert request(target=["a", "b"]).kind == "multilabel"
    assert request(target=["a", "b"], task="binary").kind == "binary"
    assert request(target=["a", "b"]).targets == ("a", "b")
    assert request().targets == ()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"task": "clustering", "target": None, "metric": "auc"}, "metric='auc'"),
        ({"task": "anomaly", "target": None, "max_size": "1MB"}, "max_size='1MB'"),
        ({"task": "forecast", "search": SearchOptions(Path("there"))}, "workdir='there'"),
        ({"task": "forecast", "options": Options(coverage=0.9)}, "coverage=0.9"),
        ({"task": "forecast", "select_features": True}, "select_features=True"),
        ({"task": "binary", "horizon": 3}, "horizon=3"),
        ({"max_size": "much"}, "much"),
    ],
)
def test_what_the_task_has_no_use_for_is_refused_at_once(asked, told):
    with pytest.raises(UsageError, match=told):
        request(**asked)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"target": None}, "no target"),
        ({"target": ["x", "y"], "task": "regression"}, "got 2 targets with task='regression'"),
        ({"task": "forecast", "metric": len, "horizon": 2}, "function as metric"),
    ],
)
def test_what_cannot_be_learned_is_refused(asked, told, tmp_path):
    table = read(pl.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}))
    with pytest.raises(UsageError, match=told):
        request(**asked).learn(table, output=tmp_path / "m.lepton", is_kept=True, work=Work())


def test_roles_that_are_asked_for_are_those_of_the_table_that_was_learned(tmp_path):
    rows = range(60)
    frame = pl.DataFrame({"x": [float(i % 7) for i in rows], "shop": [f"s{i % 5}" for i in rows], "w": [1.0] * 60})
    frame = frame.with_columns(y=pl.col("x") * 2.0)
    asked = request(options=Options(learners=["linear"]), group="shop", weight="w")
    work = Work(resources=Resources(cpus=1))
    learned = asked.learn(read(frame), output=tmp_path / "m.lepton", is_kept=True, work=work)
    assert [str(learned.schema[name].role) for name in ("shop", "w")] == ["group", "weight"]
    assert [column.name for column in read_bundle(tmp_path / "m.lepton").manifest.inputs] == ["x"]
