"""From a trained module to a model file: exported, compared with the module, and written with its curves."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lepton.bundle import add_report, machine
from lepton.core import ErrorCode, TrainingError, UsageError
from lepton.core.lazy import LazyModule
from lepton.training.trainer.batches import each, leaves
from lepton.training.trainer.losses import Loss

if TYPE_CHECKING:
    from lepton.training.importers import run as importing
else:
    importing = LazyModule("lepton.training.importers.run")

__all__ = ["save_bundle"]


def save_bundle(trainer: Any, path: Path, labels: Sequence[str] | Sequence[int] | None) -> str:
    """Write `trainer`'s module; see `Trainer.save`."""
    if trainer.sample is None:
        raise TrainingError(
            ErrorCode.NOT_FITTED, "the trainer has not seen a row yet, and a module does not know its inputs",
            fix="call fit or evaluate first",
        )  # fmt: skip
    module = copy.deepcopy(trainer.module).cpu().eval()
    sample = each(lambda leaf: leaf.cpu(), trainer.sample)
    loss: Loss = trainer.loss
    classes: Any = None
    if loss.kind == "classes":
        classes = tuple(range(trainer.num_outputs)) if labels is None else tuple(labels)
    elif loss.kind == "binary" and trainer.num_outputs == 1:
        classes = (0, 1) if labels is None else tuple(labels)
        if len(leaves(sample)) == 1:  # its scores could look like probabilities by chance
            module = torch.nn.Sequential(module, torch.nn.Sigmoid())
    elif labels is not None:
        raise UsageError(
            ErrorCode.USAGE, f"got labels for a module that was trained with {loss.name}",
            wanted="labels where exactly one class holds",
        )  # fmt: skip
    written = importing.import_model(
        module, output=path, sample=sample, labels=classes, name=trainer.name, framework="torch"
    )
    if len(trainer.history):
        record = trainer.history.to_dict()
        record["history"] = {
            name: [value if math.isfinite(value) else None for value in values]
            for name, values in record["history"].items()
        }
        now = datetime.now(UTC).isoformat(timespec="seconds")
        add_report(path, "training", {"kind": "training", "time": now, "machine": machine(), **record})
    return written.model_id
