"""The module: stages with a head after the last or after each, and the ways through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepton.training.nets.layers import Block, ConvNorm, Head, Recurrent, channels_at
from lepton.training.nets.spec import NetSpec, StageSpec, round_channels

__all__ = ["Body", "LeptonNetModule", "lepton_net_body"]

EARLY_WEIGHT = 0.3
"""What the loss of an early exit counts; that of the last counts 1 (BranchyNet, Teerapittayanon et al., 2016)."""

_STEM_KERNEL = 5
_ROWS_TO_MEASURE = 10_000


class Stage(nn.Module):  # type: ignore[misc]
    """One stage: convolutions that make its channels, then blocks that keep them."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, width: int = 0) -> Tensor:
        """Compute one width."""
        for layer in self.layers:
            x = layer(x, width)
        return x


class Body(nn.Module):  # type: ignore[misc]
    """All stages, from raw rows to features.

    Attributes:
        spec: what it looks like.
        channels: of the raw rows.
        features: channels after the last stage, at full width.
        mean: of the inputs, subtracted first; one for each channel, band or feature.
        scale: what they are multiplied by then: 1 / standard deviation.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.rank = 1 if spec.kind == "series" else 2
        channels, shape = _input_channels(spec)
        self.channels = channels
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))
        stages, before = [], [channels]
        for number, stage in enumerate(spec.stages):
            given = [channels_at(stage.channels, share) for share in spec.widths]
            layers = self._stem(channels, given) if number == 0 else self._step(stage, before, given)
            stages.append(Stage([*layers, *self._blocks(stage, given)]))
            before = given
        self.stages = nn.ModuleList(stages)
        self.features = before[0]

    def _stem(self, channels: int, given: list[int]) -> list[nn.Module]:
        # A wide convolution on the raw input; larger inputs are halved on half of the channels.
        halvings, stride = max(1, self.spec.halvings), 2 if self.spec.halvings else 1
        half = [round_channels(count / 2) for count in given]
        layers = []
        for halving in range(halvings):
            outputs = given if halving == halvings - 1 else half
            kernel = _STEM_KERNEL if halving == 0 else 3
            layers.append(ConvNorm(self.rank, channels, outputs, kernel, stride=stride))
            channels = outputs[0]
        return list(layers)

    def _step(self, stage: StageSpec, before: list[int], given: list[int]) -> list[nn.Module]:
        mixing = ConvNorm(self.rank, before[0], given)
        if stage.stride == 1:
            return [mixing]
        return [ConvNorm(self.rank, before[0], before, 3, stride=2, depthwise=True, active=False), mixing]

    def _blocks(self, stage: StageSpec, given: list[int]) -> list[nn.Module]:
        if stage.layer == "recurrent":
            return [Recurrent(stage.channels) for _ in range(stage.blocks)]
        return [Block(self.rank, given, stage.kernel, stage.expansion) for _ in range(stage.blocks)]

    def standardise(self, rows: NDArray[Any]) -> None:
        """Take means and standard deviations from training rows in the form of the input; NaN is left out."""
        axes = {"image": (0, 1, 2), "spectrogram": (0, 2), "series": (0, 1)}[self.spec.kind]
        some = np.asarray(rows[:: max(1, len(rows) // _ROWS_TO_MEASURE)], dtype=np.float64)
        mean, deviation = np.nanmean(some, axis=axes), np.nanstd(some, axis=axes)
        deviation = np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, 1.0)
        self.mean.copy_(torch.as_tensor(mean).reshape(self.mean.shape))
        self.scale.copy_(torch.as_tensor(1 / deviation).reshape(self.scale.shape))

    def prepare(self, rows: Tensor) -> Tensor:
        """Raw rows as [N, channels, *sides], standardised; a missing value of a series becomes its mean."""
        x = rows.to(self.mean.dtype)
        if self.spec.kind == "image":
            x = x.permute(0, 3, 1, 2)  # no copy: the memory stays channels last, which convolutions are quick at
        elif self.spec.kind == "spectrogram":
            x = x.unsqueeze(1)
        else:
            x = x.transpose(1, 2)
        x = (x - self.mean) * self.scale
        return torch.nan_to_num(x) if self.spec.kind == "series" else x

    def forward(self, rows: Tensor, width: int = 0) -> Tensor:
        """Features [N, features] of raw rows: the mean over all places after the last stage."""
        x = self.prepare(rows)
        for stage in self.stages:
            x = stage(x, width)
        return pooled(x)


class LeptonNetModule(nn.Module):  # type: ignore[misc]
    """The net: a body and its heads.

    `forward` gives logits [N, outputs]: while it learns those of the last head; in evaluation what the exported graph
    gives, each row's from the exit where it leaves, divided by the temperature there.

    Attributes:
        body: the stages.
        heads: the last one, or one for each stage.
        temperatures: what logits are divided by before they become probabilities, for each head.
        thresholds: how sure an early exit must be for a row to leave there; above 1 no row leaves.
    """

    temperatures: Tensor
    thresholds: Tensor

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        self.body = Body(spec)
        stages = spec.stages if spec.exits else spec.stages[-1:]
        self.heads = nn.ModuleList(Head(stage.channels, spec.outputs, spec.dropout) for stage in stages)
        self.register_buffer("temperatures", torch.ones(len(stages), dtype=torch.float64))
        self.register_buffer("thresholds", torch.full((len(stages) - 1,), 2.0, dtype=torch.float64))

    @property
    def spec(self) -> NetSpec:
        """What the net looks like."""
        return self.body.spec

    def forward(self, rows: Tensor, width: int = 0) -> Tensor:
        """Logits of one width; rows leave early at full width only, which thresholds were chosen for."""
        if self.training or width:
            return self.heads[-1](self.body(rows, width))
        return self.routed(rows)[0].to(self.heads[-1].linear.weight.dtype)

    def all_logits(self, rows: Tensor, width: int = 0) -> list[Tensor]:
        """Logits of every head, the earliest first."""
        x, logits = self.body.prepare(rows), []
        for number, stage in enumerate(self.body.stages):
            x = stage(x, width)
            if (head := self._head(number)) is not None:
                logits.append(head(pooled(x)))
        return logits

    def _head(self, stage: int) -> Head | None:
        head = stage - len(self.body.stages) + len(self.heads)
        return self.heads[head] if head >= 0 else None

    def routed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What the exported graph computes: every row leaves at the first exit that is sure enough.

        Returns:
            Logits / temperature [N, outputs], double; and the number of the head [N] that answered.
        """
        x = self.body.prepare(rows)
        answers = torch.zeros(len(x), self.spec.outputs, dtype=torch.float64, device=x.device)
        left = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        going = torch.arange(len(x), device=x.device)
        for number, stage in enumerate(self.body.stages):
            x = stage(x)
            if (head := self._head(number)) is None:
                continue
            exit_number = number - len(self.body.stages) + len(self.heads)
            logits = head(pooled(x)).double() / self.temperatures[exit_number]
            answers[going], left[going] = logits, exit_number
            if exit_number < len(self.thresholds):
                unsure = torch.softmax(logits, 1).amax(1) < self.thresholds[exit_number]
                x, going = x[unsure], going[unsure]
        return answers, left

    def training_loss(self, rows: Tensor, y: Any, objective: Callable[[Tensor, Any], Tensor]) -> tuple[Tensor, Tensor]:
        """The loss of all exits and widths together; and the logits of the last head at full width.

        Widths follow the sandwich rule (Yu and Huang, "Universally Slimmable Networks", 2019): at every step the
        widest, the narrowest and one between.
        """
        count = len(self.spec.widths)
        between = [1 + int(torch.randint(count - 2, ()))] if count > 2 else []
        narrower = [*between, count - 1] if count > 1 else []
        loss, answers = self._loss_at(0, rows, y, objective)
        for width in narrower:
            loss = loss + self._loss_at(width, rows, y, objective)[0]
        return loss / (1 + len(narrower)), answers

    def _loss_at(
        self, width: int, rows: Tensor, y: Any, objective: Callable[[Tensor, Any], Tensor]
    ) -> tuple[Tensor, Tensor]:
        *early, last = self.all_logits(rows, width)
        loss = objective(last, y)
        for logits in early:
            loss = loss + EARLY_WEIGHT * objective(logits, y)
        return loss / (1 + EARLY_WEIGHT * len(early)), last

    def at_width(self, width: int) -> LeptonNetModule:
        """A net of its own of one of the widths: the first channels of every layer, and their normalisation."""
        stages = tuple(
            replace(stage, channels=channels_at(stage.channels, self.spec.widths[width])) for stage in self.spec.stages
        )
        narrow = LeptonNetModule(replace(self.spec, stages=stages, widths=(1.0,)))
        source = self.state_dict()
        state = {}
        for name, value in narrow.state_dict().items():
            whole = source[name.replace(".norms.0.", f".norms.{width}.")]
            state[name] = whole[tuple(slice(size) for size in value.shape)].clone()
        narrow.load_state_dict(state)
        narrow.thresholds.fill_(2.0)  # they were chosen for the widest
        return narrow

    def multiply_adds(self, width: int = 0, sides: Sequence[int] | None = None) -> list[int]:
        """Multiply-adds of one row up to each head, the head included and those before it that it has to pass.

        Args:
            width: number of the width.
            sides: of a row where the spec leaves them open.
        """
        shape = self.spec.input_shape
        places = {"image": shape[:2], "spectrogram": shape, "series": shape[:1]}[self.spec.kind]
        given = tuple(sides) if sides is not None else tuple(side or 1 for side in places)
        channels, total, counts = self.body.channels, 0, []
        for number, stage in enumerate(self.body.stages):
            for layer in stage.layers:
                added, channels, given = layer.multiply_adds(channels, given, width)
                total += added
            if self._head(number) is not None:
                total += channels * self.spec.outputs
                counts.append(total)
        return counts


def lepton_net_body(kind: str, spec: NetSpec | None = None, **shape: Any) -> Body:
    """A body of the family without heads: raw rows in, features [N, body.features] out.

    Args:
        kind: one of `spec.KINDS`.
        spec: what it looks like.
        **shape: without a spec, what `NetSpec.of` takes beside `kind`: `input_shape`, `width`, ….
    """
    return Body(NetSpec.of(kind, outputs=1, **shape) if spec is None else spec)


def pooled(x: Tensor) -> Tensor:
    """The rectified mean over all places: [N, C, *sides] → [N, C]."""
    return torch.relu(x).flatten(2).mean(2)


def _input_channels(spec: NetSpec) -> tuple[int, tuple[int, ...]]:
    """Channels of the first convolution, and the shape of the means that are subtracted before it."""
    sizes = [size or 1 for size in spec.input_shape]
    if spec.kind == "image":
        return sizes[2], (1, sizes[2], 1, 1)
    return (1, (1, 1, sizes[0], 1)) if spec.kind == "spectrogram" else (sizes[1], (1, sizes[1], 1))
