"""Weights in fewer bits: small in the file, made whole again by nodes that onnxruntime computes once, at opening."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lepton.core import ErrorCode, TrainingError, Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.damage import Probe, point_of
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.weights import (
    Floats,
    Names,
    Weight,
    finish,
    lift_constants,
    put_before,
    weights_of,
)

__all__ = ["Packed", "StoringStep", "least_damaging"]


@dataclass(frozen=True, slots=True)
class Packed:
    """A weight in its other form.

    Attributes:
        nodes: that make the value again, under its name.
        tensors: constants that they take.
        values: the numbers that they make.
    """

    nodes: Sequence[Any]
    tensors: Sequence[Any]
    values: Floats

    @property
    def num_bytes(self) -> int:
        """In the file."""
        return sum(each.ByteSize() + 6 for each in (*self.nodes, *self.tensors))


class StoringStep(Step):
    """A step that stores weights in another form and leaves what is computed in float.

    Attributes:
        kept: shares of the weights that stay as they are, one for each setting.
        what: the form, as a person reads it.
    """

    stage: ClassVar[Stage] = Stage.PRECISION
    kept: ClassVar[tuple[float, ...]] = (0.0,)
    what: ClassVar[str]

    @abstractmethod
    def pack(self, weight: Weight, names: Names, setting: Setting, seen: Any = None) -> Packed:
        """The weight in its other form; `seen` is what `look` has of it."""

    def milder(self, setting: Setting) -> Setting | None:
        """How weights are stored that a setting keeps from its own form; None where they stay as they are."""
        return None

    def look(self, subject: Subject, draft: Draft, work: Work) -> Mapping[str, Any]:
        """Weight → what rows tell of it, where the form depends on that."""
        return {}

    @abstractmethod
    def fits(self, weight: Weight) -> bool:
        """Whether the form is smaller than the one the weight has."""

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """There are no weights of enough numbers, or none that are stored in more bits."""
        return None if self._weights(draft)[1] else f"no weight of the graph is large enough for {self.what}"

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """How many weights stay as they are, those that answers depend on most for their bytes: from many to none."""
        count = len(self._weights(draft)[1])
        numbers = dict.fromkeys(round(share * count) for share in self.kept) if point_of(draft) else {0: None}
        return [
            Setting(f"all but {kept} of {count} weights as {self.what}" if kept else self.what, {"kept": kept})
            for kept in numbers
            if kept < count
        ]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Store weights in the other form: all, or those that answers depend on least."""
        model, weights = self._weights(draft)
        names, seen = Names(model), self.look(subject, draft, work)
        packed = self._packed(weights, names, setting, seen, work)
        weights = [weight for weight in weights if weight.name in packed]
        kept = int(setting.values["kept"])
        if 0 < kept < len(weights):
            probe = Probe(subject, draft, work)
            others = {weight.name: weight.typed(packed[weight.name].values) for weight in weights}
            damage = probe.of_each(model.SerializeToString(), others, work)
            chosen = {weight.name for weight in least_damaging(weights, damage, kept)}
            packed = {name: form for name, form in packed.items() if name in chosen}
            if milder := self.milder(setting):
                rest = [weight for weight in weights if weight.name not in chosen]
                packed |= self._packed(rest, names, milder, seen, work)
            weights = [weight for weight in weights if weight.name in packed]
        if not weights:
            raise TrainingError(
                ErrorCode.TRAINING_FAILED, f"no weight becomes smaller as {self.what}", wanted="larger weights"
            )
        put_before(
            model,
            [weight.name for weight in weights],
            [node for weight in weights for node in packed[weight.name].nodes],
            [tensor for weight in weights for tensor in packed[weight.name].tensors],
        )
        return draft.changed(self.name, setting, graph=finish(model))

    def _packed(
        self, weights: Sequence[Weight], names: Names, setting: Setting, seen: Mapping[str, Any], work: Work
    ) -> dict[str, Packed]:
        found = {}
        for weight in weights:
            work.check()
            form = self.pack(weight, names, setting, seen.get(weight.name))
            if form.num_bytes < weight.num_bytes:
                found[weight.name] = form
        return found

    def _weights(self, draft: Draft) -> tuple[Any, list[Weight]]:
        model = parse(draft.graph)
        lift_constants(model)
        return model, [weight for weight in weights_of(model) if self.fits(weight)]


def least_damaging(weights: Sequence[Weight], damage: Mapping[str, float], kept: int) -> list[Weight]:
    """All weights but `kept`, in order: those that do the most damage for their bytes.

    Weights whose damage is not known count as the worst.
    """
    order = sorted(weights, key=lambda each: damage.get(each.name, float("inf")) / each.num_bytes)
    taken = {each.name for each in order[: len(order) - kept]}
    return [weight for weight in weights if weight.name in taken]
