"""A small new network that learns to answer as the model does."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, ClassVar

from lepton.core import Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.network import network_to_teach, refusal_to_teach

__all__ = ["Student"]

_WIDTHS = (0.75, 0.5, 0.25)
_WHOLE = 360_000  # bytes of a LeptonNet of width 1
_HIDDEN = (256, 128, 64, 32)
_TASKS = frozenset({"binary", "multiclass", "multilabel", "regression"})
_MOST_CHANNELS, _LEAST_SIDE = 4, 8


class Student(Step):
    """Distillation: of a model of pictures into a LeptonNet, of one of vectors into two small hidden layers."""

    name: ClassVar[str] = "student"
    stage: ClassVar[Stage] = Stage.STRUCTURE
    learns: ClassVar[bool] = True

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """It takes no pictures and no vectors, is a network that `prune` can cut, or is as small already."""
        manifest = draft.manifest
        if (reason := refusal_to_teach(subject)) is not None:
            return reason
        if manifest.task not in _TASKS or {each.name for each in manifest.outputs} - {"prediction", "probabilities"}:
            return "a small network gives classes or numbers alone, and the model gives more"
        if _kind(subject, draft) is None:
            return "a small new network is made for pictures and for vectors of numbers, and the model takes others"
        if not isinstance(network_to_teach(subject, draft), str):
            return "its own network can be cut and taught again, which keeps what it has learned"
        return None if self.settings(subject, draft) else "the model is as small as a new small network already"

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """Networks that are smaller than the model."""
        size = len(draft.graph)
        if _kind(subject, draft) == "picture":
            widths = [width for width in _WIDTHS if _WHOLE * width * width < size]
            return [Setting(f"a LeptonNet of width {width:g}", {"width": width}) for width in widths]
        inputs, outputs = draft.manifest.tensors[0].shape[1] or 0, len(draft.manifest.labels or (0,))
        hidden = [each for each in _HIDDEN if 4 * each * (inputs + each + outputs) < size]
        return [Setting(f"two hidden layers of {each}", {"hidden": each}) for each in hidden]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Make it and teach it."""
        students: Any = importlib.import_module("lepton.optimization.lean.nets.students")
        if "width" in setting.values:
            made = students.picture_student(subject, draft, float(setting.values["width"]), work)
        else:
            made = students.vector_student(subject, draft, int(setting.values["hidden"]), work)
        graph, training, inner = made
        return draft.changed(self.name, setting, graph=graph, training=training, inner=inner)


def _kind(subject: Subject, draft: Draft) -> str | None:
    """`picture` or `vector`, by the one tensor that the model takes."""
    tensors = draft.manifest.tensors
    if len(tensors) != 1 or tensors[0].dtype not in ("uint8", "float", "double"):
        return None
    rows = subject.learn.tensors[tensors[0].name]
    if rows.ndim == 2 and tensors[0].dtype != "uint8" and tensors[0].shape[1] is not None:
        return "vector"
    if rows.ndim == 4 and tensors[0].name == "image":
        for axis, sides in ((3, rows.shape[1:3]), (1, rows.shape[2:])):
            if rows.shape[axis] <= _MOST_CHANNELS and min(sides) >= _LEAST_SIDE:
                return "picture"
    return None
