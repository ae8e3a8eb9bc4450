"""A first opening of a bundle in a process of its own, so that nothing it does can reach the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lepton.bundle import open_model
from lepton.compute import LocalEngine
from lepton.core import Resources, Work
from lepton.serving.model_store import ServedModel
from lepton.serving.sources import stamp_of

__all__ = ["open_once", "try_bundle"]

_SECONDS = 60.0
_BASE_MEMORY = 2 * 2**30
_MEMORY_FACTOR = 4


def try_bundle(path: Path) -> str:
    """Open a bundle and run one row of it in a child process, with bounds on time and memory.

    Returns:
        Its `model_id`.

    Raises:
        LeptonError: what opening it raised; or that the child died, or took too long or too much memory.
    """
    _, size, _ = stamp_of(path) or (0, 0, 0)
    memory = _BASE_MEMORY + _MEMORY_FACTOR * size
    with LocalEngine() as engine:
        handle = engine.submit(
            "lepton.serving.trial:open_once",
            {"path": str(path)},
            Resources(cpus=1, memory=memory),
            within=_SECONDS,
        )
        return str(handle.result()["model_id"])


def open_once(path: str, work: Work) -> dict[str, Any]:
    """In the child: open a bundle, run one row, and tell its `model_id`."""
    predictor = open_model(path, resources=work.resources)
    served = ServedModel("trial", predictor)
    served.open(work.resources)
    if served.error is not None:
        raise served.error
    return {"model_id": predictor.model_id}
