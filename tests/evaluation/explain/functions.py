"""Models whose answers are a function in Python: what explanations find can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from lepton.bundle import Manifest, OutputRecord, Predictor, TableInputs
from lepton.core import ColumnRecord, Kind, TaskRecord, task_record

Answers = Callable[[dict[str, Any]], Any]
"""From columns as the graph gets them, [N] each, to numbers [N], or probabilities [N, C]."""


class _Columns(dict[str, Any]):
    """Columns by name, each taken out of its tensor when it is asked for."""

    def __init__(self, tensors: Mapping[str, Any], places: Mapping[str, tuple[str, int]]) -> None:
        super().__init__()
        self.tensors, self.places = tensors, places

    def __missing__(self, name: str) -> Any:
        tensor, place = self.places[name]
        self[name] = self.tensors[tensor][:, place]
        return self[name]


class FunctionModel:
    """What stands for an opened model: rows go through the inputs of a real one, and a function answers them."""

    def __init__(
        self,
        columns: Mapping[str, Kind],
        answers: Answers,
        *,
        labels: tuple[str, ...] | None = None,
        task: str = "",
        target: str = "y",
    ) -> None:
        records = tuple(ColumnRecord(name, kind) for name, kind in columns.items())
        name = task or ("regression" if labels is None else "binary" if len(labels) == 2 else "multiclass")
        self.inputs = TableInputs(records)
        self.places = {
            column.name: (tensor, place)
            for tensor, known in (("numbers", self.inputs.numbers), ("strings", self.inputs.strings))
            for place, column in enumerate(known)
        }
        self.labels = labels
        self.label_names = tuple(labels or ())
        self.answers = answers
        self.num_asked = 0
        kind = Kind.NUMBER if labels is None else Kind.CATEGORY
        self.manifest = Manifest(
            name="function",
            task=name,
            inputs=records,
            outputs=tuple(OutputRecord(each, "double", ("N",)) for each in task_record(name).outputs),
            labels=labels,
            target=ColumnRecord(target, kind) if task_record(name).supervised else None,
        )

    @property
    def task(self) -> TaskRecord:
        return task_record(self.manifest.task)

    def tensors(self, rows: Any) -> dict[str, Any]:
        return self.inputs.tensors(rows, "ignore")

    def outputs(self, rows: Any) -> dict[str, Any]:
        return self.run(self.tensors(rows))

    def run(self, tensors: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        found = np.asarray(self.answers(_Columns(tensors, self.places)), dtype=np.float64)
        self.num_asked += len(found)
        if self.labels is None:
            return dict.fromkeys(task_record(self.manifest.task).outputs, found)
        best = np.array(self.labels, dtype=object)[found.argmax(axis=1)]
        return {"prediction": best, "probabilities": found}


def function_model(columns: Mapping[str, Kind | str], answers: Answers, **options: Any) -> Predictor:
    """A model of `columns`, name → kind, whose numbers, or probabilities of `labels`, are what `answers` gives."""
    kinds = {name: Kind(kind) for name, kind in columns.items()}
    return cast("Predictor", FunctionModel(kinds, answers, **options))


def two_labels(positive: Any) -> Any:
    """Probabilities [N, 2] from those of the second label [N]."""
    return np.stack([1 - positive, positive], axis=1)
