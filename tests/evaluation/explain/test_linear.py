"""Which values of a graph are sums of trees and products, and with which weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle.build import GraphBuilder
from lepton.evaluation.explain.linear import Sum, sums_behind
from lepton.evaluation.explain.nodes import Nodes
from tests.evaluation.explain.table_models import forest, model_file

WEIGHTS = np.array([[1.0, 2.0], [3.0, 4.0]])
Emit = Callable[[GraphBuilder, str], str]


def sums_of(folder: Path, emit: Emit) -> list[tuple[str, Sum]]:
    model = model_file(folder, ["a", "b"], lambda b, n: b.node("ReduceSum", [emit(b, n), b.constant(np.array([1]))]))
    nodes = Nodes.of(model.bundle.graph)
    return sums_behind(nodes, nodes.made["raw"].inputs[0])


def product(builder: GraphBuilder, numbers: str) -> str:
    return str(builder.node("MatMul", [numbers, builder.constant(WEIGHTS)]))


FORMS: dict[str, tuple[Emit, np.ndarray]] = {
    "product": (product, WEIGHTS),
    "gemm": (
        lambda b, n: b.node("Gemm", [n, b.constant(WEIGHTS.T.copy()), b.constant(np.ones(2))], transB=1, alpha=2.0),
        2 * WEIGHTS,
    ),
    "scaled": (lambda b, n: b.node("Mul", [b.constant(np.array([2.0, -1.0])), product(b, n)]), WEIGHTS * [2.0, -1.0]),
    "divided": (lambda b, n: b.node("Div", [product(b, n), b.constant(4.0)]), WEIGHTS / 4),
    "negated": (lambda b, n: b.node("Neg", [product(b, n)]), -WEIGHTS),
    "less": (lambda b, n: b.node("Sub", [b.constant(1.0), product(b, n)]), -WEIGHTS),
    "product of a product": (lambda b, n: b.node("MatMul", [product(b, n), b.constant(WEIGHTS)]), WEIGHTS @ WEIGHTS),
    "cast": (lambda b, n: b.node("Cast", [b.node("Cast", [product(b, n)], to=1)], to=11), WEIGHTS),
}


@pytest.mark.parametrize("form", FORMS)
def test_products(tmp_path: Path, form: str) -> None:
    emit, weights = FORMS[form]
    ((_, found),) = sums_of(tmp_path, emit)
    ((source, read),) = found.products
    assert (source, found.trees) == ("numbers", ())
    assert read == pytest.approx(weights)


def test_beside_each_other_and_added(tmp_path: Path) -> None:
    def emit(builder: GraphBuilder, numbers: str) -> str:
        trees = forest(0, 2).emit(builder, numbers)
        single = builder.node("MatMul", [numbers, builder.constant(np.array([[1.0], [5.0]]))])
        both = builder.node("Concat", [trees, single], axis=1)
        return str(builder.node("Add", [both, product(builder, numbers)]))

    ((_, found),) = sums_of(tmp_path, emit)
    ((_, of_trees),) = found.trees
    assert of_trees.tolist() == [[1.0, 0.0]]
    assert [weights.tolist() for _, weights in found.products] == [[[0.0, 1.0], [0.0, 5.0]], WEIGHTS.tolist()]


@pytest.mark.parametrize(
    "emit",
    [
        lambda b, n: b.node("Tanh", [product(b, n)]),
        lambda b, n: b.node("Mul", [product(b, n), n]),
        lambda b, n: b.node("Div", [b.constant(1.0), product(b, n)]),
        lambda b, n: b.node("Cast", [b.node("Cast", [product(b, n)], to=7)], to=11),
    ],
    ids=["bent", "times a row", "one through", "cut to whole numbers"],
)
def test_what_is_no_sum_is_looked_behind(tmp_path: Path, emit: Emit) -> None:
    found = sums_of(tmp_path, emit)
    assert [read.width for _, read in found] == [2]  # the product behind, which additive.py then compares with answers


def test_a_graph_without_sums(tmp_path: Path) -> None:
    assert sums_of(tmp_path, lambda b, n: b.node("Abs", [n])) == []


def test_deep_graphs_are_given_up(tmp_path: Path) -> None:
    def emit(builder: GraphBuilder, numbers: str) -> str:
        value = product(builder, numbers)
        for _ in range(1_500):
            value = builder.node("Neg", [value])
        return value

    assert isinstance(sums_of(tmp_path, emit), list)
