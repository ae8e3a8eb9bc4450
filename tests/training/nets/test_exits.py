from __future__ import annotations

import numpy as np
import pytest

from lepton.core import UsageError
from lepton.training.nets.exits import NEVER, Exits, choose_thresholds, fit_temperature, parse_exits


@pytest.mark.parametrize(
    ("given", "wanted"), [(None, None), (0, Exits(loss=0.0)), (0.001, Exits(loss=0.001)), ("40%", Exits(share=0.4))]
)
def test_promises_are_read(given, wanted):
    assert parse_exits(given) == wanted


@pytest.mark.parametrize("given", [True, -0.1, 0.5, 1, "half", "0%", "101%", "%", float("nan"), [0.1]])
def test_other_promises_are_refused(given):
    with pytest.raises(UsageError, match="exits"):
        parse_exits(given)


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_the_temperature_that_made_the_labels_is_found(true):
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (4_000, 4))
    p = np.exp(logits / true)
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < generator.random((len(p), 1))).sum(axis=1)
    assert fit_temperature(logits, y) == pytest.approx(true, rel=0.1)


def _heads(count=1_000):
    """Three heads, each better than the one before; the early ones are wrong where they are in doubt."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, count)
    ease = generator.random(count)
    heads = []
    for strength in (0.8, 0.9, 0.99):
        right = ease < strength
        sure = np.where(right, 0.6 + 0.4 * (1 - ease), 0.4 + 0.1 * ease)
        answer = np.where(right, y, (y + 1) % 3)
        p = np.repeat(((1 - sure) / 2)[:, None], 3, axis=1)
        p[np.arange(count), answer] = sure
        heads.append(p)
    return heads, y


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.1])
def test_what_is_given_up_is_at_most_what_was_promised(loss):
    heads, y = _heads()
    (first, second) = choose_thresholds(heads, y, (20, 60, 100), Exits(loss=loss))
    assert first == second <= 1
    left = np.stack([heads[0].max(axis=1) >= first, heads[1].max(axis=1) >= second, np.ones(len(y), bool)]).argmax(0)
    answers = np.stack([p.argmax(axis=1) for p in heads])
    lost = (answers[2] == y).mean() - (answers[left, np.arange(len(y))] == y).mean()
    assert lost <= loss + 1e-9
    assert (left == 0).mean() > 0.5


def test_a_budget_decides_how_many_leave():
    heads, y = _heads()
    for share in (0.3, 0.6):
        level, _ = choose_thresholds(heads, y, (20, 60, 100), Exits(share=share))
        left = np.stack([heads[0].max(axis=1) >= level, heads[1].max(axis=1) >= level, np.ones(len(y), bool)]).argmax(0)
        assert np.array([20, 60, 100])[left].mean() / 100 == pytest.approx(share, abs=0.03)


def test_nobody_leaves_where_early_answers_only_lose():
    y = np.zeros(50, dtype=np.int64)
    wrong, right = np.tile([0.1, 0.9], (50, 1)), np.tile([0.6, 0.4], (50, 1))
    assert choose_thresholds([wrong, right], y, (1, 2), Exits(loss=0.0)) == (NEVER,)
