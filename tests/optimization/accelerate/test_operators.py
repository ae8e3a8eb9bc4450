"""Arithmetic and memory from the shapes of the profiler."""

from __future__ import annotations

from typing import Any

import pytest

from lepton.optimization.accelerate.operators import bytes_of, flops_of, shapes_of


@pytest.mark.parametrize(
    ("operator", "inputs", "outputs", "flops"),
    [
        ("MatMul", [(2, 3), (3, 5)], [(2, 5)], 2 * 2 * 3 * 5),
        ("Gemm", [(1, 64), (64, 10), (10,)], [(1, 10)], 2 * 64 * 10),
        ("Conv", [(1, 3, 8, 8), (16, 3, 3, 3), (16,)], [(1, 16, 8, 8)], 2 * 16 * 64 * 27),
        ("Conv", [(1, 16, 8, 8), (16, 1, 3, 3)], [(1, 16, 8, 8)], 2 * 16 * 64 * 9),
        ("Relu", [(4, 4)], [(4, 4)], 16),
        ("Softmax", [(2, 5)], [(2, 5)], 40),
        ("Transpose", [(2, 5)], [(5, 2)], 0),
        ("TreeEnsemble", [(1, 14)], [(1, 1)], None),
        ("MatMul", [], [(2, 5)], None),
        ("Conv", [(1, 3, 8, 8)], [(1, 16, 8, 8)], None),
        ("Relu", [(4, 4)], [], None),
    ],
)
def test_operations_of_a_node(operator: str, inputs: Any, outputs: Any, flops: float | None) -> None:
    named = [("float", shape) for shape in inputs], [("float", shape) for shape in outputs]
    assert flops_of(operator, *named) == flops


def test_what_the_profiler_tells_is_read_with_care() -> None:
    assert shapes_of([{"float": [1, 2]}, {"int64": []}]) == [("float", (1, 2)), ("int64", ())]
    assert shapes_of([{"float": "x"}, 3, None]) == []
    assert shapes_of(None) == []
    sizes = {"activation_size": "8", "output_size": 16, "parameter_size": "many"}
    assert bytes_of(sizes, "activation_size", "output_size", "parameter_size", "nothing") == 24.0
