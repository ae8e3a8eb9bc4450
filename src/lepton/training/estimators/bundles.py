"""From a fitted estimator to a model file: the same graph, inputs and outputs as those of `lepton.train`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, TableInputs, write_bundle
from lepton.core import ColumnRecord, ErrorCode, Kind, Role, Schema, UsageError, check_name
from lepton.data import Dataset
from lepton.data.statistics import Baseline
from lepton.training.answers import emit_answers
from lepton.training.base import Problem
from lepton.training.table_model import versions
from lepton.training.tasks import Scale

__all__ = ["Bundled", "Labels", "Written", "emit_scores", "labels_of"]

Labels = tuple[str, ...] | tuple[int, ...] | None
_STATISTICS_ROWS = 200_000


@dataclass(frozen=True)
class Written:
    """What an estimator puts into a model file.

    Attributes:
        task: one of `core.TASKS`.
        labels: of the classes, in order; None without classes.
        target: what was learned; None without a target.
        outputs: that were written into the graph.
        state: of a linear model, JSON-ready: what going on with it needs.
    """

    task: str
    labels: Labels
    target: ColumnRecord | None
    outputs: tuple[OutputRecord, ...]
    state: Mapping[str, Any] | None = None


class Bundled(ABC):
    """An estimator that can be written as a model file."""

    _dataset: Dataset | None = None

    @abstractmethod
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""

    @abstractmethod
    def _input_columns(self) -> tuple[ColumnRecord, ...]:
        """The feature columns."""

    @abstractmethod
    def _write(self, builder: GraphBuilder, features: str) -> Written:
        """Write the model behind the double tensor `features` [N, K]; mark the inner point `raw`."""

    def to_bundle(self, path: str | Path, *, name: str | None = None) -> str:
        """Write a model file that predicts what this estimator predicts, also where there is no Lepton.

        Statistics of the training data, by which drift is seen later, go into the file where the fit was on a data set.

        Args:
            path: where to; an earlier file is replaced whole.
            name: of the model; default: the name of the file.

        Returns:
            The `model_id`.

        Raises:
            NotFittedError: call `fit` first.
            UsageError: several targets, or classes that are neither texts, booleans nor whole numbers.
            StoreError: the file cannot be written; an earlier one is intact.
        """
        path = Path(path)
        name = check_name(name or path.stem, "name of the model")
        inputs = TableInputs(self._input_columns())
        builder = GraphBuilder()
        numbers = builder.input("numbers", "double", ["N", len(inputs.numbers)])
        written = self._write(builder, builder.mark("features", numbers))
        graph = builder.finish({"lepton.inputs": inputs.metadata()})
        return write_bundle(
            path,
            manifest=Manifest(
                name=name,
                task=written.task,
                inputs=inputs.columns,
                outputs=written.outputs,
                labels=written.labels,
                target=None if written.target is None else replace(written.target, role=Role.TARGET),
                lineage=self._lineage(inputs, written),
                inner=dict(builder.inner),
            ),
            graph=graph,
            baseline={} if self._dataset is None else _baseline(self._dataset, inputs, graph, written.outputs),
            training=_training(written.state),
        )

    def _lineage(self, inputs: TableInputs, written: Written) -> dict[str, Any]:
        dataset = self._dataset
        used = {*inputs.names, *([] if written.target is None else [written.target.name])}
        schema = () if dataset is None else dataset.schema
        settings = {k: v.item() if isinstance(v, np.generic) else v for k, v in self.get_params().items()}
        return {
            "dataset": None if dataset is None else _origin(dataset),
            "recipe": None,
            "table_steps": [],
            "parents": [] if dataset is None else [str(each["id"]) for each in dataset.parents(files=False)],
            "seed": settings.get("random_state") or 0,
            "versions": versions(),
            "roles": {c.name: str(c.role) for c in schema if c.role is not Role.FEATURE},
            "ignored": [c.name for c in schema if c.name not in used],
            "learner": type(self).__name__,
            "configuration": settings,
        }


def labels_of(classes: NDArray[Any]) -> tuple[Labels, Kind, str]:
    """Class labels as a model file has them, and kind and dtype of the target.

    Raises:
        UsageError: for classes that are neither texts, booleans nor whole numbers.
    """
    values = classes.tolist()
    if all(isinstance(value, bool) for value in values):
        return (0, 1), Kind.BOOLEAN, "bool"
    if all(isinstance(value, str) for value in values):
        return tuple(values), Kind.CATEGORY, "string"
    if all(isinstance(value, int | float) and float(value).is_integer() for value in values):
        return tuple(map(int, values)), Kind.NUMBER, "int64"
    came = f"the classes are {', '.join(map(repr, values[:5]))}"
    raise UsageError(ErrorCode.USAGE, came, wanted="texts, booleans or whole numbers, which a model file can hold")


def emit_scores(
    builder: GraphBuilder,
    features: str,
    weights: NDArray[np.float64],
    intercepts: NDArray[np.float64],
    *,
    task: str,
    labels: Labels,
) -> tuple[OutputRecord, ...]:
    """Scores `features`·weightsᵀ + intercepts and the answers behind them; `weights` are [S, K], `intercepts` [S]."""
    coefficients = builder.constant(np.ascontiguousarray(weights.T))
    raw = builder.mark("raw", builder.node("Gemm", [features, coefficients, builder.constant(intercepts)]))
    return emit_answers(builder, Problem(task, len(labels or ()), 0), raw, labels, Scale())


def _training(state: Mapping[str, Any] | None) -> dict[str, bytes]:
    if state is None:
        return {"kind": b"none"}
    return {"kind": b"linear", "linear.json": json.dumps(state, sort_keys=True).encode()}


def _origin(dataset: Dataset) -> dict[str, Any]:
    return {"fingerprint": dataset.fingerprint(), "num_rows": dataset.num_rows}


def _baseline(
    dataset: Dataset, inputs: TableInputs, graph: bytes, outputs: tuple[OutputRecord, ...]
) -> dict[str, bytes]:
    """Statistics of the features and of the graph's answers, on rows spread evenly over the training data."""
    every = max(dataset.num_rows // _STATISTICS_ROWS, 1)
    frames, seen = [], 0
    for frame in dataset.batches(columns=inputs.names):
        frames.append(frame.gather_every(every, min(-seen % every, frame.height)))
        seen += frame.height
    sample = pl.concat(frames)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in outputs]
    answers = session.run(names, inputs.tensors(sample))
    return Baseline.of(sample, Schema(inputs.columns), dict(zip(names, answers, strict=True))).to_members()
