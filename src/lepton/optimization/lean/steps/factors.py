"""Large matrices of networks as products of two thin ones."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, ClassVar

from lepton.core import Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.network import network_to_teach

__all__ = ["Factors"]

_SHARES = (0.999, 0.995, 0.98, 0.95)
_LEAST = 4_096


class Factors(Step):
    """Low-rank factors, weighted by what comes to each layer, and a short recovery."""

    name: ClassVar[str] = "factors"
    stage: ClassVar[Stage] = Stage.RANK
    learns: ClassVar[bool] = True

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """It is no network that can be taught, or its matrices are small or factors already."""
        if any(name == self.name for name, _ in draft.steps):
            return "its matrices are factors already"
        found = network_to_teach(subject, draft)
        if isinstance(found, str):
            return found
        if all(found.constants[name].size < _LEAST for name in found.weights):
            return f"no layer of the network has {_LEAST:,} weights, below which two layers cost more than one"
        return None

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """Shares of what each layer answers that stay."""
        return [Setting(f"{share:.1%} of the variance of each layer kept", {"share": share}) for share in _SHARES]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Factor what becomes smaller, and teach the network again."""
        factoring: Any = importlib.import_module("lepton.optimization.lean.nets.factoring")
        graph = factoring.factor(subject, draft, float(setting.values["share"]), work)
        return draft.changed(self.name, setting, graph=graph)
