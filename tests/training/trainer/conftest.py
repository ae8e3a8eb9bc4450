"""Small nets and small data, shared by the tests of the trainer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lepton.training.trainer import Trainer


def make_net(seed: int = 0, outputs: int = 3, dropout: float = 0.2) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Linear(4, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(8, outputs),
        )


def make_rows(number: int = 61, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose largest number is that of their class."""
    draws = np.random.default_rng(0)
    y = draws.integers(0, classes, number)
    x = draws.normal(size=(number, 4)).astype("float32")
    x[np.arange(number), y] += 3
    return x, y


def hash_of(trainer: Trainer) -> str:
    found = hashlib.sha256()
    for name, array in sorted(trainer.state().items()):
        found.update(name.encode() + array.tobytes())
    return found.hexdigest()


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    return make_rows()


@pytest.fixture
def trainer() -> Trainer:
    return Trainer(make_net()).compile("adam", "categorical_crossentropy", ["accuracy"], learning_rate=0.01)


Make = Callable[..., Trainer]
