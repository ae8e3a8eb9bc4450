"""Families of small nets in the manner of their papers, with a width multiplier and a stem for small pictures.

MobileNetV3-small (Howard et al., 2019), ShuffleNetV2 (Ma et al., 2018), EfficientNet-lite (Tan and Le, 2019, without
squeeze-and-excitation and with ReLU6). Each begins as LeptonNet does, halved until the shorter side is at most 20, and
is halved two or three times more; the papers' nets halve five times, which leaves nothing of 28 pixels.
"""

import torch
from torch import nn


def rounded(channels):
    return max(8, int(channels / 8 + 0.5) * 8)


class Pixels(nn.Module):
    """[N, H, W, C] from 0 to 255 as [N, C, H, W], standardised."""

    def __init__(self, pictures):
        super().__init__()
        some = torch.from_numpy(pictures[:: max(1, len(pictures) // 5_000)]).float()
        self.register_buffer("mean", some.mean((0, 1, 2)).reshape(1, -1, 1, 1))
        self.register_buffer("scale", 1 / some.std((0, 1, 2)).reshape(1, -1, 1, 1))

    def forward(self, x):
        return (x.float().permute(0, 3, 1, 2) - self.mean) * self.scale


def conv(inputs, outputs, kernel=1, stride=1, groups=1, act=nn.ReLU):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([act(inplace=True)] if act else []))


class Squeeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        inner = rounded(channels / 4)
        self.parts = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x):
        return x * self.parts(x.mean((2, 3), keepdim=True))


class Inverted(nn.Module):
    """The inverted residual of MobileNetV2, V3 and EfficientNet."""

    def __init__(self, inputs, outputs, inner, kernel, stride, squeeze, act):
        super().__init__()
        parts = [conv(inputs, inner, act=act)] if inner != inputs else []
        parts += [conv(inner, inner, kernel, stride, inner, act)]
        parts += [Squeeze(inner)] if squeeze else []
        self.parts = nn.Sequential(*parts, conv(inner, outputs, act=None))
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.parts(x) if self.skip else self.parts(x)


class Shuffle(nn.Module):
    """The unit of ShuffleNetV2."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        half = outputs // 2
        self.stride = stride
        given = inputs if stride == 2 else inputs // 2
        self.main = nn.Sequential(conv(given, half), conv(half, half, 3, stride, half, None), conv(half, half))
        self.side = nn.Sequential(conv(inputs, inputs, 3, 2, inputs, None), conv(inputs, half)) if stride == 2 else None

    def forward(self, x):
        kept, changed = (self.side(x), x) if self.stride == 2 else x.chunk(2, 1)
        x = torch.cat([kept, self.main(changed)], 1)
        count, channels, height, width = x.shape
        return x.reshape(count, 2, channels // 2, height, width).transpose(1, 2).reshape(count, channels, height, width)


class Net(nn.Module):
    def __init__(self, pictures, stem, parts, features, last, classes, act):
        super().__init__()
        side = min(pictures.shape[1:3])
        stems = [conv(pictures.shape[3], stem, 3, 2 if side > 20 else 1, act=act)]
        side = (side + 1) // 2 if side > 20 else side
        while side > 20:
            stems.append(conv(stem, stem, 3, 2, stem, act))
            side = (side + 1) // 2
        self.parts = nn.Sequential(Pixels(pictures), *stems, *parts, conv(features, last, act=act))
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(last, classes))

    def forward(self, x):
        return self.head(self.parts(x).mean((2, 3)))


def mobilenet_v3_small(pictures, classes, width):
    table = [(3, 16, 16, 1, "R", 2), (3, 72, 24, 0, "R", 2), (3, 88, 24, 0, "R", 1), (5, 96, 40, 1, "H", 1),
             (5, 240, 40, 1, "H", 1), (5, 240, 40, 1, "H", 1), (5, 120, 48, 1, "H", 1), (5, 144, 48, 1, "H", 1),
             (5, 288, 96, 1, "H", 1), (5, 576, 96, 1, "H", 1), (5, 576, 96, 1, "H", 1)]  # fmt: skip
    parts, before = [], rounded(16 * width)
    for kernel, inner, outputs, squeeze, act, stride in table:
        outputs = rounded(outputs * width)
        active = nn.ReLU if act == "R" else nn.Hardswish
        parts.append(Inverted(before, outputs, rounded(inner * width), kernel, stride, squeeze, active))
        before = outputs
    return Net(pictures, rounded(16 * width), parts, before, rounded(576 * width), classes, nn.Hardswish)


def shufflenet_v2(pictures, classes, width):
    parts, before = [], rounded(24 * width)
    for channels, count in ((116, 4), (232, 8)):
        channels = 2 * rounded(channels * width / 2)
        parts += [Shuffle(before, channels, 2), *(Shuffle(channels, channels, 1) for _ in range(count - 1))]
        before = channels
    return Net(pictures, rounded(24 * width), parts, before, rounded(512 * width), classes, nn.ReLU)


def efficientnet_lite(pictures, classes, width):
    table = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 1), (6, 5, 112, 3, 1)]
    parts, before = [], rounded(32 * width)
    for expansion, kernel, outputs, count, stride in table:
        outputs = rounded(outputs * width)
        for number in range(count):
            parts.append(
                Inverted(before, outputs, before * expansion, kernel, stride if number == 0 else 1, False, nn.ReLU6)
            )
            before = outputs
    return Net(pictures, rounded(32 * width), parts, before, rounded(640 * width), classes, nn.ReLU6)


MAKERS = {
    "mobilenet-v3-small": mobilenet_v3_small,
    "shufflenet-v2": shufflenet_v2,
    "efficientnet-lite": efficientnet_lite,
}


def multiply_adds(module, rows):
    """Of convolutions and linear maps, for one row."""
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += output[0].numel() * layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else layer.weight.numel()

    hooks = [part.register_forward_hook(count) for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    module.eval()
    with torch.no_grad():
        module(torch.from_numpy(rows))
    for hook in hooks:
        hook.remove()
    return total
