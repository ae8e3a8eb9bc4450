"""What is the same for every row is worked out beforehand; what the row decides about sizes is refused."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.bundle.build import GraphBuilder
from lepton.core import BundleError
from lepton.optimization.export.c_operators import emit_all
from lepton.optimization.export.c_source import Source


def source_of(build, width: int = 3) -> Source:
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", width])
    builder.output("out", build(builder, numbers), "double", ["N", "a"])
    return Source(builder.finish({}), {"numbers": np.zeros((1, width))}, "m", {"numbers": "numbers"})


def test_shapes_and_constants_are_folded():
    def build(g: GraphBuilder, x: str) -> str:
        size = g.node("Mul", [g.node("Shape", [x]), g.constant(np.array([1, 1]))])
        return str(g.node("Expand", [x, size]))

    source = source_of(build)
    assert [node.op for node in source.live] == ["Expand"]
    emit_all(source)
    assert source.inside[0].startswith("double v")


def test_sizes_that_the_row_decides_are_refused():
    def build(g: GraphBuilder, x: str) -> str:
        first = g.node("Squeeze", [g.node("Gather", [x, g.constant(np.array([0]))], axis=1), g.constant(np.array([1]))])
        return str(
            g.node("Tile", [x, g.node("Concat", [g.constant(np.array([1])), g.node("Cast", [first], to=7)], axis=0)])
        )

    with pytest.raises(BundleError, match="that the row decides"):
        emit_all(source_of(build))


def test_rows_that_take_too_much_are_refused():
    def build(g: GraphBuilder, x: str) -> str:
        return str(g.node("Expand", [x, g.constant(np.array([1, 200_000]))]))

    with pytest.raises(BundleError, match="more than 1 MiB a row"):
        emit_all(source_of(build, 1))
