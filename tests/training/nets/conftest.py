from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
torch = pytest.importorskip("torch")

from lepton.training.nets.lepton_net import LeptonNet  # noqa: E402


def pictures(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures 8 x 8 whose class is the corner that is bright; a few are dim, so that they are harder."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 3, count)
    x = generator.integers(0, 60, (count, 8, 8, 1))
    light = generator.choice([30, 120], count)
    for row, (label, added) in enumerate(zip(y, light, strict=True)):
        x[row, (label // 2) * 4 : (label // 2) * 4 + 4, (label % 2) * 4 : (label % 2) * 4 + 4] += added
    return x.astype(np.uint8), y


@pytest.fixture(scope="session")
def trained() -> LeptonNet:
    """A small net with exits, which has learned."""
    net = LeptonNet((8, 8, 1), 3, width=0.25, exits=0.05, seed=3, labels=["left", "right", "below"])
    net.compile("adam", "categorical_crossentropy", ["accuracy"], learning_rate=0.02)
    net.fit(*pictures(320), epochs=4, batch_size=24, augment=None, verbose=0)
    return net


@pytest.fixture(scope="session")
def saved(trained: LeptonNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "corners.lepton"
    trained.save(path)
    return path
