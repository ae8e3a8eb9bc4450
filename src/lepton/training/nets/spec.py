"""What a network looks like, as plain data: enough to build it again, and nothing else (no torch here)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lepton.core import ErrorCode, UsageError

__all__ = ["KINDS", "NetSpec", "StageSpec", "round_channels"]

KINDS = ("image", "spectrogram", "series")
"""What a net takes: pictures [N, H, W, C], spectrograms [N, bands, frames], series [N, T, F]."""

_CHANNELS = (32, 64, 96)
_BLOCKS = (2, 2, 1)
_EXPANSIONS = (1, 2, 2)
_FIRST_SIDE = 20  # the stem halves pictures until their shorter side is at most this
_FIRST_BANDS = 16  # spectrograms until they have at most so many bands or frames
_FIRST_LENGTH = 128  # and series until they have at most so many steps
_LAYERS = ("convolution", "recurrent")


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage: a step that makes the channels, then blocks that keep them.

    Attributes:
        channels: of what the stage gives, a multiple of 8.
        blocks: how many follow the step.
        stride: 2 if the step halves the sides, 1 if it keeps them.
        kernel: side of the depthwise convolutions, odd.
        expansion: how much wider a block is inside.
        layer: of the blocks: `convolution`, or `recurrent` (GRUs in both directions; series only).
    """

    channels: int
    blocks: int = 1
    stride: int = 2
    kernel: int = 3
    expansion: int = 2
    layer: str = "convolution"


@dataclass(frozen=True, slots=True)
class NetSpec:
    """A whole net.

    Attributes:
        kind: one of `KINDS`.
        input_shape: of one row, channels last; None for an open size.
        outputs: classes, or numbers to predict.
        halvings: how often the stem halves the sides, before the first stage.
        stages: from the stem to the head.
        exits: whether every stage has a head, not only the last.
        widths: shares of the channels that are trained together, the widest first; `(1.0,)` is one net.
        dropout: share of the features that a head does not see, in training.
    """

    kind: str
    input_shape: tuple[int | None, ...]
    outputs: int
    halvings: int
    stages: tuple[StageSpec, ...]
    exits: bool = False
    widths: tuple[float, ...] = (1.0,)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Raise `UsageError` for a net that cannot be built."""
        _check(self.kind in KINDS, f"got the kind {self.kind!r}", "one of " + ", ".join(KINDS))
        rank = {"image": 3, "spectrogram": 2, "series": 2}[self.kind]
        fixed = {"image": self.input_shape[2:], "spectrogram": self.input_shape[:1], "series": self.input_shape[1:]}
        _check(
            len(self.input_shape) == rank
            and all(size is None or 1 <= size <= 1 << 20 for size in self.input_shape)
            and None not in fixed[self.kind],
            f"got the input shape {self.input_shape}",
            {
                "image": "(height, width, channels) of one picture, such as (28, 28, 1)",
                "spectrogram": "(bands, frames) of one spectrogram; None for open frames",
                "series": "(steps, features) of one series; None for open steps",
            }[self.kind],
        )
        _check(self.outputs >= 1, f"got {self.outputs} outputs", "at least 1")
        _check(bool(self.stages), "got no stages", "at least one stage")
        widest_first = self.widths == tuple(sorted(set(self.widths), reverse=True))
        _check(
            bool(self.widths) and self.widths[0] == 1.0 and widest_first and self.widths[-1] > 0,
            f"got the widths {self.widths}",
            "shares in (0, 1] that begin with 1.0 and fall",
        )
        _check(
            not self.exits or self.kind == "series" or None not in self.input_shape,
            f"got exits for rows of the open shape {self.input_shape}",
            "sizes that are known: onnxruntime cannot leave its blocked layout for no rows at all without them",
        )
        for stage in self.stages:
            _check(stage.layer in _LAYERS, f"got the layer {stage.layer!r}", "one of " + ", ".join(_LAYERS))
            _check(
                stage.layer == "convolution" or (self.kind == "series" and self.widths == (1.0,)),
                "got a recurrent stage",
                "recurrent stages in series of one width only",
            )

    @classmethod
    def of(
        cls,
        kind: str,
        input_shape: tuple[int | None, ...],
        outputs: int,
        *,
        width: float = 1.0,
        depth: float = 1.0,
        recurrent: bool = False,
        exits: bool = False,
        widths: tuple[float, ...] = (1.0,),
    ) -> NetSpec:
        """The family's member of a width and a depth, for one kind of input.

        Args:
            kind: one of `KINDS`.
            input_shape: of one row, channels last; None for an open size.
            outputs: classes, or numbers to predict.
            width: multiplies the channels of every stage.
            depth: multiplies the blocks of every stage.
            recurrent: make the last stage a recurrent one (series).
            exits: give every stage a head.
            widths: shares of the channels that are trained together.

        Raises:
            UsageError: for a shape, width or depth that no net has.
        """
        for name, value in (("width", width), ("depth", depth)):
            _check(0.05 <= value <= 64, f"got {name}={value!r}", "a number from 0.05 to 64")
        stages = [
            StageSpec(
                channels=round_channels(channels * width),
                blocks=max(1, round(blocks * depth)),
                stride=1 if number == 0 else 2,
                expansion=expansion,
            )
            for number, (channels, blocks, expansion) in enumerate(zip(_CHANNELS, _BLOCKS, _EXPANSIONS, strict=True))
        ]
        if recurrent:
            stages[-1] = StageSpec(stages[-1].channels, 1, 1, layer="recurrent")
        return cls(
            kind,
            tuple(input_shape),
            outputs,
            _halvings(kind, tuple(input_shape)),
            tuple(stages),
            exits=exits,
            widths=tuple(widths),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> NetSpec:
        """Read the JSON form; `UsageError` for anything that `to_dict` would not have written."""
        try:
            return cls(
                **{
                    **raw,
                    "input_shape": tuple(raw["input_shape"]),
                    "stages": tuple(StageSpec(**stage) for stage in raw["stages"]),
                    "widths": tuple(raw["widths"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise UsageError(ErrorCode.USAGE, f"the spec of a net is damaged: {error}") from None


def round_channels(channels: float) -> int:
    """The nearest multiple of 8, at least 8: what convolutions are quick at."""
    return max(8, int(channels / 8 + 0.5) * 8)


def _halvings(kind: str, shape: tuple[int | None, ...]) -> int:
    most = {"image": _FIRST_SIDE, "spectrogram": _FIRST_BANDS, "series": _FIRST_LENGTH}[kind]
    sides = shape[:1] if kind == "series" else shape[:2]
    side, halvings = min((side for side in sides if side is not None), default=most), 0
    while side > most:
        side, halvings = (side + 1) // 2, halvings + 1
    return halvings


def _check(holds: bool, came: str, wanted: str) -> None:
    if not holds:
        raise UsageError(ErrorCode.USAGE, came, wanted=wanted)
