"""What importers of boosted trees share: a forest from a stranger is checked, and its sums become answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, OutputRecord, TableInputs
from lepton.bundle.build import ML_DOMAIN
from lepton.core import DataError, ErrorCode, Kind, UsageError
from lepton.data.steps import Tensors
from lepton.data.steps.base import gathered
from lepton.training.answers import emit_answers
from lepton.training.base import Problem
from lepton.training.front import graph_inputs
from lepton.training.importers.base import Labels, cannot_hold
from lepton.training.importers.coded import Coded
from lepton.training.tasks import Scale
from lepton.training.trees import Forest

__all__ = ["Link", "check_forest", "class_labels", "link_of", "tree_answers", "tree_graph", "tree_labels"]

_DOUBLE = 11  # onnx.TensorProto


@dataclass(frozen=True)
class Link:
    """What a library does with the sums of its trees.

    Attributes:
        task: one of `core.TASKS`.
        form: `identity`, `exp`, `square` (the sign is kept), `sigmoid`, or `each` (a sigmoid of each class, made to
            add up to 1).
        factor: what the sums are multiplied with first.
    """

    task: str
    form: str = "identity"
    factor: float = 1.0


def link_of(objective: str, links: Mapping[str, Link]) -> Link:
    """What the objective of a model means.

    Raises:
        DataError: NO_GRAPH_FORM: it is none of `links`.
    """
    if objective not in links:
        raise cannot_hold(
            f"the objective of the model is {objective!r}", "one of " + ", ".join(sorted(links)) + " can be imported"
        )
    return links[objective]


def check_forest(forest: Forest, num_features: int) -> None:
    """See that a forest is one: what came from a file may hold cycles, or point beyond itself or its columns.

    Raises:
        DataError: UNREADABLE.
    """
    num_nodes, num_leaves = len(forest.features), len(forest.leaf_values)
    children = np.concatenate([forest.left, forest.right])
    lengths = {len(each) for each in (forest.thresholds, forest.left, forest.right, forest.missing_left)}
    fits = (
        lengths == {num_nodes}
        and forest.num_features == num_features > 0
        and (children < num_nodes).all()
        and (~children < num_leaves).all()
        and ((forest.features >= 0) & (forest.features < forest.num_features)).all()
        and not np.isnan(forest.thresholds).any()
        and np.isfinite(forest.leaf_values).all()
    )
    if not fits or not _is_tree(forest, num_nodes):
        raise DataError(ErrorCode.UNREADABLE, "the trees of the model point beyond themselves", wanted="whole trees")


def _is_tree(forest: Forest, num_nodes: int) -> bool:
    """Whether every node is reached once from the roots."""
    frontier, seen = forest.roots, 0
    while len(frontier) and seen <= num_nodes:
        seen += len(frontier)
        children = np.concatenate([forest.left[frontier], forest.right[frontier]])
        frontier = children[children >= 0]
    return seen == num_nodes


def tree_graph(
    features: Sequence[Coded],
    forest: Forest,
    link: Link,
    labels: Labels,
    *,
    offsets: NDArray[np.float64] | None = None,
    single: bool = False,
) -> tuple[bytes, tuple[OutputRecord, ...], dict[str, str], TableInputs]:
    """The graph of a tree model over its named columns.

    Args:
        features: in the library's order.
        forest: over the codes of categories and the numbers.
        link: from sums to answers.
        labels: of the classes.
        offsets: what is added to each sum.
        single: whether numbers are rounded to single precision before they are compared.

    Returns:
        Graph, outputs, inner points and inputs.
    """
    inputs = TableInputs([feature.column for feature in features])
    builder = GraphBuilder()
    tensors = graph_inputs(builder, inputs)
    joined, forest = _joined(builder, tensors, inputs, features, forest)
    if single:
        joined = builder.node("Cast", [builder.node("Cast", [joined], to=1)], to=_DOUBLE)
    joined = builder.mark("features", joined)
    sums = forest.emit(builder, joined)
    if offsets is not None and offsets.any():
        sums = builder.node("Add", [sums, builder.constant(offsets)])
    raw = builder.mark("raw", sums)
    outputs = _emit_link(builder, raw, link, labels)
    return builder.finish({"lepton.inputs": inputs.metadata()}), outputs, dict(builder.inner), inputs


def _joined(
    builder: GraphBuilder, tensors: Tensors, inputs: TableInputs, features: Sequence[Coded], forest: Forest
) -> tuple[str, Forest]:
    """The features side by side, and the forest over them: numbers first, as they came, then the codes that it reads.

    A row spends more time in a node than in a column that nobody looks at: numbers are not taken apart.
    """
    read = set(forest.features.tolist())
    numbers = tuple(feature.name for feature in features if feature.values is None)
    coded = [place for place, feature in enumerate(features) if feature.values is not None and place in read]
    parts = [gathered(builder, tensors, numbers)] if numbers else []
    strings = [column.name for column in inputs.strings]
    for place in coded:
        feature = features[place]
        if feature.column.kind is Kind.NUMBER:
            part = gathered(builder, tensors, (feature.name,))
        elif len(strings) == 1:
            part = str(tensors.strings)
        else:
            chosen = builder.constant(np.array([strings.index(feature.name)]))
            part = builder.node("Gather", [str(tensors.strings), chosen], axis=1)
        parts.append(_codes(builder, part, feature.values or ()))
    order = [place for place, feature in enumerate(features) if feature.values is None] + coded
    columns = np.zeros(len(features), dtype=np.int64)
    columns[order] = np.arange(len(order))
    joined = builder.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]
    return joined, replace(forest, num_features=len(order), features=columns[forest.features])


def _codes(builder: GraphBuilder, part: str, values: Sequence[str] | Sequence[float]) -> str:
    """The code of each value; missing where it is none of them, as the libraries read it."""
    keys = np.array(values, dtype=object if isinstance(values[0], str) else np.float64)
    codes: str = builder.node(
        "LabelEncoder",
        [part],
        domain=ML_DOMAIN,
        keys_tensor=keys,
        values_tensor=np.arange(len(values), dtype=np.float64),
        default_tensor=np.array([np.nan]),
    )
    return codes


def _emit_link(builder: GraphBuilder, raw: str, link: Link, labels: Labels) -> tuple[OutputRecord, ...]:
    if link.factor != 1.0:
        raw = builder.node("Mul", [raw, builder.constant(link.factor)])
    if link.form == "exp":
        raw = builder.node("Exp", [raw])
    elif link.form == "square":
        raw = builder.node("Mul", [builder.node("Abs", [raw]), raw])
    elif link.form == "sigmoid" and link.task == "regression":
        raw = builder.node("Sigmoid", [raw])
    elif link.form == "each":
        # The logarithm of what is to be shared out: emit_answers takes the softmax, which divides by its sum.
        raw = builder.node("Log", [builder.node("Sigmoid", [raw])])
    problem = Problem(link.task, 0 if labels is None else len(labels), 0)
    return emit_answers(builder, problem, raw, labels, Scale())


def class_labels(given: Labels, known: Sequence[object] | None, num_classes: int) -> tuple[Labels, bool]:
    """Labels of the classes, and whether they are false and true.

    Args:
        given: by the user.
        known: by the model.
        num_classes: C.

    Raises:
        UsageError: there are others than C.
        DataError: they are neither texts nor whole numbers.
    """
    if given is not None:
        if len(given) != num_classes:
            raise UsageError(ErrorCode.USAGE, f"got {len(given)} labels", wanted=f"{num_classes}, one for each class")
        return given, False
    if known is None:
        return tuple(range(num_classes)), False
    values = [value.item() if isinstance(value, np.generic) else value for value in known]
    if all(isinstance(value, bool) for value in values):
        return (0, 1), True
    if all(isinstance(value, str) for value in values):
        return tuple(map(str, values)), False
    if all(isinstance(value, int | float) and float(value).is_integer() for value in values):
        return tuple(int(float(str(value))) for value in values), False
    raise DataError(
        ErrorCode.BAD_TARGET,
        f"the classes of the model are {values[:5]!r}",
        wanted="texts, whole numbers, or false and true",
        fix="labels= gives them names",
    )


def tree_labels(given: Labels, known: Sequence[object] | None, link: Link, num_targets: int) -> tuple[Labels, bool]:
    """As `class_labels`, of a model of trees with so many sums; None where it does not classify."""
    if link.task not in {"binary", "multiclass"}:
        return None, False
    return class_labels(given, known, 2 if link.task == "binary" else num_targets)


def tree_answers(found: NDArray[Any], link: Link, labels: Labels) -> dict[str, NDArray[Any]]:
    """What a library says, a number or the probability of the second class [N], or of each [N, C], by its output."""
    found = found.astype(np.float64)
    if labels is None:
        return {"score" if link.task == "ranking" else "prediction": found}
    return {"probabilities": found if found.ndim == 2 else np.column_stack([1.0 - found, found])}
