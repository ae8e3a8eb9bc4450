"""What a search is about: rows as networks see them, what is to be predicted, and what stands around a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, TensorRecord
from lepton.core import ColumnRecord, DataError, ErrorCode, Role, UsageError, Work
from lepton.data import Dataset
from lepton.training.base import Problem
from lepton.training.deep.fronts import Front
from lepton.training.deep.media_net import FittedNet, MediaLearner
from lepton.training.deep.media_writing import write
from lepton.training.deep.run import CODECS, Asked
from lepton.training.nets.keeping import input_of
from lepton.training.nets.rows import Rows
from lepton.training.nets.spec import KINDS, NetSpec

__all__ = ["Subject", "subject_of_arrays", "subject_of_files"]

_LEAST_ROWS = 8
_SAMPLES = 64
_FEW_CHANNELS = 4
_KIND_OF_RANK = {4: "image", 3: "series"}


@dataclass(frozen=True)
class Subject:
    """Rows, truth, and everything that a model file needs beside a network.

    Attributes:
        values: rows as a network takes them.
        targets: what it learns.
        truth: the same as metrics take it; numbers about 0.
        problem: the task.
        labels: of the classes, or None.
        same: the first row that is equal to each, or of its group [N].
        weight: of the rows, or None.
        scale: factor and offset of numbers.
        kind: of the rows, as `NetSpec` names it; None for pictures and sounds in files.
        front: nodes before the network.
        column: by which a user knows the input, or None.
        codecs: of that column.
        target: the column that is learned, or None.
        samples: rows as requests bring them, to measure with.
        notes: what was decided, for people.
    """

    values: NDArray[Any]
    targets: NDArray[Any]
    truth: NDArray[Any]
    problem: Problem
    labels: Any
    same: NDArray[np.int64]
    weight: NDArray[np.float32] | None
    scale: tuple[float, float]
    kind: str | None
    front: Front
    column: ColumnRecord | None
    codecs: Mapping[str, str]
    target: ColumnRecord | None
    samples: Any
    notes: tuple[str, ...] = field(default=())

    def learner(self, work: Work) -> MediaLearner:
        """What learns the rows; its `spec` is the family's member of width 1."""
        outputs = max(self.problem.num_classes, 1)
        return MediaLearner(self.values, self.targets, outputs, self.weight, work, self.kind)

    @property
    def fingerprint(self) -> str:
        """The same for the same rows and truth."""
        digest = sha256(str((self.values.shape, self.values.dtype, self.problem.task, self.labels)).encode())
        for array in (self.values, self.truth):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def write(
        self,
        path: Path,
        net: FittedNet,
        *,
        name: str,
        lineage: Mapping[str, Any] | None = None,
        reports: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> str:
        """Write a network as a model file; its `model_id`."""
        return write(
            path,
            net=net,
            front=self.front,
            scale=self.scale,
            name=name,
            task=self.problem.task,
            labels=self.labels,
            column=self.column,
            codecs=self.codecs,
            target=self.target,
            lineage=lineage or {},
            reports=reports or {},
        )


def subject_of_files(
    dataset: Dataset,
    *,
    column: str,
    target: str | Sequence[str],
    task: str | None,
    weight: str | None,
    work: Work,
) -> Subject:
    """Pictures or sounds of a table.

    Raises:
        DataError: see `train_media`.
        UsageError: see `train_media`.
    """
    asked = Asked.of(dataset, column, target, task, weight, work)
    references = dataset.references
    num_rows = len(asked.truth)
    shown = np.unique(np.linspace(0, num_rows - 1, min(num_rows, _SAMPLES)).astype(int))
    several = asked.target.task == "multilabel"
    return Subject(
        asked.media.values,
        asked.targets,
        asked.truth,
        Problem(task=asked.target.task, num_classes=len(asked.target.labels or ()), num_rows=num_rows),
        asked.target.labels,
        asked.media.same,
        asked.weight,
        asked.scale,
        None,
        asked.media.front,
        ColumnRecord(column, asked.kind, "string"),
        {column: CODECS[asked.kind]},
        None if several else replace(asked.target.column, role=Role.TARGET),
        [references.read(asked.files[place]) for place in shown],
        asked.notes,
    )


def subject_of_arrays(x: Any, y: Any, *, kind: str | None, task: str | None) -> Subject:
    """Pictures, series or spectrograms in memory.

    Args:
        x: pictures [N, H, W, C], or [N, H, W] with `kind="image"`; series [N, T, F]; spectrograms [N, bands, frames]
            with `kind="spectrogram"`.
        y: classes [N] as texts, whole numbers or one-hot rows; or decimals to predict.
        kind: one of `KINDS`; None for pictures where there are four axes, series where there are three.
        task: `binary`, `multiclass` or `regression`; None for what `y` means.

    Raises:
        DataError: rows or targets that cannot be learned from.
        UsageError: no such kind or task.
    """
    rows, family = _taken(x, kind)
    truth, labels = _answers(y, task, len(rows))
    found = "regression" if labels is None else "binary" if len(labels) == 2 else "multiclass"
    if task not in (None, found):
        raise UsageError(
            ErrorCode.USAGE, f"got task={task!r} for {len(labels or ())} classes", wanted=f"{found}, or no task"
        )
    scale = (1.0, 0.0)
    if labels is None:
        scale = (float(truth.std()) or 1.0, float(truth.mean()))
        truth = (truth - scale[1]) / scale[0]
    spec = replace(family, outputs=len(labels or (0,)))
    tensor, column, codecs = input_of(spec)
    samples = rows[:_SAMPLES].astype({"uint8": np.uint8, "double": np.float64}.get(tensor.dtype, np.float32))
    return Subject(
        rows,
        truth.astype(np.float32) if labels is None else truth,
        truth,
        Problem(task=found, num_classes=len(labels or ()), num_rows=len(rows)),
        labels,
        _equal_rows(rows),
        None,
        scale,
        spec.kind,
        _Plain(tensor),
        column,
        codecs,
        None,
        samples,
    )


@dataclass(frozen=True)
class _Plain:
    """No nodes before the network: it takes the tensor as it comes."""

    tensor: TensorRecord

    def emit(self, _builder: GraphBuilder, value: str) -> str:
        """The value itself."""
        return value


def _taken(x: Any, kind: str | None) -> tuple[NDArray[Any], NetSpec]:
    try:
        array = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
    except ValueError:  # rows of different sizes
        array = np.array(None)
    kind = kind or _KIND_OF_RANK.get(array.ndim)
    if kind not in KINDS:
        came = f"got rows of the shape {array.shape}" if kind is None else f"got kind={kind!r}"
        raise UsageError(
            ErrorCode.USAGE, came,
            wanted="pictures [N, H, W, C], series [N, T, F], or kind='spectrogram' and [N, bands, frames]",
        )  # fmt: skip
    if kind == "image" and array.ndim == 3:
        array = array[..., None]
    if kind == "image" and array.ndim == 4 and array.shape[3] > _FEW_CHANNELS >= array.shape[1]:
        array = np.ascontiguousarray(np.moveaxis(array, 1, -1))
    family = NetSpec.of(kind, array.shape[1:], 1)
    rows = Rows(family).take(array)
    if len(rows) < _LEAST_ROWS:
        raise DataError(ErrorCode.TOO_FEW_ROWS, f"got {len(rows)} rows", wanted=f"at least {_LEAST_ROWS}")
    return rows, family


def _answers(y: Any, task: str | None, num_rows: int) -> tuple[NDArray[Any], tuple[Any, ...] | None]:
    """Numbers [N] and None, or the positions of classes [N] and their labels."""
    array = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "biuf":
        if not bool(((array != 0).sum(axis=1) == 1).all()):
            came = "got rows of targets that hold several labels, or none"
            raise DataError(ErrorCode.BAD_TARGET, came, wanted="one class or number a row, or one-hot rows")
        array = array.argmax(axis=1)
    array = array.reshape(len(array)) if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1 or len(array) != num_rows:
        raise UsageError(ErrorCode.USAGE, f"got {num_rows} rows and targets {array.shape}", wanted="one for each row")
    if array.dtype.kind == "f" or (task == "regression" and array.dtype.kind in "biu"):
        numbers = array.astype(np.float64)
        if not np.isfinite(numbers).all():
            place = int((~np.isfinite(numbers)).argmax())
            raise DataError(ErrorCode.BAD_TARGET, f"target {place} is {numbers[place]}", wanted="finite numbers")
        return numbers, None
    if array.dtype.kind not in "biuUO":
        raise DataError(ErrorCode.BAD_TARGET, f"got targets of type {array.dtype}", wanted="texts or numbers")
    texts = array.dtype.kind in "UO"
    if texts and not all(isinstance(each, str) for each in array.tolist()):
        raise DataError(ErrorCode.BAD_TARGET, "got targets of several types", wanted="texts, or whole numbers")
    labels, positions = np.unique(array.astype(str) if texts else array.astype(np.int64), return_inverse=True)
    if len(labels) < 2:
        came = f"all targets are {labels.tolist()[0]!r}"
        raise DataError(ErrorCode.BAD_TARGET, came, wanted="at least two classes")
    return positions.astype(np.int64).reshape(num_rows), tuple(labels.tolist())


def _equal_rows(rows: NDArray[Any]) -> NDArray[np.int64]:
    digests = np.array([blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in rows])
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    found: NDArray[np.int64] = first[inverse].astype(np.int64)
    return found
