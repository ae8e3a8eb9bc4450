"""Trees as they stand in a graph: read from the attributes of its nodes, and asked which way rows go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.nodes import Node

__all__ = ["LEAF_TABLE", "TREES", "Trees", "num_sums", "trees_of"]

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

TREES = ("ai.onnx.ml.TreeEnsemble", "ai.onnx.ml.TreeEnsembleRegressor", "ai.onnx.ml.TreeEnsembleClassifier")
"""Operators whose trees can be read."""

LEAF_TABLE = "leaf table"
"""Attribute beside those of ONNX: what the leaves add, by the number that they give [M, K]."""

_LESS_OR_EQUAL, _LESS, _GREATER_OR_EQUAL, _GREATER, _EQUAL, _UNEQUAL, _MEMBER = range(7)
_MODES = {
    b"BRANCH_LEQ": _LESS_OR_EQUAL,
    b"BRANCH_LT": _LESS,
    b"BRANCH_GTE": _GREATER_OR_EQUAL,
    b"BRANCH_GT": _GREATER,
    b"BRANCH_EQ": _EQUAL,
    b"BRANCH_NEQ": _UNEQUAL,
}
_LEAF = b"LEAF"
_LARGEST_MEMBER = 1 << 16


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees whose leaves are added up.

    Attributes:
        source: the graph's value [N, F] that they look at.
        roots: root of each tree [T]; `~leaf` where a tree is a leaf alone.
        features: column of `source` that each node looks at [M].
        modes: how each node compares [M].
        thresholds: with what [M], in the precision of the graph.
        sets: of nodes that ask for membership, whether a whole number is in it [M', W].
        set_of: row of `sets` for each node [M].
        missing_true: where a missing value goes the way of those that the test holds for [M].
        yes: node behind the test where it holds [M]; `~leaf` for a leaf.
        no: where it does not.
        leaf_values: what each leaf adds [L, K].
    """

    source: str
    roots: Integers
    features: Integers
    modes: Integers
    thresholds: NDArray[np.floating[Any]]
    sets: Flags
    set_of: Integers
    missing_true: Flags
    yes: Integers
    no: Integers
    leaf_values: Floats

    def holds(self, nodes: Integers, features: NDArray[Any]) -> Flags:
        """Whether the test of each of `nodes` [J] holds for each row of `features` [N, F]: [J, N]."""
        values = features.T[self.features[nodes]]
        limits, modes = self.thresholds[nodes][:, None], self.modes[nodes]
        found = values <= limits
        for mode, test in _TESTS.items():
            if (own := modes == mode).any():
                found[own] = test(values[own], limits[own])
        if (own := modes == _MEMBER).any():
            found[own] = self._in_set(nodes[own], values[own])
        return np.asarray(found | (np.isnan(values) & self.missing_true[nodes][:, None]))

    def _in_set(self, nodes: Integers, values: NDArray[Any]) -> Flags:
        whole = (values >= 0) & (values < self.sets.shape[1]) & (values == np.floor(values))
        places = np.where(whole, values, 0).astype(np.int64)
        return np.asarray(self.sets[self.set_of[nodes][:, None], places] & whole)


_TESTS = {
    _LESS: np.less,
    _GREATER_OR_EQUAL: np.greater_equal,
    _GREATER: np.greater,
    _EQUAL: np.equal,
    _UNEQUAL: np.not_equal,
}


def num_sums(node: Node) -> int:
    """How many sums the trees of a node give: K."""
    labels = node.attributes.get("classlabels_int64s", node.attributes.get("classlabels_strings"))
    return int(node.attributes.get("n_targets", 1)) if labels is None else len(labels)


def trees_of(node: Node) -> Trees | None:
    """The trees of a node; None where its leaves are not simply added up."""
    given = node.attributes
    if node.operator == TREES[0]:
        plain = given.get("aggregate_function", 1) == 1 and given.get("post_transform", 0) == 0
        return _of_ensemble(node.inputs[0], given) if plain else None
    plain = given.get("aggregate_function", b"SUM") == b"SUM" and given.get("post_transform", b"NONE") == b"NONE"
    return _of_older(node, given, "class" if node.operator == TREES[2] else "target") if plain else None


def _of_ensemble(source: str, given: Mapping[str, Any]) -> Trees | None:
    modes = given["nodes_modes"].astype(np.int64)
    if modes.size and modes.max() > _MEMBER:
        return None
    sets, set_of = _sets(given.get("membership_values"), modes == _MEMBER)
    if sets is None:
        return None
    weights = given["leaf_weights"].astype(np.float64)
    table = given.get(LEAF_TABLE)
    if table is not None:
        if not ((weights >= 0) & (weights < len(table)) & (weights == np.floor(weights))).all():
            return None
        values = np.asarray(table[weights.astype(np.int64)], dtype=np.float64)
    else:
        values = np.zeros((len(weights), int(given.get("n_targets", 1))))
        values[np.arange(len(weights)), given["leaf_targetids"]] = weights
    tracks = given.get("nodes_missing_value_tracks_true")
    return Trees(
        source,
        given["tree_roots"],
        given["nodes_featureids"],
        modes,
        given["nodes_splits"],
        sets,
        set_of,
        np.zeros(len(modes), dtype=bool) if tracks is None else tracks.astype(bool),
        _children(given["nodes_truenodeids"], given["nodes_trueleafs"]),
        _children(given["nodes_falsenodeids"], given["nodes_falseleafs"]),
        values,
    )


def _children(ids: Integers, are_leaves: Integers) -> Integers:
    return np.where(are_leaves != 0, ~ids, ids)


def _sets(values: NDArray[Any] | None, is_set: Flags) -> tuple[Flags | None, Integers]:
    """Members of all sets, which the graph closes with a NaN each; None where they are no small whole numbers."""
    set_of: Integers = np.cumsum(is_set, dtype=np.int64) * is_set.astype(np.int64)
    if values is None or not is_set.any():
        return np.zeros((1, 1), dtype=bool), np.zeros(len(is_set), dtype=np.int64)
    ends = np.flatnonzero(np.isnan(values))
    members = values[~np.isnan(values)]
    sizes = np.diff(ends, prepend=-1) - 1
    if (members != np.floor(members)).any() or (members < 0).any() or (members >= _LARGEST_MEMBER).any():
        return None, set_of
    sets = np.zeros((len(ends) + 1, int(members.max(initial=0)) + 2), dtype=bool)
    sets[np.repeat(np.arange(1, len(ends) + 1), sizes), members.astype(np.int64)] = True
    return sets, set_of


def _of_older(node: Node, given: Mapping[str, Any], kind: str) -> Trees | None:
    """The older forms: all nodes, leaves among them, are named by their tree and their number in it."""
    names = given["nodes_modes"]
    is_leaf = np.array([name == _LEAF for name in names])
    modes = np.array([_MODES.get(name, _MEMBER) for name in names], dtype=np.int64)
    if (modes[~is_leaf] == _MEMBER).any() or "nodes_values" not in given or f"{kind}_weights" not in given:
        return None
    place = {key: row for row, key in enumerate(_keys(given, "nodes_treeids", "nodes_nodeids"))}
    number = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    trees = given["nodes_treeids"].tolist()

    def behind(name: str) -> Integers:
        ids = given[name].tolist()
        inner = np.flatnonzero(~is_leaf).tolist()
        return np.array([number[place[trees[row], ids[row]]] for row in inner], dtype=np.int64)

    values = np.zeros((int(is_leaf.sum()), num_sums(node)))
    leaves = [~number[place[key]] for key in _keys(given, f"{kind}_treeids", f"{kind}_nodeids")]
    np.add.at(values, (leaves, given[f"{kind}_ids"]), given[f"{kind}_weights"].astype(np.float64))
    if kind == "class" and values.shape[1] == 2 and len(np.unique(given["class_ids"])) == 1:
        second = values.sum(axis=1)  # of two classes only the second is summed, and the first gets the rest
        values = np.stack([-second, second], axis=1)
    tracks = given.get("nodes_missing_value_tracks_true", np.zeros(len(names), dtype=np.int64))
    yes, no = behind("nodes_truenodeids"), behind("nodes_falsenodeids")
    children = set(yes.tolist()) | set(no.tolist())
    roots = [number[row] for row in range(len(names)) if number[row] not in children]
    return Trees(
        node.inputs[0],
        np.array(roots, dtype=np.int64),
        given["nodes_featureids"][~is_leaf],
        modes[~is_leaf],
        given["nodes_values"][~is_leaf],
        np.zeros((1, 1), dtype=bool),
        np.zeros(int((~is_leaf).sum()), dtype=np.int64),
        tracks[~is_leaf].astype(bool),
        yes,
        no,
        values,
    )


def _keys(given: Mapping[str, Any], tree: str, node: str) -> list[tuple[int, int]]:
    return list(zip(given[tree].tolist(), given[node].tolist(), strict=True))
