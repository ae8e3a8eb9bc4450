"""Splits that say least taken out of trees, and the leaves that are left fitted to what the whole trees said."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.optimization.lean.refitting import Sums, indicators
from lepton.training.trees import Forest

__all__ = ["Splits", "fitted", "splits_of", "targets_of", "thinned"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_RIDGE = 3.0  # rows of mean weight that draw a leaf to what its part of the tree gave


@dataclass(frozen=True, slots=True)
class Splits:
    """What the nodes of trees are worth.

    Attributes:
        costs: squared change of the sum, over all rows, where a node and all below it become one leaf; at least that
            of each node below [M].
        values: of that leaf [M].
        depths: of each node in its tree [M].
        trees: of each node [M].
    """

    costs: Doubles
    values: Doubles
    depths: Integers
    trees: Integers


def splits_of(forest: Forest, weights: Doubles) -> Splits:
    """What each node is worth by the rows that reach its leaves.

    Args:
        forest: whose leaves belong to one place each (`own_leaves`).
        weights: of the rows that reach each leaf, above 0 [L].
    """
    count = len(forest.features)
    depths, trees = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    levels, of = [forest.roots], np.arange(forest.num_trees)
    while len(levels[-1]):
        depths[levels[-1]], trees[levels[-1]] = len(levels) - 1, of
        children = np.concatenate([forest.left[levels[-1]], forest.right[levels[-1]]])
        of = np.concatenate([of, of])[children >= 0]
        levels.append(children[children >= 0])
    mass, values, costs = np.zeros(count), np.zeros(count), np.zeros(count)
    for nodes in reversed(levels):
        sides = np.stack([forest.left[nodes], forest.right[nodes]])
        inner, node, leaf = sides >= 0, np.maximum(sides, 0), np.maximum(~sides, 0)
        held = np.where(inner, mass[node], weights[leaf])
        means = np.where(inner, values[node], forest.leaf_values[leaf])
        below = np.where(inner, costs[node], 0.0).max(axis=0, initial=0.0)
        mass[nodes] = held.sum(axis=0)
        values[nodes] = (held * means).sum(axis=0) / mass[nodes]
        costs[nodes] = np.maximum((held * (means - values[nodes]) ** 2).sum(axis=0), below)
    return Splits(costs, values, depths, trees)


def thinned(forest: Forest, splits: Splits, gone: Flags) -> tuple[Forest, Integers]:
    """The trees without some nodes, and what became of each leaf [L]: its new number, or -1 in a tree that is gone.

    Args:
        forest: as `splits_of` takes it.
        splits: of it.
        gone: nodes to take out, with all below them [M]; of each sum one tree stays.
    """
    gone = gone.copy()
    _keep_one_tree(forest, splits, gone)
    count, leaves = len(forest.features), len(forest.leaf_values)
    # Each node that goes names the topmost one above it that does, whose leaf takes its place.
    stands_for = np.full(count, -1, dtype=np.int64)
    name = np.arange(leaves)
    for depth in range(int(splits.depths.max()) + 1):
        nodes = np.flatnonzero(splits.depths == depth)
        stands_for[nodes] = np.where((stands_for[nodes] < 0) & gone[nodes], nodes, stands_for[nodes])
        for children in (forest.left[nodes], forest.right[nodes]):
            inner = children >= 0
            stands_for[children[inner]] = stands_for[nodes[inner]]
            above = stands_for[nodes[~inner]]
            name[~children[~inner]] = np.where(above >= 0, leaves + above, ~children[~inner])
    dropped, kept = gone[forest.roots], stands_for < 0
    tops = (stands_for == np.arange(count)) & ~dropped[splits.trees]
    of_tree = targets_of(forest)
    own = np.flatnonzero(name < leaves)
    used = np.concatenate([own, leaves + np.flatnonzero(tops)])
    number = np.full(leaves + count, -1, dtype=np.int64)
    number[used] = np.arange(len(used))
    places = np.cumsum(kept) - 1

    def child(children: Integers) -> Integers:
        inner, node = children >= 0, np.maximum(children, 0)
        leaf = np.where(inner, leaves + node, ~children)
        return np.asarray(np.where(inner & kept[node], places[node], ~number[leaf]))

    values = np.concatenate([forest.leaf_values, splits.values])[used]
    targets = np.concatenate([forest.leaf_targets, of_tree[splits.trees]])[used]
    found = replace(
        forest,
        roots=places[forest.roots[~dropped]],
        features=forest.features[kept],
        thresholds=forest.thresholds[kept],
        is_set=forest.is_set[kept],
        members=forest.members[np.repeat(kept, forest.set_sizes)],
        set_sizes=forest.set_sizes[kept],
        missing_left=forest.missing_left[kept],
        left=child(forest.left[kept]),
        right=child(forest.right[kept]),
        leaf_values=values,
        leaf_targets=targets,
    )
    # What trees that are gone gave on average goes to the leaves of one that stays.
    of_leaf = np.full(len(used), -1, dtype=np.int64)
    for sides in (found.left, found.right):
        ends = sides < 0
        of_leaf[~sides[ends]] = (np.cumsum(~dropped) - 1)[splits.trees[kept]][ends]
    for each in np.unique(of_tree):
        lost = splits.values[forest.roots[dropped & (of_tree == each)]].sum()
        values[of_leaf == np.flatnonzero(of_tree[~dropped] == each)[0]] += lost
    return found, number[name]


def targets_of(forest: Forest) -> Integers:
    """The sum that each tree adds to [T], told by one of its leaves."""
    at = forest.roots
    while (at >= 0).any():
        at = np.where(at >= 0, forest.left[np.maximum(at, 0)], at)
    return np.asarray(forest.leaf_targets[~at])


def _keep_one_tree(forest: Forest, splits: Splits, gone: Flags) -> None:
    targets, costs = targets_of(forest), splits.costs[forest.roots]
    for each in np.unique(targets):
        own = np.flatnonzero(targets == each)
        gone[forest.roots[own[costs[own].argmax()]]] = False


def fitted(forest: Forest, reached: Integers, sums: Doubles, weight: Doubles, work: Work) -> Forest:
    """The trees with all their leaves fitted at once to given sums.

    Args:
        forest: trees of one sum each.
        reached: leaf of each row in each tree [N, T].
        sums: to come near to [N, num_targets].
        weight: of the rows [N].
        work: checked at each step.
    """
    values, targets = forest.leaf_values.copy(), targets_of(forest)
    for each in range(forest.num_targets):
        leaves = reached[:, targets == each]
        used = np.flatnonzero(np.bincount(leaves.ravel(), minlength=len(values)))
        place = np.zeros(len(values), dtype=np.int64)
        place[used] = np.arange(len(used))
        matrix = Sums(indicators(place[leaves], len(used)), values[used])
        values[used] = matrix.solved(sums[:, each], weight, _RIDGE, work)
    return replace(forest, leaf_values=values)
