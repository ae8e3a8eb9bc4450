"""Pictures that look the same."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from lepton.core import Work
from lepton.data.media import alike
from lepton.data.media.alike import SIDE, groups_alike, near_pairs, perceptual_hash, small_copy
from lepton.data.media.images import decode_image, grey
from tests.data.media.making import image_bytes, picture


def looked_at(image):
    small = grey(image, SIDE, SIDE)
    return perceptual_hash(small), small_copy(small)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((150, 120)),
        lambda image: decode_image(image_bytes(image, "JPEG", quality=40))[0],
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        lambda image: ImageEnhance.Contrast(image).enhance(0.7),
        lambda image: image.convert("L"),
    ],
)
def test_copies_are_found_and_others_are_not(change):
    images = [picture(seed, 300, 240) for seed in range(40)]
    found = [looked_at(image) for image in [*images, *map(change, images)]]
    hashes = np.array([each[0] for each in found], dtype=np.uint64)
    groups = groups_alike(hashes, np.stack([each[1] for each in found]), Work())
    assert groups.tolist() == [*range(40), *range(40)]


def test_a_picture_of_one_shade_has_no_hash():
    assert perceptual_hash(np.full((32, 32), 200, dtype=np.uint8)) is None
    assert perceptual_hash(np.zeros((24, 32), dtype=np.uint8)) is None


def brute(hashes):
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return {(i, j) for i, j in np.argwhere(bits <= alike.MOST_BITS).tolist() if i < j}


@pytest.mark.parametrize("block", [1, 2_000_000])
def test_every_near_pair_is_found(monkeypatch, block):
    monkeypatch.setattr(alike, "_BLOCK", block)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 60, dtype=np.uint64)
    flips = np.bitwise_or.reduce(np.uint64(1) << rng.integers(0, 63, (60, 6), dtype=np.uint64), axis=1)
    all_of_them = np.array([*hashes, *(hashes ^ flips), hashes[0]], dtype=np.uint64)
    pieces = [np.stack(rows, axis=1) for rows in near_pairs(all_of_them)]
    found = set(map(tuple, np.concatenate(pieces).tolist()))
    assert found == brute(all_of_them)
    assert len(found) >= 60


def test_no_and_one_picture():
    assert not list(near_pairs(np.empty(0, dtype=np.uint64)))
    assert not list(near_pairs(np.array([5], dtype=np.uint64)))


def test_chains_join_and_lengths_keep_apart():
    image = np.asarray(Image.linear_gradient("L").resize((32, 32)))
    copy = small_copy(image)
    hashes = np.array([0, 0b111111, 0b111111_111111, 2**50 - 1], dtype=np.uint64)
    copies = np.stack([copy] * 4)
    assert groups_alike(hashes, copies, Work()).tolist() == [0, 0, 0, 3]
    lengths = np.array([1.0, 1.01, 1.5, 1.0])
    assert groups_alike(hashes, copies, Work(), lengths).tolist() == [0, 0, 2, 3]


def test_the_small_copy_is_the_mean_of_what_it_covers():
    values = np.arange(32 * 32).reshape(32, 32) % 251
    wanted = values.reshape(16, 2, 16, 2).mean(axis=(1, 3)).round()
    assert np.array_equal(small_copy(values.astype(np.uint8)), wanted)
    assert small_copy(np.zeros((24, 32), np.uint8)).shape == (16, 16)
