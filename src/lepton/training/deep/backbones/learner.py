"""How a pre-trained network learns rows: all of it, through adapters, or its head alone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError, Work
from lepton.training.deep.backbones.bodies import PictureBody, TextBody
from lepton.training.deep.backbones.low_rank import add_low_rank, merge_low_rank
from lepton.training.deep.backbones.net import BackboneNet, Head
from lepton.training.deep.media_net import FittedNet, MediaLearner
from lepton.training.nets.augment import LightAugment
from lepton.training.trainer import Recipe, Trainer

__all__ = ["TUNINGS", "BackboneLearner", "tuning_of"]

TUNINGS = ("full", "lora", "frozen")
"""What of a pre-trained network learns: everything; adapters of low rank; nothing but the head."""

_LARGE = 200_000_000  # parameters: to learn them all takes four times their memory
_BATCH = 16
_SEEN = 20_000  # rows, all passes together
_PASSES = (3, 10)
_HEAD_PASSES = 60
_HEAD_RATE = 1e-3
_RATES = {"full": 5e-5, "lora": 3e-4}
_FROZEN_RATE = 3e-3


def tuning_of(asked: str | None, body: Any) -> str:
    """How a network is to learn: as asked, or all of it unless it is large.

    Raises:
        UsageError: no such way.
    """
    if asked is None:
        return "full" if sum(each.numel() for each in body.parameters()) < _LARGE else "lora"
    if asked not in TUNINGS:
        raise UsageError(ErrorCode.USAGE, f"got tuning={asked!r}", wanted="one of " + ", ".join(TUNINGS))
    return asked


class BackboneLearner(MediaLearner):
    """Learns rows from a pre-trained network on.

    Args:
        body: it.
        values: pictures uint8 [N, H, W, 3], or tokens above their mask int32 [N, 2, L].
        targets: as `MediaLearner` takes them.
        outputs: classes, labels, or 1.
        weight: of the rows, or None.
        tuning: one of `TUNINGS`.
        work: threads, seed, stop signal.
    """

    name = "backbone"

    def __init__(
        self,
        body: TextBody | PictureBody,
        values: NDArray[Any],
        targets: NDArray[Any],
        outputs: int,
        weight: NDArray[np.float32] | None,
        tuning: str,
        work: Work,
    ) -> None:
        self.body, self.tuning, self.outputs = body, tuning, outputs
        self.targets, self.weight, self.work = targets, weight, work
        several = "binary_crossentropy" if outputs > 1 else "mse"
        self.loss = "categorical_crossentropy" if targets.dtype.kind == "i" else several
        self.recipe = Recipe(schedule="linear", warmup=0.1, weight_decay=0.01)
        self.augment = LightAugment() if values.ndim == 4 and tuning != "frozen" else None
        self.threads, self.batch = 1, _BATCH
        self.values = self._features(values) if tuning == "frozen" else values

    def most_passes(self, num_rows: int) -> int:
        """Few over the whole: it knows much already. Rows of features cost next to nothing."""
        return _HEAD_PASSES if self.tuning == "frozen" else int(np.clip(round(_SEEN / num_rows), *_PASSES))

    def fit(self, rows: NDArray[np.int64], passes: int, seed: str, work: Work) -> FittedNet:
        """As `MediaLearner.fit`; adapters are in the weights then."""
        fitted = super().fit(rows, passes, seed, work)
        merge_low_rank(fitted.module)
        fitted.module.eval()
        return fitted

    def whole(self, fitted: FittedNet) -> BackboneNet:
        """Body and head of what has learned."""
        module: Any = fitted.module
        net: BackboneNet = BackboneNet(self.body, module) if self.tuning == "frozen" else module
        net.eval()
        return net

    def _module(self) -> Any:
        head = Head(self.body.size, self.outputs)
        if self.tuning == "frozen":
            return head
        net = BackboneNet(copy.deepcopy(self.body), head)
        if self.tuning == "lora":
            add_low_rank(net.body)
        return net

    def _compiled(self, trainer: Trainer) -> Trainer:
        module = trainer.module
        if self.tuning == "frozen":
            return trainer.compile("adam", self.loss, learning_rate=_FROZEN_RATE)
        learning = [each for each in module.body.parameters() if each.requires_grad]
        groups = [{"params": learning, "lr": _RATES[self.tuning]}, {"params": module.head.parameters()}]
        return trainer.compile(torch.optim.Adam(groups, lr=_HEAD_RATE), self.loss)

    def _standardise(self, module: Any, rows: NDArray[np.int64]) -> None:
        if self.tuning == "frozen":
            module.standardise(torch.from_numpy(self.values[rows]))

    def _features(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Of all rows, once: the body does not change."""
        net = BackboneNet(self.body, Head(self.body.size, 1)).eval()
        out = np.empty((len(values), self.body.size), dtype=np.float32)
        for start in range(0, len(values), _BATCH):
            self.work.check()
            with torch.no_grad():
                out[start : start + _BATCH] = net.features(torch.from_numpy(values[start : start + _BATCH])).numpy()
            self.work.report(min(start + _BATCH, len(values)), len(values), "rows", note="features of the backbone")
        return out
