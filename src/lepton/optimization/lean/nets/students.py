"""New small networks that learn to answer as a model does, whatever that model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, Manifest, read_bundle
from lepton.core import Work
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.nets.recover import Lessons, lessons_with, recover, taught
from lepton.optimization.lean.network import read_network
from lepton.store import scratch_folder
from lepton.training.nets.graph import write_logits
from lepton.training.nets.keeping import input_of, members_of
from lepton.training.nets.net import LeptonNetModule
from lepton.training.nets.spec import NetSpec
from lepton.training.nets.writing import write_net

__all__ = ["Made", "picture_student", "vector_student"]

Made = tuple[bytes, dict[str, bytes], dict[str, str]]
"""Graph, training members and inner points."""

_PASSES = 20.0
_PEAK = 4e-3


def picture_student(subject: Subject, draft: Draft, width: float, work: Work) -> Made:
    """A LeptonNet of a width, taught by the answers of the original to pictures."""
    manifest = draft.manifest
    tensor = manifest.tensors[0]
    rows = torch.from_numpy(np.ascontiguousarray(subject.learn.tensors[tensor.name]))
    answer = _answer(manifest)
    lessons = lessons_with((rows,), subject, subject.learn.answers, answer)
    if lessons.channels == 1:  # LeptonNet takes them last
        lessons = Lessons((rows.movedim(1, 3).contiguous(),), lessons.taught, lessons.truth, answer, lessons.centre, 3)
    pictures = lessons.inputs[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(work.seed_for("student"))
        module = LeptonNetModule(NetSpec.of("image", tuple(pictures.shape[1:]), _outputs(manifest), width=width))
    module.body.standardise(pictures.numpy())
    recover(module, lessons, work, passes=_PASSES, peak=_PEAK, name="student")
    turned = pictures.shape[1:] != rows.shape[1:]

    def net(builder: GraphBuilder, values: Mapping[str, str]) -> str:
        value = values[tensor.name]
        return write_logits(builder, module, builder.node("Transpose", [value], perm=[0, 2, 3, 1]) if turned else value)

    is_own = input_of(module.spec)[0] == tensor and manifest.task != "multilabel"
    return _written(draft, net, members_of(module) if is_own else {"kind": b"none"})


def vector_student(subject: Subject, draft: Draft, width: int, work: Work) -> Made:
    """A network of two hidden layers of a width, taught by the answers of the original to rows of numbers."""
    manifest = draft.manifest
    tensor = manifest.tensors[0]
    rows = np.asarray(subject.learn.tensors[tensor.name], dtype=np.float64)
    generator = np.random.default_rng(work.seed_for("student"))
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    deviation = np.where(deviation > 1e-9 * (1 + np.abs(mean)), deviation, 1.0)
    sizes = (rows.shape[1], width, width, _outputs(manifest))

    def net(builder: GraphBuilder, values: Mapping[str, str]) -> str:
        x = builder.node("Sub", [builder.node("Cast", [values[tensor.name]], to=11), builder.constant(mean)])
        x = builder.node("Cast", [builder.node("Div", [x, builder.constant(deviation)])], to=1)
        for place, (before, after) in enumerate(pairwise(sizes)):
            weight: NDArray[Any] = generator.normal(size=(before, after)) * np.sqrt(2 / before)
            parts = [builder.constant(part.astype(np.float32)) for part in (weight, np.zeros(after))]
            x = builder.node("Gemm", [x, *parts])
            x = builder.node("Relu", [x]) if place < len(sizes) - 2 else x
        return str(x)

    graph, training, inner = _written(draft, net, {"kind": b"none"})
    network = read_network(graph, manifest)
    given = (torch.from_numpy(((rows - mean) / deviation).astype(np.float32)),)
    lessons = lessons_with(given, subject, subject.learn.answers, network.answer)
    return taught(network, lessons, work, passes=_PASSES, name="student").graph, training, inner


def _answer(manifest: Manifest) -> str:
    return {"regression": "numbers", "multilabel": "sigmoid"}.get(manifest.task, "softmax")


def _outputs(manifest: Manifest) -> int:
    return len(manifest.labels) if manifest.labels else 1


def _written(
    draft: Draft, net: Callable[[GraphBuilder, Mapping[str, str]], str], training: Mapping[str, bytes]
) -> Made:
    """A new graph with the inputs and outputs of a draft."""
    manifest = draft.manifest
    with scratch_folder() as folder:
        path = Path(folder) / "student.lepton"
        write_net(
            path, name=manifest.name, net=net, task=manifest.task, tensors=manifest.tensors, labels=manifest.labels,
            column=manifest.inputs[0] if manifest.inputs else None, codecs=manifest.codecs, target=manifest.target,
        )  # fmt: skip
        made = Draft.of(read_bundle(path))
    return made.graph, dict(training), dict(made.manifest.inner)
