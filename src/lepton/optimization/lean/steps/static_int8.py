"""Layers of a network computed in 8-bit whole numbers, with ranges that were seen on rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from lepton.core import DataError, ErrorCode, TrainingError, Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.damage import Probe, point_of, spread
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.integers import Layer, Plan, layers_of, mean_shift, quantised, values_of
from lepton.optimization.lean.ranges import METHODS, Observed, observe
from lepton.optimization.lean.weights import lift_constants

__all__ = ["StaticInt8", "corrected"]

_LEAST_ROWS = 32
_ROWS = 256
_KEPT = (0.5, 0.25, 0.1, 0.0)


class StaticInt8(Step):
    """Convolutions and matrix products in whole numbers: a quarter of the bytes; faster where a layer is wide.

    Ranges come from one half of the rows; which way of choosing them is best, and whether means are corrected, is seen
    on the other. Layers that answers suffer most from stay float, as many as the setting says.
    """

    name: ClassVar[str] = "static-int8"
    stage: ClassVar[Stage] = Stage.PRECISION

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """There is no such layer, no numbers to compare, or too few rows to see ranges on."""
        if not self.layers(draft):
            return "the graph has no convolution or matrix product of floats with constant weights"
        if not point_of(draft):
            return "the graph gives no numbers by which a change could be seen"
        learn = subject.learn
        if len(learn) < _LEAST_ROWS:
            return f"there are {len(learn)} rows to see ranges on; {_LEAST_ROWS} are needed"
        y = learn.answers.y
        if learn.answers.labels and y.ndim == 1 and len(np.unique(y)) < 2:
            return "the rows to see ranges on are all of one class; rows of every class are needed"
        return None

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """How many layers stay float: from half of them to none."""
        count = len(self.layers(draft))
        kept = dict.fromkeys(round(share * count) for share in _KEPT)
        return [
            Setting(f"all but {each} of {count} layers" if each else "all layers", {"kept": each})
            for each in kept
            if each < count
        ]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Quantise what the setting says; rows of `learn` decide how."""
        if reason := self.refuses(subject, draft):
            raise DataError(ErrorCode.TOO_FEW_ROWS, reason, wanted="another step, or other rows")
        plan, seen, probe = self.plan(subject, draft, work)
        plan = corrected(draft.graph, plan, seen, probe)
        if kept := int(setting.values["kept"]):
            plan = replace(plan, layers=_least_sensitive(draft.graph, plan, kept, probe, work))
        return draft.changed(self.name, setting, graph=quantised(draft.graph, plan))

    def layers(self, draft: Draft) -> list[Layer]:
        """Those that can be computed in whole numbers."""
        return layers_of(_lifted(draft))

    def plan(self, subject: Subject, draft: Draft, work: Work) -> tuple[Plan, dict[str, Observed], Probe]:
        """All layers with the way of choosing ranges that does the least damage, what was seen, and the judge of it."""
        model = _lifted(draft)
        layers = layers_of(model)
        seen = observe(draft.graph, values_of(model, layers), spread(subject.learn, _ROWS, 0, 2), work)
        layers = [layer for layer in layers if layer.given in seen and (not layer.result or layer.result in seen)]
        if not layers:
            raise TrainingError(ErrorCode.TRAINING_FAILED, "no row reaches a layer", wanted="rows that do")
        probe = Probe(subject, draft, work, part=1)
        tried = []
        for method in METHODS:
            work.check()
            plan = Plan(layers, {name: each.range(method) for name, each in seen.items()}, {})
            tried.append((probe.of(quantised(draft.graph, plan)), plan))
        return min(tried, key=lambda each: each[0])[1], seen, probe


def corrected(graph: bytes, plan: Plan, seen: Mapping[str, Observed], probe: Probe) -> Plan:
    """The plan with biases that make up for what rounding takes from means, where that does less damage."""
    shifts = {
        layer.output: mean_shift(layer, seen[layer.given], plan.palettes.get(layer.output)) for layer in plan.layers
    }
    shifted = replace(plan, shifts=shifts)
    return shifted if probe.of(quantised(graph, shifted)) < probe.of(quantised(graph, plan)) else plan


def _lifted(draft: Draft) -> Any:
    model = parse(draft.graph)
    lift_constants(model)
    return model


def _least_sensitive(graph: bytes, plan: Plan, kept: int, probe: Probe, work: Work) -> list[Layer]:
    """All layers but `kept`: those that alone do the most damage for their bytes; what time leaves unknown is worst."""
    damage = {}
    for layer in plan.layers:
        if work.stopped:
            break
        damage[layer.output] = probe.of(quantised(graph, replace(plan, layers=[layer]))) / layer.weight.num_bytes
    order = sorted(plan.layers, key=lambda layer: damage.get(layer.output, float("inf")))
    chosen = {layer.output for layer in order[: max(len(order) - kept, 1)]}
    return [layer for layer in plan.layers if layer.output in chosen]
