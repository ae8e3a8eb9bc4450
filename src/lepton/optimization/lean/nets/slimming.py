"""A narrower LeptonNet from a trained one: of each layer the channels that it makes most of, then taught again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton.bundle import read_bundle
from lepton.core import Work
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.nets.recover import BATCH, lessons_with, recover
from lepton.store import scratch_folder
from lepton.training.nets.exits import NEVER, Exits, choose_thresholds, fit_temperature
from lepton.training.nets.keeping import read_net, write_lepton_net
from lepton.training.nets.net import LeptonNetModule
from lepton.training.nets.spec import NetSpec, round_channels

__all__ = ["kept_net", "narrow", "narrower", "slimmed", "written_net"]

_EXITS = Exits(loss=0.001)  # what early exits may cost, as is usual
_CALIBRATED_BY = 10_000
_PEAK = 3e-3


def kept_net(draft: Draft) -> LeptonNetModule:
    """The LeptonNet of a draft, ready to go on learning."""
    with scratch_folder() as folder:
        draft.write(folder / "net.lepton")
        module: LeptonNetModule = read_net(folder / "net.lepton").module
    return module


def narrower(spec: NetSpec, width: float, depth: float) -> NetSpec:
    """The spec with shares of the channels and blocks of every stage."""
    stages = tuple(
        replace(
            stage,
            channels=min(stage.channels, round_channels(stage.channels * width)),
            blocks=min(stage.blocks, max(1, round(stage.blocks * depth))),
        )
        for stage in spec.stages
    )
    return replace(spec, stages=stages, widths=(1.0,))


def narrow(
    subject: Subject, draft: Draft, width: float, depth: float, work: Work, *, passes: float
) -> tuple[bytes, dict[str, bytes], dict[str, str]]:
    """Graph, training members and inner points of a narrower net.

    Args:
        subject: what it is to answer.
        draft: with a LeptonNet.
        width: share of the channels.
        depth: share of the blocks.
        work: the time.
        passes: over the rows, at most.
    """
    module = kept_net(draft)
    had_exits = bool((module.thresholds <= 1).any())
    if width in module.spec.widths and depth == 1.0:
        small = module.at_width(module.spec.widths.index(width))
    else:
        small = slimmed(module, narrower(module.spec, width, depth))
    small.thresholds.fill_(NEVER)
    small.temperatures.fill_(1.0)
    rows = torch.from_numpy(np.ascontiguousarray(next(iter(subject.learn.tensors.values()))))
    answer = "softmax" if subject.original.manifest.labels else "numbers"
    lessons = lessons_with((rows,), subject, subject.learn.answers, answer)
    recover(small, lessons, work, passes=passes, peak=_PEAK, name="narrow")
    if answer == "softmax":
        truth = np.asarray(subject.learn.answers.y, dtype=np.int64)
        _calibrate(small, rows[-_CALIBRATED_BY:], truth[-_CALIBRATED_BY:], exits=had_exits)
    return written_net(draft, small)


def written_net(draft: Draft, module: LeptonNetModule) -> tuple[bytes, dict[str, bytes], dict[str, str]]:
    """Graph, training members and inner points of a net that takes the place of a draft's."""
    with scratch_folder() as folder:
        path, manifest = folder / "net.lepton", draft.manifest
        write_lepton_net(path, module, name=manifest.name, labels=manifest.labels or (), lineage=manifest.lineage)
        made = Draft.of(read_bundle(path))
    return made.graph, dict(made.training), dict(made.manifest.inner)


def _calibrate(module: LeptonNetModule, rows: Tensor, truth: Any, *, exits: bool) -> None:
    """Temperatures, and thresholds where the net had some, as training sets them."""
    module.eval()
    with torch.inference_mode():
        parts = [module.all_logits(batch) for batch in rows.split(4 * BATCH)]
    logits = [torch.cat(heads).double().numpy() for heads in zip(*parts, strict=True)]
    temperatures = [fit_temperature(each, truth) for each in logits]
    module.temperatures.copy_(torch.tensor(temperatures, dtype=torch.float64))
    if exits:
        shares = [
            torch.softmax(torch.from_numpy(each / t), 1).numpy() for each, t in zip(logits, temperatures, strict=True)
        ]
        found = choose_thresholds(shares, truth, module.multiply_adds(), _EXITS)
        module.thresholds.copy_(torch.tensor(found, dtype=torch.float64))


def slimmed(module: LeptonNetModule, spec: NetSpec) -> LeptonNetModule:
    """A net of a narrower spec: it begins with those channels of a trained one that have the largest scales.

    Args:
        module: of full width.
        spec: with the same stages, of fewer channels and blocks.
    """
    small = LeptonNetModule(spec)
    small.body.mean.copy_(module.body.mean)
    small.body.scale.copy_(module.body.scale)
    came = torch.arange(module.body.channels)
    early = len(spec.stages) - len(module.heads)
    with torch.no_grad():
        for number, (stage, thin) in enumerate(zip(module.body.stages, small.body.stages, strict=True)):
            blocks = module.spec.stages[number].blocks
            first, rest = list(stage.layers[: len(stage.layers) - blocks]), stage.layers[len(stage.layers) - blocks :]
            thin_first = thin.layers[: len(first)]
            stream = sum((_scale(block.parts[-1]) for block in rest), _scale(first[-1]))
            for place, (layer, thin_layer) in enumerate(zip(first, thin_first, strict=True)):
                if layer.depthwise:
                    made = came
                else:
                    made = _largest(stream if place == len(first) - 1 else _scale(layer), len(thin_layer.weight))
                _copy(layer, thin_layer, made, came)
                came = made
            for block, thin_block in zip(rest, thin.layers[len(first) :], strict=False):
                _slim_block(block, thin_block, came)
            if number >= early:
                head, thin_head = module.heads[number - early], small.heads[number - early]
                thin_head.linear.weight.copy_(head.linear.weight[:, came])
                thin_head.linear.bias.copy_(head.linear.bias)
    return small


def _slim_block(block: Any, thin: Any, stream: Tensor) -> None:
    depthwise, *between, last = block.parts
    _copy(depthwise, thin.parts[0], stream, stream)
    inside = stream
    if between:
        reach = last.weight.abs().flatten(1).sum(0)
        inside = _largest(_scale(between[0]) * reach, len(thin.parts[1].weight))
        _copy(between[0], thin.parts[1], inside, stream)
    _copy(last, thin.parts[-1], stream, inside)


def _scale(layer: Any) -> Tensor:
    found: Tensor = layer.norms[0].weight.detach().abs()
    return found


def _largest(scores: Tensor, count: int) -> Tensor:
    return torch.sort(torch.argsort(scores, descending=True, stable=True)[:count]).values


def _copy(layer: Any, thin: Any, made: Tensor, came: Tensor) -> None:
    """Some channels of a convolution and its normalisation."""
    weight = layer.weight[made]
    thin.weight.copy_(weight if layer.depthwise else weight[:, came])
    norm, thin_norm = layer.norms[0], thin.norms[0]
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(thin_norm, name).copy_(getattr(norm, name)[made])
