"""One small forest that answers as the original does, learned on what stands before its scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from lepton.core import MissingExtraError, Work
from lepton.core.imports import lean_import
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.edits import add_node, fresh, serialized
from lepton.optimization.lean.forests import forests_in
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.lessons import Lesson, has_no_lesson, lesson_of, source_of
from lepton.optimization.lean.refitting import GROWN, joined, refitted
from lepton.training.learners.lightgbm_forest import forest_from_text
from lepton.training.trees import Forest

__all__ = ["RefitTrees"]

_SHARES = (2, 4, 8, 16, 32)
_FEWEST = 64  # leaves
_BYTES_OF_LEAF = 36  # with its node, in double precision
_LARGEST_TREE = 48
_DOUBLE, _FLOAT = 11, 1  # onnx.TensorProto
_ML_DOMAIN = "ai.onnx.ml"


class RefitTrees(Step):
    """A new forest of few leaves in the place of everything between the features and the raw scores.

    It is grown by LightGBM, then all its leaves are fitted at once. A mean of several models becomes one; what makes
    the features, calibrates the scores and puts them into words stays as it is.
    """

    name: ClassVar[str] = "refit-trees"
    stage: ClassVar[Stage] = Stage.STRUCTURE
    learns: ClassVar[bool] = True
    instead_of: ClassVar[frozenset[str]] = frozenset({"prune-trees"})

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """Without raw scores, or features of a table, there is nothing to learn."""
        if reason := has_no_lesson(subject, draft):
            return reason
        if source_of(draft) is None:
            return "the graph has no features that trees could look at"
        return None if self.settings(subject, draft) else f"it has not many more than {_FEWEST} leaves"

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """A half of the leaves, a quarter, and so on."""
        forests = [found.forest for found in forests_in(parse(draft.graph))]
        leaves = sum(len(forest.features) + forest.num_trees for forest in forests)  # nodes of a tree, and one more
        leaves = leaves or len(draft.graph) // _BYTES_OF_LEAF
        counts = [leaves // share for share in _SHARES if leaves // share >= _FEWEST]
        return [Setting(f"one forest of {count:,} leaves", {"leaves": count}) for count in counts]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """The forest, learned."""
        lesson = lesson_of(subject, draft, work)
        forest = grown(lesson, int(setting.values["leaves"]), work)
        raw = draft.manifest.inner["raw"]
        graph = with_forest(draft.graph, raw, lesson, forest)
        return draft.changed(self.name, setting, graph=graph, inner={**_inner(draft, lesson), "raw": raw})


def _inner(draft: Draft, lesson: Lesson) -> dict[str, str]:
    """The inner point of the features, where they are no input."""
    return {} if lesson.source == "numbers" else {"features": lesson.source}


def grown(lesson: Lesson, leaves: int, work: Work) -> Forest:
    """A forest of about so many leaves, for all the scores of a lesson."""
    lightgbm = _lightgbm()
    each = max(4, leaves // lesson.said.shape[1])
    size = int(min(_LARGEST_TREE, max(4, 0.5 * math.sqrt(each))))
    rounds = max(2, each // size)
    settings = {
        "objective": "regression",
        "num_leaves": size,
        "learning_rate": min(0.3, max(0.1, 20.0 / rounds)),
        "min_data_in_leaf": 10,
        "lambda_l2": 1.0,
        "deterministic": True,
        "force_row_wise": True,
        "seed": work.seed_for("grown") % 2**31,
        "num_threads": work.resources.cpus,
        "verbosity": -1,
    }
    seen, forests = ~lesson.held, []
    for target, weight in zip(lesson.target(GROWN)[seen].T, lesson.weight[seen].T, strict=True):
        told = np.ascontiguousarray(target), np.ascontiguousarray(weight / weight.mean())
        data = lightgbm.Dataset(lesson.features[seen], told[0], weight=told[1], params={"verbosity": -1})
        booster = lightgbm.train(settings, data, rounds, callbacks=[lambda _: work.check()])
        forests.append(forest_from_text(booster.model_to_string()))
    return refitted(joined(forests), lesson, work)


def with_forest(graph: bytes, raw: str, lesson: Lesson, forest: Forest) -> bytes:
    """The graph with a forest over the lesson's source in the place of what made `raw`."""
    model = parse(graph)
    place = next(number for number, node in enumerate(model.graph.node) if raw in node.output)
    maker = model.graph.node[place]
    maker.output[list(maker.output).index(raw)] = fresh(model, "unread")
    source = add_node(model, place, "Cast", [lesson.source], to=_DOUBLE)
    attributes: dict[str, Any] = forest.attributes()
    if lesson.dtype == np.float64:
        add_node(model, place + 1, "TreeEnsemble", [source], output=raw, domain=_ML_DOMAIN, **attributes)
    else:
        sums = add_node(model, place + 1, "TreeEnsemble", [source], domain=_ML_DOMAIN, **attributes)
        add_node(model, place + 2, "Cast", [sums], output=raw, to=_FLOAT)
    return serialized(model)


def _lightgbm() -> Any:
    try:
        with lean_import("lightgbm"):
            import lightgbm
    except ImportError:
        raise MissingExtraError("lightgbm", "train", "Growing trees") from None
    return lightgbm
