"""The steps by name; one is imported when a search asks for it."""

from __future__ import annotations

import importlib

from lepton.optimization.lean.base import Step

__all__ = ["STEPS", "steps"]

STEPS: dict[str, str] = {
    "clean": "lepton.optimization.lean.steps.clean:Clean",
    "vocabulary": "lepton.optimization.lean.steps.vocabulary:Vocabulary",
    "static-palette": "lepton.optimization.lean.steps.palette:StaticPalette",
    "static-int8": "lepton.optimization.lean.steps.static_int8:StaticInt8",
    "palette-weights": "lepton.optimization.lean.steps.palette:PaletteWeights",
    "byte-weights": "lepton.optimization.lean.steps.byte_weights:ByteWeights",
    "half-weights": "lepton.optimization.lean.steps.half:HalfWeights",
    "prune": "lepton.optimization.lean.steps.prune:Prune",
    "narrow": "lepton.optimization.lean.steps.narrow:Narrow",
    "student": "lepton.optimization.lean.steps.student:Student",
    "factors": "lepton.optimization.lean.steps.factors:Factors",
    "sparse-linear": "lepton.optimization.lean.steps.sparse_linear:SparseLinear",
    "prune-trees": "lepton.optimization.lean.steps.prune_trees:PruneTrees",
    "refit-trees": "lepton.optimization.lean.steps.refit_trees:RefitTrees",
    "narrow-leaves": "lepton.optimization.lean.steps.narrow_leaves:NarrowLeaves",
}
"""Name → `module:class`, in the order in which a search tries what is of one stage."""


def steps() -> tuple[Step, ...]:
    """Every step, by stage, and within a stage in the order of `STEPS`."""
    made: list[Step] = []
    for address in STEPS.values():
        module, _, name = address.partition(":")
        made.append(getattr(importlib.import_module(module), name)())
    return tuple(sorted(made, key=lambda step: step.stage))
