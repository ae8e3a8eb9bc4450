"""A fitted model of a table: one learner with what stands before and behind it, and how it becomes a bundle."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, TableInputs, write_bundle
from lepton.data.steps import Block
from lepton.training.answers import answers_of, emit_answers
from lepton.training.base import Doubles, Problem, TableLearner
from lepton.training.conformal import Conformal
from lepton.training.front import Front, graph_inputs
from lepton.training.tasks import Scale
from lepton.version import __version__

__all__ = ["TableModel", "block_of", "versions"]

_LIBRARIES = ("lightgbm", "numpy", "onnx", "onnxruntime", "polars", "scikit-learn")
_LATENCY_CALLS = 200


def block_of(inputs: TableInputs, rows: Any) -> Block:
    """Rows in any container as a block of the model's columns."""
    packed = inputs.pack(rows, extra="ignore")
    return Block(packed.numbers, tuple(c.name for c in inputs.numbers), packed.strings)


def versions() -> dict[str, str]:
    """Versions of Python, Lepton and the libraries that training used."""
    found = {"lepton": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class TableModel:
    """A fitted learner with its inputs and outputs.

    Attributes:
        problem: what was learned.
        inputs: the columns that it takes.
        learner: fitted.
        labels: class labels in order; None for regression.
        scale: how numbers were scaled for the learner.
        temperature: what raw scores of classes are divided by to become probabilities that come true.
        front: what makes `inputs` of the rows that come; None where they come so.
        conformal: what makes intervals or sets of the answers; None for neither.
    """

    problem: Problem
    inputs: TableInputs
    learner: TableLearner
    labels: tuple[str, ...] | tuple[int, ...] | None
    scale: Scale
    temperature: float = 1.0
    front: Front | None = None
    conformal: Conformal | None = None

    @property
    def taken(self) -> TableInputs:
        """The columns that rows bring: those before the recipe, where there is one."""
        return self.inputs if self.front is None else self.front.inputs

    def answers(self, block: Block) -> Doubles:
        """The trainer's own answers: numbers [N], quantiles [N, Q], or probabilities [N, C]."""
        answers = answers_of(self.problem, self.learner.raw(block) / self.temperature, self.scale)
        if self.conformal is not None and self.conformal.shifts:
            answers = np.sort(answers + np.array(self.conformal.shifts), axis=1)
        return answers

    def graph(self) -> tuple[bytes, tuple[OutputRecord, ...], dict[str, str]]:
        """The whole pipeline as one graph: its bytes, its outputs and its inner points."""
        builder = GraphBuilder()
        tensors = graph_inputs(builder, self.taken)
        if self.front is not None:
            tensors = self.front.emit(builder, tensors, self.inputs)
        raw = self.learner.emit(builder, tensors)
        if self.temperature != 1.0:
            raw = builder.node("Div", [raw, builder.constant(self.temperature)])
        outputs = emit_answers(builder, self.problem, raw, self.labels, self.scale, self.conformal)
        return builder.finish({"lepton.inputs": self.taken.metadata()}), outputs, dict(builder.inner)

    def to_bundle(
        self,
        path: Path,
        *,
        name: str,
        lineage: Mapping[str, Any],
        target: Any,
        baseline: Mapping[str, bytes],
        reports: Mapping[str, Mapping[str, Any]],
    ) -> str:
        """Write the model file.

        Args:
            path: where to.
            name: of the model.
            lineage: of the manifest; nothing in it is measured.
            target: `ColumnRecord` of what was learned.
            baseline: statistics of the training data (contract 7).
            reports: by name.

        Returns:
            The `model_id`.
        """
        graph, outputs, inner = self.graph()
        vocabulary = {column: list(values) for column, values in self.learner.vocabulary().items()}
        return write_bundle(
            path,
            manifest=Manifest(
                name=name,
                task=self.problem.task,
                inputs=self.taken.columns,
                codecs=self.taken.codecs,
                outputs=outputs,
                labels=self.labels,
                target=target,
                lineage=lineage,
                inner=inner,
            ),
            graph=graph,
            assets={"vocabulary.json": json.dumps(vocabulary, ensure_ascii=False, sort_keys=True).encode()},
            baseline=baseline,
            training={"kind": self.learner.kind.encode(), **self.learner.training_state()},
            reports=reports,
        )

    def measure(self, block: Block) -> tuple[int, float]:
        """Size of the graph in bytes, and the median time in µs of one row through it, warm, on one thread.

        Args:
            block: rows with the columns of `taken`.
        """
        graph, _, _ = self.graph()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        row = block.take(np.array([0]))
        tensors = {"numbers": row.numbers, "strings": row.strings.to_numpy().astype(object)}
        feeds = {point.name: tensors[point.name] for point in session.get_inputs()}
        times = []
        for _ in range(_LATENCY_CALLS):
            start = time.perf_counter_ns()
            session.run(None, feeds)
            times.append(time.perf_counter_ns() - start)
        return len(graph), float(np.median(times)) / 1000.0
