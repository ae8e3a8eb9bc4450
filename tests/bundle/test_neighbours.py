"""Neighbours are exactly those of a plain search, and an index file is taken only whole and by its own model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from lepton.bundle import neighbours
from lepton.bundle.neighbours import Index
from lepton.core import DataError, UsageError

VECTORS = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])


def embed(rows: object) -> np.ndarray:
    return np.asarray(rows, dtype=np.float64)


def index_of(vectors: np.ndarray = VECTORS) -> Index:
    return Index(embed, "f" * 64, vectors)


def test_nearest_first_and_lowest_of_equals() -> None:
    found = index_of().nearest([[5.0, 0.0], [0.0, 0.0]], k=3)
    assert found.ids.tolist() == [[0, 1, 4], [0, 1, 2]]
    np.testing.assert_allclose(found.distances, [[0, 0, 1 - 0.5**0.5], [1, 1, 1]], atol=1e-6)


@settings(max_examples=25)
@given(arrays(np.int64, (17, 3), elements=st.integers(-2, 2)), st.integers(1, 20))
def test_as_a_plain_search(vectors: np.ndarray, k: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_CELLS", 40)
        found = index_of(vectors).nearest(vectors, k)
    lengths = np.linalg.norm(vectors, axis=1)
    unit = (vectors / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)
    for row, (ids, distances) in enumerate(zip(*found, strict=True)):
        wanted = np.sort(1 - unit @ unit[row])[: min(k, 17)]
        np.testing.assert_allclose(distances, wanted, atol=1e-6)
        assert len(set(ids.tolist())) == min(k, 17)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "5"])
def test_no_such_number(k: object) -> None:
    with pytest.raises(UsageError, match="k="):
        index_of().nearest(VECTORS, k)  # type: ignore[arg-type]


def test_saved_and_opened_again(tmp_path: Path) -> None:
    path = index_of().save(tmp_path / "rows.index")
    again = Index.open(path, embed, "f" * 64)
    assert len(again) == 5
    np.testing.assert_array_equal(again.nearest(VECTORS).ids, index_of().nearest(VECTORS).ids)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: b"", "is no index"),
        (lambda raw: b"x" + raw, "is no index"),
        (lambda raw: raw[:15] + b"\xff\xff\xff\xff" + raw[19:], "is no index"),
        (lambda raw: raw[:-1], "cut short"),
        (lambda raw: raw + b"0", "cut short"),
        (lambda raw: raw.replace(b"[5, 2]", b"[5,-2]"), "cannot be read"),
        (lambda raw: raw.replace(b"[5, 2]", b"[5,1] "), "cut short"),
        (lambda raw: raw.replace(b'{"', b"[["), "cannot be read"),
        (lambda raw: raw[:-4] + b"\x00\x00\xc0\x7f", "NaN"),
        (lambda raw: raw.replace(b"ffff", b"eeee"), "is of the model"),
    ],
)
def test_damaged_files(tmp_path: Path, change: object, says: str) -> None:
    path = index_of().save(tmp_path / "rows.index")
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=says):
        Index.open(path, embed, "f" * 64)
