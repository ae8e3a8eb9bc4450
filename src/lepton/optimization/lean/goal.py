"""What a search is after: the budgets, how far a draft misses them, and which of two drafts is the better one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from lepton.core import ErrorCode, UsageError, parse_duration, parse_size
from lepton.optimization.lean.base import Setting
from lepton.optimization.lean.proof import Loss

__all__ = ["SLOWER", "Candidate", "Goal"]

SLOWER = 1.05
"""What two runs of one model differ by; a model that is slower by more is slower than the original."""
_LATENCY_ROOM = 0.95  # of `max_latency` that drafts are held to: a p99 that is measured again is another one
_LEAST_GAIN = 0.01
_WORTH = 0.2  # least chance of a draft behind which a stronger one is tried: the few rows may have been unlucky
_SURE = 0.95
_TWO_SIDED = 1.96  # standard errors that the interval of a loss reaches to each side


@dataclass
class Candidate:
    """A draft that was tried, and what it costs.

    Attributes:
        number: in the order of trying; 0 is the original.
        steps: what led to it.
        size: bytes as `max_size` counts them.
        pace: time of a call as a share of the original's, both measured in turns.
        loss: on the rows that the search judges by; its bound is that of the rows of the proof.
        worst_part: largest loss of a part, where parts have a limit.
        seconds: that it took to make.
        path: its model file; None where it is not kept.
    """

    number: int
    steps: tuple[tuple[str, Setting], ...]
    size: int
    pace: float
    loss: Loss
    worst_part: float | None = None
    seconds: float = 0.0
    path: Path | None = None

    @property
    def text(self) -> str:
        """The steps in words."""
        return "; ".join(f"{step}: {setting.text}" if setting.text else step for step, setting in self.steps)


@dataclass(frozen=True)
class Goal:
    """Budgets of what comes out.

    Attributes:
        max_loss: most that may be lost, in the metric's terms (contract 8).
        max_size: bytes.
        max_latency: seconds of one row, 99th percentile.
        max_loss_any_segment: most that any part may lose.
        original_size: bytes of the original.
        original_latency: seconds of its p99.
        drawn: rows of the proof for each row that the search judges by.
    """

    max_loss: float | None
    max_size: int | None
    max_latency: float | None
    max_loss_any_segment: float | None
    original_size: int = 0
    original_latency: float = 0.0
    drawn: float = 1.0

    @classmethod
    def of(
        cls,
        max_loss: float | None,
        max_size: str | int | None,
        max_latency: str | float | None,
        max_loss_any_segment: float | None,
    ) -> Goal:
        """Budgets as a user says them.

        Raises:
            UsageError: BAD_BUDGET: one that cannot be meant.
        """
        for name, loss in (("max_loss", max_loss), ("max_loss_any_segment", max_loss_any_segment)):
            if loss is not None and not 0 < loss < 1:
                raise UsageError(
                    ErrorCode.BAD_BUDGET,
                    f"got {name}={loss!r}",
                    wanted="a number above 0 and below 1, such as 0.005: 0 cannot be proven with any number of rows",
                )
        return cls(
            max_loss,
            None if max_size is None else parse_size(max_size),
            None if max_latency is None else parse_duration(max_latency, "max_latency"),
            max_loss_any_segment,
        )

    @property
    def has_target(self) -> bool:
        """Whether a size or a time is to be reached, and the least loss wanted; else the least size and time."""
        return self.max_size is not None or self.max_latency is not None

    def lost_too_much(self, candidate: Candidate) -> float:
        """By how much the loss is likely to miss its limit in the proof, as a share of it; 0 where it keeps it."""
        missed = 0.0
        if self.max_loss is not None:
            missed = _over(self._expected(candidate.loss, self.max_loss)[0], self.max_loss)
        if self.max_loss_any_segment is not None and candidate.worst_part is not None:
            missed = max(missed, _over(candidate.worst_part, self.max_loss_any_segment))
        return missed

    def chance(self, candidate: Candidate) -> float:
        """How likely the loss keeps its limits in the proof, by what the rows of the search tell."""
        chance = 1.0
        if self.max_loss is not None:
            upper, spread = self._expected(candidate.loss, self.max_loss)
            room = self.max_loss - upper
            if not math.isfinite(room):
                return 0.0
            chance = NormalDist(0.0, spread).cdf(room) if spread > 0 else float(room >= 0)
        if self.max_loss_any_segment is not None and candidate.worst_part is not None:
            chance *= 0.5 if candidate.worst_part <= self.max_loss_any_segment else 0.05
        return chance

    def is_unsure(self, candidate: Candidate) -> bool:
        """Whether a milder draft should stand behind this one, in case it fails its proof."""
        return not self.has_target and self.max_loss is not None and self.chance(candidate) < _SURE

    def _expected(self, loss: Loss, limit: float) -> tuple[float, float]:
        """The bound that the proof is likely to give, and its standard deviation.

        Among many drafts the one that looks best was lucky, the more so the fewer the rows: before a row is seen, a
        loss is thought to be about 0, give or take the limit.
        """
        if loss.value is None or not math.isfinite(loss.upper):
            return math.inf, 0.0
        proof = ((loss.interval[1] - loss.interval[0]) / (2 * _TWO_SIDED)) ** 2
        search = proof * self.drawn
        trust = limit**2 / (limit**2 + search)
        return trust * loss.value + loss.upper - loss.value, math.sqrt(proof + trust * search)

    def too_costly(self, candidate: Candidate) -> float:
        """By how much size and time are more than they may be; 0 where they are not."""
        missed = 0.0
        if self.max_size is not None:
            missed += max(0.0, math.log(candidate.size / self.max_size))
        if self.max_latency is not None:
            latency = candidate.pace * self.original_latency
            missed += max(0.0, math.log(latency / (_LATENCY_ROOM * self.max_latency)))
        if not self.has_target:
            missed += max(0.0, math.log(candidate.size / self.original_size))
            missed += max(0.0, math.log(candidate.pace / SLOWER))
        return missed

    def rank(self, candidate: Candidate) -> tuple[float, float]:
        """Less is better: what is missed first, then what is wanted."""
        missed = self.lost_too_much(candidate) + self.too_costly(candidate)
        return missed, (_bound(candidate.loss) if self.has_target else self.cost(candidate))

    def cost(self, candidate: Candidate) -> float:
        """Logarithm of size and of time, against the original."""
        return math.log(candidate.size / self.original_size) + math.log(candidate.pace)

    def gains(self, size: int, pace: float) -> bool:
        """Whether a model is smaller or faster than the original, and neither larger nor slower."""
        smaller = size <= (1 - _LEAST_GAIN) * self.original_size
        faster = pace <= 1 / SLOWER
        return (smaller or faster) and size <= self.original_size and pace <= SLOWER

    def wants_stronger(self, candidate: Candidate) -> bool:
        """Whether a step should go further than it went for `candidate`."""
        if not self.has_target and self.max_loss is not None:
            return self.chance(candidate) >= _WORTH
        if self.lost_too_much(candidate) > 0:
            return False
        return not self.has_target or self.too_costly(candidate) > 0


def _bound(loss: Loss) -> float:
    """The bound of a loss; a model that looks better than the original on the few rows that choose was lucky."""
    return loss.upper + max(0.0, -(loss.value or 0.0))


def _over(loss: float, limit: float) -> float:
    return max(0.0, (loss - limit) / limit)
