"""From a column of files to what a network learns from: every file decoded once, and brought into one shape."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.codecs import decode_picture, decode_sound, is_picture, is_sound, one_channel
from lepton.core import DataError, ErrorCode, Kind, Work, printable
from lepton.data.media.images import decode_image, image_facts
from lepton.data.media.parallel import in_parallel
from lepton.data.media.sounds import decode_sound as decode_any_sound, sound_facts
from lepton.data.references import References
from lepton.training.deep.fronts import Front, PictureFront, SoundFront, run_front

__all__ = ["MediaRows", "read_rows"]

_LONGEST_SIDE, _LEAST_SIDE = 64, 8
_BEST_RATE = 16_000
_LONGEST, _SHORTEST = 6.0, 0.3  # seconds
_ALMOST_ALL = 0.98
_LOOKED_AT = 2_000
_STEP = 256
_MOST_BYTES = 2 * 2**30
_MOST_BAD = 0.5
_SPECTROGRAM_BYTES = 4 * 64 * 601


@dataclass(frozen=True)
class MediaRows:
    """Files as a network sees them.

    Attributes:
        values: pictures uint8 [N, H, W, C], or spectrograms float32 [N, bands, frames].
        places: which of the cells each row is [N].
        same: the first row whose file is, byte for byte, that of each [N].
        front: the nodes that make such rows of what a codec gives.
        notes: what was decided, for people.
    """

    values: NDArray[Any]
    places: NDArray[np.int64]
    same: NDArray[np.int64]
    front: Front
    notes: tuple[str, ...]


def read_rows(
    cells: list[str | None], kind: Kind, references: References, work: Work, front: Front | None = None
) -> MediaRows:
    """Decode the files of a column; those that cannot be read are left out and named.

    Args:
        cells: what the column holds.
        kind: image or audio.
        references: what a cell means.
        work: cancel, progress, threads, seed.
        front: what the rows are to look like; None for what suits the files.

    Raises:
        DataError: more than half of them, or all, cannot be read; the first is named.
    """
    is_given = front is not None
    if front is None:
        looked = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), _LOOKED_AT)).astype(int))
        make: Callable[..., Front] = _picture_front if kind is Kind.IMAGE else _sound_front
        front = make([cells[place] for place in looked], references, work)
    run = run_front(front)
    decode = partial(_row, kind=kind, front=front, run=run, references=references)
    values: list[NDArray[Any]] = []
    digests: list[bytes] = []
    places: list[int] = []
    bad: list[str] = []
    drawn, notes = _drawn(len(cells), front, work)
    for start in range(0, len(drawn), _STEP):
        work.check()
        part = drawn[start : start + _STEP]
        for place, found in zip(part, in_parallel(decode, [cells[each] for each in part], work), strict=True):
            if isinstance(found, str):
                bad.append(f"'{printable(str(cells[place]), 80)}' ({found})")
            else:
                values.append(found[0])
                digests.append(found[1])
                places.append(int(place))
        work.report(min(start + _STEP, len(drawn)), len(drawn), "files", note="decoding")
    if len(bad) > _MOST_BAD * len(drawn):
        raise DataError(
            ErrorCode.UNREADABLE,
            f"{len(bad)} of {len(drawn)} files cannot be read; the first is {bad[0]}",
            wanted="files that can be decoded",
            fix="lepton data check tells what is wrong with each",
        )
    if bad:
        notes.append(f"left out {len(bad)} of {len(drawn)} files that cannot be read: " + ", ".join(bad[:3])
                     + (", …" if len(bad) > 3 else ""))  # fmt: skip
    array = np.stack(values)
    if not is_given and isinstance(front, PictureFront) and bool((array == array[..., :1]).all()):
        front = PictureFront(front.height, front.width, 1)
        array = np.ascontiguousarray(array[..., :1])
        notes.append("the pictures are grey: one channel")
    _, first, inverse = np.unique(np.array(digests), return_index=True, return_inverse=True)
    return MediaRows(array, np.array(places), first[inverse], front, (*_told(front), *notes))


def _row(
    cell: str | None, *, kind: Kind, front: Front, run: Callable[[Any], NDArray[np.float32]], references: References
) -> tuple[NDArray[Any], bytes] | str:
    """One row and the hash of its file, or why there is none."""
    if cell is None:
        return "it is missing"
    try:
        data = references.read(cell)
        digest = blake2b(data, digest_size=16).digest()
        if kind is Kind.IMAGE:
            return run(_pixels(data)).astype(np.uint8), digest
        if not isinstance(front, SoundFront):
            raise TypeError(type(front).__name__)
        return run(_samples(data, front.rate)), digest
    except DataError as error:
        return error.came


def _pixels(data: bytes) -> NDArray[np.uint8]:
    if is_picture(data):
        return decode_picture(data)
    image, _, _ = decode_image(data)
    return np.asarray(image.convert("RGB"))


def _samples(data: bytes, rate: int) -> NDArray[np.float32]:
    if is_sound(data):
        return decode_sound(data, rate)
    samples, own_rate = decode_any_sound(data)
    if not len(samples):
        raise DataError(ErrorCode.UNREADABLE, "empty: it holds no samples")
    return one_channel(samples, own_rate, rate)


def _facts(cells: list[str | None], references: References, work: Work, read: Callable[[Any], Any]) -> list[Any]:
    """What the heads of files say; those that cannot be read say nothing."""

    def look(cell: str | None) -> Any:
        try:
            return None if cell is None else read(io.BytesIO(references.read(cell)))
        except DataError:
            return None

    return [found for found in in_parallel(look, cells, work) if found is not None]


def _picture_front(cells: list[str | None], references: References, work: Work) -> PictureFront:
    facts = _facts(cells, references, work, image_facts)
    height = float(np.median([fact.height for fact in facts])) if facts else _LONGEST_SIDE
    width = float(np.median([fact.width for fact in facts])) if facts else _LONGEST_SIDE
    factor = min(1.0, _LONGEST_SIDE / max(height, width))
    sides = [max(_LEAST_SIDE, round(side * factor)) for side in (height, width)]
    return PictureFront(sides[0], sides[1], 3)


def _sound_front(cells: list[str | None], references: References, work: Work) -> SoundFront:
    facts = [fact for fact in _facts(cells, references, work, sound_facts) if fact.seconds > 0]
    rates = Counter(fact.rate for fact in facts)
    rate = int(np.clip(rates.most_common(1)[0][0], 4_000, _BEST_RATE)) if rates else _BEST_RATE
    seconds = float(np.quantile([fact.seconds for fact in facts], _ALMOST_ALL)) if facts else 1.0
    return SoundFront(rate, round(min(max(seconds, _SHORTEST), _LONGEST) * rate))


def _drawn(count: int, front: Front, work: Work) -> tuple[NDArray[np.int64], list[str]]:
    """Which files are learned from: all, or as many as fit into memory."""
    a_row = front.height * front.width * 3 if isinstance(front, PictureFront) else _SPECTROGRAM_BYTES
    most = max(_MOST_BYTES // a_row, 1)
    if count <= most:
        return np.arange(count), []
    chosen = np.sort(np.random.default_rng(work.seed_for("media", "rows")).permutation(count)[:most])
    return chosen, [f"drew {most:,} of {count:,} files, as many as fit into memory"]


def _told(front: Front) -> tuple[str, ...]:
    if isinstance(front, PictureFront):
        return (f"pictures are looked at in {front.width} x {front.height} pixels, resized in the graph",)
    if isinstance(front, SoundFront):
        seconds = front.samples / front.rate
        return (f"of sounds, {seconds:.3g} s are heard at {front.rate:,} Hz, as {front.bands} bands of loudness",)
    return ()
