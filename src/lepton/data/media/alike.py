"""Pictures that look the same: perceptual hashes, pairs that differ in few bits, and a closer look at those."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.data.recipes.minhash import join

__all__ = ["SIDE", "groups_alike", "near_pairs", "perceptual_hash", "small_copy"]

SIDE = 32
"""Width and height of the grey copies that are hashed."""

MOST_BITS = 6
"""Bits in which hashes of pictures that look the same may differ."""

_LEAST_CORRELATION = 0.985
_LEAST_OF_SOUNDS = 0.99
_SAME_LENGTH = 0.02
_LEAST_SPREAD = 3.0
_KEPT = 16
_BANDS = MOST_BITS + 1
_BLOCK = 2_000_000
_LOOKED_AT = 4_096  # pairs at a time: what fits in a cache

Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]


@functools.lru_cache(maxsize=8)
def _cosines(size: int) -> NDArray[np.float64]:
    """The first 8 rows of the cosine transform (DCT-II) of `size` points."""
    row, place = np.arange(8)[:, None], np.arange(size)[None, :]
    return np.cos(np.pi * row * (2 * place + 1) / (2 * size))


def perceptual_hash(picture: NDArray[np.uint8]) -> int | None:
    """63 bits that say which of the coarsest waves of a grey picture are stronger than their median.

    Copies in another size, format, quality or brightness have nearly the same bits. Source: the "pHash" of Zauner,
    "Implementation and benchmarking of perceptual image hash functions", 2010.

    Returns:
        The hash; None for a picture of one shade, which has no waves.
    """
    values = picture.astype(np.float64)
    if values.std() < _LEAST_SPREAD:
        return None
    waves = (_cosines(values.shape[0]) @ values @ _cosines(values.shape[1]).T).ravel()[1:]
    bits = waves > np.median(waves)
    return int(np.packbits(np.concatenate([[False], bits])).view(">u8")[0])


def small_copy(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of 16 x 16, for the closer look; sides are multiples of 8 at least."""
    rows = np.linspace(0, picture.shape[0], _KEPT + 1).astype(int)
    columns = np.linspace(0, picture.shape[1], _KEPT + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float64), rows[:-1], 0), columns[:-1], 1)
    means: NDArray[np.uint8] = (sums / (np.diff(rows)[:, None] * np.diff(columns)[None, :])).round().astype(np.uint8)
    return means


def near_pairs(hashes: Hashes) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of places whose hashes differ in at most `MOST_BITS` bits, in pieces; a pair may come several times.

    Of seven parts of two such hashes at least one is the same, so only hashes that share a part are compared.
    """
    edges = np.linspace(0, 64, _BANDS + 1).astype(int)
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        keys = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], np.diff(keys[order]) != 0]))
        for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
            yield from _pairs_within(hashes, np.sort(order[start:stop]))


def _pairs_within(hashes: Hashes, places: Rows) -> Iterator[tuple[Rows, Rows]]:
    step = max(_BLOCK // max(len(places), 1), 1)
    for start in range(0, len(places) - 1, step):
        some = places[start : start + step]
        rest = places[start + 1 :]
        apart = np.bitwise_count(hashes[some][:, None] ^ hashes[rest][None, :])
        left, right = np.nonzero(apart <= MOST_BITS)
        later = rest[right] > some[left]
        if later.any():
            yield some[left][later], rest[right][later]


def groups_alike(
    hashes: Hashes, copies: NDArray[np.uint8], work: Work, lengths: NDArray[np.float64] | None = None
) -> Rows:
    """Place of the first picture that each one looks like, by a chain of pairs; its own where it is alone.

    Args:
        hashes: of the pictures.
        copies: `small_copy` of each, `[pictures, 16, 16]`.
        work: stopped between pieces.
        lengths: of the sounds that the pictures are of: one word said twice looks much the same, but hardly ever
            takes as long.
    """
    groups = np.arange(len(hashes), dtype=np.int64)
    least = _LEAST_CORRELATION if lengths is None else _LEAST_OF_SOUNDS
    flat = copies.reshape(len(copies), -1)
    means = flat.mean(axis=1, dtype=np.float32)
    spreads = np.maximum(flat.std(axis=1, dtype=np.float32), 1e-6)
    for left, right in near_pairs(hashes):
        work.check()
        apart = groups[left] != groups[right]
        if lengths is not None:
            apart &= np.abs(np.log(lengths[left] / lengths[right])) <= _SAME_LENGTH
        left, right = left[apart], right[apart]
        for start in range(0, len(left), _LOOKED_AT):
            one, other = left[start : start + _LOOKED_AT], right[start : start + _LOOKED_AT]
            first, second = (flat[rows].astype(np.float32) - means[rows, None] for rows in (one, other))
            products = np.einsum("ij,ij->i", first, second) / flat.shape[1]
            same = products >= least * spreads[one] * spreads[other]
            join(groups, one[same], other[same])
    return groups
