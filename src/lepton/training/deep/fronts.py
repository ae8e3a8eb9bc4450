"""What stands between a codec and a network, in the graph: pictures in one size, sounds as log-mel spectrograms.

Training runs the same nodes by onnxruntime, so that a network learns from what it will be shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, TensorRecord

__all__ = ["Front", "PictureFront", "SoundFront", "run_front"]

_WINDOW, _HOP = 0.025, 0.010  # seconds
_RANGE = 1e-6  # of the power: what is 60 dB below the loudest is silence
_LEAST_POWER = 1e-9


class Front(Protocol):
    """The first nodes of a graph."""

    @property
    def tensor(self) -> TensorRecord:
        """What the graph takes."""

    def emit(self, builder: GraphBuilder, value: str) -> str:
        """Write the nodes; what the network takes."""


@dataclass(frozen=True)
class PictureFront:
    """Pictures of any size, resized to one; each new pixel is the mean of what it covers.

    Attributes:
        height: in pixels.
        width: in pixels.
        channels: 1 or 3.
    """

    height: int
    width: int
    channels: int

    @property
    def tensor(self) -> TensorRecord:
        """`image` uint8 [N, H, W, C]."""
        return TensorRecord("image", "uint8", (None, None, None, self.channels))

    def emit(self, builder: GraphBuilder, value: str) -> str:
        """Write the nodes: float [N, height, width, C], whole numbers from 0 to 255."""
        x = builder.node("Transpose", [builder.node("Cast", [value], to=1)], perm=[0, 3, 1, 2])
        # All four sizes, for onnxruntime cannot infer a shape from constant sizes of some axes.
        wanted = builder.constant(np.array([self.height, self.width], dtype=np.int64))
        sizes = builder.node("Concat", [builder.node("Shape", [x], end=2), wanted], axis=0)
        x = builder.node("Resize", [x, "", "", sizes], mode="linear", antialias=1)
        x = builder.node(
            "Clip", [builder.node("Round", [x]), builder.constant(np.float32(0)), builder.constant(np.float32(255))]
        )
        return str(builder.node("Transpose", [x], perm=[0, 2, 3, 1]))


@dataclass(frozen=True)
class SoundFront:
    """Sounds of any length: the middle of them, as loudness in decibels by pitch and time.

    Bands are as far apart as the ear hears them (mel), each of a window of 25 ms every 10 ms. Loudness is that below
    the loudest place, so it does not matter how near the microphone was.

    Attributes:
        rate: samples a second.
        samples: that are looked at: the middle of longer sounds; silence stands around shorter ones.
    """

    rate: int
    samples: int

    @property
    def tensor(self) -> TensorRecord:
        """`audio` float [N, T]."""
        return TensorRecord("audio", "float", (None, None), rate=self.rate)

    @property
    def bands(self) -> int:
        """How many pitches there are."""
        return 40 if self.rate <= 10_000 else 64

    def emit(self, builder: GraphBuilder, value: str) -> str:
        """Write the nodes: float [N, bands, frames], from -1 (60 dB below the loudest) to 0."""
        x = builder.node("Unsqueeze", [self._middle(builder, value), builder.constant(np.array([1]))])
        waves, mel = _waves(self.rate), _mel(self.rate, self.bands)
        parts = builder.node("Conv", [x, builder.constant(waves)], strides=[max(1, round(_HOP * self.rate))])
        squares = builder.node("Mul", [parts, parts])
        real, imaginary = builder.node("Split", [squares], axis=1, num_outputs=2, outputs=2)
        power = builder.node("MatMul", [builder.constant(mel), builder.node("Add", [real, imaginary])])
        loudest = builder.node("ReduceMax", [power, builder.constant(np.array([1, 2]))], keepdims=1)
        loudest = builder.node("Add", [loudest, builder.constant(np.float32(_LEAST_POWER))])
        floor = builder.node("Mul", [loudest, builder.constant(np.float32(_RANGE))])
        below = builder.node("Log", [builder.node("Div", [builder.node("Add", [power, floor]), loudest])])
        return str(builder.node("Mul", [below, builder.constant(np.float32(-1 / math.log(_RANGE)))]))

    def _middle(self, builder: GraphBuilder, value: str) -> str:
        """`samples` of each row: the middle, or all of it between silence."""
        wanted, zero = builder.constant(np.array([self.samples])), builder.constant(np.array([0]))
        two = builder.constant(np.array([2]))
        length = builder.node("Shape", [value], start=1)
        lacking = builder.node("Max", [builder.node("Sub", [wanted, length]), zero])
        before = builder.node("Div", [lacking, two])
        after = builder.node("Sub", [lacking, before])
        pads = builder.node("Concat", [zero, before, zero, after], axis=0)
        padded = builder.node("Pad", [value, pads])
        start = builder.node("Div", [builder.node("Max", [builder.node("Sub", [length, wanted]), zero]), two])
        end = builder.node("Add", [start, wanted])
        return str(builder.node("Slice", [padded, start, end, builder.constant(np.array([1]))]))


def run_front(front: Front) -> Any:
    """A function that does what the front's nodes do, to one row: array without the first axis → array."""
    builder = GraphBuilder()
    tensor = front.tensor
    name = builder.input(
        tensor.name, tensor.dtype, ["N", *(size or f"s{i}" for i, size in enumerate(tensor.shape[1:]))]
    )
    value = front.emit(builder, name)
    builder.output(
        "rows", builder.node("Identity", [value]), "float", ["N", *("abc"[: 3 if tensor.name == "image" else 2])]
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(builder.finish({}), options, providers=["CPUExecutionProvider"])

    def run(row: NDArray[Any]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = session.run(None, {tensor.name: row[None]})[0][0]
        return answer

    return run


def _waves(rate: int) -> NDArray[np.float32]:
    """Cosines and sines of each pitch of the Fourier transform under a Hann window: [2 K, 1, window]."""
    window = max(16, round(_WINDOW * rate))
    size = 1 << (window - 1).bit_length()
    angles = 2 * np.pi * np.arange(size // 2 + 1)[:, None] * np.arange(window)[None, :] / size
    hann = np.hanning(window + 2)[1:-1]
    waves = np.concatenate([np.cos(angles), np.sin(angles)]) * hann / hann.sum()
    found: NDArray[np.float32] = waves[:, None, :].astype(np.float32)
    return found


def _mel(rate: int, bands: int) -> NDArray[np.float32]:
    """Weights of the pitches in each band, [bands, K]: triangles on the mel scale (O'Shaughnessy 1987)."""
    window = max(16, round(_WINDOW * rate))
    size = 1 << (window - 1).bit_length()
    pitches = np.arange(size // 2 + 1) * rate / size
    low, high = 1127 * np.log1p(np.array([50.0, rate / 2]) / 700)
    edges = 700 * np.expm1(np.linspace(low, high, bands + 2) / 1127)
    # A band narrower than the transform's step would hold none of its pitches.
    least = rate / size
    rising = (pitches - edges[:-2, None]) / np.maximum(edges[1:-1] - edges[:-2], least)[:, None]
    falling = (edges[2:, None] - pitches) / np.maximum(edges[2:] - edges[1:-1], least)[:, None]
    weights = np.clip(np.minimum(rising, falling), 0, None)
    nearest = np.abs(pitches[None, :] - edges[1:-1, None]).argmin(axis=1)
    empty = weights.sum(axis=1) == 0
    weights[empty, nearest[empty]] = 1
    found: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return found
