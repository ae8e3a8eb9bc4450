"""The same answers from fewer nodes and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from lepton.core import ErrorCode, TrainingError, Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.damage import batches, session_of, spread
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.tidying import tidy
from lepton.optimization.lean.weights import finish

__all__ = ["Clean"]

_ROWS = 256


class Clean(Step):
    """Graph clean-up; the answers to rows of `learn` stay the same to the last bit, or the step refuses.

    What goes on learning stays: the graph computes what it did.
    """

    name: ClassVar[str] = "clean"
    stage: ClassVar[Stage] = Stage.CLEAN

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """It was done."""
        return "the graph is clean already" if any(name == self.name for name, _ in draft.steps) else None

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """One."""
        return [Setting("all that changes no answer")]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Clean the graph up and compare the answers of both."""
        model = parse(draft.graph)
        tidy(model, list(draft.manifest.inner.values()))
        graph = finish(model)
        work.check()
        if len(graph) >= len(draft.graph):
            raise TrainingError(
                ErrorCode.TRAINING_FAILED, "the graph is clean already", wanted="nodes that no answer depends on"
            )
        _check(subject, draft, graph, work.resources.cpus)
        return draft.changed(self.name, setting, graph=graph, training=draft.training)


def _check(subject: Subject, draft: Draft, graph: bytes, threads: int) -> None:
    sessions = [session_of(each, threads) for each in (draft.graph, graph)]
    names = [each.name for each in draft.manifest.outputs]
    for batch in batches(spread(subject.learn, _ROWS)):
        old, new = (session.run(names, batch) for session in sessions)
        for name, one, other in zip(names, old, new, strict=True):
            if not _same(one, other):
                raise TrainingError(
                    ErrorCode.TRAINING_FAILED,
                    f"cleaning the graph up changes its output '{name}'",
                    wanted="the same to the last bit",
                )


def _same(one: Any, other: Any) -> bool:
    numbers = one.dtype.kind in "fc"
    return one.dtype == other.dtype and bool(np.array_equal(one, other, equal_nan=numbers))
