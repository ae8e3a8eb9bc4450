"""torch's exporter without what it tells of its own insides."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_export"]


@contextmanager
def quiet_export() -> Iterator[None]:
    """Deprecations of its own calls, and operators of libraries that are not there, are not told."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
