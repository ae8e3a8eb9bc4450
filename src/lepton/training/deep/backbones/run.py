"""`train_backbone`: from texts or pictures and a pre-trained network to a model file that takes them as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lepton.core import Role, Work, check_name
from lepton.data import Dataset
from lepton.evaluation import metric as metric_named
from lepton.training.base import Problem
from lepton.training.deep.backbones import bodies, rows, writing
from lepton.training.deep.backbones.checkpoint import Checkpoint
from lepton.training.deep.backbones.learner import BackboneLearner, tuning_of
from lepton.training.deep.counted import counted
from lepton.training.deep.media_choice import MediaChoice
from lepton.training.tables import TrainingResult

__all__ = ["train_backbone"]


def train_backbone(
    dataset: Dataset,
    *,
    column: str,
    backbone: str,
    tuning: str | None = None,
    texts: bool,
    target: str | Sequence[str],
    task: str | None = None,
    metric: str | Callable[..., float] | None = None,
    weight: str | None = None,
    class_weight: str | Mapping[Any, Any] | None = None,
    name: str | None = None,
    work: Work | None = None,
    output: Path,
) -> TrainingResult:
    """Learn `target` from texts or pictures, beginning with a pre-trained network.

    A share of the rows is held out to judge and calibrate by; then all rows are learned, where the time suffices.

    Args:
        dataset: the table.
        column: its column of texts or pictures; others are not looked at.
        backbone: `hf:` or `timm:`, and a folder or the name of a network whose files are on this machine.
        tuning: what learns: `full`, `lora` or `frozen`; None for everything, unless the network is large.
        texts: whether the column holds texts.
        target: its column to learn, or several columns of labels.
        task: `binary`, `multiclass`, `multilabel` or `regression`; None for what the target means.
        metric: what is told of it; None for the task's own.
        weight: a column of weights, or None.
        class_weight: `balanced`, or label → how much more its rows count in learning; None for rows as they are.
        name: of the model; None for the name of `output`.
        work: time, threads, seed, stop signal.
        output: model file to write.

    Raises:
        DataError: files that are missing or do not suit it; a column that cannot be learned from.
        SecurityError: files that could run code.
        UsageError: no such backbone, tuning, task or metric.
        MissingExtraError: a library is not installed.
        Interrupted: stopped before anything was learned.
    """
    work = Work.of(work)
    name = check_name(name or Path(output).stem, "name of the model")
    checkpoint = Checkpoint.find(backbone, texts=texts)
    work.report(0, 2, "networks", note="loading the backbone")
    body = bodies.text_body(checkpoint) if texts else bodies.picture_body(checkpoint)
    tuning = tuning_of(tuning, body)
    told = (dataset, column, target, task, weight, checkpoint)
    asked = (
        rows.text_rows(*told, body, work) if isinstance(body, bodies.TextBody) else rows.picture_rows(*told, body, work)
    )
    asked = counted(asked, class_weight)
    problem = Problem(task=asked.target.task, num_classes=len(asked.labels or ()), num_rows=len(asked.truth))
    learner = BackboneLearner(
        body, asked.values, asked.targets, max(problem.num_classes, 1), asked.weight, tuning, work
    )
    choice = MediaChoice(
        learner, problem, asked.truth, metric_named(metric, problem.task), asked.same, asked.scale, work
    )
    board = choice.board(asked.notes)
    work.report(1, 1, "files", note="writing the graph")
    graph = writing.written(learner.whole(choice.net), asked.values, asked.front, asked.scale, problem.task)
    report = choice.report(board, asked.target)
    report["backbone"] = {"from": checkpoint.told(), "tuning": tuning, "difference": graph.difference}
    model_id = writing.write(
        graph,
        output,
        name=name,
        task=problem.task,
        labels=asked.labels,
        tensors=asked.tensors,
        column=asked.column,
        codecs={column: asked.codec},
        target=None if problem.task == "multilabel" else replace(asked.target.column, role=Role.TARGET),
        embedding=body.size if texts else None,
        assets=asked.assets,
        baseline=choice.baseline(asked.labels),
        lineage={
            "dataset": {"fingerprint": dataset.fingerprint(), "num_rows": dataset.num_rows},
            "seed": work.seed,
            "learner": learner.name,
            "configuration": {"backbone": checkpoint.told(), "tuning": tuning, "passes": choice.net.passes},
            "metric": board.metric,
            "ignored": [each.name for each in dataset.schema if each.role is not Role.TARGET and each.name != column],
            "notes": list(asked.notes),
        },
        training={"kind": b"none"},
        reports={"training": report},
    )
    return TrainingResult(Path(output), model_id, board.rows, board.notes)
