"""Trees in fewer bytes: numbers in single precision, and leaves that share few different values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.edits import serialized
from lepton.optimization.lean.forests import forests_in, leaves_of, own_leaves, sums_of, trees_of_leaves, write
from lepton.optimization.lean.graphs import parse, values_inside
from lepton.training.trees import Forest

__all__ = ["NarrowLeaves"]

Doubles = NDArray[np.float64]

_PALETTES = (1_000, 120, 30)
_MOST_ROWS = 4_000
_ROUNDS = 20


class NarrowLeaves(Step):
    """Thresholds and leaves in single precision, and leaves of one sum rounded to values that many of them share.

    A leaf that shares its value takes no bytes of its own. Thresholds are moved only where every row of `learn` keeps
    its side; a forest where none can be kept so stays in double precision.
    """

    name: ClassVar[str] = "narrow-leaves"
    stage: ClassVar[Stage] = Stage.PRECISION
    brief: ClassVar[bool] = True

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """Without trees there is nothing to do."""
        if b"TreeEnsemble" not in draft.graph or not forests_in(parse(draft.graph)):
            return "the graph has no sums of trees in the form of ai.onnx.ml 5"
        done = [name for name, _ in draft.steps if name in (self.name, "refit-trees")]
        if done and done[-1] == self.name:
            return "its leaves are narrow already"
        return None

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """Exact leaves in single precision, then fewer and fewer different values."""
        told = (Setting(f"leaves of {most} values, in single precision", {"values": most}) for most in _PALETTES)
        return (Setting("in single precision", {"values": 0}), *told)

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """The same trees, narrower."""
        model = parse(draft.graph)
        found = forests_in(model)
        names = list(dict.fromkeys(each.node.input[0] for each in found))
        rows = subject.learn
        tensors = {name: tensor[:_MOST_ROWS] for name, tensor in rows.tensors.items()}
        values = values_inside(draft.graph, names, tensors)
        for each in found:
            work.check()
            seen = values[each.node.input[0]].astype(np.float64)
            forest, fits = single_thresholds(each.forest, seen)
            most = int(setting.values["values"])
            forest = shared_leaves(forest, seen, most or len(forest.leaf_values))
            write(model, each, forest, single=fits or each.single)
        return draft.changed(self.name, setting, graph=serialized(model))


def single_thresholds(forest: Forest, features: Doubles) -> tuple[Forest, bool]:
    """Thresholds in single precision, and whether every row keeps its side of each; else they are as they were.

    Args:
        forest: trees.
        features: rows [N, F].
    """
    thresholds = forest.thresholds.astype(np.float32)
    for column in np.unique(forest.features[~forest.is_set]):
        own = (forest.features == column) & ~forest.is_set
        seen = np.unique(features[:, column])
        seen = np.append(seen[~np.isnan(seen)], np.inf)
        with np.errstate(over="ignore"):
            rounded = seen.astype(np.float32)
        above = np.searchsorted(seen, forest.thresholds[own], side="right")
        above = np.minimum(above, len(seen) - 1)
        # A number just above a threshold may be rounded to it: then the threshold goes one step down.
        lower = np.nextafter(thresholds[own], np.float32(-np.inf))
        moved = np.where(rounded[above] <= thresholds[own], lower, thresholds[own])
        below = rounded[np.maximum(above - 1, 0)]
        if (((above > 0) & (below > moved)) | (np.isfinite(seen[above]) & (rounded[above] <= moved))).any():
            return forest, False
        thresholds[own] = moved
    return replace(forest, thresholds=thresholds.astype(np.float64)), True


def shared_leaves(forest: Forest, features: Doubles, most: int) -> Forest:
    """Trees whose leaves are at most `most` different values for each sum, and one tree's own for each sum.

    Each tree is centred first; what is taken from all of them, and the mean of what rounding does to the rows, goes to
    the leaves of one tree.

    Args:
        forest: trees, each with leaves of one sum.
        features: rows [N, F].
        most: different values of a sum.
    """
    forest = own_leaves(forest)
    reached = leaves_of(forest, features)
    before = sums_of(forest, reached)
    trees = trees_of_leaves(forest)
    counts: Doubles = np.bincount(reached.ravel(), minlength=len(trees)) + np.float64(0.5)
    values = forest.leaf_values.copy()
    free = np.ones(len(values), dtype=bool)
    for target in range(forest.num_targets):
        own = forest.leaf_targets == target
        if own.any() and len(np.unique(values[own])) > most:
            values[own] -= _means(values, counts, trees)[trees[own]]
            free &= trees != _smallest(trees[own])
            rounded = own & free
            values[rounded] = nearest(values[rounded], palette(values[rounded], counts[rounded], most))
    narrow = replace(forest, leaf_values=values)
    lost = (before - sums_of(narrow, reached)).mean(axis=0) if len(features) else np.zeros(forest.num_targets)
    for target in range(forest.num_targets):
        kept = ~free & (forest.leaf_targets == target)
        values[kept] += lost[target]
    return merged(narrow)


def _means(values: Doubles, counts: Doubles, trees: NDArray[np.int64]) -> Doubles:
    return np.asarray(np.bincount(trees, weights=values * counts) / np.bincount(trees, weights=counts))


def _smallest(trees: NDArray[np.int64]) -> int:
    """The tree with the fewest leaves."""
    numbers, sizes = np.unique(trees, return_counts=True)
    return int(numbers[sizes.argmin()])


def palette(values: Doubles, counts: Doubles, most: int) -> Doubles:
    """At most `most` values that stand for all with little squared error (Lloyd's rounds in one dimension)."""
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    # Both where leaves are dense and where they are far apart, half each.
    dense = np.interp(np.linspace(0.0, 1.0, most // 2), np.linspace(0.0, 1.0, len(values)), values)
    chosen = np.unique(np.concatenate([dense, np.linspace(values[0], values[-1], most - most // 2)]))
    passed = np.concatenate([[0.0], np.cumsum(counts)])
    moments = np.concatenate([[0.0], np.cumsum(counts * values)])
    for _ in range(_ROUNDS):
        edges = np.searchsorted(values, (chosen[1:] + chosen[:-1]) / 2.0)
        ends = np.concatenate([[0], edges, [len(values)]])
        weight = np.diff(passed[ends])
        chosen = (np.diff(moments[ends]) / np.where(weight > 0.0, weight, 1.0))[weight > 0.0]
    return np.asarray(chosen)


def nearest(values: Doubles, chosen: Doubles) -> Doubles:
    """The nearest of rising `chosen` values."""
    return np.asarray(chosen[np.searchsorted((chosen[1:] + chosen[:-1]) / 2.0, values)])


def merged(forest: Forest) -> Forest:
    """The same trees where leaves of one value and sum are one, those that are used most first: small numbers."""
    key = np.stack([forest.leaf_targets.astype(np.float64), forest.leaf_values], axis=1)
    kinds, kind, uses = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-uses, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    number = place[kind.reshape(-1)]

    def named(children: Any) -> Any:
        return np.where(children < 0, ~number[np.where(children < 0, ~children, 0)], children)

    return replace(
        forest,
        left=named(forest.left),
        right=named(forest.right),
        leaf_values=kinds[order, 1],
        leaf_targets=kinds[order, 0].astype(np.int64),
    )
