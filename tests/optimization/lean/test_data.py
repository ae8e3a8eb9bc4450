"""Rows of every kind, in three parts: by labels, groups or time, from tables, folders and arrays."""

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.bundle import open_model
from lepton.core import DataError, UsageError, Work
from lepton.optimization.lean import data as module
from lepton.optimization.lean.data import Wish, gathered, material_of
from tests.bundle.pictures import picture_bytes, write_brightness, write_sums
from tests.bundle.test_series import write_forecaster
from tests.optimization.lean.ballast import parcels, write_heavy

WORK = Work(seed=3)
FRAME = parcels(1_200)


@pytest.fixture(scope="module")
def predictor(heavy):
    return open_model(heavy)


def parts(predictor, table, roles=None, **wish):
    found = material_of(predictor, lepton.read(table, roles=roles or {}), None, Wish(**wish), WORK)
    return found, (found.learn, found.choose, found.prove)


def test_three_parts_of_the_same_labels(predictor):
    _, found = parts(predictor, FRAME, segments=("shop",))
    assert [len(each) for each in found] == [540, 180, 480]
    shares = [np.bincount(each.answers.y, minlength=3) / len(each) for each in found]
    assert np.abs(shares[0] - shares[2]).max() < 0.01
    seen = np.concatenate([each.tensors["numbers"][:, 0] for each in found])
    assert len(np.unique(seen)) == 1_200  # no row is in two parts
    assert found[2].answers.columns.columns == ["shop"]
    again = parts(predictor, FRAME, segments=("shop",))[1]
    assert np.array_equal(again[2].tensors["numbers"], found[2].tensors["numbers"])


def test_groups_stay_together_and_what_is_later_proves(predictor):
    sender = pl.Series(np.arange(1_200) // 4).cast(pl.String)
    _, found = parts(predictor, FRAME.with_columns(sender=sender), {"sender": "group"})
    groups = [set(each.answers.columns["sender"].to_list()) for each in found]
    assert not groups[0] & groups[2]
    assert not groups[0] & groups[1]
    days = pl.Series(np.datetime64("2026-01-01") + np.arange(1_200).astype("timedelta64[D]"))
    _, found = parts(predictor, FRAME.with_columns(sent=days), {"sent": "time"})
    times = [each.answers.columns["sent"] for each in found]
    assert times[0].max() < times[1].min()
    assert times[1].max() < times[2].min()


def test_rows_of_the_training_are_told_of(tmp_path):
    data = lepton.read(FRAME)
    path = write_heavy(tmp_path / "trained.lepton", {"dataset": {"fingerprint": data.fingerprint()}})
    known = open_model(path)
    assert "trained on these very rows" in material_of(known, data, None, Wish(), WORK).notes[0]
    new = lepton.read(parcels(400, seed=8))
    assert not material_of(known, data, new, Wish(), WORK).notes


def test_rows_beyond_the_memory_are_drawn(predictor, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 600 * 32)
    found, three = parts(predictor, FRAME)
    assert sum(map(len, three)) < 650
    assert "of 1,200 rows were drawn" in found.notes[0]


def test_a_table_of_pictures_of_any_size(tmp_path):
    write_brightness(tmp_path / "bright.lepton")
    model = open_model(tmp_path / "bright.lepton")
    name, labels = model.inputs.names[0], model.labels
    assert labels is not None
    truth = np.arange(12) % 2
    for number, bright in enumerate(truth):
        picture_of = np.full((4 + number % 3, 5, 3), 40 + 160 * bright, np.uint8)
        (tmp_path / f"{number}.png").write_bytes(picture_bytes(picture_of))
    table = {name: [f"{number}.png" for number in range(12)], "label": [labels[each] for each in truth]}
    pl.DataFrame(table).write_csv(tmp_path / "t.csv")
    data = lepton.read(tmp_path / "t.csv", kinds={name: "image"})
    rows, sample, _ = gathered(model, data, Wish(), WORK)
    assert rows.tensors["image"].dtype == object
    assert all(isinstance(each, bytes) for each in sample)
    assert rows.answers.predicted.tolist() == truth.tolist()
    assert rows.take(np.arange(3)).judged(model).predicted.tolist() == truth[:3].tolist()
    with pytest.raises(DataError, match=f"no column '{name}'"):
        gathered(model, lepton.read({"label": list(labels)}), Wish(), WORK)


def test_plain_tensors_agree_with_themselves(tmp_path):
    write_sums(tmp_path / "sums.lepton")
    model = open_model(tmp_path / "sums.lepton")
    generator = np.random.default_rng(0)
    x = {
        each.name: generator.normal(size=(300, *(size or 4 for size in each.shape[1:]))).astype(np.float32)
        for each in model.manifest.tensors
    }
    found = material_of(model, (x, None), None, Wish(), WORK)
    assert not found.learn.labelled
    assert found.metric.name == "r2"
    answers = found.prove.answers
    assert answers.score(found.metric)(np.ones((1, answers.num_rows)))[0] == 1


def test_forecasts_are_refused(tmp_path):
    path = tmp_path / "sales.lepton"
    write_forecaster(path)
    with pytest.raises(UsageError, match="a model for forecasts"):
        gathered(open_model(path), (np.zeros((3, 2)), None), Wish(), WORK)
