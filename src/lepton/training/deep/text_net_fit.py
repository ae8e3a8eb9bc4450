"""How the network over pieces learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.core import Work
from lepton.training.deep.text_model import PieceLayers
from lepton.training.deep.text_net import PieceNet, SparseAdam
from lepton.training.deep.text_rows import Floats, PieceRows
from lepton.training.trainer import Recipe, Trainer

__all__ = ["fit_layers"]

_BATCH = 64
_RATE = 4e-3
_SMOOTHING = 0.1
_LOSSES = {
    "multiclass": "categorical_crossentropy",
    "binary": "binary_crossentropy",
    "multilabel": "binary_crossentropy",
    "regression": "mse",
}


def fit_layers(
    rows: PieceRows,
    targets: Floats,
    task: str,
    *,
    num_pieces: int,
    passes: int,
    work: Work,
    weight: Floats | None = None,
) -> PieceLayers:
    """Learn a `PieceNet`; where the time ends before, what is there by then.

    Args:
        rows: to learn from.
        targets: [N, S], as `LinearScores.fit` takes them.
        task: `multiclass`, `binary`, `multilabel` or `regression`.
        num_pieces: pieces with an embedding.
        passes: how often each row is looked at.
        work: seed, time, stop signal.
        weight: of the rows [N].
    """
    seed = work.seed_for("texts", "net") % 2**31
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PieceNet(rows, num_pieces, targets.shape[1])
    trainer = Trainer(net, seed=seed, threads=1)
    trainer.compile(SparseAdam(net, _RATE), _LOSSES[task])
    smoothing = 0.0 if task == "regression" else _SMOOTHING
    trainer.fit(
        np.arange(len(rows)),
        _answers(targets, task),
        batch_size=_BATCH,
        epochs=passes,
        recipe=Recipe(schedule="linear", warmup=0.1, label_smoothing=smoothing),
        sample_weight=weight,
        verbose=0,
        work=work,
    )
    return PieceLayers(**net.arrays())


def _answers(targets: Floats, task: str) -> NDArray[Any]:
    if task == "multiclass":
        return np.asarray(targets.argmax(axis=1))
    return targets if task == "regression" else (targets + 1) / np.float32(2)
