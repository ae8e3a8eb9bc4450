"""A table with a column of texts becomes a model that takes a string, and keeps every promise of other models."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

from lepton import Model
from lepton.bundle import Predictor, open_model
from lepton.core import DataError, Interrupted, MissingExtraError, UsageError, Work
from lepton.data import Dataset, read
from lepton.training import TrainingResult
from lepton.training.deep import text_net_fit
from lepton.training.deep.text_task import TextTask
from lepton.training.deep.texts import train_texts

GOOD = ["a lovely film", "great acting, lovely music", "I loved it", "wonderful and great", "très bon, lovely"]
BAD = ["a dull film", "poor acting, dull music", "I hated it", "terrible and poor", "nul, dull"]
STRANGE = [
    "",
    " \t\u3000",
    "\x00",
    "\ud800 lone",
    "\u202eevol\u202c",
    "👩‍🚀" * 30,
    "工学的研究",
    "lovely " * 1_500_000,
    "e\u0301" * 3_000,
]


def table() -> pl.DataFrame:
    places = np.random.default_rng(0).permutation(60)
    texts = [f"{text} {word}" for text in (*GOOD, *BAD) for word in ("here", "there", "again", "ever", "now", "")]
    good = [True] * 30 + [False] * 30
    frame = pl.DataFrame({"text": texts, "good": good})
    words = pl.col("text").str.len_chars()
    frame = frame.with_columns(
        stars=pl.when("good").then(4.0).otherwise(1.0) + words / 100,
        kind=pl.when("good").then(pl.lit("yes")).when(words % 2 == 0).then(pl.lit("no")).otherwise(pl.lit("never")),
        tags=pl.when("good").then(pl.lit("warm")).otherwise(pl.lit("cold; harsh")),
    )
    shuffled: pl.DataFrame = frame[places.tolist()]
    return shuffled


def dataset(frame: pl.DataFrame | None = None) -> Dataset:
    return read(table() if frame is None else frame, kinds={"text": "text", "kind": "category", "tags": "category"})


def train(path: Path, target: Any = "kind", frame: pl.DataFrame | None = None, **options: Any) -> TrainingResult:
    return train_texts(dataset(frame), text="text", target=target, output=path, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texts")


@pytest.fixture(scope="module")
def result(folder: Path) -> TrainingResult:
    return train(folder / "kind.lepton", work=Work(seed=3))


@pytest.fixture(scope="module")
def model(result: TrainingResult) -> Predictor:
    return open_model(result.path)


def test_classes_are_learned(result: TrainingResult, model: Predictor) -> None:
    assert model.predict(["what a lovely film", "so dull and poor"])[0] == "yes"
    assert model.predict(["so dull and poor"])[0] in {"no", "never"}
    assert {row.learner for row in result.leaderboard} == {"n-grams", "network", "both"}
    assert sum(row.chosen for row in result.leaderboard) == 1
    assert model.labels == ("never", "no", "yes")


def test_rows_come_in_any_container(model: Predictor) -> None:
    texts = table()["text"].to_list()[:5]
    answers = model.predict(texts)
    assert list(model.predict(pl.DataFrame({"text": texts}))) == list(answers)
    assert list(model.predict([{"text": text} for text in texts])) == list(answers)
    assert np.asarray(model.predict_proba(pl.DataFrame({"text": texts}))).shape == (5, 3)


def test_plain_onnxruntime_gives_the_same(model: Predictor) -> None:
    texts = ["lovely, lovely film", "dull"]
    session = onnxruntime.InferenceSession(model.bundle.graph)
    for text, probabilities in zip(texts, model.outputs(texts)["probabilities"], strict=True):
        tokens = np.zeros((1, 32 if len(text) > 16 else 16), dtype=np.int64)
        tokens[0, : len(text)] = [ord(character) for character in text]
        mask = (tokens > 0).astype(np.int64)
        (plain,) = session.run(["probabilities"], {"tokens": tokens, "mask": mask})
        np.testing.assert_array_equal(plain[0], probabilities)


def test_a_row_never_depends_on_its_neighbours(model: Predictor) -> None:
    texts = [*GOOD, *BAD, *STRANGE, "lovely " * 40]
    together = model.outputs(texts)
    for row, text in enumerate(texts):
        alone = model.outputs([text])
        np.testing.assert_allclose(together["probabilities"][row], alone["probabilities"][0], rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(together["embedding"][row], alone["embedding"][0], rtol=1e-5, atol=1e-6)


def test_strange_texts_have_answers(model: Predictor) -> None:
    probabilities = model.outputs(STRANGE)["probabilities"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(probabilities[0], probabilities[1])
    assert model.predict([STRANGE[7]])[0] == "yes"


def test_the_same_seed_gives_the_same_model(folder: Path, result: TrainingResult) -> None:
    again = train(folder / "again.lepton", work=Work(seed=3), name="kind")
    assert again.model_id == result.model_id
    assert train(folder / "other.lepton", work=Work(seed=4), name="kind").model_id != result.model_id


def test_two_classes(folder: Path) -> None:
    train(folder / "good.lepton", "good")
    model = open_model(folder / "good.lepton")
    assert list(model.predict(["lovely, great", "dull, terrible"])) == [True, False]
    assert model.outputs(["lovely"])["probabilities"].shape == (1, 2)


def test_numbers(folder: Path) -> None:
    result = train(folder / "stars.lepton", "stars", weight=None)
    good, bad = open_model(folder / "stars.lepton").predict(["a lovely film now", "a dull film now"])
    assert 3.4 < good < 5
    assert 0.5 < bad < 2
    assert any("task regression" in note for note in result.notes)


def test_several_labels(folder: Path) -> None:
    train(folder / "tags.lepton", "tags", task="multilabel")
    model = open_model(folder / "tags.lepton")
    found = model.predict(pl.DataFrame({"text": ["lovely, great film", "dull, poor, terrible"]}))
    assert found.columns == ["cold", "harsh", "warm"]
    assert found["warm"].to_list() == [True, False]
    columns = table().with_columns(warm=pl.col("good"), short=pl.col("text").str.len_chars() < 15)
    train(folder / "columns.lepton", ["warm", "short"], columns)
    assert open_model(folder / "columns.lepton").label_names == ("warm", "short")


def test_without_torch_the_pieces_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str) -> Any:
        if name.endswith("text_net_fit"):
            raise MissingExtraError("torch", "deep", "Training a network")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    result = train(folder / "plain.lepton", weight=None)
    monkeypatch.undo()
    assert {row.learner for row in result.leaderboard} == {"n-grams"}
    assert any("torch" in note for note in result.notes)
    plain = Model(folder / "plain.lepton")
    assert plain.predict(["lovely great film"]) == ["yes"]
    with pytest.raises(UsageError, match="no embedding"):
        plain.embed(["lovely"])


def test_rare_classes_count_as_much_as_they_are_told_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lepton.training.deep.texts._Choice._passes", lambda *_: 0)
    rare = table().with_columns(
        rare=pl.when(pl.int_range(pl.len()) % 6 == 0).then(pl.lit("odd")).otherwise(pl.lit("so"))
    )
    found = []
    for name, weights in (("even", None), ("much", {"odd": 20})):
        result = train(folder / f"{name}.lepton", "rare", rare, class_weight=weights)
        found.append(open_model(result.path).outputs(rare["text"].to_list())["probabilities"][:, 0].mean())
    assert found[1] > found[0] + 0.2
    assert any("rows count by class" in note for note in result.notes)
    with pytest.raises(UsageError, match="class_weight"):
        train(folder / "no.lepton", "stars", class_weight="balanced")


def test_embeddings_and_neighbours(result: TrainingResult, tmp_path: Path) -> None:
    model = Model(result.path)
    assert model.embed(GOOD).shape == (5, 64)
    index = model.index([*GOOD, *BAD])
    found = index.nearest([GOOD[3], "terrible and poor"], k=2)
    assert found.ids[:, 0].tolist() == [3, 8]
    assert found.distances[0, 0] == pytest.approx(0, abs=1e-6)
    again = model.index(saved=index.save(tmp_path / "reviews.index"))
    assert again.nearest([GOOD[3]], k=1).ids.tolist() == [[3]]
    with pytest.raises(UsageError, match="no rows"):
        model.index()


def test_stopped_before_anything_is_learned(folder: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        train(folder / "never.lepton", work=Work(cancel=cancel))
    assert not (folder / "never.lepton").exists()


def test_stopped_in_the_middle_keeps_what_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = threading.Event()
    real = text_net_fit.fit_layers

    def stopped(*arguments: Any, **options: Any) -> Any:
        cancel.set()
        return real(*arguments, **options)

    monkeypatch.setattr(text_net_fit, "fit_layers", stopped)
    result = train(folder / "cut.lepton", work=Work(cancel=cancel))
    assert any("held out" in note for note in result.notes)
    assert open_model(folder / "cut.lepton").predict(["a lovely film"])[0] == "yes"


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        (lambda t: t, {"target": "none"}, DataError, "none"),
        (lambda t: t, {"target": "text"}, UsageError, "as text and as target"),
        (lambda t: t, {"task": "quantile"}, UsageError, "quantile"),
        (lambda t: t, {"target": ["good", "kind"], "task": "binary"}, UsageError, "2 targets"),
        (lambda t: t, {"metric": "nothing"}, UsageError, "nothing"),
        (lambda t: t.head(6), {}, DataError, "6 rows"),
        (lambda t: t.with_columns(kind=pl.lit("yes")), {}, DataError, "in every row"),
        (lambda t: t.with_columns(kind=pl.lit(None, pl.String)), {}, DataError, "kind"),
        (lambda t: t.with_columns((pl.int_range(60) / 7).alias("text")), {}, DataError, "of kind number"),
        (
            lambda t: t.with_columns(kind=pl.when(pl.int_range(60) == 5).then(pl.lit("rare")).otherwise("kind")),
            {},
            DataError,
            "one row only: 'rare'",
        ),
    ],
)
def test_what_cannot_be_learned(folder: Path, change: Any, options: Any, error: Any, says: str) -> None:
    frame = change(table())
    kinds = {"text": "text"} if frame["text"].dtype == pl.String else {}
    given = {"target": "kind", **options}
    with pytest.raises(error, match=says):
        train_texts(read(frame, kinds=kinds), text="text", output=folder / "bad.lepton", **given)


def test_missing_texts_and_texts_that_say_nothing(folder: Path) -> None:
    frame = table().with_columns(text=pl.when(pl.int_range(60) % 4 == 0).then(None).otherwise("text"))
    result = train(folder / "missing.lepton", frame=frame)
    assert "15 of 60 texts are missing: they are learned as empty ones" in result.notes
    nothing = table().with_columns(text=pl.lit("the same"))
    train(folder / "nothing.lepton", frame=nothing)
    assert np.isfinite(open_model(folder / "nothing.lepton").outputs(["the same", ""])["probabilities"]).all()


def test_less_time_fewer_texts() -> None:
    many = pl.concat([table().with_columns(text=pl.col("text") + " word" * 300)] * 60)
    asked = TextTask.of(dataset(many), "text", "kind", None, None, Work(1.0))
    assert any("drew" in note for note in asked.notes)
    assert len(asked.texts) < 200
    assert set(asked.truth.tolist()) == {0, 1, 2}
