"""Answers of other settings are compared with those of the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lepton.optimization.accelerate.answers import Answers, answers_of, what_differs


def both(**outputs: Any) -> Answers:
    told = {name: np.asarray(value) for name, value in outputs.items()}
    return Answers(told, told)


@pytest.mark.parametrize(
    ("given", "wanted", "said"),
    [
        ({"p": [1.0, 2.0]}, {"p": [1.0, 2.0]}, ""),
        ({"p": [1.0, 2.0 + 1e-6]}, {"p": [1.0, 2.0]}, ""),
        ({"p": [1.0, 2.001]}, {"p": [1.0, 2.0]}, "p is off by 1.0e-03, where the largest is 2.0e+00"),
        ({"p": [1e-9, 2e-9]}, {"p": [1e-9, 1e-9]}, "p is off by 1.0e-09, where the largest is 1.0e-09"),
        ({"p": [np.nan, 2.0]}, {"p": [1.0, 2.0]}, "p is finite elsewhere"),
        ({"p": [np.nan, np.nan]}, {"p": [np.nan, np.nan]}, ""),
        ({"p": [1, 2]}, {"p": [1, 3]}, "p differs in 1 of 2 values"),
        ({"p": ["a", "b"]}, {"p": ["a", "b"]}, ""),
        ({"p": ["a", "b"]}, {"p": ["a", "c"]}, "p differs in 1 of 2 values"),
        ({"p": [[1.0], [2.0]]}, {"p": [1.0, 2.0]}, r"p has the shape [2, 1] in place of [2]"),
    ],
)
def test_differences_are_told(given: dict[str, Any], wanted: dict[str, Any], said: str) -> None:
    assert what_differs(both(**given), both(**wanted)) == said


def test_a_row_that_looks_at_its_neighbours_is_seen() -> None:
    rows = {"x": np.array([[1.0], [2.0]])}

    def even(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"p": tensors["x"][:, 0] * 2}

    def leaning(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"p": tensors["x"][:, 0] * (2 + 1e-12 * len(tensors["x"]))}

    assert what_differs(answers_of(even, rows), answers_of(even, rows)) == ""
    assert what_differs(answers_of(leaning, rows), answers_of(even, rows)) == (
        "a row's answer depends on the rows beside it"
    )
    assert what_differs(answers_of(leaning, rows), answers_of(leaning, rows)) == "", "no worse than the defaults"
