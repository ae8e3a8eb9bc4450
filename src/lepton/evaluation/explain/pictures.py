"""What the places of a picture add to an answer: regions hidden, masks at random, or gradients that are handed in.

Sources: Zeiler & Fergus 2014 (occlusion); Petsiuk, Das & Saenko 2018 (RISE); Sundararajan, Taly & Yan 2017 (integrated
gradients). What is hidden takes the mean colour of the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError, Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.explained_file import ExplainedFile, told_value
from lepton.evaluation.explain.heat import enlarged, heat_over
from lepton.evaluation.explain.hiding import MARGIN, Flags, left_out, shapley

__all__ = ["METHODS", "Gradients", "Picture", "explain_picture", "path_gradients"]

Gradients = Callable[[NDArray[Any], Any], NDArray[Any]]
METHODS = ("auto", "occlusion", "shapley", "rise", "gradients", "attribution")

_REGIONS = 7
_MASK = 7
_SHARE = 0.5
_SAMPLES = 1_000
_STEPS = 32
_BATCH_BYTES = 2**25
_FEW_MASKS = 50


@dataclass(frozen=True)
class Picture:
    """A picture and what answers it.

    Attributes:
        pixels: [H, W, C].
        ask: from pictures [N, H, W, C] to answers [N].
        label: whose probability these are; None of numbers.
        title: what they are.
    """

    pixels: NDArray[Any]
    ask: Callable[[NDArray[Any]], Floats]
    label: Any
    title: str

    @property
    def hidden(self) -> NDArray[Any]:
        """The picture with everything hidden: its mean colour; of one colour, black or white, whichever is farther."""
        mean = self.pixels.mean(axis=(0, 1), keepdims=True, dtype=np.float64)
        if float(np.ptp(self.pixels)) == 0 or bool((self.pixels == self.pixels[:1, :1]).all()):
            top = 255.0 if self.pixels.dtype == np.uint8 else 1.0
            mean = np.where(mean < top / 2, top, 0.0)
        return self.cast(np.broadcast_to(mean, self.pixels.shape))

    def cast(self, values: Floats) -> NDArray[Any]:
        """Colours in the type that the model takes."""
        rounded = np.rint(values) if self.pixels.dtype.kind in "ui" else values
        return np.ascontiguousarray(rounded.astype(self.pixels.dtype))

    def ask_masked(self, masks: Floats) -> Floats:
        """Answers [N] where masks [N, H, W] show 1 as it is, 0 as hidden, and what is between as a mixture."""
        shown, hidden = self.pixels.astype(np.float64), self.hidden.astype(np.float64)
        return self.ask(self.cast(hidden + masks[..., None] * (shown - hidden)))

    @property
    def batch(self) -> int:
        """Pictures that are asked at once."""
        return int(max(_BATCH_BYTES // max(self.pixels.size * 8, 1), 1))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of regions: 7 × 7, fewer of tiny pictures."""
        return min(self.pixels.shape[0], _REGIONS), min(self.pixels.shape[1], _REGIONS)


@dataclass(frozen=True, slots=True)
class _Heat:
    """What was found: heat [h, w] with its standard errors."""

    values: Floats
    errors: Floats
    asked: int
    method: str
    notes: tuple[str, ...] = ()
    margin: float = MARGIN


def explain_picture(
    picture: Picture, method: str, samples: int | None, gradients: Gradients | None, seed: int, work: Work
) -> ExplainedFile:
    """What each place of a picture adds.

    Args:
        picture: it, and what answers it.
        method: `occlusion` (regions hidden one by one), `shapley` (the same regions in all orders), `rise` (masks at
            random), `gradients` (integrated, by a callable), `attribution` (what the callable gives, as it is), `auto`.
        samples: pictures that the model may be asked.
        gradients: `(array, label) -> array` of the array's shape.
        seed: of what is drawn.
        work: cancel, time and progress.

    Raises:
        UsageError: an unknown method, gradients that are missing or of another shape, too few samples.
    """
    if method == "auto":
        method = "gradients" if gradients is not None else "shapley"
    if method not in METHODS:
        raise UsageError(ErrorCode.USAGE, f"got method={method!r} for a picture", wanted="one of " + ", ".join(METHODS))
    ends = picture.ask(np.stack([picture.pixels, picture.hidden]))
    notes = []
    if method in ("gradients", "attribution"):
        heat = _by_gradients(picture, method, samples or _STEPS, gradients, ends)
    elif method == "rise":
        heat = _by_masks(picture, samples or _SAMPLES, seed, work)
    else:
        heat = _by_regions(picture, method, samples, seed, work)
    if bool((picture.pixels == picture.pixels[:1, :1]).all()):
        notes.append("The picture is of one colour; what is hidden is made black or white.")
    rows, columns = picture.grid
    names = tuple(_region(picture, row, column) for row in range(rows) for column in range(columns))
    added, errors = _per_region(heat, picture.grid)
    height, width = picture.pixels.shape[:2]
    alt = f"Picture of {width} × {height} pixels with heat. {told_value(names, added, errors, heat.margin)}"
    drawing = heat_over(picture.pixels, heat.values, title=f"What counts for {picture.title}", alt=alt)
    return ExplainedFile(
        "picture", picture.title, picture.label, float(ends[0]), float(ends[1]), heat.values, heat.errors, names,
        added, errors, heat.method, heat.asked + 2, (*heat.notes, *notes), drawing, heat.margin,
    )  # fmt: skip


def _by_regions(picture: Picture, method: str, samples: int | None, seed: int, work: Work) -> _Heat:
    rows, columns = picture.grid
    height, width = picture.pixels.shape[:2]

    def ask(flags: Flags) -> Floats:
        answers = []
        for start in range(0, len(flags), picture.batch):
            part = flags[start : start + picture.batch].reshape(-1, rows, columns)
            masks = np.stack([enlarged(each.astype(np.float64), height, width) for each in part])
            answers.append(picture.ask_masked(masks))
        return np.concatenate(answers)

    if method == "occlusion":
        shares = left_out(ask, rows * columns, work)
    else:
        shares = shapley(ask, rows * columns, samples or _SAMPLES, seed, work)
    values, errors = (each.reshape(rows, columns) for each in (shares.values, shares.errors))
    what = f"regions, {rows} × {columns}, hidden by the mean colour"
    return _Heat(values, errors, shares.asked, f"{shares.method} of {what}", (), shares.margin)


def _by_masks(picture: Picture, samples: int, seed: int, work: Work) -> _Heat:
    """RISE: how the answer goes with what is seen at each place, others being seen or not at random.

    The estimate is the slope of the answer over the mask at a place, which is RISE's mean less what all places share,
    and its standard error that of a slope (White 1980).
    """
    if samples < _FEW_MASKS:
        raise UsageError(ErrorCode.USAGE, f"got samples={samples}", wanted=f"at least {_FEW_MASKS} masks")
    random = np.random.default_rng([seed, 47])
    drawn = random.random((samples, _MASK + 1, _MASK + 1)) < _SHARE
    shifts = random.random((samples, 2))
    answers: list[Floats] = []
    step = picture.batch
    for start in range(0, samples, step):
        if work.stopped and start >= _FEW_MASKS:
            break
        masks = _masks(drawn[start : start + step], shifts[start : start + step], picture.pixels.shape[:2])
        answers.append(picture.ask_masked(masks))
        work.report(min(start + step, samples), samples, "masks", note="hiding parts")
    given = np.concatenate(answers)
    centred = given - given.mean()
    sums = np.zeros((3, *picture.pixels.shape[:2]))
    for start in range(0, len(given), step):
        part = slice(start, min(start + step, len(given)))
        masks = _masks(drawn[part], shifts[part], picture.pixels.shape[:2]) - _SHARE
        own = centred[part]
        sums[0] += np.einsum("n,nhw->hw", own, masks)
        sums[1] += np.einsum("nhw,nhw->hw", masks, masks)
        sums[2] += np.einsum("n,nhw,nhw->hw", own**2, masks, masks)
    slope = sums[0] / np.maximum(sums[1], 1e-12)
    errors = np.sqrt(sums[2]) / np.maximum(sums[1], 1e-12)
    return _Heat(slope, errors, len(given), f"RISE with {len(given):,} random masks")


def _masks(drawn: NDArray[np.bool_], shifts: Floats, size: tuple[int, ...]) -> Floats:
    """Masks [N, H, W], smooth between the points of a coarse grid that is shifted at random."""
    rows, columns = (_weights(size[axis], shifts[:, axis]) for axis in (0, 1))
    return np.asarray(rows @ drawn.astype(np.float64) @ columns.transpose(0, 2, 1), dtype=np.float64)


def _weights(length: int, shifts: Floats) -> Floats:
    """Of each place [N, length] the weights of the grid's points [N, length, G] by linear interpolation."""
    places = (np.arange(length) + 0.5) / length * (_MASK - 1) + shifts[:, None]
    weights: Floats = np.clip(1 - np.abs(places[:, :, None] - np.arange(_MASK + 1)), 0, 1)
    return weights


def _by_gradients(picture: Picture, method: str, steps: int, gradients: Gradients | None, ends: Floats) -> _Heat:
    if gradients is None:
        raise UsageError(
            ErrorCode.USAGE,
            f"got method={method!r} without gradients",
            wanted="gradients=, a callable (array, label) -> array",
            fix="a model file holds no gradients: take those of the network it was written from",
        )
    shown, hidden = picture.pixels.astype(np.float64), picture.hidden.astype(np.float64)
    if method == "attribution":
        found = called(gradients, shown, picture.label)
        return _Heat(found.sum(axis=2), np.zeros(found.shape[:2]), 0, "the attribution that was handed in")
    found, note = path_gradients(gradients, shown, hidden, picture.label, steps, ends)
    heat = found.sum(axis=2)
    return _Heat(heat, np.zeros(heat.shape), 0, f"integrated gradients in {steps} steps", (note,))


def path_gradients(
    gradients: Gradients, shown: Floats, hidden: Floats, label: Any, steps: int, ends: Floats
) -> tuple[Floats, str]:
    """Integrated gradients of an array from what is hidden to what is shown, and how far they are from summing up."""
    places = (np.arange(steps) + 0.5) / steps
    mean = sum(
        (called(gradients, hidden + at * (shown - hidden), label) for at in places.tolist()), np.zeros(shown.shape)
    )
    found = mean / steps * (shown - hidden)
    total, wanted = float(found.sum()), float(ends[0] - ends[1])
    return found, f"They sum to {total:.4g}, where the answers differ by {wanted:.4g}: {abs(total - wanted):.2g} off."


def called(gradients: Gradients, array: Floats, label: Any) -> Floats:
    """What a callable gives for an array, checked."""
    given = np.asarray(gradients(array, label), dtype=np.float64)
    if given.shape != array.shape or not bool(np.isfinite(given).all()):
        raise UsageError(
            ErrorCode.USAGE,
            f"gradients= gave {list(given.shape)} values"
            + ("" if given.shape != array.shape else " that are not finite"),
            wanted=f"finite numbers of the array's own shape, {list(array.shape)}",
        )
    return given


def _per_region(heat: _Heat, grid: tuple[int, int]) -> tuple[Floats, Floats]:
    """What each region adds, and its standard error: of finer heat the mean, whose places err together."""
    if heat.values.shape == grid:
        return heat.values.ravel(), heat.errors.ravel()
    rows = np.arange(heat.values.shape[0]) * grid[0] // heat.values.shape[0]
    columns = np.arange(heat.values.shape[1]) * grid[1] // heat.values.shape[1]
    places = (rows[:, None] * grid[1] + columns).ravel()
    counts = np.bincount(places, minlength=grid[0] * grid[1])
    values, errors = (
        np.bincount(places, each.ravel(), minlength=len(counts)) / np.maximum(counts, 1)
        for each in (heat.values, heat.errors)
    )
    if not heat.errors.any():  # gradients sum to the answer
        values = values * counts
    return values, errors


def _region(picture: Picture, row: int, column: int) -> str:
    """Where a region is, in pixels."""
    (rows, columns), (height, width) = picture.grid, picture.pixels.shape[:2]
    top, bottom = -(-row * height // rows), -(-(row + 1) * height // rows) - 1
    left, right = -(-column * width // columns), -(-(column + 1) * width // columns) - 1
    return f"x {left}–{right}, y {top}–{bottom}"
