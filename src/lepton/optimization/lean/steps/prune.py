"""Fewer channels, hidden units and heads in networks of any framework."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, ClassVar

from lepton.core import Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.network import network_to_teach

__all__ = ["Prune"]

_SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)


class Prune(Step):
    """Structured pruning: what matters least goes, with all that depends on it, and the rest is taught again."""

    name: ClassVar[str] = "prune"
    stage: ClassVar[Stage] = Stage.STRUCTURE
    learns: ClassVar[bool] = True

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """It is no network, one that PyTorch cannot take over, or one that `narrow` cuts."""
        if draft.training.get("kind") == b"lepton-net":
            return "a LeptonNet is made narrower instead, and stays one"
        found = network_to_teach(subject, draft)
        return found if isinstance(found, str) else None

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """Shares of what the network weighs and computes."""
        return [Setting(f"{share:.0%} of weights and multiply-adds away", {"share": share}) for share in _SHARES]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Take units out, in rounds, and teach what is left by the answers of the original."""
        pruning: Any = importlib.import_module("lepton.optimization.lean.nets.pruning")
        graph = pruning.prune(subject, draft, float(setting.values["share"]), work)
        return draft.changed(self.name, setting, graph=graph)
