"""Training on files, from a folder or a table to a model file that takes the files as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
from PIL import Image

import lepton
from lepton.bundle import open_model
from lepton.core import DataError, LeptonError, Resources, SchemaError, UsageError, Work
from lepton.serving.watching.columns import WatchedColumns
from lepton.training.deep import media_net
from lepton.training.deep.run import media_column, train_media
from lepton.training.nets.keeping import write_lepton_net
from lepton.training.nets.net import LeptonNetModule
from lepton.training.nets.spec import NetSpec
from tests.bundle.pictures import picture_bytes, sound_bytes


def one_core(**options: Any) -> Work:
    return Work(resources=Resources(cpus=1), **options)


@pytest.fixture(autouse=True)
def few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_net, "_PASSES", (2, 2))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and light pictures; one of them is cut."""
    folder = tmp_path_factory.mktemp("files") / "photos"
    rng = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        (folder / label).mkdir(parents=True)
        for number in range(14):
            size = (10, 12) if number % 2 else (20, 24)
            pixels = np.clip(rng.normal(level, 20, (*size, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.{'png' if number % 3 else 'jpg'}")
    (folder / "dark" / "cut.png").write_bytes(picture_bytes(np.zeros((40, 40, 3), np.uint8))[:60])
    (folder / "empty").mkdir()
    return folder


@pytest.fixture(scope="module")
def model(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> lepton.Model:
    patch = pytest.MonkeyPatch()
    patch.setattr(media_net, "_PASSES", (10, 10))
    path = tmp_path_factory.mktemp("model") / "photos.lepton"
    found = lepton.train(photos, output=path, work=one_core())
    patch.undo()
    return found


def test_a_folder_becomes_a_classifier(model: lepton.Model, photos: Path) -> None:
    assert (model.task, model.target, model.labels) == ("binary", "label", ("dark", "light"))
    assert [column.kind for column in model.inputs] == ["image"]
    notes = " ".join(model.leaderboard().notes)
    assert "cut.png" in notes
    assert "accuracy" in notes
    assert {row.learner for row in model.leaderboard().rows} == {"lepton-net", "baseline"}
    bright = (photos / "light" / "1.png").read_bytes()
    answers = model.predict([bright, photos / "dark" / "1.png", np.full((7, 9, 3), 210, np.uint8)])
    assert answers == ["light", "dark", "light"]
    assert model.predict(str(photos / "light" / "1.png")) == ["light"]
    report = model.reports()["training"]
    assert sum(map(sum, report["confusion"])) >= 2


def test_embeddings_and_what_later_answers_are_held_against(model: lepton.Model, photos: Path, tmp_path: Path) -> None:
    files = [str(photos / label / f"{n}.png") for label in ("dark", "light") for n in (1, 2, 4)]
    assert model.embed(files).shape == (6, 96)
    assert list(model.predict_all(files)[0]) == ["prediction", "probability_dark", "probability_light"]
    found = model.index(files).nearest([files[0], files[-1]], k=3)
    assert [sorted(row) for row in found.ids.tolist()] == [[0, 1, 2], [3, 4, 5]]
    model.save(tmp_path / "copy.lepton")
    watched = WatchedColumns(open_model(tmp_path / "copy.lepton"))
    assert watched.baseline.keys() == {"output/prediction", "output/probabilities[0]", "output/probabilities[1]"}
    statistics: dict[str, Any] = {}
    watched.update(statistics, {}, {"prediction": np.array(["dark"], object), "embedding": np.zeros((1, 96))})
    assert statistics.keys() == {"output/prediction"}


def test_folders_are_predicted_and_judged(model: lepton.Model, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cut\.png"):
        model.evaluate(photos)
    rows = {"path": [f"{label}/{n}.png" for label in ("dark", "light") for n in (1, 2, 4)]}
    table = tmp_path / "rows.jsonl"
    table.write_text("\n".join(json.dumps({"path": path, "label": path.split("/")[0]}) for path in rows["path"]))
    for label in ("dark", "light"):
        (tmp_path / label).mkdir()
        for n in (1, 2, 4):
            (tmp_path / label / f"{n}.png").write_bytes((photos / label / f"{n}.png").read_bytes())
    read = lepton.read(table, kinds={"path": "image"})
    assert model.evaluate(read).metrics["accuracy"].value == 1.0
    assert model.predict(read) == ["dark"] * 3 + ["light"] * 3
    (tmp_path / "none.jsonl").write_text('{"path": "gone.png"}\n{"path": "gone too.png"}')
    with pytest.raises(DataError, match=r"none of 2 files has an answer; the first is 'gone\.png'"):
        lepton.predict(
            model, lepton.read(tmp_path / "none.jsonl", kinds={"path": "image"}), output=tmp_path / "answers.csv"
        )
    assert not (tmp_path / "answers.csv").exists()


def test_a_network_of_arrays_takes_folders_too(photos: Path, model: lepton.Model, tmp_path: Path) -> None:
    for place, label in enumerate(("dark", "light")):
        (tmp_path / "few" / str(place)).mkdir(parents=True)
        for n in (1, 2, 4):
            (tmp_path / "few" / str(place) / f"{n}.png").write_bytes((photos / label / f"{n}.png").read_bytes())
    few = lepton.read(tmp_path / "few")
    renamed = tmp_path / "few.jsonl"
    renamed.write_text("\n".join(json.dumps({"photo": f"few/{path}"}) for path in few.frame()["path"]))
    assert model.predict(lepton.read(renamed, kinds={"photo": "image"})) == ["dark"] * 3 + ["light"] * 3
    spec = NetSpec.of("image", (8, 8, 3), 2)
    write_lepton_net(tmp_path / "n.lepton", LeptonNetModule(spec), name="n", labels=(0, 1), lineage={})
    net = lepton.load(tmp_path / "n.lepton")  # it calls its input "image", and knows no target
    with pytest.raises(SchemaError, match="8"):
        net.evaluate(few)
    open_sized = lepton.read(tmp_path / "few").frame().with_columns(path=pl.lit("8.png"))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "8.png")
    open_sized.write_parquet(tmp_path / "rows.parquet")
    rows = lepton.read(tmp_path / "rows.parquet", kinds={"path": "image"}, roles={"label": "target"})
    assert net.evaluate(rows).answers.num_rows == 6
    answers = lepton.predict(net, rows, output=tmp_path / "answers.csv")
    assert "path,prediction" in Path(answers).read_text()


def test_sounds_of_a_table(tmp_path: Path) -> None:
    rows = []
    for number in range(16):
        rate, pitch = (8_000 if number % 4 else 16_000), (300 if number % 2 else 2_000)
        wave = 0.4 * np.sin(2 * np.pi * pitch * np.arange(rate // 3) / rate)
        soundfile.write(tmp_path / f"{number}.wav", np.stack([wave, wave], 1) if number % 3 else wave, rate)
        rows.append({"clip": f"{number}.wav", "tone": "low" if number % 2 else "high", "place": "here"})
    (tmp_path / "none.wav").write_bytes(sound_bytes(np.zeros(0), 8_000))
    rows.append({"clip": "none.wav", "tone": "low", "place": "here"})
    table = tmp_path / "clips.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    model = lepton.train(table, audio="clip", target="tone", output=tmp_path / "c.lepton", work=one_core(seed=3))
    assert model.labels == ("high", "low")
    notes = " ".join(model.leaderboard().notes)
    assert "none.wav" in notes
    assert "'place'" in notes
    assert "8,000 Hz" in notes
    assert len(model.predict(tmp_path / "1.wav")) == 1
    assert model.predict_proba([np.zeros(50, np.float32)])[0].keys() == {"high", "low"}


def test_numbers_and_several_labels(photos: Path, tmp_path: Path) -> None:
    rows = []
    for label in ("dark", "light"):
        for number in range(1, 14):
            path = next((photos / label).glob(f"{number}.*"))
            (tmp_path / f"{label}{path.name}").write_bytes(path.read_bytes())
            tags = "; ".join(["bright"] * (label == "light") + ["odd"] * (number % 2)) or None
            level = 40.5 if label == "dark" else 200.5 + number
            rows.append({"file": f"{label}{path.name}", "level": level, "tags": tags})
    table = tmp_path / "rows.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    read = lepton.read(table, kinds={"file": "image", "tags": "text"})
    numbers = lepton.train(read, image="file", target="level", output=tmp_path / "n.lepton", work=one_core())
    assert numbers.task == "regression"
    answers = numbers.predict([np.full((9, 9, 3), 128, np.uint8)])
    assert np.isfinite(answers[0])
    several = train_media(
        read, column="file", target="tags", task="multilabel", output=tmp_path / "m.lepton", work=one_core()
    )
    assert lepton.load(several.path).labels == ("bright", "odd")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "label", "image": "path", "text": "label"}, "one column to learn from"),
        ({"target": "label", "image": "path", "task": "ranking"}, "one of binary"),
        ({"target": "label", "image": "path", "coverage": 0.9}, "coverage"),
        ({"target": "path", "image": "path"}, "two different columns"),
        ({"target": "label", "image": "pth"}, "no column"),
    ],
)
def test_what_cannot_be_meant(photos: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    assert media_column(lepton.read(photos), ("label",)) == "path"
    with pytest.raises(LeptonError, match=said):
        lepton.train(photos, output=tmp_path / "x.lepton", work=one_core(), **options)
    assert not list(tmp_path.iterdir())


def test_classes_that_cannot_be_learned(tmp_path: Path) -> None:
    for label, count in (("a", 3), ("b", 1)):
        (tmp_path / "few" / label).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((4, 4, 3), number, np.uint8)
            (tmp_path / "few" / label / f"{number}.png").write_bytes(picture_bytes(pixels))
    with pytest.raises(DataError, match="one row only: 'b'"):
        lepton.train(tmp_path / "few", output=tmp_path / "x.lepton", work=one_core())
    for label in "ab":
        for number in range(4):
            (tmp_path / "few" / label / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match="8 of 8 files cannot be read"):
        lepton.train(tmp_path / "few", output=tmp_path / "x.lepton", work=one_core())


def test_a_stop_keeps_what_was_learned(photos: Path, tmp_path: Path) -> None:
    work = one_core()
    reporter = []

    def stop(record: Any) -> None:
        reporter.append(record)
        if record.unit == "steps":
            work.cancel.set()

    work.reporter = stop
    model = lepton.train(photos, output=tmp_path / "s.lepton", work=work)
    assert "stopped after" in " ".join(model.leaderboard().notes)
    assert model.predict([np.zeros((5, 5, 3), np.uint8)])[0] in ("dark", "light")


def test_equal_seeds_give_equal_files(photos: Path, tmp_path: Path) -> None:
    table = lepton.read(photos)
    made = [
        train_media(table, column="path", target="label", output=tmp_path / f"{n}.lepton", work=one_core(), name="same")
        for n in range(2)
    ]
    assert made[0].model_id == made[1].model_id


def test_the_target_is_a_column(photos: Path, tmp_path: Path) -> None:
    with pytest.raises((DataError, UsageError), match="labl"):
        lepton.train(photos, target="labl", output=tmp_path / "x.lepton", work=one_core())
