"""Which rows learn, choose and judge."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from lepton.evaluation import metric
from lepton.training.deep.architectures.learning import Learning, Parts
from lepton.training.deep.architectures.subject import subject_of_arrays
from tests.training.deep.architectures.conftest import one_core, stripes


@given(st.lists(st.integers(0, 3), min_size=8, max_size=80), st.integers(0, 30), st.integers(0, 1_000))
def test_no_row_does_two_things_and_equal_rows_do_the_same(classes: list[int], copies: int, seed: int) -> None:
    y = np.array([0, 1, *classes])
    x = np.arange(len(y) * 4, dtype=np.float32).reshape(len(y), 2, 2)
    x = np.concatenate([x, x[:copies]])
    y = np.concatenate([y, y[:copies]])
    subject = subject_of_arrays(x, y, kind=None, task=None)
    parts = Parts.of(subject, seed)
    together = np.concatenate([parts.learn, parts.choose, parts.judge])
    assert sorted(together.tolist()) == list(range(len(y)))
    assert len(parts.learn)
    assert len(parts.choose)
    assert set(subject.truth[parts.learn]) == set(subject.truth.tolist())
    part_of = np.zeros(len(y), dtype=int)
    part_of[parts.choose], part_of[parts.judge] = 1, 2
    assert (part_of == part_of[subject.same]).all()


def test_numbers_are_scored_in_their_own_unit() -> None:
    x = np.random.default_rng(0).normal(size=(60, 6, 1))
    y = 1_000 + 50 * x.mean(axis=(1, 2))
    found = Learning(subject_of_arrays(x, y, kind=None, task=None), metric(None, "regression"), one_core())
    net = found.fit(found.family, 1, "numbers", one_core())
    score = found.score(net).value
    assert score is not None
    assert 5 < score < 200
    assert found.loss(score) == score
    assert found.loss(None) == found.loss(float("nan")) == float("inf")


def test_few_rows_set_no_exits() -> None:
    x, y = stripes(96)
    few = Learning(subject_of_arrays(x, y, kind=None, task=None), metric("accuracy", "binary"), one_core())
    many = Learning(subject_of_arrays(*stripes(400), kind=None, task=None), metric("accuracy", "binary"), one_core())
    assert (few.may_exit, many.may_exit) == (False, True)
