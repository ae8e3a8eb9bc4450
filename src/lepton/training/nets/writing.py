"""From a network to a bundle: its inputs as they are, the answers of its task behind it, and what going on needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.documents import dump_document
from lepton.bundle.tensor_records import TensorRecord, describe_tensors
from lepton.core import ColumnRecord, ErrorCode, UsageError

__all__ = ["NetWriter", "write_net"]

NetWriter = Callable[[GraphBuilder, Mapping[str, str]], Any]
"""(builder, input name → value) → the value with logits or numbers, [N, outputs]; or that and an embedding [N, D]."""

Labels = Sequence[str] | Sequence[int]


def write_net(
    path: str | Path,
    *,
    name: str,
    net: NetWriter,
    task: str,
    tensors: Sequence[TensorRecord],
    labels: Labels | None = None,
    column: ColumnRecord | None = None,
    codecs: Mapping[str, str] | None = None,
    target: ColumnRecord | None = None,
    embedding: int | None = None,
    assets: Mapping[str, bytes] | None = None,
    baseline: Mapping[str, bytes] | None = None,
    lineage: Mapping[str, Any] | None = None,
    training: Mapping[str, bytes] | None = None,
    reports: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Write a network as a bundle.

    Args:
        path: where to.
        name: of the model.
        net: writes everything between the inputs and the logits.
        task: `binary`, `multiclass`, `multilabel` or `regression`.
        tensors: the graph's inputs.
        labels: of the classes, in the order of the logits; None for regression.
        column: the one column that a user knows the input by, if there is one.
        codecs: of that column.
        target: the column that was learned.
        embedding: size of the embedding that `net` gives as its second value; None if it gives one.
        assets: see `write_bundle`.
        baseline: see `write_bundle`.
        lineage: data, seed, environment, as the manifest keeps them.
        training: see `write_bundle`; `kind` says what it is.
        reports: see `write_bundle`.

    Returns:
        The `model_id`: the same for the same net and arguments.

    Raises:
        UsageError: the task is another, or the manifest cannot be written.
    """
    columns = () if column is None else (column,)
    builder = GraphBuilder()
    values = {}
    for tensor in tensors:
        open_sizes = [size if size is not None else f"{tensor.name}_{axis}" for axis, size in enumerate(tensor.shape)]
        values[tensor.name] = builder.input(tensor.name, tensor.dtype, ["N", *open_sizes[1:]])
    answers = net(builder, values)
    logits = answers if embedding is None else answers[0]
    outputs = _write_answers(builder, logits, task, labels)
    if embedding is not None:
        builder.output("embedding", builder.node("Cast", [answers[1]], to=11), "double", ["N", embedding])
        outputs.append(OutputRecord("embedding", "double", ("N", embedding)))
    described = dump_document(describe_tensors(tensors, columns, codecs or {}), "metadata").decode()
    graph = builder.finish({"lepton.inputs": described})
    manifest = Manifest(
        name=name,
        task=task,
        inputs=columns,
        tensors=tuple(tensors),
        outputs=tuple(outputs),
        labels=_labels(labels),
        target=target,
        codecs=codecs or {},
        lineage=lineage or {},
        inner=builder.inner,
    )
    return write_bundle(
        path, manifest=manifest, graph=graph, assets=assets, baseline=baseline, training=training, reports=reports
    )


def _labels(labels: Labels | None) -> Any:
    return None if labels is None else tuple(labels)


def _write_answers(builder: GraphBuilder, logits: str, task: str, labels: Labels | None) -> list[OutputRecord]:
    """The outputs of the task behind the logits, in double."""
    raw = builder.mark("raw", builder.node("Cast", [logits], to=11))
    if task == "regression":
        builder.output("prediction", builder.node("Squeeze", [raw, builder.constant([1])]), "double", ["N"])
        return [OutputRecord("prediction", "double", ("N",))]
    if task not in ("binary", "multiclass", "multilabel") or not labels:
        raise UsageError(
            ErrorCode.USAGE, f"got the task {task!r} and {len(labels or ())} labels",
            wanted="binary, multiclass or multilabel with labels, or regression",
        )  # fmt: skip
    shape: tuple[int | str, ...]
    if task == "multilabel":
        dtype, shape = "int64", ("N", len(labels))
        probabilities = builder.node("Sigmoid", [raw])
        answer = builder.node("Cast", [builder.node("GreaterOrEqual", [probabilities, builder.constant(0.5)])], to=7)
    else:
        dtype, shape = ("string" if isinstance(labels[0], str) else "int64"), ("N",)
        probabilities = builder.node("Softmax", [raw], axis=1)
        names = builder.constant(np.array(labels, dtype=object if dtype == "string" else np.int64))
        answer = builder.node("Gather", [names, builder.node("ArgMax", [raw], axis=1, keepdims=0)])
    builder.output("prediction", answer, dtype, shape)
    builder.output("probabilities", probabilities, "double", ["N", len(labels)])
    return [OutputRecord("prediction", dtype, shape), OutputRecord("probabilities", "double", ("N", len(labels)))]
