"""Columns that are not needed are left out, those that are needed stay, and the model does not ask for them."""

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.core import Resources, UsageError, Work
from lepton.data import read
from lepton.training import Options, select_features, selection as selection_module
from tests.training.conftest import KINDS, make_frame


def noisy(num_rows=600, seed=0):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, num_rows))
    kind = rng.choice(["a", "b", "c"], num_rows)
    noise = {f"noise{i}": rng.normal(size=num_rows) for i in range(4)}
    target = 3 * first + second**2 + 2 * (kind == "a") + 0.3 * rng.normal(size=num_rows)
    said = rng.choice(["x", "y"], num_rows)
    return pl.DataFrame({"first": first, "second": second, "kind": kind, "said": said, **noise, "target": target})


WORK = Work(seed=1, resources=Resources(cpus=1))


@pytest.fixture(scope="module")
def selection():
    return select_features(read(noisy()), target="target", work=WORK)


def test_noise_is_left_out_and_the_rest_stays(selection):
    assert {"first", "second", "kind"}.isdisjoint(selection.left_out)
    assert len(selection.left_out) >= 3
    assert selection.after <= selection.before
    assert set(selection.importance) == set(noisy().columns) - {"target"}
    assert selection.importance["first"] > 20 * max(selection.importance[name] for name in selection.left_out)
    roles = {column.name: str(column.role) for column in selection.table.schema}
    assert all(roles[name] == "ignored" for name in selection.left_out)
    (note,) = selection.notes
    assert all(name in note for name in selection.left_out)
    assert "rmse" in note


def test_the_same_rows_and_seed_give_the_same_columns(selection):
    again = select_features(read(noisy()), target="target", work=WORK)
    assert (again.left_out, again.after) == (selection.left_out, selection.after)


def test_columns_with_a_direction_stay():
    needed = select_features(
        read(noisy()), target="target", options=Options(monotone={"noise0": 1, "noise1": -1}), work=WORK
    )
    assert {"noise0", "noise1"}.isdisjoint(needed.left_out)


def test_where_the_time_is_short_all_stay(monkeypatch):
    monkeypatch.setattr(selection_module, "_SHARE", 1e-6)
    needed = select_features(read(noisy()), target="target", work=Work("60s", seed=1))
    assert needed.left_out == ()
    assert "not enough" in needed.notes[0]


def test_every_kind_of_column_can_be_shuffled_and_left_out():
    frame = (
        make_frame(300).drop("price", "level").with_columns(noted=pl.Series([f"a note on {i % 7}" for i in range(300)]))
    )
    kinds = {name: kind for name, kind in KINDS.items() if name in frame.columns} | {"noted": "text"}
    needed = select_features(read(frame, kinds=kinds), target="dear", work=WORK)
    assert "size" not in needed.left_out
    assert set(needed.importance) == {"size", "rooms", "town", "when", "new", "noted"}


def test_other_tasks_are_refused():
    with pytest.raises(UsageError, match="quantile"):
        select_features(read(noisy()), target="target", task="quantile", work=WORK)


def test_the_model_does_not_ask_for_what_was_left_out(tmp_path):
    model = lepton.train(
        noisy(), target="target", select_features=True, learners=["linear"], within="20s", output=tmp_path / "m.lepton"
    )
    names = [column.name for column in model.inputs]
    assert {"first", "second", "kind"} <= set(names)
    assert len(names) <= 5
    assert any(note.startswith("left out") for note in model.leaderboard().notes)
    model.predict(noisy().select(names))
