"""Trainings killed by SIGKILL at random moments and taken up again: is the curve that of one that was never killed?

Each training draws from everything there is: dropout, mixup, augmentation, averaging, one-cycle, early stopping. It
keeps a checkpoint every two batches, is killed several times (in the middle of steps and of writing), and goes on each
time with the newest checkpoint that is whole. Its curve and its weights must be bit-equal at the end. Some kills are
followed by damage to the newest checkpoint, which must then be left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OPTIMIZERS = ("adam", "momentum", "rmsprop", "adamw")


def learn(folder: Path, seed: int) -> str:
    """One training, taken up where there is a checkpoint; its curve and its weights as text."""
    import numpy as np
    import torch

    from lepton.training.trainer import Callback, Checkpoints, EarlyStopping, Recipe, Trainer

    class Tell(Callback):
        """Prints a line a batch."""

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            sys.stdout.write("step\n")
            sys.stdout.flush()

    def noisy(x: Any, y: Any, generator: Any) -> tuple[Any, Any]:
        return x + 0.1 * torch.randn(x.shape, generator=generator), y

    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(16, 3)
    )
    x = np.random.default_rng(seed).normal(size=(96, 6)).astype("float32")
    trainer = Trainer(net, seed=seed).compile(
        OPTIMIZERS[seed % len(OPTIMIZERS)], "categorical_crossentropy", ["accuracy", "auc"]
    )
    history = trainer.fit(
        x,
        x[:, :3].argmax(1),
        batch_size=12,
        epochs=4,
        validation_split=0.1,
        recipe=Recipe(average=0.9, mixup=0.2),
        augment=noisy,
        checkpoint=Checkpoints(folder, every_steps=2, every_seconds=None),
        resume=True,
        callbacks=[EarlyStopping(patience=3), Tell()],
    )
    weights = {name: array.tobytes().hex() for name, array in trainer.state().items()}
    return json.dumps([history.history, weights])


def nursery() -> None:
    """Trainings one after the other, each in a process of its own, without importing torch again for each."""
    import torch

    import lepton.training.trainer  # noqa: F401 - before the forks: no thread has been started yet

    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])  # imports what optimizers import when one is made
    for line in sys.stdin:
        folder, seed = line.split("\t")
        pid = os.fork()
        if pid == 0:
            print("curve", learn(Path(folder), int(seed)), flush=True)
            os._exit(0)
        print("pid", pid, flush=True)
        os.waitpid(pid, 0)
        print("end", flush=True)


class Trainings:
    """Starts trainings in a child, and kills them."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "--nursery"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, folder: Path, seed: int, kill_after: int | None = None, late: float = 0.0) -> str | None:
        """The curve of a training; None where it was killed, `late` seconds after so many steps."""
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(f"{folder}\t{seed}\n")
        self._child.stdin.flush()
        pid, steps, curve = 0, 0, None
        for line in self._child.stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "end":
                return curve
            if word == "pid":
                pid = int(rest)
            steps += word == "step"
            if word == "curve":
                curve = rest
            elif pid and kill_after is not None and steps >= kill_after:
                time.sleep(late)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                kill_after = None
        raise RuntimeError("the child of the trainings ended")

    def close(self) -> None:
        """End the child."""
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.close()
        self._child.wait(60)
        self._child.stdout.close()


def damage(folder: Path, draws: random.Random) -> bool:
    """Change or cut a file of the newest checkpoint, where an older one is there."""
    records = sorted(folder.glob("step-*.json"))
    if len(records) < 2:
        return False
    victim = draws.choice([records[-1], records[-1].with_suffix(".safetensors")])
    data = bytearray(victim.read_bytes())
    if draws.random() < 0.5:
        data = data[: draws.randrange(len(data))]
    else:
        data[draws.randrange(len(data))] ^= 1 << draws.randrange(8)
    victim.write_bytes(bytes(data))
    return True


def campaign(kills: int, seed: int) -> Iterator[tuple[int, int, bool]]:
    """Kill so often; for each training: how often it was killed, how often damaged, whether it is equal."""
    draws = random.Random(seed)
    trainings = Trainings()
    with tempfile.TemporaryDirectory() as place:
        number = 0
        while kills > 0:
            whole = trainings.run(Path(place) / "whole", number)
            cut, killed, damaged, found = Path(place) / "cut", 0, 0, None
            while found is None:
                # Later kills come sooner after the start: what was kept is not done again.
                after = draws.randint(1, 10) if killed < min(5, kills) else None
                found = trainings.run(cut, number, after, draws.random() * 0.01)
                if found is None:
                    killed += 1
                    damaged += draws.random() < 0.2 and damage(cut, draws)
            yield killed, damaged, found == whole
            kills -= killed
            number += 1
            for folder in (Path(place) / "whole", cut):
                shutil.rmtree(folder)
    trainings.close()


def main() -> int:
    """Kill, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="20 kills")
    size.add_argument("--full", action="store_true", help="200 kills")
    parser.add_argument("--nursery", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.nursery:
        nursery()
        return 0
    results = list(campaign(200 if given.full else 20, 0))
    kills, damaged = sum(r[0] for r in results), sum(r[1] for r in results)
    unequal = sum(not r[2] for r in results)
    print(f"{len(results)} trainings, {kills} kills, {damaged} newest checkpoints damaged: {unequal} not bit-equal")
    return 1 if unequal else 0


if __name__ == "__main__":
    sys.exit(main())
