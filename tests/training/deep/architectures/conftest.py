"""Small pictures that tell themselves apart, and searches that take a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lepton.core import Resources, Work
from lepton.training.deep import media_net
from lepton.training.deep.architectures import costs


def stripes(count: int = 96, seed: int = 0, size: int = 8) -> tuple[Any, Any]:
    """Pictures with a bright stripe on the left or on the right."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = random.integers(0, 60, (count, size, size, 1), dtype=np.uint8)
    for picture, label in zip(x, y, strict=True):
        picture[:, label * size // 2 : (label + 1) * size // 2] += 120
    return x, y


def one_core(within: str | None = None, **options: Any) -> Work:
    return Work(within, resources=Resources(cpus=1), **options)


@pytest.fixture(autouse=True, scope="package")
def brief() -> Iterator[None]:
    """Few passes, and few calls to measure a row: what is tested is what is done, not how well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media_net, "_PASSES", (2, 2))
        patch.setattr(media_net, "_BATCHES", ((100_000, 32),))
        patch.setattr(costs, "_BLOCKS", 1)
        patch.setattr(costs, "_BLOCK", 0.001)
        yield
