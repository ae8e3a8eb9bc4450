"""NIfTI: slices in the patient's axes, and hostile headers."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from lepton.core import DataError
from lepton.data.media.scans.nifti import read_nifti
from lepton.data.media.scans.options import FrameOptions
from tests.data.media.scans.making import nifti_bytes

PLAIN = FrameOptions()
CORNERS = np.zeros((4, 5, 6), np.uint8)
CORNERS[3, 4, 0], CORNERS[0, 0, 5] = 100, 200  # right, front, below; left, back, above


def slices(data: bytes, **options) -> list[np.ndarray]:
    return [frame.pixels for frame in read_nifti(data, FrameOptions(**options)).frames]


def refused(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        list(read_nifti(data, PLAIN).frames)
    assert "CANARY" not in str(caught.value)
    return str(caught.value.details["fault"])


def test_axial_slices_are_seen_from_the_feet():
    found = slices(nifti_bytes(CORNERS))
    assert len(found) == 6
    assert found[0].shape == (5, 4)
    assert found[0][0, 0] == 100  # the right on the left, the front above
    assert found[5][4, 3] == 200


def test_other_axes():
    coronal, sagittal = slices(nifti_bytes(CORNERS), axis="coronal"), slices(nifti_bytes(CORNERS), axis="sagittal")
    assert (len(coronal), coronal[0].shape, len(sagittal), sagittal[0].shape) == (5, (6, 4), 4, (6, 5))
    assert (coronal[4][5, 0], coronal[0][0, 3]) == (100, 200)  # the head above
    assert (sagittal[3][5, 0], sagittal[0][0, 4]) == (100, 200)  # the front on the left


@pytest.mark.parametrize("packed", [False, True])
def test_the_order_in_the_file_does_not_matter(packed):
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    stored = np.transpose(CORNERS, (2, 0, 1))[:, ::-1]  # up, left, front
    turned = np.array([[0, -2.0, 0, 6], [0, 0, 3.0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    for one, other in zip(
        read_nifti(nifti_bytes(CORNERS, affine), PLAIN).frames,
        read_nifti(nifti_bytes(stored, turned, packed=packed), PLAIN).frames,
        strict=True,
    ):
        assert np.array_equal(one.pixels, other.pixels)
        assert one.facts == other.facts
        assert (one.facts["column_spacing"], one.facts["row_spacing"], one.facts["thickness"]) == (2, 3, 4)


def test_scale_window_and_holes():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    values[0, 0, 0], values[1, 2, 3] = np.nan, np.inf
    scan = read_nifti(nifti_bytes(values), FrameOptions(window=(12, 8)))
    pixels = np.stack([frame.pixels for frame in scan.frames])
    assert scan.holes
    assert pixels[0, 2, 1] == 0
    assert pixels[3, 0, 0] == 255
    stored = (np.arange(24) * 2).astype(np.int16).reshape(2, 3, 4)
    scaled = slices(nifti_bytes(stored, scl_slope=np.float32(0.5), scl_inter=np.float32(1)), window=(13, 8))
    plain = slices(nifti_bytes(np.arange(24, dtype=np.float32).reshape(2, 3, 4)), window=(12, 8))
    assert all(np.array_equal(one, other) for one, other in zip(scaled, plain, strict=True))
    of_header = read_nifti(nifti_bytes(stored, cal_min=np.float32(0), cal_max=np.float32(46)), PLAIN)
    assert of_header.windowed == "by the window of the header"
    assert "0.5 %" in read_nifti(nifti_bytes(stored), PLAIN).windowed


def test_a_series_of_volumes_and_colours():
    series = np.zeros((2, 3, 4, 2), np.uint8)
    series[..., 1] = 9
    facts = [(frame.facts["volume"], frame.facts["slice"], int(frame.pixels.max())) for frame in
             read_nifti(nifti_bytes(series), PLAIN).frames]  # fmt: skip
    assert facts == [(1, n, 0) for n in range(1, 5)] + [(2, n, 9) for n in range(1, 5)]
    colours = np.zeros((2, 3, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["G"] = 40
    assert slices(nifti_bytes(colours))[0][0, 0].tolist() == [0, 40, 0]


def test_hostile_files_are_refused():
    whole = nifti_bytes(CORNERS)
    assert refused(b"") == "empty"
    assert refused(b"\x1f\x8b not gzip") == "damaged"
    assert refused(whole[:200]) == "truncated"
    assert refused(whole[:-1]) == "truncated"
    assert refused(gzip.compress(whole)[:-20]) == "truncated"
    assert refused(nifti_bytes(CORNERS, dim=[3, 30_000, 30_000, 30_000, 1, 1, 1, 1])) == "too large"
    assert refused(nifti_bytes(CORNERS, dim=[3, 4, -5, 6, 1, 1, 1, 1])) == "refused"
    assert refused(nifti_bytes(CORNERS, dim=[9, 4, 5, 6, 1, 1, 1, 1])) == "refused"
    assert refused(nifti_bytes(CORNERS, vox_offset=np.float32(1e30))) == "damaged"
    assert refused(nifti_bytes(CORNERS, datatype=np.int16(1))) in ("refused", "damaged")
    assert refused(nifti_bytes(np.zeros((2, 2, 2), np.complex64))) == "refused"
    assert refused(nifti_bytes(np.full((2, 2, 2), np.nan, np.float32))) == "empty"
    assert refused(nifti_bytes(CORNERS, srow_x=np.full(4, np.nan, np.float32))) == "damaged"


def test_a_bomb_is_unpacked_no_further_than_its_header_claims():
    bomb = gzip.compress(nifti_bytes(CORNERS) + bytes(50_000_000))
    assert len(bomb) < 60_000
    assert len(slices(bomb)) == 6


def test_damaged_files_give_pictures_or_one_error():
    said = []
    rng = np.random.default_rng(0)
    whole = nifti_bytes(CORNERS)
    for _ in range(100):
        data = bytearray(whole)
        for place in rng.integers(0, 352, 3):
            data[place] = rng.integers(256)
        try:
            list(read_nifti(bytes(data), PLAIN).frames)
        except DataError as error:
            said.append(str(error))
    assert said
    assert "CANARY" not in "".join(said)
