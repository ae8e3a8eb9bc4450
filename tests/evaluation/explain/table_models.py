"""Model files of tables whose contributions can be told: trees drawn by chance, sums with text columns, functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Manifest, OutputRecord, Predictor, TableInputs, open_model, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind, Resources
from lepton.evaluation.explain.background import Rows
from lepton.evaluation.explain.coalitions import Game
from lepton.training.trees import Forest

Floats = NDArray[np.float64]


def model_file(
    folder: Path,
    names: Sequence[str],
    emit: Callable[[GraphBuilder, str], str],
    *,
    texts: Sequence[str] = (),
    labels: tuple[str, ...] | None = None,
    name: str = "made",
    baseline: dict[str, bytes] | None = None,
    kind: str = "",
) -> Predictor:
    """A model of number columns and category columns; `emit` writes the raw scores [N, K] behind `numbers`."""
    columns = (*(ColumnRecord(n, Kind.NUMBER) for n in names), *(ColumnRecord(n, Kind.CATEGORY) for n in texts))
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", len(names)])
    if texts:
        builder.input("strings", "string", ["N", len(texts)])
    raw = builder.mark("raw", emit(builder, numbers))
    outputs = [OutputRecord("prediction", "double", ("N",))]
    if labels is None:
        builder.output("prediction", builder.node("Reshape", [raw, builder.constant(np.array([-1]))]), "double", ["N"])
    else:
        if len(labels) == 2:
            second = builder.node("Sigmoid", [raw])
            parts = [builder.node("Sub", [builder.constant(1.0), second]), second]
            shares = builder.node("Concat", parts, axis=1)
        else:
            shares = builder.node("Softmax", [raw], axis=1)
        best = builder.node("ArgMax", [shares], axis=1, keepdims=0)
        builder.output("prediction", builder.node("Gather", [builder.constant(list(labels)), best]), "string", ["N"])
        builder.output("probabilities", shares, "double", ["N", len(labels)])
        outputs = [
            OutputRecord("prediction", "string", ("N",)),
            OutputRecord("probabilities", "double", ("N", len(labels))),
        ]
    task = "regression" if labels is None else "binary" if len(labels) == 2 else "multiclass"
    manifest = Manifest(
        name=name,
        task=task,
        inputs=columns,
        outputs=tuple(outputs),
        labels=labels,
        target=ColumnRecord("price", Kind.NUMBER if labels is None else Kind.CATEGORY),
        inner=dict(builder.inner),
    )
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))})
    path = folder / f"{name}.lepton"
    training = {"kind": kind.encode()} if kind else {}
    write_bundle(path, manifest=manifest, graph=graph, baseline=baseline or {}, training=training)
    return open_model(path, resources=Resources(cpus=1))


def forest(
    seed: int, num_columns: int, *, num_trees: int = 6, depth: int = 4, num_targets: int = 1, sets: bool = False
) -> Forest:
    """Full trees with splits drawn by chance; missing values go either way."""
    random = np.random.default_rng(seed)
    inner = 2**depth - 1
    nodes = np.arange(inner)
    last = nodes >= 2 ** (depth - 1) - 1
    left = np.where(last, ~(2 * nodes + 1 - inner), 2 * nodes + 1)
    right = np.where(last, ~(2 * nodes + 2 - inner), 2 * nodes + 2)
    shift = np.repeat(np.arange(num_trees), inner)

    def all_of(children: NDArray[Any]) -> NDArray[np.int64]:
        tiled = np.tile(children, num_trees)
        return np.asarray(np.where(tiled < 0, tiled - shift * (inner + 1), tiled + shift * inner))

    count = num_trees * inner
    features = random.integers(0, num_columns, count)
    is_set = (features == num_columns - 1) if sets else np.zeros(count, dtype=bool)
    sizes = np.where(is_set, 2, 0)
    return Forest(
        num_features=num_columns,
        num_targets=num_targets,
        roots=np.arange(num_trees) * inner,
        features=features,
        thresholds=random.normal(size=count),
        is_set=is_set,
        members=np.sort(np.stack([random.permutation(4)[:2] for _ in range(int(is_set.sum()))]), axis=1).ravel()
        if is_set.any()
        else np.empty(0, dtype=np.int64),
        set_sizes=sizes,
        missing_left=random.random(count) < 0.5,
        left=all_of(left),
        right=all_of(right),
        leaf_values=random.normal(size=num_trees * (inner + 1)),
        leaf_targets=np.repeat(np.arange(num_trees) % num_targets, inner + 1),
    )


def forest_model(folder: Path, made: Forest, **named: Any) -> Predictor:
    """A model file of trees over number columns a, b, c, …"""
    names = [chr(ord("a") + place) for place in range(made.num_features)]
    return model_file(folder, names, made.emit, **named)


def game_of(function: Callable[[Floats], Floats], rows: Floats, others: Floats) -> Game:
    """The game of a function of rows of numbers [S, P] -> [S]."""
    inputs = TableInputs([ColumnRecord(f"c{place}", Kind.NUMBER) for place in range(rows.shape[1])])
    given = Rows(inputs, {"numbers": rows}, {"numbers": others})
    return Game(given, lambda tensors: function(tensors["numbers"]).reshape(len(tensors["numbers"]), -1))


def by_definition(function: Callable[[Floats], Floats], row: Floats, others: Floats) -> Floats:
    """Shapley values [P] of one row, the mean over all orders of all columns."""
    num_columns = len(row)
    total = np.zeros(num_columns)
    for order in permutations(range(num_columns)):
        mixed = others.copy()
        before = function(mixed).mean()
        for column in order:
            mixed[:, column] = row[column]
            after = function(mixed).mean()
            total[column] += after - before
            before = after
    return total / factorial(num_columns)
