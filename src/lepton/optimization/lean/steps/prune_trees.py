"""Trees with fewer splits: those whose loss moves the sums least go, and the leaves that are left make up for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.collapsing import Splits, fitted, splits_of, targets_of, thinned
from lepton.optimization.lean.edits import serialized
from lepton.optimization.lean.forests import (
    Found,
    forests_in,
    leaves_of,
    own_leaves,
    sums_of,
    trees_of_leaves,
    write,
)
from lepton.optimization.lean.graphs import parse, values_inside
from lepton.optimization.lean.lessons import has_no_lesson, told_rows
from lepton.training.trees import Forest

__all__ = ["PruneTrees"]

Doubles = NDArray[np.float64]

_SHARES = (0.6, 0.4, 0.3, 0.22, 0.16, 0.11, 0.08)
_FEWEST = 64  # splits
_CELLS, _MOST_CELLS = 3 << 20, 3 << 22  # rows times trees that leaves are fitted by
_ROWS = 10_000  # that there are even where that takes the most cells
_LEAST_WEIGHT = 0.5  # rows, where none reaches a leaf


@dataclass(frozen=True, slots=True)
class _Known:
    """Trees, and what rows tell of them."""

    found: Found
    forest: Forest
    splits: Splits
    reached: NDArray[np.int64]
    sums: Doubles


class PruneTrees(Step):
    """The trees that there are, with fewer splits, each sum of trees by itself.

    A split goes where the sum, over the rows, is moved least, counted by how much the sum adds to the raw scores. The
    leaves are then fitted all at once to what the whole trees said, so that answers stay near, which is what a proof on
    few rows needs.
    """

    name: ClassVar[str] = "prune-trees"
    stage: ClassVar[Stage] = Stage.STRUCTURE
    brief: ClassVar[bool] = True
    instead_of: ClassVar[frozenset[str]] = frozenset({"refit-trees"})

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """Without raw scores and sums of trees there is nothing to do."""
        if reason := has_no_lesson(subject, draft):
            return reason
        if b"TreeEnsemble" not in draft.graph or not forests_in(parse(draft.graph)):
            return "the graph has no sums of trees in the form of ai.onnx.ml 5"
        return None if self.settings(subject, draft) else f"it has not many more than {_FEWEST} splits"

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """From three fifths of the splits to a twelfth."""
        count = sum(len(found.forest.features) for found in forests_in(parse(draft.graph)))
        kept = [round(share * count) for share in _SHARES]
        return [Setting(f"{each:,} of {count:,} splits", {"splits": each}) for each in kept if each >= _FEWEST]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """The trees with their leaves fitted."""
        model = parse(draft.graph)
        found = forests_in(model)
        num_trees = sum(each.forest.num_trees for each in found)
        most = min(max(_CELLS // num_trees, _ROWS), max(_MOST_CELLS // num_trees, 1))
        tensors, weight = told_rows(subject, most, work)
        names = list(dict.fromkeys(each.node.input[0] for each in found))
        raw = draft.manifest.inner["raw"]
        values = values_inside(draft.graph, [*names, *({raw} - set(names))], tensors)
        known = []
        for each in found:
            work.check()
            features = values[each.node.input[0]].astype(np.float64)
            known.append(_known(each, features, weight, work.resources.cpus))
        scales = _scales(values[raw].astype(np.float64), known)
        for one, gone in zip(known, _weakest(known, scales, int(setting.values["splits"])), strict=True):
            work.check()
            forest, number = thinned(one.forest, one.splits, gone)
            stays = (number[one.reached[:1]] >= 0).ravel()
            forest = fitted(forest, number[one.reached[:, stays]], one.sums, weight, work)
            write(model, one.found, forest, single=one.found.single)
        return draft.changed(self.name, setting, graph=serialized(model))


def _known(found: Found, features: Doubles, weight: Doubles, threads: int) -> _Known:
    forest = own_leaves(found.forest)
    if (targets_of(forest)[trees_of_leaves(forest)] != forest.leaf_targets).any():
        raise DataError(
            ErrorCode.NO_GRAPH_FORM, "a tree adds to several sums", fix="another step may have something to do"
        )
    reached = leaves_of(forest, features, threads)
    shares = np.repeat(weight / weight.mean(), forest.num_trees)
    mass = np.asarray(np.bincount(reached.ravel(), shares, len(forest.leaf_values)), dtype=np.float64)
    return _Known(found, forest, splits_of(forest, mass + _LEAST_WEIGHT), reached, sums_of(forest, reached))


def _scales(raw: Doubles, known: Sequence[_Known]) -> list[Doubles]:
    """How much each sum adds to the raw scores, as far as they are a line of it: squared, for each forest [targets]."""
    sums = np.concatenate([each.sums for each in known], axis=1)
    centred = sums - sums.mean(axis=0)
    slopes: Any = np.linalg.lstsq(centred, raw - raw.mean(axis=0), rcond=None)[0]
    squared = (slopes**2).sum(axis=1)
    ends = np.cumsum([each.sums.shape[1] for each in known])[:-1]
    return np.split(np.where(squared > 0, squared, squared.max(initial=1e-12)), ends)


def _weakest(known: Sequence[_Known], scales: Sequence[Doubles], kept: int) -> list[NDArray[np.bool_]]:
    """The splits of each forest that go, so that `kept` are left of all."""
    costs = [
        each.splits.costs * scale[targets_of(each.forest)][each.splits.trees]
        for each, scale in zip(known, scales, strict=True)
    ]
    sizes = [len(each) for each in costs]
    depths = np.concatenate([each.splits.depths for each in known])
    order = np.lexsort((-depths, np.concatenate(costs)))  # what lies below another goes before it
    gone = np.zeros(sum(sizes), dtype=bool)
    gone[order[: max(len(order) - kept, 0)]] = True
    return np.split(gone, np.cumsum(sizes)[:-1])
