from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Predictor, open_model, read_bundle, write_bundle
from lepton.core import DataError, UsageError, Work
from lepton.data import read
from lepton.data.statistics import Baseline
from lepton.evaluation.weak import WeakPlaces, weak_places
from tests.evaluation.models import binary_model, linear_model
from tests.evaluation.robustness.models import pictures


def _rows(num_rows: int = 1_500, seed: int = 0) -> pl.DataFrame:
    """Rows of a model P(yes) = 1 / (1 + exp(-2 x)); in the town of B the truth is turned round in every second row."""
    random = np.random.default_rng(seed)
    x = random.normal(size=num_rows)
    town = random.choice(["A", "B", "C"], num_rows)
    yes = random.random(num_rows) < 1 / (1 + np.exp(-2 * x))
    yes ^= (town == "B") & (random.random(num_rows) < 0.5)
    return pl.DataFrame({"x": x, "town": town, "bought": np.where(yes, "yes", "no")})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("weak")
    binary_model(folder, 2.0)
    bundle = read_bundle(folder / "linear.lepton")
    frame = _rows(seed=1)
    baseline = Baseline.of(frame, read(frame.select("x")).schema, {}).to_members()
    graph = bundle.member("model.onnx")
    write_bundle(folder / "full.lepton", manifest=bundle.manifest, graph=graph, baseline=baseline)
    return open_model(folder / "full.lepton")


@pytest.fixture(scope="module")
def found(model: Predictor) -> WeakPlaces:
    return weak_places(model, read(_rows()))


def test_the_town_is_found_though_the_model_does_not_take_it(found: WeakPlaces) -> None:
    assert found.slices is not None
    assert [each.text for each in found.slices.found] == ["town is B"]
    parts = {each.value: each.metrics["log_loss"] for each in found.segments["town"]}
    assert parts["B"].lower is not None
    assert parts["A"].upper is not None
    assert parts["B"].lower > parts["A"].upper


def test_everything_is_there(found: WeakPlaces) -> None:
    assert found.calibration is not None
    of_b = found.calibration.slices[0].error
    assert of_b is not None
    assert of_b.lower is not None
    assert of_b.lower > 0.1
    assert found.confident is not None
    assert all(each.values["town"] == "B" for each in found.confident.cases[:5])
    assert {(each.truth, each.answer) for each in found.confused} == {("no", "yes"), ("yes", "no")}
    assert found.outliers.watched == ("x",)
    assert found.outliers.share <= 0.02
    raw = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert raw["slices"]["found"][0]["num_rows"] == found.slices.found[0].num_rows if found.slices else False


def test_text_and_page(found: WeakPlaces) -> None:
    text = found.text()
    for heading in ("Weak parts", "Calibration", "Mistakes it was sure of", "Labels taken for others", "Rows unlike"):
        assert heading in text
    assert "town is B" in text
    html = found.page().html()
    assert "<svg" in html
    assert "town is B" in html
    assert found._repr_html_() == html


def test_without_labels(model: Predictor) -> None:
    frame = _rows().drop("bought").with_columns(x=pl.lit(1e6))
    found = weak_places(model, read(frame))
    assert found.slices is None
    assert found.calibration is None
    assert found.confidence is not None
    assert found.outliers.num_outside == frame.height
    assert any("cannot be said" in note for note in found.notes)
    assert "cannot be said" in found.text()
    assert "cannot be said" in found.page().html()
    with pytest.raises(DataError, match="target"):
        weak_places(model, read(frame), target="bougth")


def test_rows_left_out_are_counted(model: Predictor) -> None:
    frame = _rows(300).with_columns(bought=pl.when(pl.int_range(300) < 5).then(None).otherwise(pl.col("bought")))
    found = weak_places(model, read(frame))
    assert found.num_rows == 295
    assert any("5 rows were left out" in note for note in found.notes)


def test_more_rows_than_are_wanted(model: Predictor) -> None:
    found = weak_places(model, read(_rows(400)), max_rows=100)
    assert found.num_rows == 100
    assert "100 were drawn" in found.text()


def test_columns_that_are_asked_for(model: Predictor) -> None:
    found = weak_places(model, read(_rows(200)), columns=["town"])
    assert list(found.segments) == ["town"]
    assert found.slices is not None
    assert found.slices.num_columns == 1
    with pytest.raises(DataError, match="'twon'"):
        weak_places(model, read(_rows(50)), columns=["twon"])
    with pytest.raises(UsageError, match="rmse"):
        weak_places(model, read(_rows(50)), metric="rmse")


def test_ten_rows_and_a_model_without_statistics(tmp_path: Path) -> None:
    bare = binary_model(tmp_path, 2.0)
    found = weak_places(bare, read(_rows(10)))
    assert "nothing can be concluded" in found.text()
    assert "no statistics" in found.outliers.reason
    json.dumps(found.to_dict(), allow_nan=False)


def test_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, town = random.normal(size=800), random.choice(["A", "B"], 800)
    price = 2 * x + random.normal(size=800) * np.where(town == "B", 3.0, 1.0)
    found = weak_places(linear_model(tmp_path, {"x": 2.0}), read(pl.DataFrame({"x": x, "town": town, "price": price})))
    assert found.slices is not None
    assert [each.text for each in found.slices.found] == ["town is B"]
    assert found.confused == ()
    assert found.confidence is None
    assert "Answers farthest from the truth" in found.text()
    assert "neither probabilities nor intervals" in found.page().html()


def test_constant_answers(tmp_path: Path) -> None:
    constant = linear_model(tmp_path, {"x": 0.0}, offset=1.0)
    found = weak_places(constant, read(pl.DataFrame({"x": np.arange(100.0), "price": np.ones(100)})))
    assert found.slices is not None
    assert any("same loss" in note for note in found.slices.notes)
    assert found.confident is not None
    assert found.confident.cases == ()


def test_the_same_seed_gives_the_same_and_work_is_told(model: Predictor, found: WeakPlaces) -> None:
    notes: list[str] = []
    again = weak_places(model, read(_rows()), work=Work(reporter=lambda each: notes.append(each.note)))
    assert again.to_dict() == found.to_dict()
    assert "looking for weak parts" in notes


def test_columns_beside_pictures_tell_parts_apart(tmp_path: Path) -> None:
    model, _ = pictures(tmp_path, 120)
    hospital = ["north", "north", "south", "south"] * 30
    label = [["dark", "light"][number % 2] for number in range(120)]
    swapped = ["light" if each == "dark" else "dark" for each in label]
    noted = [
        s if h == "south" and n % 8 > 3 else t for n, (h, t, s) in enumerate(zip(hospital, label, swapped, strict=True))
    ]
    table = {"photo": [f"{n}.png" for n in range(120)], "hospital": hospital, "label": noted}
    pl.DataFrame(table).write_csv(tmp_path / "beside.csv")
    found = weak_places(model, read(tmp_path / "beside.csv", kinds={"photo": "image"}))
    assert found.slices is not None
    assert [each.text for each in found.slices.found] == ["hospital is south"]
    assert found.confident is not None
    assert found.confident.cases[0].values["photo"].endswith(".png")
    assert "no statistics" in found.outliers.reason
