"""What a training does beside the textbook loop: one frozen record of it."""

from __future__ import annotations

from dataclasses import dataclass

from lepton.core import ErrorCode, UsageError
from lepton.training.trainer.schedules import SCHEDULES

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the steps of a training are taken; `Trainer.fit(recipe=None)` is the textbook loop instead.

    >>> Recipe(average=0.99).told()
    'one-cycle, weights averaged with 0.99'

    Attributes:
        schedule: of the learning rate: `constant`, `linear`, `cosine`, or `one-cycle` (Smith and Topin 2018), which
            moves the momentum too.
        warmup: share of all steps in which the learning rate rises; None: 0.3 for `one-cycle`, else 0.
        average: factor of the exponential average of the weights, which is what is evaluated, kept and saved; or None.
        label_smoothing: share of each target that is spread over all classes (Szegedy et al. 2016).
        mixup: parameter of the Beta distribution by which rows are mixed in pairs (Zhang et al. 2018); 0 is off.
        weight_decay: by how much of the learning rate weights shrink at each step, apart from the gradient
            (Loshchilov and Hutter 2019); biases and the scales of normalisation are left alone.
    """

    schedule: str = "one-cycle"
    warmup: float | None = None
    average: float | None = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise UsageError(
                ErrorCode.USAGE, f"got schedule={self.schedule!r}", wanted="one of " + ", ".join(SCHEDULES)
            )
        for name, value, below in (
            ("warmup", self.warmup, 1.0),
            ("average", self.average, 1.0),
            ("label_smoothing", self.label_smoothing, 1.0),
            ("mixup", self.mixup, float("inf")),
            ("weight_decay", self.weight_decay, float("inf")),
        ):
            if value is not None and not 0.0 <= value < below:
                limit = f"at least 0 and below {below:g}" if below < float("inf") else "at least 0"
                raise UsageError(ErrorCode.USAGE, f"got {name}={value!r}", wanted=f"a number of {limit}")

    def told(self) -> str:
        """The recipe in a few words."""
        parts = [self.schedule]
        parts += [f"warm-up over {self.warmup:.0%}"] if self.warmup else []
        parts += [f"weights averaged with {self.average:g}"] if self.average else []
        parts += [f"labels smoothed by {self.label_smoothing:g}"] if self.label_smoothing else []
        parts += [f"mixup {self.mixup:g}"] if self.mixup else []
        parts += [f"weight decay {self.weight_decay:g}"] if self.weight_decay else []
        return ", ".join(parts)
