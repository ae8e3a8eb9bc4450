"""Files: errors of sampling hold the exact values, and labels are those that are asked for or answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import open_model
from lepton.core import UsageError, Work
from lepton.evaluation.explain.files import explain_file
from lepton.evaluation.explain.hiding import left_out, shapley
from tests.bundle.pictures import write_brightness, write_sums


def game(seed: int, parts: int) -> Any:
    """A game of sums and products of pairs, whose Shapley values are known."""
    random = np.random.default_rng(seed)
    alone, pairs = random.normal(size=parts), np.triu(random.normal(size=(parts, parts)), 1)

    def ask(shown: Any) -> Any:
        flags = shown.astype(np.float64)
        return flags @ alone + np.einsum("ni,ij,nj->n", flags, pairs, flags)

    return ask, alone + (pairs + pairs.T).sum(axis=0) / 2


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_few_parts_are_exact(seed: int, parts: int) -> None:
    ask, true = game(seed, parts)
    found = shapley(ask, parts, 2**parts, seed, Work())
    np.testing.assert_allclose(found.values, true, atol=1e-9)
    assert not found.errors.any()


def test_errors_of_sampled_values_hold_the_truth() -> None:
    inside = []
    for seed in range(40):
        ask, true = _cubic(seed)
        found = shapley(ask, 8, 140, seed, Work())
        assert found.asked <= 142
        inside.append(np.abs(found.values - true) <= found.margin * found.errors + 1e-12)
        assert found.values.sum() == pytest.approx(true.sum())
    assert 0.91 <= np.mean(inside) <= 0.995


def _cubic(seed: int) -> Any:
    """A game that orders and their reverses do not settle."""
    weights = np.random.default_rng(seed).exponential(size=8)

    def ask(shown: Any) -> Any:
        return np.tanh(shown @ weights - 2) ** 3

    return ask, shapley(ask, 8, 256, 0, Work()).values


def test_left_out_is_the_loss_of_one() -> None:
    ask, _ = game(0, 5)
    whole = np.ones((1, 5), dtype=bool)
    found = left_out(ask, 5, Work())
    for part in range(5):
        less = whole.copy()
        less[0, part] = False
        assert found.values[part] == pytest.approx(ask(whole)[0] - ask(less)[0])


def test_titles_name_what_is_explained(tmp_path: Path) -> None:
    write_brightness(tmp_path / "b.lepton")
    found = explain_file(open_model(tmp_path / "b.lepton"), np.full((2, 5, 5, 3), 255, np.uint8), samples=400)
    assert [each.label for each in found.files] == ["light", "light"]
    assert "the probability of 'light' is 1" in found.text()
    assert found.plot() is not None
    assert len(found.values) == len(found.errors) == 2


def test_plain_tensors_are_refused(tmp_path: Path) -> None:
    write_sums(tmp_path / "s.lepton")
    with pytest.raises(UsageError, match="plain tensors"):
        explain_file(open_model(tmp_path / "s.lepton"), {"a": [[1, 2]], "b": [[1, 2]]})
