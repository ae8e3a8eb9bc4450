"""`search_architectures`: from rows to the best network that keeps the limits, as a model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.bundle import machine
from lepton.core import BudgetVerdict, ErrorCode, Interrupted, Work, check_name, show_duration
from lepton.evaluation import Metric, metric as metric_named
from lepton.store import scratch_folder
from lepton.training.deep.architectures import designs, ladder
from lepton.training.deep.architectures.costs import Meter
from lepton.training.deep.architectures.finish import finish
from lepton.training.deep.architectures.learning import Learning
from lepton.training.deep.architectures.search import ArchitectureSearch
from lepton.training.deep.architectures.subject import Subject
from lepton.training.deep.architectures.trials import Asked, TrialFolder
from lepton.training.limits import Limits

__all__ = ["Kept", "search_architectures"]

_TO_WRITE = 1.5  # seconds
_CHECKED_CALLS = 8_000  # of the finished file, see `Limits.check`
_SHARE_TO_CHECK = 0.05
_TRAININGS = 8.0  # in full, that the time should suffice for: some 18 designs, and the last one on all rows
_FEWEST_TRAININGS = 3.0  # that it is made to suffice for, if only
_FEW_PASSES = 10  # are had
_USED = 0.9


@dataclass(frozen=True, slots=True)
class Kept:
    """How a search is kept, goes on and ends.

    Attributes:
        workdir: folder, or None.
        resume: whether to go on with the search in it.
        max_trials: trainings at most, those of earlier parts included; or None.
    """

    workdir: Path | None = None
    resume: bool = False
    max_trials: int | None = None


def search_architectures(
    read: Callable[[Work], Subject],
    *,
    metric: str | Callable[..., float] | None,
    limits: Limits,
    kept: Kept,
    output: Path,
    work: Work,
) -> tuple[BudgetVerdict, ...]:
    """Search for a network of LeptonNet's family, and write the best that keeps the limits.

    Args:
        read: gives the rows; what it takes counts as time of the search.
        metric: what to choose by; None for accuracy of classes, and the task's own of other targets.
        limits: of the finished file.
        kept: how the search is kept, goes on and ends.
        output: model file to write.
        work: time, seed, threads, stop signal; stopped once something is learned, the best so far is written.

    Returns:
        A verdict for each limit, on the file.

    Raises:
        DataError: rows that cannot be learned from, or others than those of the folder.
        UsageError: no such metric, or another search than that of the folder.
        Interrupted: stopped before anything was learned.
    """
    name = check_name(output.stem, "name of the model")
    if kept.workdir is not None and not kept.resume:
        TrialFolder.refuse_begun(kept.workdir)
    found = TrialFolder.open(kept.workdir) if kept.workdir is not None and kept.resume else None
    try:
        with scratch_folder() as scratch:
            subject = read(work)
            learning = Learning(subject, _metric(metric, subject.problem.task), work)
            work.check()
            reference = designs.first_designs(learning.family)[0]
            if work.within is not None:
                learning.measure_pace(reference)
            quiet = None if found is None else found.asked.reference
            meter = Meter(subject, reference, scratch, quiet, work)
            fingerprint = subject.fingerprint
            if found is None:
                asked = Asked(
                    fingerprint, subject.problem.task, learning.metric.name, work.seed, _rungs(learning, work),
                    meter.quiet, _here(),
                )  # fmt: skip
                found = TrialFolder.make(kept.workdir or scratch / "search", asked)
            found.check(fingerprint, subject.problem.task, learning.metric.name, work.seed, _here())
            search = ArchitectureSearch(learning, found, meter, limits, kept.max_trials, _reserve(limits, work), work)
            search.explore()
            return finish(search, name=name, output=output, work=work)
    except Interrupted as error:
        if work.cancel.is_set() or work.within is None:
            raise
        raise Interrupted(
            ErrorCode.INTERRUPTED,
            f"the time of {show_duration(work.within)} was over before a first network had learned anything",
            fix="allow more time, or give fewer rows",
        ) from error


def _here() -> dict[str, Any]:
    """What of this machine the time of a row on one thread depends on."""
    told = machine()
    return {name: told[name] for name in ("cpu", "system", "architecture", "onnxruntime")}


def _metric(asked: str | Callable[..., float] | None, task: str) -> Metric:
    usual = "accuracy" if task in ("binary", "multiclass") else None
    return metric_named(usual if asked is None else asked, task)


def _rungs(learning: Learning, work: Work) -> tuple[int, ...]:
    """How many passes each rung takes: what the time allows for some trainings, and not more than are of use."""
    most, remaining = learning.most_passes(), work.remaining
    if remaining is None:
        return ladder.rungs_of(most)
    passes = _USED * max(remaining, 0.0) / (learning.seconds_a_row * learning.num_rows)
    affordable = max(passes / _TRAININGS, min(passes / _FEWEST_TRAININGS, _FEW_PASSES))
    return ladder.rungs_of(max(1, min(most, int(affordable))))


def _reserve(limits: Limits, work: Work) -> float:
    """Seconds for writing the file and holding it against the limits."""
    checking = 0.0 if limits.max_latency is None else _CHECKED_CALLS * limits.max_latency
    if work.within is None:
        return _TO_WRITE
    return _TO_WRITE + min(checking, _SHARE_TO_CHECK * work.within)
