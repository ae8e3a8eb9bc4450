"""What callers of a compression need: a request from plain arguments, and the refusal of what misses its budgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, Work
from lepton.optimization.lean.compress import Request, compress
from lepton.optimization.lean.data import Wish
from lepton.optimization.lean.goal import Goal
from lepton.optimization.lean.recheck import Recheck, recheck
from lepton.optimization.lean.report import REPORT, Compression

__all__ = ["DEFAULT_LOSS", "Compression", "Recheck", "compressed", "compression_of", "recheck", "request_of"]

DEFAULT_LOSS = 0.005
"""Most that may be lost where no budget is given."""


def request_of(
    *,
    max_loss: float | None = None,
    max_size: str | int | None = None,
    max_latency: str | float | None = None,
    max_loss_any_segment: float | None = None,
    metric: Any = None,
    target: str | None = None,
    weight: str | None = None,
    segments: tuple[str, ...] = (),
    steps: Sequence[str] | None = None,
    workdir: Path | None = None,
    resume: bool = False,
) -> Request:
    """What is asked, as `lepton.compress` takes it.

    Raises:
        UsageError: a budget that cannot be meant, or going on without a folder.
    """
    if max_loss is None and max_size is None and max_latency is None:
        max_loss = DEFAULT_LOSS
    if resume and workdir is None:
        raise UsageError(ErrorCode.USAGE, "got resume without workdir", wanted="the folder of the search to go on with")
    goal = Goal.of(max_loss, max_size, max_latency, max_loss_any_segment)
    return Request(goal, Wish(metric, target, weight, segments, max_loss), steps, workdir, resume)


def compressed(
    original: Predictor,
    data: Any,
    request: Request,
    *,
    output: Path,
    is_kept: bool,
    proof: Any = None,
    work: Work | None = None,
) -> Compression:
    """`compress`, where a budget that is missed is raised.

    Args:
        original: the model.
        data: rows.
        request: budgets and more.
        output: where the result is saved.
        is_kept: whether the file lasts, so that the error may name it.
        proof: rows to prove with.
        work: as of `compress`.

    Raises:
        BudgetError: one was not kept; the best that was found is saved all the same.
        LeptonError: as of `compress`.
    """
    outcome = compress(original, data, request, output=output, is_kept=is_kept, proof=proof, work=work)
    if outcome.missed is not None:
        raise outcome.missed
    return outcome.compression


def compression_of(reports: Any) -> Compression | None:
    """What the reports of a model say of its compression; None where it is none."""
    told = reports.get(REPORT)
    return None if told is None else Compression(told)
