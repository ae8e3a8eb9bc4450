"""Pictures: a planted place is found first by every method, values sum, and bad pictures are refused."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.bundle import Predictor, open_model
from lepton.core import LeptonError
from lepton.evaluation.explain.files import explain_file
from lepton.evaluation.explain.heat import enlarged, png
from tests.bundle.pictures import picture_bytes, write_brightness, write_loudness


@pytest.fixture
def model(tmp_path: Path) -> Predictor:
    write_brightness(tmp_path / "b.lepton")
    return open_model(tmp_path / "b.lepton")


def spot(height: int = 28, width: int = 21) -> np.ndarray[Any, Any]:
    """Black, with a white place in the last row of the middle column of 7 × 7 regions."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[24:28, 9:12] = 255
    return picture


@pytest.mark.parametrize("method", ["auto", "occlusion", "shapley", "rise"])
def test_a_planted_place_counts_most(model: Predictor, method: str) -> None:
    (found,) = explain_file(model, [spot()], method=method, samples=400).files
    assert found.parts[int(np.argmax(found.added))] == "x 9–11, y 24–27"
    assert found.values.shape in ((7, 7), (28, 21))


def test_values_are_those_of_the_mean(model: Predictor) -> None:
    """The model answers the mean pixel: what a region adds is its mean less the hidden colour's, by any method."""
    picture = spot()
    hidden = np.rint(picture.mean(axis=(0, 1)))
    true = (picture - hidden).sum(axis=2).reshape(7, 4, 7, 3).sum(axis=(1, 3)) / picture.size / 255
    for method in ("occlusion", "shapley"):
        (found,) = explain_file(model, [picture], method=method).files
        np.testing.assert_allclose(found.values, true, atol=1e-9)
        assert found.values.sum() == pytest.approx(found.answer - found.base)


def test_the_intervals_of_rise_hold_the_slope(model: Predictor) -> None:
    """Of a model that is linear in its pixels the slope is known: what smooth masks share out around each place."""
    found = [explain_file(model, [spot()], method="rise", seed=seed, samples=200).files[0] for seed in range(4)]
    mean = np.mean([each.values for each in found], axis=0)
    inside = [np.abs(each.values - mean) < 3 * each.errors for each in found]
    assert np.mean(inside) > 0.95
    assert all((each.errors > 0).all() for each in found)
    assert not np.array_equal(found[0].values, found[1].values)


def test_integrated_gradients_sum_to_the_answer(model: Predictor) -> None:
    picture, seen = spot(), []

    def gradients(array: Any, label: Any) -> Any:
        seen.append(label)
        return np.full(array.shape, 1 / array.size / 255)

    (found,) = explain_file(model, [picture], gradients=gradients).files
    assert found.values.sum() == pytest.approx(found.answer - found.base)
    assert set(seen) == {"light"}
    assert found.values.shape == picture.shape[:2]
    assert "sum to" in found.text()
    (other,) = explain_file(model, [picture], gradients=lambda a, _: a, method="attribution").files
    np.testing.assert_allclose(other.values, picture.sum(axis=2))


def test_a_label_turns_the_values_round(model: Predictor) -> None:
    light, dark = (explain_file(model, [spot()], label=label).values[0] for label in ("light", "dark"))
    np.testing.assert_allclose(light, -dark)


def test_files_and_tiny_pictures(model: Predictor) -> None:
    found = explain_file(model, [picture_bytes(spot()), np.zeros((1, 1, 3), np.uint8), np.zeros((2, 9, 3), np.uint8)])
    assert found.files[1].values.tolist() == [[-1.0]]
    assert "one colour" in found.files[1].text()
    assert found.files[2].values.shape == (2, 7)
    html = found.page().html()
    assert html.count('role="img"') >= 3
    assert "Picture of 21 × 28 pixels with heat. Strongest: x 9–11, y 24–27" in html
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_drawing_is_a_png() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    data = png(pixels)
    assert data.startswith(b"\x89PNG")
    body = data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8]
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(2, 10)
    np.testing.assert_array_equal(lines[:, 1:].reshape(2, 3, 3), pixels)


def test_regions_are_enlarged_evenly() -> None:
    assert enlarged(np.array([[1.0, 2.0]]), 2, 5).tolist() == [[1, 1, 1, 2, 2], [1, 1, 1, 2, 2]]


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        ([b"no picture"], {}),
        (["/nowhere/at/all.png"], {}),
        ([np.zeros(8_000, np.float32)], {}),
        ([np.zeros((0, 3, 3), np.uint8)], {}),
        ([None], {}),
        ([spot()], {"method": "gradients"}),
        ([spot()], {"method": "leave-one-out"}),
        ([spot()], {"method": "rise", "samples": 3}),
        ([spot()], {"label": "blue"}),
        ([spot()], {"gradients": lambda array, label: np.zeros(3)}),
        ([spot()], {"gradients": lambda array, label: array * np.nan}),
    ],
)
def test_what_does_not_fit_is_refused(model: Predictor, cells: Any, options: dict[str, Any]) -> None:
    with pytest.raises(LeptonError):
        explain_file(model, cells, **options)


def test_a_picture_for_a_model_of_sounds_is_refused(tmp_path: Path) -> None:
    write_loudness(tmp_path / "l.lepton")
    with pytest.raises(LeptonError):
        explain_file(open_model(tmp_path / "l.lepton"), [spot()])
