"""Fewer channels and blocks for a LeptonNet, which stays one: it can go on learning."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar

from lepton.core import Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.network import refusal_to_teach

__all__ = ["Narrow"]

_LEPTON_NET = b"lepton-net"
_PASSES = 12
_SIZES = ((0.75, 1.0), (0.5, 1.0), (0.5, 0.5), (0.375, 0.5), (0.25, 0.5))  # of channels and of blocks
_CHANNELS = 8  # the fewest of a stage


class Narrow(Step):
    """LeptonNet's own narrower forms."""

    name: ClassVar[str] = "narrow"
    stage: ClassVar[Stage] = Stage.STRUCTURE
    learns: ClassVar[bool] = True

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """It is no LeptonNet, or one that cannot be narrower."""
        if draft.training.get("kind") != _LEPTON_NET:
            return "it is no LeptonNet that can go on learning"
        stages = json.loads(draft.training["spec.json"])["stages"]
        if any(stage["layer"] != "convolution" for stage in stages):
            return "a stage of the LeptonNet is recurrent, and is not cut"
        if all(stage["channels"] <= _CHANNELS and stage["blocks"] == 1 for stage in stages):
            return "the LeptonNet is the narrowest there is"
        return refusal_to_teach(subject)

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """Shares of the channels and blocks."""
        return [
            Setting(
                f"{width:.3g} of the channels" + ("" if depth == 1 else f", {depth:.3g} of the blocks"),
                {"width": width, "depth": depth},
            )
            for width, depth in _SIZES
        ]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Keep the channels that the net makes most of, and teach them by the answers of the original."""
        slimming: Any = importlib.import_module("lepton.optimization.lean.nets.slimming")
        graph, training, inner = slimming.narrow(
            subject, draft, float(setting.values["width"]), float(setting.values["depth"]), work, passes=_PASSES
        )
        return draft.changed(self.name, setting, graph=graph, training=training, inner=inner)
