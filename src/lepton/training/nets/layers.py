"""The layers of the family. Each says how it is computed and, beside it, how it is written as ONNX.

A layer holds the weights of its widest form; a narrower one uses the first channels of them, with a normalisation of
its own (Yu et al., "Slimmable Neural Networks", 2019). `width` is the number of the width in the spec, 0 the widest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lepton.bundle.build import GraphBuilder
from lepton.training.nets.spec import round_channels

__all__ = ["Block", "ConvNorm", "Head", "Recurrent", "channels_at"]

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d}
_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


def channels_at(channels: int, share: float) -> int:
    """How many of `channels` a net of the width `share` uses."""
    return channels if share == 1.0 else min(channels, round_channels(channels * share))


class ConvNorm(nn.Module):  # type: ignore[misc]
    """A convolution, a normalisation for each width, and a rectifier unless `active` is false.

    Takes [N, inputs, *sides] and gives [N, outputs, *sides / stride], sides rounded up.

    Args:
        rank: 2 for pictures, 1 for series.
        inputs: channels that come, at full width.
        outputs: channels that it gives at each width, the widest first.
        kernel: side, odd.
        stride: how far the sides shrink.
        depthwise: every channel for itself.
        active: whether the rectifier follows.
    """

    def __init__(
        self,
        rank: int,
        inputs: int,
        outputs: Sequence[int],
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        active: bool = True,
    ) -> None:
        super().__init__()
        self.rank, self.kernel, self.stride, self.depthwise, self.active = rank, kernel, stride, depthwise, active
        self.weight = nn.Parameter(torch.empty(outputs[0], 1 if depthwise else inputs, *[kernel] * rank))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.norms = nn.ModuleList(_NORMS[rank](count) for count in outputs)

    def _weight(self, inputs: int, width: int) -> Tensor:
        return self.weight[: self.norms[width].num_features, : 1 if self.depthwise else inputs]

    def forward(self, x: Tensor, width: int = 0) -> Tensor:
        """Compute one width."""
        weight = self._weight(x.shape[1], width)
        groups = len(weight) if self.depthwise else 1
        x = _CONVOLUTIONS[self.rank](x, weight, None, self.stride, self.kernel // 2, 1, groups)
        x = self.norms[width](x)
        return functional.relu(x, inplace=True) if self.active else x

    def write(self, builder: GraphBuilder, x: str, inputs: int, width: int = 0) -> tuple[str, int]:
        """Write one width, the normalisation folded into the convolution; returns the value and its channels."""
        norm, weight = self.norms[width], self._weight(inputs, width).detach().double()
        scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias = norm.bias.detach().double() - norm.running_mean.double() * scale
        kernel = (weight * scale.reshape(-1, *[1] * (weight.ndim - 1))).float().cpu().numpy()
        x = builder.node(
            "Conv",
            [x, builder.constant(kernel), builder.constant(bias.float().cpu().numpy())],
            group=len(kernel) if self.depthwise else 1,
            kernel_shape=[self.kernel] * self.rank,
            pads=[self.kernel // 2] * 2 * self.rank,
            strides=[self.stride] * self.rank,
        )
        return (builder.node("Relu", [x]) if self.active else x), len(kernel)

    def multiply_adds(self, inputs: int, sides: Sequence[int], width: int = 0) -> tuple[int, int, tuple[int, ...]]:
        """Multiply-adds of one row, its channels and its sides."""
        sides = tuple(-(-side // self.stride) for side in sides)
        weight = self._weight(inputs, width)
        return weight.numel() * math.prod(sides), len(weight), sides


class Block(nn.Module):  # type: ignore[misc]
    """A depthwise convolution, then a thin one that widens and one that narrows, added to what came in.

    With `expansion` 1 it is a depthwise-separable pair (Howard et al., "MobileNets", 2017); wider, it has the order of
    "A ConvNet for the 2020s" (Liu et al., 2022), one of the universal inverted bottlenecks of "MobileNetV4" (Qin et
    al., 2024): the depthwise part runs on the few channels, not on the many.
    """

    def __init__(self, rank: int, channels: Sequence[int], kernel: int, expansion: int) -> None:
        super().__init__()
        inner = [count * expansion for count in channels]
        parts = [
            ConvNorm(rank, channels[0], channels, kernel, depthwise=True, active=expansion == 1),
            ConvNorm(rank, inner[0], channels, active=False),
        ]
        if expansion > 1:
            parts.insert(1, ConvNorm(rank, channels[0], inner))
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, width: int = 0) -> Tensor:
        """Compute one width."""
        y = x
        for part in self.parts:
            y = part(y, width)
        return x + y

    def write(self, builder: GraphBuilder, x: str, inputs: int, width: int = 0) -> tuple[str, int]:
        """Write one width."""
        y, channels = x, inputs
        for part in self.parts:
            y, channels = part.write(builder, y, channels, width)
        return builder.node("Add", [x, y]), channels

    def multiply_adds(self, inputs: int, sides: Sequence[int], width: int = 0) -> tuple[int, int, tuple[int, ...]]:
        """Multiply-adds of one row, its channels and its sides."""
        total, channels, given = 0, inputs, tuple(sides)
        for part in self.parts:
            added, channels, given = part.multiply_adds(channels, given, width)
            total += added
        return total, channels, given


class Recurrent(nn.Module):  # type: ignore[misc]
    """A gated recurrent unit (Cho et al., 2014), half of the channels in each direction, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.GRU(channels, channels // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, width: int = 0) -> Tensor:
        """Compute it: [N, C, T] → [N, C, T]."""
        return x + self.gates(x.transpose(1, 2))[0].transpose(1, 2)

    def write(self, builder: GraphBuilder, x: str, inputs: int, width: int = 0) -> tuple[str, int]:
        """Write it."""
        half = inputs // 2

        def both(name: str) -> NDArray[Any]:
            # torch keeps the gates in the order reset, update, new; ONNX update, reset, hidden
            parts = []
            for suffix in ("", "_reverse"):
                whole = getattr(self.gates, f"{name}_l0{suffix}").detach().cpu().numpy()
                parts.append(np.concatenate([whole[half : 2 * half], whole[:half], whole[2 * half :]]))
            return np.stack(parts)

        biases = np.concatenate([both("bias_ih"), both("bias_hh")], axis=1)
        weights = [builder.constant(value) for value in (both("weight_ih"), both("weight_hh"), biases)]
        # onnxruntime 1.31 aborts the process when a GRU gets no rows, as after an exit that every row took: then it
        # gets one row of zeros, whose answer is cut off.
        rows = builder.node("Shape", [x], start=0, end=1)
        lacking = builder.node("Max", [builder.node("Sub", [builder.constant([1]), rows]), builder.constant([0])])
        pads = builder.node("Concat", [builder.constant([0, 0, 0]), lacking, builder.constant([0, 0])], axis=0)
        steps = builder.node("Transpose", [builder.node("Pad", [x, pads])], perm=[2, 0, 1])
        y = builder.node("GRU", [steps, *weights], direction="bidirectional", hidden_size=half, linear_before_reset=1)
        y = builder.node("Transpose", [y], perm=[2, 1, 3, 0])  # [T, 2, N, C/2] → [N, 2, C/2, T]
        y = builder.node("Reshape", [y, builder.constant(np.array([0, inputs, -1]))])
        y = builder.node("Slice", [y, builder.constant([0]), rows, builder.constant([0])])
        return builder.node("Add", [x, y]), inputs

    def multiply_adds(self, inputs: int, sides: Sequence[int], width: int = 0) -> tuple[int, int, tuple[int, ...]]:
        """Multiply-adds of one row, its channels and its sides."""
        weights = sum(weight.numel() for name, weight in self.gates.named_parameters() if name.startswith("weight"))
        return weights * math.prod(sides), inputs, tuple(sides)


class Head(nn.Module):  # type: ignore[misc]
    """A linear map of pooled features: [N, features] → [N, outputs], for as many features as there are."""

    def __init__(self, features: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute it."""
        return functional.linear(self.dropout(x), self.linear.weight[:, : x.shape[1]], self.linear.bias)

    def write(self, builder: GraphBuilder, x: str, features: int) -> tuple[str, str]:
        """Write it, the pooling included: [N, features, *sides] → [N, outputs] and the pooled features."""
        flat = builder.node("Flatten", [builder.node("GlobalAveragePool", [builder.node("Relu", [x])])], axis=1)
        weight = np.ascontiguousarray(self.linear.weight[:, :features].detach().cpu().numpy().T)
        logits: str = builder.node(
            "Gemm", [flat, builder.constant(weight), builder.constant(self.linear.bias.detach().cpu().numpy())]
        )
        return logits, flat
