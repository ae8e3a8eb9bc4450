"""From a tiny network of another's to a model file: what is learned, what stands in the graph, what is refused."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.core import BundleError, DataError, UsageError, Work

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")
from lepton.training.deep.backbones import bodies, writing
from lepton.training.deep.backbones.checkpoint import Checkpoint

REST = ["film", "book", "story", "very", "the", "a", "was", "is", "it", "i"]


def reviews(count: int = 160) -> pl.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for row in range(count):
        words = [*random.choice(REST, 4), random.choice(["good", "fine"] if row % 2 else ["bad", "awful"])]
        random.shuffle(words)
        rows.append({"text": " ".join(words), "stars": ["low", "high"][row % 2], "number": row})
    return pl.DataFrame(rows)


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return reviews()


@pytest.fixture(scope="module")
def model(bert: Path, table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> lepton.Model:
    path = tmp_path_factory.mktemp("models") / "reviews.lepton"
    return lepton.train(
        table, target="stars", text="text", backbone=f"hf:{bert}", tuning="frozen", output=path, work=Work(seed=0)
    )


def test_texts(model: lepton.Model, table: pl.DataFrame, bert: Path) -> None:
    assert np.mean(np.array(model.predict(table["text"].to_list())) == table["stars"].to_numpy()) > 0.85
    training = model.reports()["training"]
    assert training["backbone"]["from"] == f"hf:{bert}"
    assert training["backbone"]["difference"] < 1e-5
    assert model.leaderboard().rows[0].learner == "backbone"
    manifest = model.predictor.manifest
    assert manifest.codecs == {"text": "tokenizer-json/1"}
    asset = json.loads(model.predictor.bundle.member("assets/tokenizer.json"))
    assert asset["truncation"]["max_length"] == 32  # of 40 positions, a power of two
    assert model.embed(["a good film"]).shape == (1, 32)


def test_the_graph_takes_any_length_and_no_row_depends_on_others(model: lepton.Model) -> None:
    texts = ["good", "", "a bad story " * 3, "the film was fine " * 100, "\ud800 unheard of"]
    together = model.predictor.outputs(texts)["probabilities"]
    assert together.shape == (5, 2)
    np.testing.assert_allclose(together.sum(axis=1), 1.0)
    for text, row in zip(texts, together, strict=True):
        alone = model.predictor.outputs([text])["probabilities"][0]
        np.testing.assert_allclose(alone, row, rtol=0, atol=1e-5)  # sums of float may be in another order


def test_features_are_those_of_the_library(model: lepton.Model, bert: Path) -> None:
    import torch
    import transformers

    net = transformers.BertModel.from_pretrained(bert).eval()
    with torch.no_grad():  # [CLS] a good film [SEP]
        said = net(torch.tensor([[2, 14, 4, 8, 3]])).last_hidden_state.mean(1)
    np.testing.assert_allclose(model.embed(["a good film"]), said.numpy(), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def pictures() -> pl.DataFrame:
    from PIL import Image

    random = np.random.default_rng(0)
    rows = []
    for row in range(32):
        pixels = random.integers(0, 90, (20, 24, 3), dtype=np.uint8)
        pixels[..., row % 2] += 140
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        rows.append({"photo": file.getvalue(), "colour": ["red", "green"][row % 2]})
    return pl.DataFrame(rows)


@pytest.mark.slow  # for its export; the parts are tested below
def test_pictures_by_adapters(vit: Path, pictures: pl.DataFrame, tmp_path: Path) -> None:
    import base64

    encoded = pictures.with_columns(pl.Series("photo", [base64.b64encode(each).decode() for each in pictures["photo"]]))
    model = lepton.train(
        encoded, target="colour", image="photo", backbone=f"hf:{vit}", tuning="lora",
        output=tmp_path / "colours.lepton", work=Work(seed=0),
    )  # fmt: skip
    assert np.mean(np.array(model.predict(pictures["photo"].to_list())) == pictures["colour"].to_numpy()) > 0.9
    training = model.reports()["training"]
    assert training["backbone"]["tuning"] == "lora"
    assert training["backbone"]["difference"] < 1e-5
    assert [output.name for output in model.predictor.manifest.outputs] == ["prediction", "probabilities"]
    assert any("16 x 16 pixels" in note for note in training["notes"])


def test_pictures_are_seen_in_the_colours_of_the_network(vit: Path) -> None:
    import torch
    import transformers

    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    colours = (pixels / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    net = transformers.ViTModel.from_pretrained(vit).eval()
    body = bodies.picture_body(Checkpoint.find(f"hf:{vit}", texts=False))
    assert (body.height, body.width, body.size) == (16, 16, 32)
    with torch.no_grad():
        said = net(torch.from_numpy(colours.astype(np.float32)).permute(0, 3, 1, 2)).last_hidden_state.mean(1)
        torch.testing.assert_close(body(torch.from_numpy(pixels)), said, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_whole_network_learns(bert: Path, tuning: str) -> None:
    import torch

    from lepton.training.deep.backbones.learner import BackboneLearner, tuning_of

    body = bodies.text_body(Checkpoint.find(f"hf:{bert}", texts=True))
    assert tuning_of(None, body) == "full"
    values = np.random.default_rng(0).integers(4, 20, (32, 2, 16), dtype=np.int32)
    values[:, 1] = 1
    targets = np.arange(32) % 2
    learner = BackboneLearner(body, values, targets, 2, None, tuning, Work(seed=0))
    before = {name: value.clone() for name, value in body.state_dict().items()}
    net = learner.whole(learner.fit(np.arange(32), 2, "here", Work(seed=0)))
    again = learner.whole(learner.fit(np.arange(32), 2, "here", Work(seed=0)))
    layer = "model.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(net.body.state_dict()[layer], before[layer])
    assert torch.equal(net.body.state_dict()[layer], again.body.state_dict()[layer])
    assert net.body.state_dict().keys() == before.keys()  # adapters are in the weights
    assert all(torch.equal(value, body.state_dict()[name]) for name, value in before.items())


def test_a_graph_that_answers_otherwise_is_refused(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lepton.training.deep.backbones.net import BackboneNet, Head
    from lepton.training.deep.fronts import PictureFront

    body = bodies.picture_body(Checkpoint.find(f"hf:{vit}", texts=False))
    monkeypatch.setattr(writing, "export_module", lambda *_, **__: type("M", (), {"SerializeToString": bytes})())
    far = {"scores": np.full((4, 2), 9.0), "features": np.zeros((4, 32))}
    monkeypatch.setattr(writing, "run_graph", lambda *_: far)
    values = np.zeros((4, 16, 16, 3), dtype=np.uint8)
    with pytest.raises(BundleError, match="the graph answers otherwise than torch"):
        writing.written(BackboneNet(body, Head(32, 2)).eval(), values, PictureFront(16, 16, 3), (1.0, 0.0), "binary")


def test_networks_that_do_not_suit(bert: Path, vit: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="takes no pictures alone"):
        bodies.picture_body(Checkpoint.find(f"hf:{bert}", texts=False))
    with pytest.raises(DataError, match="takes no texts alone"):
        bodies.text_body(Checkpoint.find(f"hf:{vit}", texts=False))
    others = shutil.copytree(vit, tmp_path / "others")
    shutil.copy(bert / "model.safetensors", others)
    with pytest.raises(DataError, match=r"lack \d+ of the network that config.json describes"):
        bodies.picture_body(Checkpoint.find(f"hf:{others}", texts=False))
    (others / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(DataError, match="cannot be loaded"):
        bodies.picture_body(Checkpoint.find(f"hf:{others}", texts=False))


@pytest.mark.parametrize(
    ("change", "came"),
    [
        (
            lambda told: told["model"]["vocab"].update({f"w{n}": 21 + n for n in range(9)}),
            "30 tokens, and the network 21",
        ),
        (lambda told: told.pop("model"), "does not suit"),
        (lambda told: told["model"].update(unk_token="[NONE]"), "does not suit"),
    ],
)
def test_tokenizers_that_do_not_suit(bert: Path, table: pl.DataFrame, tmp_path: Path, change: Any, came: str) -> None:
    folder = shutil.copytree(bert, tmp_path / "bert")
    told = json.loads((folder / "tokenizer.json").read_text())
    change(told)
    (folder / "tokenizer.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=came):
        lepton.train(table, target="stars", text="text", backbone=f"hf:{folder}")


@pytest.mark.parametrize(
    ("arguments", "came"),
    [
        ({"text": "text", "tuning": "full"}, "without a backbone"),
        ({"backbone": "hf:x"}, "for a table"),
        ({"backbone": "hf:x", "text": "text", "image": "text"}, "beside"),
    ],
)
def test_arguments_that_do_not_fit(table: pl.DataFrame, arguments: dict[str, Any], came: str) -> None:
    with pytest.raises(UsageError, match=came):
        lepton.train(table, target="stars", **arguments)


def test_no_such_tuning(bert: Path, table: pl.DataFrame) -> None:
    with pytest.raises(UsageError, match="one of full, lora, frozen"):
        lepton.train(table, target="stars", text="text", backbone=f"hf:{bert}", tuning="some")


def test_sounds_have_no_backbone(vit: Path) -> None:
    clips = pl.DataFrame({"clip": ["a.wav", "b.wav"], "word": ["yes", "no"]})
    with pytest.raises(UsageError, match="for sounds"):
        lepton.train(clips, target="word", audio="clip", backbone=f"hf:{vit}")
