"""Original networks for the benches of compression, trained once and kept: an MLP, a ResNet, LeptonNet, on MNIST.

python bench/lean_nets.py                 # trains what is not kept yet: about ten minutes on one core
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import lepton
from lepton.training.nets.lepton_net import LeptonNet

OUT = Path("bench/out/lean")
SHARED = Path(os.environ.get("LEPTON_SHARED", "../shared"))
NAMES = ("mlp", "resnet", "lepton-net")


def digits() -> dict[str, np.ndarray]:
    """MNIST's arrays: `x_train`, `y_train`, `x_test`, `y_test`."""
    found = np.load(SHARED / "data/image/mnist/mnist.npz")
    return {name: found[name] for name in found.files}


class Scaled(nn.Module):
    """Pixels as a network likes them: [N, 28, 28, 1] uint8 → [N, 1, 28, 28]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image):
        """Logits [N, 10]."""
        return self.net(image.permute(0, 3, 1, 2).float().div(255.0).sub(0.1307).div(0.3081))


def mlp() -> nn.Module:
    """784-1024-1024-10."""
    return Scaled(
        nn.Sequential(
            nn.Flatten(), nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
        )
    )


class Basic(nn.Module):
    """ResNet's block of two convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.way = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.way = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        """[N, inputs, H, W] → [N, outputs, H / stride, W / stride]."""
        y = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(y)) + self.way(x))


def resnet(width: int = 16) -> nn.Module:
    """Like ResNet-18, for small pictures: a stem that halves them, four stages of two blocks."""
    layers = [nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    inputs = width
    for stage in range(4):
        for block in range(2):
            outputs = width << stage
            layers.append(Basic(inputs, outputs, 2 if stage and not block else 1))
            inputs = outputs
    return Scaled(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)))


def learn(net: nn.Module, x: np.ndarray, y: np.ndarray, *, epochs: int, seed: int) -> None:
    """The textbook loop: Adam, one cycle, batches of 128."""
    torch.manual_seed(seed)
    rows, targets = torch.from_numpy(x[..., None]), torch.from_numpy(y.astype(np.int64))
    steps = epochs * -(-len(x) // 128)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    net.train()
    for _ in range(epochs):
        for places in torch.randperm(len(x)).split(128):
            loss = functional.cross_entropy(net(rows[places]), targets[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()


def original(name: str, seed: int = 0) -> Path:
    """The model file of one of `NAMES`, trained now if it is not kept."""
    path = OUT / f"{name}-{seed}.lepton"
    if path.exists():
        return path
    OUT.mkdir(parents=True, exist_ok=True)
    data, started = digits(), time.monotonic()
    if name == "lepton-net":
        net = LeptonNet((28, 28, 1), 10, seed=seed)
        net.fit(data["x_train"], data["y_train"], epochs=5, verbose=0)
        net.save(path)
    else:
        torch.manual_seed(seed)
        module = {"mlp": mlp, "resnet": resnet}[name]()
        learn(module, data["x_train"], data["y_train"], epochs=4 if name == "resnet" else 5, seed=seed)
        sample = data["x_test"][:64, ..., None]
        lepton.import_model(module, sample=sample, labels=list(range(10)), output=path)
    model = lepton.load(path)
    right = np.mean(np.asarray(model.predict(data["x_test"][..., None])) == data["y_test"])
    print(f"{name} {seed}: {right:.4f} right, {path.stat().st_size:,} bytes, {time.monotonic() - started:.0f} s")
    return path


def main() -> None:
    """Train what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in (arguments.only,) if arguments.only else NAMES:
        original(name, arguments.seed)


if __name__ == "__main__":
    main()
