"""What `lepton train` asks of a model beyond its metric, as it is typed."""

import json

import numpy as np
import polars as pl
import pytest

from lepton.cli.model_options import ModelOptions
from lepton.core import DataError, UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("asked")
    age = rng.uniform(20, 80, 300)
    ill = rng.random(300) < 1 / (1 + np.exp(-(age - 60) / 8))
    frame = pl.DataFrame(
        {"age": age.round(2), "dose": rng.normal(size=300).round(3), "state": np.where(ill, "ill", "well")}
    )
    frame.write_csv(folder / "people.csv")
    (folder / "costs.json").write_text(json.dumps({"ill": {"well": 1e6}}))
    (folder / "wrong.json").write_text("3")
    return folder


def test_what_is_typed_is_what_is_trained(folder, call, monkeypatch):
    monkeypatch.chdir(folder)
    asked = ("--costs", "costs.json", "--monotone", "age=-1")
    code, envelope = call("train", "people.csv", "--target", "state", *asked, "--within", "8s")
    assert code == 0
    assert any("age grows" in note for note in envelope["notes"])
    code, _ = call("predict", "people.lepton", "people.csv", "-o", "answers.csv")
    assert code == 0
    assert set(pl.read_csv("answers.csv")["prediction"]) == {"ill"}  # a miss costs a million


def test_learners_that_are_named(folder, call, monkeypatch):
    monkeypatch.chdir(folder)
    code, envelope = call("train", "people.csv", "--target", "state", "--learners", "rules", "-o", "rules.lepton")
    assert code == 0
    assert {row["learner"] for row in envelope["result"]["leaderboard"]} == {"baseline", "rules"}
    code, envelope = call("train", "people.csv", "--target", "state", "--learners", "neighbours")
    assert code == 2
    assert "--keep-rows" in envelope["error"]["wanted"]


def test_a_label_that_is_not_there(folder, call, monkeypatch):
    monkeypatch.chdir(folder)
    code, envelope = call("train", "people.csv", "--target", "state", "--class-weight", "il=2", "--within", "8s")
    assert code == 2
    assert "did you mean 'ill'" in envelope["error"]["fix"]


def test_arguments(folder):
    assert ModelOptions().arguments() == {}
    assert ModelOptions(class_weight=("balanced",)).arguments() == {"class_weight": "balanced"}
    found = ModelOptions(class_weight=("a=b=2", "1=0.5"), monotone=("x=+1", "y=-1")).arguments()
    assert found == {"class_weight": {"a=b": 2.0, "1": 0.5}, "monotone": {"x": 1, "y": -1}}
    asked = ModelOptions(learners=("rules", "neighbours"), keep_rows=True)
    assert asked.arguments() == {"learners": ("rules", "neighbours"), "keep_rows": True}
    assert ModelOptions(costs=folder / "costs.json").arguments()["costs"] == {"ill": {"well": 1e6}}


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        (ModelOptions(class_weight=("even",)), UsageError, "--class-weight 'even'"),
        (ModelOptions(class_weight=("balanced", "a=1")), UsageError, "'balanced'"),
        (ModelOptions(class_weight=("=1",)), UsageError, "LABEL=WEIGHT"),
        (ModelOptions(monotone=("age",)), UsageError, "COLUMN=1 or COLUMN=-1"),
        (ModelOptions(monotone=("age=2",)), UsageError, "'age=2'"),
    ],
)
def test_what_is_typed_wrongly(asked, error, told):
    with pytest.raises(error) as caught:
        asked.arguments()
    assert told in str(caught.value)


def test_a_file_without_costs(folder):
    with pytest.raises(DataError, match="false_positive"):
        ModelOptions(costs=folder / "wrong.json").arguments()
