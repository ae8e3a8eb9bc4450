"""What the times and frequencies of a sound add to an answer: regions of its spectrum are silenced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError, Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.explained_file import ExplainedFile, told_value
from lepton.evaluation.explain.hiding import MARGIN, Flags, left_out, shapley
from lepton.evaluation.explain.pictures import Gradients, called, path_gradients
from lepton.report import Figure, show_number
from lepton.report.frame import WIDTH, finish
from lepton.report.svg import coordinate, element

__all__ = ["METHODS", "Sound", "Spectrum", "explain_sound"]

METHODS = ("auto", "occlusion", "shapley", "gradients", "attribution")

_BANDS = 5
_TIMES = 8
_SAMPLES = 1_000
_STEPS = 32
_BATCH_BYTES = 2**26
_WINDOW = 0.032  # seconds
_LEAST_WINDOW = 16
_WAVE, _HEAT = 90.0, 130.0
_LEFT = 88.0
_SILENT = 1e-9


@dataclass(frozen=True)
class Sound:
    """A sound and what answers it.

    Attributes:
        samples: [T].
        rate: samples a second.
        ask: from sounds [N, T] to answers [N].
        label: whose probability these are; None of numbers.
        title: what they are.
    """

    samples: NDArray[Any]
    rate: int
    ask: Callable[[NDArray[Any]], Floats]
    label: Any
    title: str


class Spectrum:
    """A sound as times and frequencies, whose regions can be silenced; all of it gives the sound back.

    Windows of 32 ms overlap by three quarters, and are added up weighted so that they sum to the sound (Griffin & Lim
    1984).

    Args:
        samples: [T].
        rate: samples a second.

    Attributes:
        bands: frequencies in Hz between which regions lie, one more than there are bands.
        times: seconds between which they lie.
    """

    def __init__(self, samples: NDArray[Any], rate: int) -> None:
        self._length = len(samples)
        size = max(2 ** round(np.log2(max(_WINDOW * rate, _LEAST_WINDOW))), _LEAST_WINDOW)
        self._hop = size // 4
        self._window = np.sqrt(np.hanning(size + 1)[:-1])
        padded = np.pad(samples.astype(np.float64), (size, size + self._hop))
        count = (len(padded) - size) // self._hop + 1
        self._places = np.arange(count)[:, None] * self._hop + np.arange(size)
        self._padded_length = len(padded)
        self._spectrum = np.fft.rfft(padded[self._places] * self._window, axis=1)
        self._whole = self._added_up(np.broadcast_to(self._window**2, self._places.shape))
        frequencies = np.fft.rfftfreq(size, 1 / rate)
        tops = [rate / 2 / 2**step for step in range(_BANDS - 1, -1, -1)]
        self.bands = [0.0, *tops]
        self._band_of = np.minimum(np.searchsorted(tops, frequencies, side="left"), _BANDS - 1)
        num_times = int(np.clip(len(samples) // (2 * self._hop), 1, _TIMES))
        self.times = np.linspace(0, len(samples) / rate, num_times + 1).tolist()
        middles = self._places.mean(axis=1) - size
        self._time_of = np.clip((middles / max(len(samples), 1) * num_times).astype(np.int64), 0, num_times - 1)

    def shown(self, regions: NDArray[np.bool_]) -> Floats:
        """The sound [T] with the regions [bands, times] that are true alone."""
        kept = regions[self._band_of][:, self._time_of].T
        windows = np.fft.irfft(self._spectrum * kept, n=self._places.shape[1], axis=1)
        whole = self._added_up(windows * self._window) / np.maximum(self._whole, 1e-9)
        start = self._places.shape[1]
        return whole[start : start + self._length]

    def _added_up(self, windows: Floats) -> Floats:
        sums = np.bincount(self._places.ravel(), windows.ravel(), minlength=self._padded_length)
        return np.asarray(sums, dtype=np.float64)


def explain_sound(
    sound: Sound, method: str, samples: int | None, gradients: Gradients | None, seed: int, work: Work
) -> ExplainedFile:
    """What each region of times and frequencies adds.

    Args:
        sound: it, and what answers it.
        method: `shapley`, `occlusion`, `gradients` (integrated, over time alone), `attribution`, or `auto`.
        samples: sounds that the model may be asked.
        gradients: `(array, label) -> array` of the array's shape [T].
        seed: of what is drawn.
        work: cancel, time and progress.

    Raises:
        UsageError: an unknown method, gradients that are missing or of another shape, too few samples.
    """
    if method == "auto":
        method = "gradients" if gradients is not None else "shapley"
    if method not in METHODS:
        raise UsageError(ErrorCode.USAGE, f"got method={method!r} for a sound", wanted="one of " + ", ".join(METHODS))
    whole = sound.samples
    ends = sound.ask(np.stack([whole, np.zeros_like(whole)]))
    spectrum = Spectrum(whole, sound.rate)
    shape = (_BANDS, len(spectrum.times) - 1)
    notes, margin = [], MARGIN
    if float(np.abs(whole).max(initial=0.0)) < _SILENT:
        notes.append("The sound is silent: there is nothing to hide.")
    if method in ("gradients", "attribution"):
        values, how, note = _by_gradients(sound, method, samples or _STEPS, gradients, ends, shape[1])
        notes += [note] if note else []
        shape, errors, asked = values.shape, np.zeros(values.shape), 0
    else:
        ask = _asking(sound, spectrum, shape)
        shares = (
            left_out(ask, shape[0] * shape[1], work)
            if method == "occlusion"
            else shapley(ask, shape[0] * shape[1], samples or _SAMPLES, seed, work)
        )
        values, errors, asked = shares.values.reshape(shape), shares.errors.reshape(shape), shares.asked
        margin = shares.margin
        how = f"{shares.method} of regions, {shape[0]} bands × {shape[1]} times, silenced"
    names = tuple(_region(spectrum, band, time, shape) for band in range(shape[0]) for time in range(shape[1]))
    drawing = _drawn(sound, spectrum, values, told_value(names, values.ravel(), errors.ravel(), margin))
    return ExplainedFile(
        "sound", sound.title, sound.label, float(ends[0]), float(ends[1]), values, errors, names, values.ravel(),
        errors.ravel(), how, asked + 2, tuple(notes), drawing, margin,
    )  # fmt: skip


def _asking(sound: Sound, spectrum: Spectrum, shape: tuple[int, int]) -> Callable[[Flags], Floats]:
    batch = int(max(_BATCH_BYTES // max(len(sound.samples) * 8, 1), 1))

    def ask(flags: Flags) -> Floats:
        answers = []
        for start in range(0, len(flags), batch):
            rows = flags[start : start + batch]
            made = [
                sound.samples if row.all() else spectrum.shown(row.reshape(shape)).astype(sound.samples.dtype)
                for row in rows
            ]
            answers.append(sound.ask(np.stack(made)))
        return np.concatenate(answers)

    return ask


def _by_gradients(
    sound: Sound, method: str, steps: int, gradients: Gradients | None, ends: Floats, num_times: int
) -> tuple[Floats, str, str]:
    """What each stretch of time adds [1, times]."""
    if gradients is None:
        raise UsageError(
            ErrorCode.USAGE,
            f"got method={method!r} without gradients",
            wanted="gradients=, a callable (array, label) -> array",
            fix="a model file holds no gradients: take those of the network it was written from",
        )
    samples = sound.samples.astype(np.float64)
    if method == "attribution":
        found, note, how = called(gradients, samples, sound.label), "", "the attribution that was handed in"
    else:
        found, note = path_gradients(gradients, samples, np.zeros_like(samples), sound.label, steps, ends)
        how = f"integrated gradients in {steps} steps"
    stretch = np.arange(len(samples)) * num_times // max(len(samples), 1)
    sums = np.bincount(stretch, found, minlength=num_times)
    return np.asarray(sums[None, :], dtype=np.float64), how, note


def _region(spectrum: Spectrum, band: int, time: int, shape: tuple[int, int]) -> str:
    when = f"{show_number(spectrum.times[time], 3)}–{show_number(spectrum.times[time + 1], 3)} s"
    if shape[0] == 1:
        return when
    return f"{when}, {show_number(spectrum.bands[band], 3)}–{show_number(spectrum.bands[band + 1], 3)} Hz"


def _drawn(sound: Sound, spectrum: Spectrum, values: Floats, told: str) -> Figure:
    """The course of the sound over a grid of its times and frequencies."""
    num_bands, num_times = values.shape
    width, height = (WIDTH - _LEFT) / num_times, _HEAT / num_bands
    most = float(np.abs(values).max(initial=0.0))
    marks = [element("path", d=_course(sound.samples), class_="f0")]
    for band in range(num_bands):
        top = _WAVE + 8 + (num_bands - 1 - band) * height
        if num_bands > 1:
            name = f"up to {show_number(spectrum.bands[band + 1], 3)} Hz"
            marks.append(element("text", name, class_="name", x=_LEFT - 8, y=top + height / 2 + 4, text_anchor="end"))
        for time in range(num_times):
            value = float(values[band, time])
            share = abs(value) / most if most > 0 and np.isfinite(value) else 0.0
            colour = "rgb(42,111,176)" if value > 0 else "rgb(224,110,20)"
            style = f"fill:{colour};fill-opacity:{0.06 + 0.9 * share:.2f}"
            cell = element(
                "rect", x=_LEFT + time * width, y=top, width=width - 1, height=height - 1, style=style
            )  # fmt: skip
            marks.append(element("g", element("title", show_number(value)), cell))
    for time, second in enumerate(spectrum.times):
        at = _LEFT + min(time, num_times) * width
        anchor = "end" if time == num_times else "start"
        if time % max(num_times // 4, 1) == 0:
            text = f"{show_number(second, 3)} s"
            marks.append(element("text", text, class_="tick", x=at, y=_WAVE + _HEAT + 24, text_anchor=anchor))
    seconds = show_number(len(sound.samples) / sound.rate, 3)
    alt = f"Sound of {seconds} s with heat over its times and frequencies. {told}"
    caption = "Above its course; below blue where it adds to the answer, orange where it takes away."
    return finish(marks, title=f"What counts for {sound.title}", alt=alt, caption=caption, height=_WAVE + _HEAT + 32)


def _course(samples: NDArray[Any]) -> str:
    """The sound from its least to its largest value at each place, as a path."""
    values = samples.astype(np.float64)
    edges = np.linspace(0, len(values), min(240, len(values)) + 1).astype(np.int64)[:-1]
    most = max(float(np.abs(values).max()), _SILENT)
    high, low = (each / most for each in (np.maximum.reduceat(values, edges), np.minimum.reduceat(values, edges)))
    middle, step = _WAVE / 2, (WIDTH - _LEFT) / len(edges)
    points = [(_LEFT + n * step, middle - max(v, 0.01) * middle) for n, v in enumerate(high.tolist())]
    points += [(_LEFT + n * step, middle - min(v, -0.01) * middle) for n, v in reversed(list(enumerate(low.tolist())))]
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points) + "Z"
