"""What is to be learned of a column of texts: the target in the form that models of texts take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, UsageError, Work, printable
from lepton.data import Dataset
from lepton.training.base import Problem
from lepton.training.deep.counted import counted
from lepton.training.deep.text_rows import Floats
from lepton.training.further import spelt_out
from lepton.training.tasks import Target, prepare_target, prepare_weight

__all__ = ["TextTask"]

_TASKS = ("binary", "multiclass", "multilabel", "regression")
_TEXTS = frozenset({Kind.TEXT, Kind.CATEGORY, Kind.IDENTIFIER})
_LEAST_ROWS = 10
_CHARACTERS_A_SECOND = 150_000  # that are learned from, of the time given


@dataclass(frozen=True, slots=True)
class TextTask:
    """A column of texts and what to learn of it.

    Attributes:
        column: of the texts.
        texts: of the rows that have a target; a missing one is empty.
        target: of these rows.
        problem: the task as metrics and answers know it.
        weight: of the rows [N], or None.
        notes: what was decided, for people.
    """

    column: ColumnRecord
    texts: list[str]
    target: Target
    problem: Problem
    weight: Floats | None
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, dataset: Dataset, text: str, target: str | Sequence[str], task: str | None, weight: str | None, work: Work
    ) -> TextTask:
        """Look at a table.

        Args:
            dataset: the table.
            text: its column of texts.
            target: its column to learn, or several columns of labels.
            task: None for what the target means.
            weight: its column of weights, or None.
            work: time, which says how many texts can be learned from, and seed, which draws them.

        Raises:
            DataError: a column that is not there or holds something else, a target that cannot be learned.
            UsageError: no such task.
        """
        several = tuple(target) if isinstance(target, list | tuple) else ()
        task = task or ("multilabel" if several else None)
        if task not in (None, *_TASKS):
            raise UsageError(ErrorCode.USAGE, f"got task={task!r} for texts", wanted="one of " + ", ".join(_TASKS))
        if several and task != "multilabel":
            raise UsageError(
                ErrorCode.USAGE, f"got {len(several)} targets with task={task!r}", wanted="one, or task='multilabel'"
            )
        if task == "multilabel" and not several:
            dataset, several = spelt_out(dataset, str(target))
        name = several[0] if several else str(target)
        column = _text_column(dataset, text, (name, *several))
        roles = {**dict.fromkeys(several, "target"), **({} if weight is None else {weight: "weight"})}
        dataset = dataset.with_roles(roles)
        frame = dataset.frame()
        found = prepare_target(frame, dataset.schema, name, task)
        if len(found.rows) < _LEAST_ROWS:
            raise DataError(
                ErrorCode.TOO_FEW_ROWS,
                f"there are {len(found.rows)} rows with a target",
                wanted=f"at least {_LEAST_ROWS}",
            )
        found, notes = _drawn(found, frame[text], work)
        weight_name, values = prepare_weight(frame, dataset.schema, found.rows)
        if weight_name is not None:
            notes.append(f"rows are weighted by {weight_name!r}")
        texts = frame[text].cast(pl.String)[found.rows]
        if missing := texts.null_count():
            notes.append(f"{missing} of {len(texts)} texts are missing: they are learned as empty ones")
        problem = Problem(task=found.task, num_classes=len(found.labels or ()), num_rows=len(texts))
        return cls(
            column,
            texts.fill_null("").to_list(),
            found,
            problem,
            None if values is None else (values / values.mean()).astype(np.float32),
            (*found.notes, *notes),
        )

    def counted(self, class_weight: str | Mapping[Any, Any] | None) -> TextTask:
        """The same with rows that count by their class; see `lepton.training.deep.counted`."""
        return counted(self, class_weight)

    @property
    def labels(self) -> tuple[str, ...] | tuple[int, ...] | None:
        """As the graph gives them: 0 and 1 for booleans."""
        is_boolean = self.problem.task == "binary" and self.target.column.kind is Kind.BOOLEAN
        return (0, 1) if is_boolean else self.target.labels

    @property
    def truth(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """The target as metrics take it: numbers, or positions of classes or labels."""
        values = self.target.values
        return values if self.target.labels is None else values.astype(np.int64)

    def targets(self) -> tuple[Floats, tuple[float, float]]:
        """[N, S], 1 and -1 for classes and labels, else numbers about 0; and the scale of these, factor and offset."""
        values = self.target.values
        match self.problem.task:
            case "regression":
                offset, factor = float(values.mean()), float(values.std())
                return ((values - offset) / factor)[:, None].astype(np.float32), (factor, offset)
            case "multiclass":
                classes = np.arange(self.problem.num_classes)
                return np.where(values[:, None] == classes, 1, -1).astype(np.float32), (1.0, 0.0)
            case _:
                return (2 * values.reshape(len(values), -1) - 1).astype(np.float32), (1.0, 0.0)


def _text_column(dataset: Dataset, text: str, targets: tuple[str, ...]) -> ColumnRecord:
    column = dataset.schema[text]
    if text in targets:
        raise UsageError(
            ErrorCode.USAGE, f"got {printable(text)!r} as text and as target", wanted="two different columns"
        )
    if column.kind not in _TEXTS:
        raise DataError(
            ErrorCode.WRONG_KIND,
            f"the column {printable(text)!r} is of kind {column.kind}",
            wanted="texts",
            fix="name the column of texts with text= (--text)",
        )
    return ColumnRecord(text, Kind.TEXT, "string", role=Role.FEATURE)


def _drawn(target: Target, texts: pl.Series, work: Work) -> tuple[Target, list[str]]:
    """Fewer rows where the time does not suffice for all."""
    if work.within is None:
        return target, []
    lengths = texts.cast(pl.String)[target.rows].str.len_chars().fill_null(0).clip(8, 2_000)
    share = _CHARACTERS_A_SECOND * work.within / max(int(lengths.sum()), 1)
    if share >= 1:
        return target, []
    return _part(target, share, work)


def _part(target: Target, share: float, work: Work) -> tuple[Target, list[str]]:
    num_rows = len(target.rows)
    random = np.random.default_rng(work.seed_for("texts", "rows"))
    most = max(int(num_rows * share), _LEAST_ROWS)
    kept = random.permutation(num_rows)[:most]
    if target.labels is not None and target.values.ndim == 1:  # two of each class at least, whatever the draw
        order = random.permutation(num_rows)
        sorted_rows = order[np.argsort(target.values[order], kind="stable")]
        starts = np.searchsorted(target.values[sorted_rows], np.arange(len(target.labels)))
        kept = np.concatenate([kept, sorted_rows[starts], sorted_rows[starts + 1]])
    kept = np.unique(kept)
    note = (
        f"drew {len(kept):,} of {num_rows:,} texts, as many as can be learned in the time; allow more time to use more"
    )
    return (
        Target(target.column, target.task, target.labels, target.rows[kept], target.values[kept], target.notes),
        [note],
    )
