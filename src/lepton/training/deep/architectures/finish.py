"""The end of a search: the best design learns all rows, its file is held against the limits, and it is told why."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lepton.bundle import add_report, machine
from lepton.core import BudgetVerdict, Interrupted, TrainingError, Work, show_duration
from lepton.store import open_read, replace_file
from lepton.training.automl.workdir import damaged
from lepton.training.deep.architectures import designs, ladder
from lepton.training.deep.architectures.search import ArchitectureSearch
from lepton.training.deep.architectures.trials import NEVER_TRAINED, Trial
from lepton.training.deep.media_net import FittedNet
from lepton.training.leaderboard import Leaderboard, LeaderboardRow
from lepton.training.nets.keeping import read_net

__all__ = ["finish"]

_MOST_CHECKED = 4  # files that are held against the limits before the search gives up
_NEAR = 2.0  # times the limit: where designs were measured to be within it, more is the machine, not the design


@dataclass(slots=True)
class _Measured:
    measured: tuple[int, float] | None


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file that was held against the limits."""

    trial: Trial
    path: Path
    verdicts: tuple[BudgetVerdict, ...]
    limits: Mapping[str, Any]
    note: str

    @property
    def missed(self) -> float:
        """By how much, as a factor of the limit; at most 1 where all are kept."""
        return max(((v.measured or np.inf) / v.limit for v in self.verdicts), default=0.0)


def finish(search: ArchitectureSearch, *, name: str, output: Path, work: Work) -> tuple[BudgetVerdict, ...]:
    """Write the model of a search that has found something.

    Args:
        search: what was tried.
        name: of the model.
        output: model file to write; the best there is stands there also where a limit is broken.
        work: time, seed, stop signal.

    Returns:
        A verdict for each limit, on the file.

    Raises:
        DataError: the folder of the search has lost its model files.
    """
    learning = search.learning
    order = [trial for trial in search.best_first() if search.folder.file_of(trial).is_file()]
    if not order:
        raise damaged(search.folder.path, "the model files of its trials are missing")
    found = _within_limits(search, order, name, work)
    judged = _judged(search, found.trial)
    board = _board(search, found, judged)
    told = {
        **board.to_dict(),
        "task": learning.subject.problem.task,
        "target": None if learning.subject.target is None else learning.subject.target.name,
        "num_rows": learning.num_rows,
        "num_features": 1,
        "within": work.within,
        "seconds": work.elapsed,
        "cpus": work.resources.cpus,
        "limits": dict(found.limits),
    }
    when = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    add_report(found.path, "training", {**told, **when})
    add_report(found.path, "search", {**_told(search, found.trial, judged), **when})
    with open_read(found.path) as source, replace_file(output) as copied:
        shutil.copyfileobj(source, copied)
    return found.verdicts


def _within_limits(search: ArchitectureSearch, order: Sequence[Trial], name: str, work: Work) -> _Checked:
    """The best file that keeps the limits; the one that misses them least, where none does."""
    checked: list[_Checked] = []
    for trial in order[:_MOST_CHECKED]:
        if any(trial.cost.slowest >= c.trial.cost.slowest and trial.cost.size >= c.trial.cost.size for c in checked):
            continue  # what is neither quicker nor smaller misses the limit too
        net, note = _last_training(search, trial, work) if not checked else (_kept(search, trial), "")
        path = search.folder.path / f"model-{len(checked) + 1}.lepton"
        lineage = _lineage(search, trial, net, work)
        search.learning.subject.write(path, net, name=name, lineage=lineage)
        measured = _Measured((trial.cost.size, trial.cost.row * 1e6))
        verdicts, told = search.limits.check(path, search.learning.subject.samples, measured, work)
        checked.append(_Checked(trial, path, verdicts, told, note or "the network that was judged is kept"))
        if checked[-1].missed <= 1 or checked[-1].missed > _NEAR:
            break
    return min(checked, key=lambda each: (each.missed > 1, each.missed if each.missed > 1 else 0.0))


def _last_training(search: ArchitectureSearch, trial: Trial, work: Work) -> tuple[FittedNet, str]:
    """The design trained once more, on all rows and in full, where there is time; else the network that was judged."""
    kept, learning = _kept(search, trial), search.learning
    remaining = work.remaining
    if work.stopped or (remaining is not None and search.last_training(trial.spec) > remaining):
        return kept, "there was no time to learn all rows: the network that was judged is kept"
    rows = np.arange(learning.num_rows)
    if trial.spec.exits:  # when rows leave early is set by rows that were not learned
        rows = np.setdiff1d(rows, learning.rows.choose)
    part = work.part(None if remaining is None else max(remaining - search.reserve, 0.0))
    note = f"learning all rows: {designs.told(trial.spec)}"
    part.reporter = lambda record: work.report(record.done, record.total, record.unit, note=note)
    try:
        net = learning.fit(trial.spec, search.passes[-1], "all", part, rows=rows)
    except (Interrupted, TrainingError) as error:
        return kept, f"the network of all rows was not finished ({error.came}): the one that was judged is kept"
    if net.stopped:  # cut off before its learning rate fell, it is the worse of the two
        return kept, "the network of all rows was not finished: the one that was judged is kept"
    if trial.spec.exits:
        learning.calibrate(net)
    else:
        net.module.temperatures.copy_(kept.module.temperatures)
    return net, f"then {len(rows):,} rows were learned in {net.passes} passes"


def _kept(search: ArchitectureSearch, trial: Trial) -> FittedNet:
    kept = read_net(search.folder.file_of(trial))
    return FittedNet(kept.module, trial.passes, trial.seconds)


def _judged(search: ArchitectureSearch, trial: Trial) -> dict[str, Any] | None:
    """The score on rows that had no say in the search; None where there are none."""
    learning = search.learning
    if not len(learning.rows.judge):
        return None
    found = learning.score(_kept(search, trial), learning.rows.judge)
    return {"metric": learning.metric.name, "num_rows": len(learning.rows.judge), **asdict(found), "told": str(found)}


def _lineage(search: ArchitectureSearch, trial: Trial, net: FittedNet, work: Work) -> dict[str, Any]:
    learning = search.learning
    return {
        "dataset": {"fingerprint": search.folder.asked.fingerprint, "num_rows": learning.num_rows},
        "seed": work.seed,
        "learner": "lepton-net",
        "configuration": {"passes": net.passes, "design": designs.told(trial.spec)},
        "metric": learning.metric.name,
        "notes": list(learning.subject.notes),
    }


def _board(search: ArchitectureSearch, found: _Checked, judged: Mapping[str, Any] | None) -> Leaderboard:
    best, front = search.best_first(), _front(search)
    rows = tuple(
        LeaderboardRow(
            "lepton-net", f"{designs.told(trial.spec)}, {trial.passes} passes", trial.score, trial.lower, trial.upper,
            1, trial.seconds, trial.cost.row * 1e6, trial.cost.size, trial.number == found.trial.number, trial.note,
            trial.number in front,
        )
        for trial in sorted(best, key=search.loss)
    )  # fmt: skip
    refused = [trial for trial in search.trials if trial.rung == NEVER_TRAINED]
    parts = search.learning.rows
    trainings = sum(trial.rung > NEVER_TRAINED for trial in search.trials)
    told = f"tried {len(best)} designs in {trainings} trainings; scores are of {len(parts.choose):,} rows not learned"
    notes = [told]
    if refused:
        notes.append(f"{len(refused)} designs were not trained: beyond the limits, as {refused[-1].note}")
    if found.trial.note:
        notes.append(f"the training was cut off: {found.trial.note}")
    if judged is not None:
        notes.append(
            f"the chosen one has {judged['metric']} {judged['told']} on {judged['num_rows']:,} rows that had no say"
        )
    if found.missed > 1 and found.trial.cost.slowest <= (search.limits.max_latency or 0.0):
        slowest = show_duration(found.trial.cost.slowest)
        notes.append(f"in processor time its slowest calls take {slowest}: the machine was busy with something else")
    notes.append(f"a row takes it {show_duration(found.trial.cost.row)} here; {found.note}")
    metric = search.metric
    notes = [*search.learning.subject.notes, *notes]
    return Leaderboard(metric.name, metric.greater_is_better, rows, tuple(notes))


def _front(search: ArchitectureSearch) -> set[int]:
    """Numbers of the longest trained designs that none of them beats."""
    best = search.best_first()
    top = [trial for trial in best if trial.rung == best[0].rung]
    return {trial.number for trial, holds in zip(top, ladder.on_front(top, search.loss), strict=True) if holds}


def _told(search: ArchitectureSearch, chosen: Trial, judged: Mapping[str, Any] | None) -> dict[str, Any]:
    """`reports/search.json`: every trial with all its costs."""
    return {
        "kind": "architectures",
        "passes": list(search.passes),
        "chosen": chosen.number,
        "judged": judged,
        "pareto": sorted(_front(search)),
        "trials": [_trial(trial) for trial in search.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    stages = trial.spec.stages
    return {
        **trial.to_dict(),
        "learner": "lepton-net",
        "told": designs.told(trial.spec),
        "scored_after": None if trial.score is None else trial.after,
        # what one may ask of all designs, for the page that says which settings were good
        "configuration": {
            "stages": len(stages),
            "blocks": sum(stage.blocks for stage in stages),
            "widest": max(stage.channels for stage in stages),
            "multiply_adds": trial.cost.multiply_adds,
        },
    }
