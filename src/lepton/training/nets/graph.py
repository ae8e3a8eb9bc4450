"""A net as ONNX: its stages one after the other, and rows that leave at the first exit that is sure enough."""

from __future__ import annotations

import numpy as np

from lepton.bundle.build import GraphBuilder
from lepton.training.nets.layers import Head
from lepton.training.nets.net import LeptonNetModule, Stage

__all__ = ["write_logits", "write_logits_and_features"]


def write_logits(builder: GraphBuilder, module: LeptonNetModule, rows: str) -> str:
    """Write the net of full width behind `rows` (in the form of `LeptonNetModule.forward`, any number type).

    Returns:
        The value with the logits divided by the temperature of the head that answered: double [N, outputs].
    """
    return _Writer(builder, module).from_stage(0, *_prepare(builder, module, rows))


def write_logits_and_features(builder: GraphBuilder, module: LeptonNetModule, rows: str) -> tuple[str, str]:
    """The same of a net without exits, and the features [N, module.body.features] that its head sees."""
    writer = _Writer(builder, module)
    return writer.from_stage(0, *_prepare(builder, module, rows)), writer.features


class _Writer:
    def __init__(self, builder: GraphBuilder, module: LeptonNetModule) -> None:
        self.builder = builder
        self.module = module
        self.early = len(module.body.stages) - len(module.heads)
        self.features = ""  # of the head that was written last

    def from_stage(self, number: int, x: str, channels: int) -> str:
        """The answers for rows that have come to the stage `number`."""
        stages = self.module.body.stages
        while True:
            x, channels = _write_stage(self.builder, stages[number], x, channels)
            if number >= self.early:
                break
            number += 1
        exit_number = number - self.early
        answers = self._head(exit_number, x, channels)
        if number == len(stages) - 1:
            return answers
        return self._routed(answers, exit_number, number, x, channels)

    def _head(self, number: int, x: str, channels: int) -> str:
        head: Head = self.module.heads[number]
        raw, self.features = head.write(self.builder, x, channels)
        logits = self.builder.node("Cast", [raw], to=11)
        temperature = self.builder.constant(float(self.module.temperatures[number]))
        return str(self.builder.node("Div", [logits, temperature]))

    def _routed(self, answers: str, exit_number: int, number: int, x: str, channels: int) -> str:
        # By row, never for the whole batch: what is unsure is gathered, goes through the later stages, and its answers
        # take the places of the early ones. Where nothing is left, the later stages compute nothing.
        builder = self.builder
        threshold = float(self.module.thresholds[exit_number])
        if threshold > 1:
            return self.from_stage(number + 1, x, channels)
        sure = builder.node(
            "ReduceMax", [builder.node("Softmax", [answers], axis=1), builder.constant([1])], keepdims=0
        )
        unsure = builder.node("Less", [sure, builder.constant(threshold)])
        places = builder.node("Transpose", [builder.node("NonZero", [unsure])], perm=[1, 0])
        later = self.from_stage(number + 1, builder.node("GatherND", [x, places]), channels)
        return str(builder.node("ScatterND", [answers, places, later]))


def _write_stage(builder: GraphBuilder, stage: Stage, x: str, channels: int) -> tuple[str, int]:
    for layer in stage.layers:
        x, channels = layer.write(builder, x, channels)
    return x, channels


def _prepare(builder: GraphBuilder, module: LeptonNetModule, rows: str) -> tuple[str, int]:
    body = module.body
    x = builder.node("Cast", [rows], to=1)
    if body.spec.kind == "image":
        x = builder.node("Transpose", [x], perm=[0, 3, 1, 2])
    elif body.spec.kind == "spectrogram":
        x = builder.node("Unsqueeze", [x, builder.constant([1])])
    else:
        x = builder.node("Transpose", [x], perm=[0, 2, 1])
    x = builder.node("Sub", [x, builder.constant(body.mean.cpu().numpy())])
    x = builder.node("Mul", [x, builder.constant(body.scale.cpu().numpy())])
    if body.spec.kind == "series":
        zero = builder.constant(np.zeros((), np.float32))
        x = builder.node("Where", [builder.node("IsNaN", [x]), zero, x])
    return x, body.channels
