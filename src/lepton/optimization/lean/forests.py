"""Trees inside a graph: `TreeEnsemble` nodes read as `Forest`, followed in numpy, written back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.optimization.lean.damage import session_of
from lepton.optimization.lean.edits import add_node, fresh, makers
from lepton.training.trees import Forest

__all__ = ["Found", "forests_in", "leaves_of", "own_leaves", "sums_of", "trees_of_leaves", "write"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

_MEMBER = 6
_FLOAT, _DOUBLE, _INT64 = 1, 11, 7  # onnx.TensorProto
_CELLS = 1 << 20  # rows times trees that are followed at a time
_LARGEST_MEMBER = 1 << 16


@dataclass(frozen=True, slots=True)
class Found:
    """Trees in a graph.

    Attributes:
        node: the `TreeEnsemble`.
        forest: its trees.
        source: the value [N, F] that they look at; of double precision where the node casts it first.
        single: whether they look at it in single precision.
    """

    node: Any
    forest: Forest
    source: str
    single: bool


def forests_in(model: Any) -> tuple[Found, ...]:
    """The trees of a graph whose leaves are added up and mean what they say; others are left alone."""
    made = makers(model)
    found = []
    for node in model.graph.node:
        if node.op_type == "TreeEnsemble" and node.domain == "ai.onnx.ml":
            forest, dtype = _read(node)
            if forest is not None and not _names_leaves(model, node):
                found.append(Found(node, forest, _before_casts(node.input[0], made), dtype == np.float32))
    return tuple(found)


def _before_casts(value: str, made: dict[str, Any]) -> str:
    while value in made and made[value].op_type == "Cast":
        value = made[value].input[0]
    return value


def _names_leaves(model: Any, node: Any) -> bool:
    """Whether the sums are numbers of leaves, which are looked up in a table behind."""
    readers = [each for each in model.graph.node if node.output[0] in each.input]
    return any(
        each.op_type == "Cast" and any(a.name == "to" and a.i == _INT64 for a in each.attribute) for each in readers
    )


def _read(node: Any) -> tuple[Forest | None, Any]:
    from onnx import helper, numpy_helper

    given = {
        each.name: numpy_helper.to_array(each.t) if each.HasField("t") else helper.get_attribute_value(each)
        for each in node.attribute
    }
    dtype = given["nodes_splits"].dtype
    modes = given["nodes_modes"]
    plain = given.get("aggregate_function", 1) == 1 and given.get("post_transform", 0) == 0
    if not plain or not np.isin(modes, (0, _MEMBER)).all():
        return None, dtype
    is_set = modes == _MEMBER
    members, sizes = _sets(given.get("membership_values", np.empty(0)), is_set)
    features = _integers(given["nodes_featureids"])
    forest = Forest(
        num_features=int(features.max()) + 1,
        num_targets=int(given.get("n_targets", 1)),
        roots=_integers(given["tree_roots"]),
        features=features,
        thresholds=given["nodes_splits"].astype(np.float64),
        is_set=is_set,
        members=members,
        set_sizes=sizes,
        missing_left=_integers(given.get("nodes_missing_value_tracks_true", [0] * len(modes))).astype(bool),
        left=_children(given["nodes_truenodeids"], given["nodes_trueleafs"]),
        right=_children(given["nodes_falsenodeids"], given["nodes_falseleafs"]),
        leaf_values=given["leaf_weights"].astype(np.float64),
        leaf_targets=_integers(given["leaf_targetids"]),
    )
    whole = np.array_equal(members, np.round(members)) and (len(members) == 0 or members.max() < _LARGEST_MEMBER)
    return (forest if whole else None), dtype


def _integers(values: Any) -> Integers:
    return np.array(values, dtype=np.int64)


def _children(ids: Any, are_leaves: Any) -> Integers:
    numbers = _integers(ids)
    return np.where(_integers(are_leaves) != 0, ~numbers, numbers)


def _sets(values: NDArray[Any], is_set: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """Members of all sets, and how many belong to each node; in the graph each set is closed by a NaN."""
    ends = np.flatnonzero(np.isnan(values))
    sizes = np.zeros(len(is_set), dtype=np.int64)
    sizes[is_set] = np.diff(ends, prepend=-1) - 1
    return values[~np.isnan(values)].astype(np.int64), sizes


def leaves_of(forest: Forest, features: Doubles, threads: int = 1) -> Integers:
    """The leaf that each row reaches in each tree [N, T].

    onnxruntime follows the trees: each adds the number of its leaf to a sum of its own.

    Args:
        forest: trees.
        features: rows [N, F].
        threads: of onnxruntime.
    """
    numbered = own_leaves(replace(forest, leaf_values=np.arange(len(forest.leaf_values), dtype=np.float64)))
    numbered = replace(numbered, leaf_targets=trees_of_leaves(numbered), num_targets=forest.num_trees)
    builder = GraphBuilder()
    given = builder.input("features", "double", ["N", features.shape[1]])
    builder.output("leaves", numbered.emit(builder, given), "double", ["N", forest.num_trees])
    session = session_of(builder.finish({}), threads)
    reached = np.empty((len(features), forest.num_trees), dtype=np.int64)
    chunk = max(1, _CELLS // max(1, forest.num_trees))
    for start in range(0, len(features), chunk):
        reached[start : start + chunk] = session.run(None, {"features": features[start : start + chunk]})[0]
    return reached


def sums_of(forest: Forest, leaves: Integers) -> Doubles:
    """What the trees add up to for the leaves that rows reach [N, num_targets]."""
    sums = np.zeros((len(leaves), forest.num_targets))
    for target in range(forest.num_targets):
        own = forest.leaf_targets == target
        sums[:, target] = np.where(own, forest.leaf_values, 0.0)[leaves].sum(axis=1)
    return sums


def own_leaves(forest: Forest) -> Forest:
    """The same trees where no two places of a tree share a leaf: leaves are numbered as they are met."""
    sides = np.stack([forest.left, forest.right], axis=1)
    is_leaf = sides < 0
    old = ~sides[is_leaf]
    sides[is_leaf] = ~np.arange(len(old))
    return replace(
        forest,
        left=sides[:, 0].copy(),
        right=sides[:, 1].copy(),
        leaf_values=forest.leaf_values[old],
        leaf_targets=forest.leaf_targets[old],
    )


def trees_of_leaves(forest: Forest) -> Integers:
    """The tree of each leaf [L]; every leaf belongs to one tree (`own_leaves`)."""
    tree = np.full(len(forest.features), -1, dtype=np.int64)
    found = np.full(len(forest.leaf_values), -1, dtype=np.int64)
    at, of = forest.roots, np.arange(forest.num_trees)
    while len(at):
        tree[at] = of
        children, of = np.concatenate([forest.left[at], forest.right[at]]), np.concatenate([of, of])
        inner = children >= 0
        found[~children[~inner]] = of[~inner]
        at, of = children[inner], of[inner]
    return found


def write(model: Any, found: Found, forest: Forest, *, single: bool) -> None:
    """Put other trees in the place of `found`.

    Args:
        model: the graph to edit.
        found: of this graph.
        forest: over the same columns.
        single: whether they look at numbers, and add up leaves, in single precision.
    """
    from onnx import helper, numpy_helper

    dtype: type[np.floating[Any]] = np.float32 if single else np.float64
    node = found.node
    del node.attribute[:]
    for name, value in forest.attributes(dtype).items():
        if value is not None:
            tensor = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            node.attribute.append(helper.make_attribute(name, tensor))
    if single == found.single:
        return
    place = next(index for index, each in enumerate(model.graph.node) if each.output == node.output)
    kind, behind = (_FLOAT, _DOUBLE) if single else (_DOUBLE, _FLOAT)
    value = node.output[0]
    node.input[0] = add_node(model, place, "Cast", [found.source], to=kind)
    node.output[0] = fresh(model, "sums")
    add_node(model, place + 2, "Cast", [node.output[0]], output=value, to=behind)
