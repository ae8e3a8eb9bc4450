"""Weights of a few different values each: two to four bits for a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.optimization.lean.base import Draft, Setting, Subject
from lepton.optimization.lean.damage import point_of, spread
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.integers import Layer, layers_of, quantised
from lepton.optimization.lean.palettes import fit_palette, second_moments
from lepton.optimization.lean.steps.static_int8 import StaticInt8, corrected
from lepton.optimization.lean.storing import Packed, StoringStep, least_damaging
from lepton.optimization.lean.unpacking import ALIGNED, Palette, unpacked
from lepton.optimization.lean.weights import FLOAT16, Names, Weight, lift_constants

__all__ = ["PaletteWeights", "StaticPalette"]

_LEAST = 1_024
_LEAST_OF_EIGHT = 4_096  # numbers of three bits stand in two planes, whose nodes take more than smaller weights save
_ROWS = 128
_FORMS = ((4, 0.25), (4, 0.0), (3, 0.25), (3, 0.0), (2, 0.25), (2, 0.0))
"""Bits, and the share of weights with more: those that answers depend on most for their bytes."""


def _fits(weight: Weight) -> bool:
    return weight.values.size >= _LEAST and weight.values.size % ALIGNED == 0


def _bits_of(weight: Weight, bits: int) -> int:
    return 4 if bits == 3 and weight.values.size < _LEAST_OF_EIGHT else bits


def _settings(weights: Sequence[Weight], comparable: bool) -> list[Setting]:
    """The forms that make a difference, each once."""
    found, count = {}, len(weights)
    for bits, share in _FORMS:
        kept = max(1, round(share * count)) if share else 0
        if bits == 3 and all(weight.values.size < _LEAST_OF_EIGHT for weight in weights):
            continue
        if share == 0 or (comparable and kept < count):
            but = f", all but {kept} of {count}" if kept else ""
            found[bits, kept] = Setting(f"{2**bits} values for each weight{but}", {"bits": bits, "kept": kept})
    return list(found.values())


def _moments(draft: Draft, subject: Subject, work: Work) -> dict[str, NDArray[np.float64]]:
    model = parse(draft.graph)
    lift_constants(model)
    layers = [layer for layer in layers_of(model) if _fits(layer.weight)]
    nodes = {node.output[0]: node for node in model.graph.node}
    return second_moments(draft.graph, layers, nodes, spread(subject.learn, _ROWS), work) if layers else {}


class PaletteWeights(StoringStep):
    """Each weight has a palette of 16, 8 or 4 values, 0 among them, and scales; computed with as floats."""

    name: ClassVar[str] = "palette-weights"
    what: ClassVar[str] = "palettes"

    def fits(self, weight: Weight) -> bool:
        """Weights of many numbers."""
        return _fits(weight)

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """From 16 values to 4."""
        return _settings(self._weights(draft)[1], bool(point_of(draft)))

    def milder(self, setting: Setting) -> Setting | None:
        """16 values instead of fewer."""
        return Setting("16 values", {"bits": 4, "kept": 0}) if int(setting.values["bits"]) < 4 else None

    def look(self, subject: Subject, draft: Draft, work: Work) -> dict[str, NDArray[np.float64]]:
        """What layers multiply their weights with."""
        return _moments(draft, subject, work)

    def pack(self, weight: Weight, names: Names, setting: Setting, seen: Any = None) -> Packed:
        """Bytes, and nodes that take them apart, look the values up and scale them."""
        from onnx import helper, numpy_helper

        palette = fit_palette(weight, _bits_of(weight, int(setting.values["bits"])), seen)
        is_half = weight.stored == FLOAT16
        looked, product = names.fresh("n"), names.fresh("n") if is_half else weight.name
        nodes, tensors = unpacked(palette.places, palette.values, palette.bits, looked, names)
        scale = names.fresh("s")
        tensors.append(numpy_helper.from_array(weight.along(palette.scales), scale))
        nodes.append(helper.make_node("Mul", [looked, scale], [product]))
        if is_half:
            nodes.append(helper.make_node("Cast", [product], [weight.name], to=FLOAT16))
        return Packed(nodes, tensors, palette.restored(weight))


class StaticPalette(StaticInt8):
    """Layers in whole numbers whose weights take 16, 8 or 4 of them: as fast as `static-int8`, and smaller."""

    name: ClassVar[str] = "static-palette"

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """As `static-int8`, or weights are few."""
        reason = super().refuses(subject, draft)
        if reason is None and not any(_fits(layer.weight) for layer in self.layers(draft)):
            return "no weight of the graph is large enough for palettes"
        return reason

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """From 16 values to 4."""
        return _settings([layer.weight for layer in self.layers(draft) if _fits(layer.weight)], True)

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Quantise every layer, then look for a palette of each large weight."""
        plan, seen, probe = self.plan(subject, draft, work)
        layers = [layer for layer in plan.layers if _fits(layer.weight)]
        moments = _moments(draft, subject, work)
        bits, kept = int(setting.values["bits"]), int(setting.values["kept"])
        palettes = _palettes(layers, bits, moments, work)
        if kept:
            damage = {}
            for layer in layers:
                if work.stopped:
                    break
                alone = replace(plan, palettes={layer.output: palettes[layer.output]})
                damage[layer.weight.name] = probe.of(quantised(draft.graph, alone))
            chosen = {each.name for each in least_damaging([layer.weight for layer in layers], damage, kept)}
            others = [layer for layer in layers if layer.weight.name not in chosen]
            palettes = {layer.output: palettes[layer.output] for layer in layers if layer.weight.name in chosen}
            if bits < 4:
                palettes |= _palettes(others, 4, moments, work)
        plan = corrected(draft.graph, replace(plan, palettes=palettes), seen, probe)
        return draft.changed(self.name, setting, graph=quantised(draft.graph, plan))


def _palettes(
    layers: Sequence[Layer], bits: int, moments: Mapping[str, NDArray[np.float64]], work: Work
) -> dict[str, Palette]:
    found = {}
    for layer in layers:
        work.check()
        found[layer.output] = fit_palette(
            layer.weight, _bits_of(layer.weight, bits), moments.get(layer.weight.name), whole=True
        )
    return found
