"""Small tree models of made tables, as steps of compression take them."""

import json

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder, Manifest, TableInputs
from lepton.core import ColumnRecord, Kind, Resources, Work
from lepton.evaluation import metric
from lepton.evaluation.answers import Answers
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.rows import Rows
from lepton.training.answers import decided, emit_answers
from lepton.training.base import Problem
from lepton.training.conformal import Conformal
from lepton.training.front import graph_inputs
from lepton.training.tasks import Scale
from lepton.training.trees import Forest

LABELS = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "multilabel": ("u", "v")}
METRICS = {"quantile": "pinball", "multilabel": "f1_micro", "ranking": "ndcg"}
WORK = Work(seed=0, resources=Resources(cpus=1))


def made_problem(task):
    """A problem of a task, with two quantiles where it is of those."""
    return Problem(task, len(LABELS.get(task, ())), 100, quantiles=(0.1, 0.5, 0.9) if task == "quantile" else ())


def grown_forest(values, target, *, trees=20, depth=4, seed=0, sets=False, rate=0.4):
    """Trees boosted in a plain way on random columns and thresholds: F columns, one target column after the other."""
    generator = np.random.default_rng(seed)
    roots: list[int] = []
    nodes: list[tuple[int, float, bool, tuple[int, ...], int, int] | None] = []
    leaves: list[float] = []
    targets: list[int] = []

    def grow(rows, rest, left_over, place):
        if left_over == 0 or len(rows) < 4:
            leaves.append(rate * rest[rows].mean() if len(rows) else 0.0)
            targets.append(place)
            return ~(len(leaves) - 1)
        column = int(generator.integers(values.shape[1]))
        is_set = sets and column == values.shape[1] - 1
        members: tuple[int, ...] = ()
        if is_set:
            members = tuple(sorted(generator.choice(4, 2, replace=False).tolist()))
            goes = np.isin(values[rows, column], members)
            threshold = 0.0
        else:
            threshold = float(np.nanmedian(values[rows, column]))
            goes = values[rows, column] <= threshold
        number = len(nodes)
        nodes.append(None)
        left = grow(rows[goes], rest, left_over - 1, place)
        right = grow(rows[~goes], rest, left_over - 1, place)
        nodes[number] = (column, threshold, is_set, members, left, right)
        return number

    rest = target.astype(float).copy()
    for _ in range(trees):
        for place in range(target.shape[1]):
            roots.append(len(nodes))
            before = len(leaves)
            grow(np.arange(len(values)), rest[:, place], depth, place)
            forest = _forest(nodes[roots[-1] :], leaves[before:], roots[-1], before, values.shape[1])
            rest[:, place] -= _sums(forest, values)
    return _forest(nodes, leaves, 0, 0, values.shape[1], roots, targets, target.shape[1])


def _forest(nodes, leaves, first_node, first_leaf, width, roots=(0,), targets=None, num_targets=1):
    column, threshold, is_set, members, left, right = zip(*nodes, strict=True)

    def moved(children):
        children = np.array(children, dtype=np.int64)
        return np.where(children < 0, children + first_leaf, children - first_node)

    return Forest(
        num_features=width,
        num_targets=num_targets,
        roots=np.array(roots, dtype=np.int64),
        features=np.array(column, dtype=np.int64),
        thresholds=np.array(threshold),
        is_set=np.array(is_set),
        members=np.array([each for some in members for each in some], dtype=np.int64),
        set_sizes=np.array([len(some) for some in members], dtype=np.int64),
        missing_left=np.zeros(len(nodes), dtype=bool),
        left=moved(left),
        right=moved(right),
        leaf_values=np.array(leaves),
        leaf_targets=np.array(targets if targets is not None else [0] * len(leaves), dtype=np.int64),
    )


def _sums(forest, values):
    sums = np.zeros(len(values))
    for row, numbers in enumerate(values):
        for root in forest.roots:
            at = root
            while at >= 0:
                number = numbers[forest.features[at]]
                if forest.is_set[at]:
                    start = forest.set_sizes[:at].sum()
                    goes = number in forest.members[start : start + forest.set_sizes[at]]
                else:
                    goes = number <= forest.thresholds[at]
                at = forest.left[at] if goes else forest.right[at]
            sums[row] += forest.leaf_values[~at]
    return sums


def scores_of(task, numbers, seed=0):
    """What is true of made rows, as raw scores [N, S], and the truth as answers hold it."""
    generator = np.random.default_rng(seed)
    signal = np.sin(2.0 * numbers[:, 0]) + numbers[:, 1] * (numbers[:, 2] > 0.0)
    noise = generator.normal(size=len(numbers)) * 0.3
    if task in ("regression", "ranking"):
        return signal[:, None], np.round(np.clip(signal + 2.0, 0.0, 4.0)) if task == "ranking" else signal + noise
    if task == "quantile":
        return np.stack([signal - 0.4, signal, signal + 0.4], axis=1), signal + noise
    if task == "binary":
        return 3.0 * signal[:, None], (signal + noise > 0.0).astype(np.int64)
    if task == "multilabel":
        both = np.stack([signal, numbers[:, 1]], axis=1)
        return 3.0 * both, (both > 0.0).astype(np.int64)
    three = 2.0 * np.stack([signal, numbers[:, 1], -signal], axis=1)
    return three, three.argmax(axis=1)


def made_subject(task="regression", *, rows=300, members=1, temperature=1.0, sets=False, trees=20, conformal=None):
    """A model of `members` forests (a mean of them without `features` where there are several), and rows of its own.

    Returns:
        The subject, whose `learn` and `choose` are halves of the rows.
    """
    problem, labels = made_problem(task), LABELS.get(task)
    numbers = np.random.default_rng(1).normal(size=(2 * rows, 4))
    if sets:
        numbers[:, 3] = np.random.default_rng(2).integers(0, 4, len(numbers))
    target, truth = scores_of(task, numbers)
    columns = tuple(ColumnRecord(f"x{place}", Kind.NUMBER) for place in range(4))
    inputs = TableInputs(columns)
    builder = GraphBuilder()
    tensors = graph_inputs(builder, inputs)
    assert tensors.numbers is not None
    features = builder.node("Add", [tensors.numbers, builder.constant(np.zeros(4))])
    if members == 1:
        features = builder.mark("features", features)
        forest = grown_forest(numbers[:rows], target[:rows], sets=sets, trees=trees)
        raw = forest.emit(builder, features)
    else:
        parts = []
        for seed in range(members):
            forest = grown_forest(numbers[:rows], target[:rows], seed=seed, sets=sets, trees=trees)
            parts.append(builder.node("Mul", [forest.emit(builder, features), builder.constant(1.0 / members)]))
        raw = parts[0]
        for part in parts[1:]:
            raw = builder.node("Add", [raw, part])
    raw = builder.mark("raw", raw)
    if temperature != 1.0:
        raw = builder.node("Div", [raw, builder.constant(temperature)])
    outputs = emit_answers(builder, problem, raw, labels, Scale(), conformal)
    manifest = Manifest(
        name="made",
        task=task,
        inputs=columns,
        codecs={},
        outputs=outputs,
        labels=labels,
        target=None,
        lineage={},
        inner=dict(builder.inner),
    )
    graph = builder.finish({"lepton.inputs": inputs.metadata()})
    vocabulary = {"vocabulary.json": json.dumps({}).encode()}
    draft = Draft(manifest, graph, vocabulary, {}, {"kind": b"none"})
    whole = _rows(draft, numbers, problem, truth)
    name = METRICS.get(task, "rmse" if labels is None else "log_loss")
    halves = whole.take(np.arange(rows)), whole.take(np.arange(rows, 2 * rows))
    return Subject(draft, *halves, metric(name, task))


def _rows(draft, numbers, problem, truth):
    with draft.opened() as predictor:
        given = predictor.run({"numbers": numbers})
    probabilities = given.get("probabilities")
    labels = draft.manifest.labels or ()
    if labels:
        predicted = decided(problem, probabilities)
    else:
        predicted = given["score" if problem.task == "ranking" else "prediction"]
    answers = Answers(
        task=problem.task,
        target="y",
        labels=labels,
        y=truth,
        predicted=predicted,
        probabilities=probabilities,
        weight=None,
        groups=np.arange(len(truth)) // 20 if problem.task == "ranking" else None,
        columns=pl.DataFrame({"numbers": np.zeros(len(truth))}),
        beside={name: given[name] for name in ("lower", "upper", "set", "quantiles") if name in given},
        shares=problem.quantiles,
    )
    return Rows({"numbers": numbers}, answers)


def conformal_of(task):
    """Intervals or sets behind a task."""
    if task == "regression":
        return Conformal(0.9, edges=(0.0,), widths=(0.5, 0.7))
    return Conformal(0.9, least=0.2)


__all__ = ["WORK", "conformal_of", "grown_forest", "made_subject"]
