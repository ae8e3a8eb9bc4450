"""Models of tensors: rows of any container and any shape, each answered as if it were alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import Predictor, TensorInputs, TensorRecord, open_model
from lepton.bundle.codecs.tokens import CodePoints
from lepton.core import ColumnRecord, Kind, LeptonError, SchemaError
from tests.bundle.pictures import (
    AUDIO,
    CLIP,
    CODECS,
    IMAGE,
    PHOTO,
    brightness,
    loudness,
    picture_bytes,
    sound_bytes,
    write_brightness,
    write_loudness,
    write_sums,
    write_tensors,
)

LIGHT = np.full((4, 5, 3), 200, dtype=np.uint8)
DARK = np.full((7, 2, 3), 20, dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tensors")
    write_brightness(place / "photos.lepton")
    write_loudness(place / "clips.lepton")
    write_sums(place / "sums.lepton")
    (place / "light.png").write_bytes(picture_bytes(LIGHT))
    return place


@pytest.fixture(scope="module")
def photos(folder: Path) -> Predictor:
    return open_model(folder / "photos.lepton")


@pytest.fixture(scope="module")
def clips(folder: Path) -> Predictor:
    return open_model(folder / "clips.lepton")


@pytest.fixture(scope="module")
def sums(folder: Path) -> Predictor:
    return open_model(folder / "sums.lepton")


def test_rows_of_unequal_shape_in_any_form(photos: Predictor, folder: Path) -> None:
    path = folder / "light.png"
    rows = [LIGHT, DARK, picture_bytes(LIGHT, "JPEG"), bytearray(picture_bytes(DARK)), str(path), path]
    assert photos.predict(rows) == ["light", "dark", "light", "dark", "light", "light"]
    assert photos.predict(picture_bytes(DARK)) == ["dark"]
    assert photos.predict(np.stack([LIGHT, LIGHT])).tolist() == ["light", "light"]
    assert photos.predict({"photo": [DARK, LIGHT]}) == ["dark", "light"]
    assert photos.predict([{"photo": path}, {"photo": DARK}]) == ["light", "dark"]
    assert photos.predict([]) == []
    shares = photos.predict_proba([LIGHT, DARK])
    assert shares[0] == pytest.approx({"dark": 55 / 255, "light": 200 / 255})
    assert photos.predict_all([DARK])[0]["prediction"] == "dark"


def test_frames_answer_as_frames(photos: Predictor) -> None:
    frame = pl.DataFrame({"photo": [picture_bytes(LIGHT), picture_bytes(DARK)], "town": ["Ulm", "Bonn"]})
    assert photos.predict(frame).to_list() == ["light", "dark"]


def test_a_text_is_a_path_only_for_the_owner(photos: Predictor, folder: Path) -> None:
    path = str(folder / "light.png")
    assert photos.outputs([path])["prediction"].tolist() == ["light"]
    with pytest.raises(SchemaError, match="it is a text"):
        photos.tensors([path])


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 255)), min_size=1, max_size=6))
def test_no_row_depends_on_the_others(photos: Predictor, shapes: list[tuple[int, int, int]]) -> None:
    rows = [np.full((height, width, 3), value, dtype=np.uint8) for height, width, value in shapes]
    together = photos.outputs(rows)["probabilities"]
    alone = np.concatenate([photos.outputs([row])["probabilities"] for row in rows])
    assert np.array_equal(together, alone)


def test_plain_onnxruntime_answers_the_same(photos: Predictor) -> None:
    session = onnxruntime.InferenceSession(photos.bundle.graph)
    plain = session.run(["probabilities"], {"image": LIGHT[None]})[0]
    assert np.array_equal(plain, photos.outputs([LIGHT])["probabilities"])
    assert session.get_modelmeta().custom_metadata_map["lepton.inputs"] == photos.inputs.metadata()


def test_large_batches_are_cut(clips: Predictor) -> None:
    rows = [np.full(length % 7 + 1, 0.5, dtype=np.float32) for length in range(600)]
    assert clips.predict(rows) == pytest.approx([0.25] * 600)
    whole = np.full((600, 5), 0.5, dtype=np.float32)
    assert clips.predict(whole) == pytest.approx(np.full(600, 0.25))


def test_sounds_as_files(clips: Predictor) -> None:
    assert clips.predict([sound_bytes(np.full(800, 0.5), 8_000), np.zeros(3)]) == pytest.approx([0.25, 0.0], abs=1e-4)
    stereo = sound_bytes(np.stack([np.full(4_800, 0.5), np.zeros(4_800)], axis=1), 48_000, "FLAC")
    assert clips.predict(stereo) == pytest.approx([0.0625], abs=2e-3)


def test_plain_tensors_have_names_of_their_own(sums: Predictor) -> None:
    given_rows = {"a": [[1, 2], [3, 4]], "b": np.ones((2, 2))}
    answers = sums.outputs(given_rows)
    assert answers["sum"].tolist() == [[2, 3], [4, 5]]
    assert answers["product"].dtype == np.float32
    assert sums.answer == "sum"
    assert sums.predict(given_rows).tolist() == [[2, 3], [4, 5]]
    assert sums.task.name == "tensor"
    assert sums.labels is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (LIGHT, r"got the shape \[4, 5, 3\].*array\[None\]"),
        (np.zeros((2, 3, 8, 8), np.uint8), "the channels come last"),
        ([LIGHT / 255], "0 to 255"),
        (np.full((1, 2, 2, 3), 300), "0 to 255"),
        ([None], "row 0 .* it is missing"),
        ([LIGHT, picture_bytes(LIGHT)[:40]], r"row 1 \(counted from 0\) cannot be read"),
        ([b""], "row 0 .* empty"),
        ([b"GIF89a"], "neither JPEG nor PNG"),
        ([["a"]], r"got the shape \[1\]"),
        ([np.zeros((0, 3, 3), np.uint8)], "empty"),
        (pl.DataFrame({"x": [1]}), "missing columns"),
        ([np.zeros((2, 2, 4), np.uint8)], r"\[2, 2, 4\]"),
    ],
)
def test_bad_pictures(photos: Predictor, rows: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        photos.predict(rows)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([np.array([0.1, np.nan])], "not finite"),
        ([np.zeros((2, 2))], r"\[2, 2\]"),
        ([sound_bytes(np.zeros(0), 8_000)], "row 0 .* empty: it holds no samples"),
    ],
)
def test_bad_sounds(clips: Predictor, rows: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        clips.predict(rows)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"a": [[1, 2]]}, "missing tensors: b"),
        ({"a": [[1, 2]], "b": [[1, 2], [3, 4]]}, "different lengths"),
        ({"a": [[1, 2, 3]], "b": [[1, 2, 3]]}, r"a float \[N, 2\]"),
        ({"a": [["x", "y"]], "b": [[1, 2]]}, "values of type"),
        ({"a": [[1e300, 2]], "b": [[1, 2]]}, "values of float"),
    ],
)
def test_bad_tensors(sums: Predictor, rows: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        sums.predict(rows)


def test_wrong_tensors_of_a_run(photos: Predictor) -> None:
    with pytest.raises(SchemaError, match="image uint8"):
        photos.run({"image": LIGHT[None].astype(np.float32)})
    with pytest.raises(SchemaError, match="image uint8"):
        photos.run({"picture": LIGHT[None]})
    assert photos.run({"image": LIGHT[:0][None][:0]})["prediction"].shape == (0,)


def test_grey_pictures_may_lack_their_channel() -> None:
    record = TensorRecord("image", "uint8", (None, 2, 2, 1))
    inputs = TensorInputs((record,), (PHOTO,), CODECS)
    assert inputs.tensors(np.zeros((3, 2, 2), np.uint8))["image"].shape == (3, 2, 2, 1)
    assert inputs.tensors([picture_bytes(np.zeros((2, 2, 3), np.uint8))])["image"].shape == (1, 2, 2, 1)
    assert inputs.tensors([])["image"].shape == (0, 2, 2, 1)


def test_texts_are_padded_by_their_own_length() -> None:
    records = (TensorRecord("tokens", "int64", (None, None)), TensorRecord("mask", "int64", (None, None)))
    column = ColumnRecord("said", Kind.TEXT, "string")
    inputs = TensorInputs(records, (column,), {"said": "code-points/1"}, CodePoints())
    found = inputs.tensors(["ab", "x" * 20, None])
    assert [len(row) for row in found["tokens"]] == [16, 32, 16]
    assert [int(row.sum()) for row in found["mask"]] == [2, 20, 0]
    with pytest.raises(SchemaError, match="row 1"):
        inputs.tensors(["a", 3])


def test_parts_hold_few_rows_of_large_files() -> None:
    inputs = TensorInputs((IMAGE,), (PHOTO,), CODECS)
    large = np.zeros((2_000, 2_000, 3), np.uint8)
    parts = list(inputs.parts(inputs.read([large] * 20)))
    assert sum(len(part["image"]) for part in parts) == 20
    assert max(len(part["image"]) for part in parts) <= 6


def test_an_example_fits_the_graph(photos: Predictor, clips: Predictor, sums: Predictor) -> None:
    for model in (photos, clips, sums):
        assert isinstance(model.inputs, TensorInputs)
        assert len(next(iter(model.run(model.inputs.example()).values()))) == 1


def test_records_that_do_not_fit(tmp_path: Path) -> None:
    series = ColumnRecord("s", Kind.SERIES)
    number = ColumnRecord("n", Kind.NUMBER)
    wrong: list[tuple[tuple[TensorRecord, ...], tuple[ColumnRecord, ...]]] = [
        ((TensorRecord("picture", "uint8", (None, 2, 2, 3)),), (PHOTO,)),
        ((TensorRecord("image", "float", (None, 2, 2, 3)),), (PHOTO,)),
        ((TensorRecord("image", "uint8", (None, 2, 2, 2)),), (PHOTO,)),
        ((TensorRecord("audio", "float", (None, None)),), (CLIP,)),
        ((TensorRecord("audio", "float", (None, None), rate=10),), (CLIP,)),
        ((TensorRecord("x", "float", (None, 2), rate=8_000),), ()),
        ((TensorRecord("x", "float", (3, 2)),), ()),
        ((TensorRecord("x", "float8", (None, 2)),), ()),
        ((TensorRecord("x", "float", (None, 2)), TensorRecord("x", "float", (None, 2))), ()),
        ((TensorRecord("series", "double", (None, 2)),), (series,)),
        ((IMAGE,), (PHOTO, CLIP)),
        ((IMAGE,), (number,)),
    ]
    for tensors, columns in wrong:
        emit = loudness if tensors[0].name == "audio" else brightness
        with pytest.raises(LeptonError):
            write_tensors(tmp_path / "x.lepton", tensors, columns, emit, task="regression")
    assert not (tmp_path / "x.lepton").exists()
    assert AUDIO.to_dict() == {"name": "audio", "dtype": "float", "shape": [None, None], "rate": 8_000}
