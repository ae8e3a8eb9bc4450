"""The trainer against a hand-written PyTorch loop on the same net, side by side, and against Keras on torch.

The net is a small depthwise one of some 40,000 parameters on 28 x 28 pictures, and a dense one, whose steps are so
short that everything around them shows. Each side learns from the same rows in batches of the same size with Adam and
counts its accuracy; epochs take turns, and the ratio is that of each pair, with its median and its spread. The
trainer's full recipe (one-cycle, averaging, smoothing) is told apart. One thread.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before they are imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from peers.environments import interpreter  # noqa: E402

from lepton.training.trainer import Recipe, Trainer  # noqa: E402

BATCH = 128
KERAS = ("keras==3.15.*",)


def depthwise(seed: int = 0) -> torch.nn.Module:
    """Blocks of depthwise and pointwise convolutions, as small nets have them today."""
    torch.manual_seed(seed)

    def block(inner: int, outer: int, stride: int) -> list[torch.nn.Module]:
        return [
            torch.nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            torch.nn.BatchNorm2d(inner),
            torch.nn.ReLU(),
            torch.nn.Conv2d(inner, outer, 1, bias=False),
            torch.nn.BatchNorm2d(outer),
            torch.nn.ReLU(),
        ]

    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 24, 3, 2, 1, bias=False),
        torch.nn.BatchNorm2d(24),
        torch.nn.ReLU(),
        *block(24, 48, 1),
        *block(48, 96, 2),
        *block(96, 96, 1),
        *block(96, 192, 2),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(192, 10),
    )


def dense(seed: int = 0) -> torch.nn.Module:
    """Three layers."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(784, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 10),
    )


NETS = {"depthwise": depthwise, "dense": dense}


def rows(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with a bright patch where their class says."""
    draws = np.random.default_rng(0)
    y = draws.integers(0, 10, number)
    x = draws.normal(size=(number, 1, 28, 28)).astype("float32")
    for row, label in enumerate(y):
        x[row, 0, 2 * label : 2 * label + 6, 4:12] += 1.5
    return x, y


class ByHand:
    """What a careful person writes: channels last, index_select of a tensor, one look at the sums an epoch."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(module.parameters())
        self.generator = torch.Generator().manual_seed(0)

    def epoch(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
        self.module.train()
        total, correct = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        order = torch.randperm(len(x), generator=self.generator)
        for begin in range(0, len(x), BATCH):
            part = order[begin : begin + BATCH]
            inputs, targets = x.index_select(0, part), y.index_select(0, part)
            self.optimizer.zero_grad(set_to_none=True)
            outputs = self.module(inputs)
            loss = torch.nn.functional.cross_entropy(outputs, targets)
            loss.backward()
            self.optimizer.step()
            with torch.no_grad():
                total += loss * len(part)
                correct += (outputs.argmax(1) == targets).sum()
        return float(total) / len(x), float(correct) / len(x)


def told(ratios: list[float]) -> str:
    """Median and the quarters around it."""
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def against_hand(net: str, x: np.ndarray, y: np.ndarray, repeats: int) -> None:
    """Epochs in turns: by hand, with the trainer, with the trainer's recipe."""
    hand = ByHand(NETS[net]())
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    plain = Trainer(NETS[net]()).compile("adam", "categorical_crossentropy", ["accuracy"])
    full = Trainer(NETS[net]()).compile("adam", "categorical_crossentropy", ["accuracy"])
    recipe = Recipe(average=0.99, label_smoothing=0.1, weight_decay=0.01)
    sides = {
        "by hand": lambda: hand.epoch(inputs, targets),
        "trainer": lambda: plain.fit(x, y, batch_size=BATCH, verbose=0),
        "trainer with a recipe": lambda: full.fit(x, y, batch_size=BATCH, recipe=recipe, verbose=0),
    }
    times: dict[str, list[float]] = {side: [] for side in sides}
    for repeat in range(repeats + 1):
        turn = list(sides) if repeat % 2 else list(reversed(sides))
        for side in turn:
            began = time.perf_counter()
            sides[side]()
            if repeat:
                times[side].append(time.perf_counter() - began)
    base = np.array(times["by hand"])
    steps = -(-len(x) // BATCH)
    print(f"{net}: by hand {np.median(base):.2f} s for {steps} steps, {1e3 * np.median(base) / steps:.2f} ms each")
    for side in ("trainer", "trainer with a recipe"):
        print(f"  {side}: {told(list(np.array(times[side]) / base))} of by hand")


def growth(x: np.ndarray, y: np.ndarray) -> None:
    """Resident memory over many short epochs, and the time of late epochs against early ones."""
    trainer = Trainer(dense()).compile("adam", "categorical_crossentropy", ["accuracy", "auc"])
    history = trainer.fit(x[:1024], y[:1024], batch_size=BATCH, epochs=20, verbose=0)
    before = resident()
    history = trainer.fit(x[:1024], y[:1024], batch_size=BATCH, epochs=300, verbose=0)
    early, late = np.median(history.seconds[:50]), np.median(history.seconds[-50:])
    print(f"300 epochs: memory {resident() - before:+.1f} MB, late epochs {late / early:.2f} of early ones")


def resident() -> float:
    """MB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def against_keras(x: np.ndarray, y: np.ndarray, repeats: int) -> None:
    """The same nets in Keras, in an environment of its own on the torch that we use; fits in turns."""
    python, why = interpreter("keras", KERAS)
    if python is None:
        print(f"keras: not measured: {why}")
        return
    peer = subprocess.Popen(
        [str(python), str(Path(__file__).parent / "peers" / "keras_peer.py"), str(len(x)), str(BATCH)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(Path(torch.__file__).parents[1])},
    )
    assert peer.stdin
    assert peer.stdout
    for net, make in NETS.items():
        trainer = Trainer(make()).compile("adam", "categorical_crossentropy", ["accuracy"])
        ratios = []
        for repeat in range(repeats + 1):
            began = time.perf_counter()
            trainer.fit(x, y, batch_size=BATCH, verbose=0)
            own = time.perf_counter() - began
            peer.stdin.write(net + "\n")
            peer.stdin.flush()
            line = peer.stdout.readline()
            if not line:
                print(f"keras: its process ended with {peer.wait(60)}")
                return
            answer = json.loads(line)
            if repeat:
                ratios.append(answer["seconds"] / own)
        print(f"{net}: Keras {answer['version']} on torch takes {told(ratios)} of the trainer's time")
    peer.stdin.close()
    peer.wait(60)


def main() -> int:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--no-peers", action="store_true")
    given = parser.parse_args()
    number = given.rows or (20_000 if given.full else 6_000)
    repeats = 30 if given.full else 12
    torch.set_num_threads(1)
    x, y = rows(number)
    print(f"{number:,} pictures of 28 x 28, batches of {BATCH}, one thread, {repeats} turns; median (quarters)")
    for net in NETS:
        against_hand(net, x, y, repeats)
    growth(x, y)
    if not given.no_peers:
        against_keras(x, y, max(repeats // 3, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
