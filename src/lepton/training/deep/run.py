"""`train_media`: from a table with a column of pictures or sounds to a model file that takes them as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, UsageError, Work, check_name, printable
from lepton.core.lazy import LazyModule
from lepton.data import Dataset
from lepton.evaluation import metric as metric_named
from lepton.training.base import Problem
from lepton.training.deep.counted import counted
from lepton.training.deep.fronts import Front
from lepton.training.deep.media_rows import MediaRows, read_rows
from lepton.training.further import spelt_out
from lepton.training.tables import TrainingResult
from lepton.training.tasks import Target, prepare_target, prepare_weight

if TYPE_CHECKING:
    from lepton.training.deep import media_choice, media_net, media_writing
else:
    media_choice, media_net, media_writing = (
        LazyModule(f"lepton.training.deep.{name}") for name in ("media_choice", "media_net", "media_writing")
    )

__all__ = ["CODECS", "Asked", "media_column", "numbers_of", "train_media"]

CODECS = {Kind.IMAGE: "jpeg-png-to-rgb8/1", Kind.AUDIO: "wav-flac-to-f32/1"}
_TASKS = ("binary", "multiclass", "multilabel", "regression")
_LEAST_ROWS = 4


def media_column(dataset: Dataset, targets: Sequence[str]) -> str | None:
    """The one column of files that a table is about: nothing else in it has the role of a feature. Else None."""
    features = [column for column in dataset.schema.of_role(Role.FEATURE) if column.name not in targets]
    return features[0].name if len(features) == 1 and features[0].kind in CODECS else None


def train_media(
    dataset: Dataset,
    *,
    column: str,
    target: str | Sequence[str],
    task: str | None = None,
    metric: str | Callable[..., float] | None = None,
    weight: str | None = None,
    class_weight: str | Mapping[Any, Any] | None = None,
    name: str | None = None,
    work: Work | None = None,
    output: Path,
) -> TrainingResult:
    """Learn `target` from pictures or sounds and write a model that takes the files as they are.

    Every file is decoded once. A share of the rows is held out, a network of LeptonNet's family learns the others and
    is judged and calibrated on them; then one learns all rows for as many passes, where the time suffices.

    Args:
        dataset: the table.
        column: its column of files; others are not looked at.
        target: its column to learn: classes, numbers, or several labels in a text; or several columns of labels.
        task: `binary`, `multiclass`, `multilabel` or `regression`; None for what the target means.
        metric: what is told of it; None for the task's own.
        weight: a column of weights, or None.
        class_weight: `balanced`, or label → how much more its rows count in learning; None for rows as they are.
        name: of the model; None for the name of `output`.
        work: time, threads, seed, stop signal. Stopped once something is learned, what is there is written.
        output: model file to write.

    Raises:
        DataError: a column that is not there or holds something else, files that cannot be read, too few rows.
        UsageError: no such task or metric.
        MissingExtraError: torch, Pillow or soundfile is not installed.
        Interrupted: stopped before anything was learned.
    """
    work = Work.of(work)
    name = check_name(name or Path(output).stem, "name of the model")
    asked = counted(Asked.of(dataset, column, target, task, weight, work), class_weight)
    problem = Problem(task=asked.target.task, num_classes=len(asked.target.labels or ()), num_rows=len(asked.truth))
    learner = media_net.MediaLearner(asked.media.values, asked.targets, max(problem.num_classes, 1), asked.weight, work)
    measured_by = metric_named(metric, problem.task)
    choice = media_choice.MediaChoice(learner, problem, asked.truth, measured_by, asked.media.same, asked.scale, work)
    board = choice.board(asked.notes)
    work.report(1, 1, "files", note="saving")
    several = problem.task == "multilabel"
    front = asked.media.front
    record = ColumnRecord(column, asked.kind, "string")
    model_id = media_writing.write(
        output,
        net=choice.net,
        front=front,
        scale=asked.scale,
        name=name,
        task=problem.task,
        labels=asked.target.labels,
        column=record,
        codecs={column: CODECS[asked.kind]},
        target=None if several else replace(asked.target.column, role=Role.TARGET),
        baseline=choice.baseline(asked.target.labels),
        lineage=_lineage(dataset, board.metric, asked, choice.net.passes, work),
        reports={"training": choice.report(board, asked.target)},
    )
    return TrainingResult(Path(output), model_id, board.rows, board.notes)


@dataclass(frozen=True)
class Asked:
    """What is to be learned, of the rows whose file can be read and whose target is known.

    Attributes:
        kind: of the column.
        media: the files as a network sees them.
        files: the cells of the column, one for each row.
        target: what is predicted.
        truth: as metrics take it.
        targets: as a network takes them.
        scale: factor and offset of numbers.
        weight: of the rows, or None.
        notes: what was decided, for people.
    """

    kind: Kind
    media: MediaRows
    files: tuple[str, ...]
    target: Target
    truth: NDArray[Any]
    targets: NDArray[Any]
    scale: tuple[float, float]
    weight: NDArray[np.float32] | None
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        column: str,
        target: str | Sequence[str],
        task: str | None,
        weight: str | None,
        work: Work,
        front: Front | None = None,
    ) -> Asked:
        """Read the files and the target; `front` says what pictures are to look like, where files do not.

        Raises:
            DataError: see `train_media`.
            UsageError: see `train_media`.
        """
        record = dataset.schema[column]
        if record.kind not in CODECS:
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"the column '{printable(column)}' is of kind {record.kind}",
                wanted="image or audio",
                fix=f"lepton.read(…, kinds={{'{printable(column)}': 'image'}})",
            )
        references = dataset.references
        dataset, names, task = _targets(dataset, column, target, task)
        roles = {**dict.fromkeys(names[1:] and names, "target"), **({} if weight is None else {weight: "weight"})}
        dataset = dataset.with_roles(roles)
        kept = (Role.WEIGHT, Role.GROUP)
        wanted = [each.name for each in dataset.schema if each.name in (column, *names) or each.role in kept]
        frame = dataset.frame(wanted)
        found = prepare_target(frame, dataset.schema.select(wanted), names[0], task)
        cells = frame[column].cast(pl.String)[found.rows].to_list()
        media = read_rows(cells, record.kind, references, work, front)
        if len(media.places) < _LEAST_ROWS:
            came = f"there are {len(media.places)} files that can be read and have a target"
            raise DataError(ErrorCode.TOO_FEW_ROWS, came, wanted=f"at least {_LEAST_ROWS}")
        for group in dataset.schema.of_role(Role.GROUP)[:1]:
            groups = frame[group.name][found.rows][media.places]
            if groups.n_unique() > 1:  # else nothing could be held out
                media = replace(media, same=_together(media.same, groups))
        values = found.values[media.places]
        _, weights = prepare_weight(frame, dataset.schema.select(wanted), found.rows[media.places])
        truth, targets, scale = numbers_of(found, values)
        others = [each.name for each in dataset.schema.of_role(Role.FEATURE) if each.name not in (column, *names)]
        left = (f"columns that were not looked at: {', '.join(map(repr, others[:10]))}",) if others else ()
        return cls(
            record.kind,
            media,
            tuple(str(cells[place]) for place in media.places),
            found,
            truth,
            targets,
            scale,
            None if weights is None else (weights / weights.mean()).astype(np.float32),
            (*found.notes, *left, *media.notes),
        )


def _together(same: NDArray[np.int64], groups: pl.Series) -> NDArray[np.int64]:
    """The first row that must lie on the same side as each: it is equal, or of the same group."""
    firsts: dict[object, int] = {}
    found = [place if group is None else firsts.setdefault(group, place) for place, group in enumerate(groups)]
    together: NDArray[np.int64] = np.array(found, dtype=np.int64)[same]
    return together


def _targets(
    dataset: Dataset, column: str, target: str | Sequence[str], task: str | None
) -> tuple[Dataset, tuple[str, ...], str | None]:
    """The table, the names of the targets, and the task as far as they say it."""
    several = tuple(target) if isinstance(target, list | tuple) else ()
    task = task or ("multilabel" if several else None)
    if task not in (None, *_TASKS):
        raise UsageError(ErrorCode.USAGE, f"got task={task!r} for files", wanted="one of " + ", ".join(_TASKS))
    if several and task != "multilabel":
        came = f"got {len(several)} targets with task={task!r}"
        raise UsageError(ErrorCode.USAGE, came, wanted="one, or task='multilabel'")
    if column in (target, *several):
        raise UsageError(
            ErrorCode.USAGE, f"got '{printable(column)}' as files and as target", wanted="two different columns"
        )
    if task == "multilabel" and not several:
        dataset, several = spelt_out(dataset, str(target))
    return dataset, several or (str(target),), task


def numbers_of(target: Target, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], tuple[float, float]]:
    """Truth as metrics take it, targets as the network does, and factor and offset of numbers."""
    if target.task == "regression":
        offset, factor = float(values.mean()), float(values.std()) or 1.0
        about = (values - offset) / factor
        return about, about.astype(np.float32), (factor, offset)
    whole = values.astype(np.int64)
    return whole, whole.astype(np.float32) if target.task == "multilabel" else whole, (1.0, 0.0)


def _lineage(dataset: Dataset, metric: str, asked: Asked, passes: int, work: Work) -> Mapping[str, Any]:
    ignored = [each.name for each in dataset.schema if each.role is not Role.TARGET]
    return {
        "dataset": {"fingerprint": dataset.fingerprint(), "num_rows": dataset.num_rows},
        "seed": work.seed,
        "learner": "lepton-net",
        "configuration": {"passes": passes},
        "metric": metric,
        "ignored": ignored,
        "notes": list(asked.notes),
    }
