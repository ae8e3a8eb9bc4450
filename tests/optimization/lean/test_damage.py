from __future__ import annotations

import numpy as np
import pytest

from lepton.core import Work
from lepton.optimization.lean.damage import Probe, batches, point_of, spread
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.weights import weights_of
from tests.optimization.lean.networks import WORK, subject_of, written


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return subject_of(written(tmp_path_factory.mktemp("nets"), "mlp"))


def test_rows_are_spread_and_halves_have_none_in_common(subject):
    few = spread(subject.learn, 10)["image"]
    assert len(few) == 10
    assert np.array_equal(few[-1], subject.learn.tensors["image"][-1])
    first, second = (spread(subject.learn, 1_000, part, 2)["image"] for part in (0, 1))
    assert len(first) + len(second) == len(subject.learn)
    assert np.array_equal(second[0], subject.learn.tensors["image"][1])


def test_rows_of_unequal_shape_come_one_by_one():
    ragged = np.empty(3, dtype=object)
    ragged[:] = [np.zeros((2, 3)), np.ones((4, 3)), np.zeros((2, 3))]
    assert [batch["x"].shape for batch in batches({"x": ragged})] == [(1, 2, 3), (1, 4, 3), (1, 2, 3)]
    texts = np.array(["a", "b", "c"], dtype=object)
    assert [batch["x"].tolist() for batch in batches({"x": texts}, 2)] == [["a", "b"], ["c"]]
    large = {"x": np.zeros((3, 2**18), dtype=np.uint8)}
    assert [len(batch["x"]) for batch in batches(large)] == [2, 1]


def test_damage_is_nothing_of_the_same_and_grows_with_the_change(subject):
    draft, model = subject.original, parse(subject.original.graph)
    assert point_of(draft) == ["raw"]
    probe = Probe(subject, draft, WORK)
    assert probe.of(draft.graph) == 0
    first, second = weights_of(model)
    found = probe.of_each(draft.graph, {first.name: first.values * np.float32(1.01), second.name: second.values}, WORK)
    assert found[second.name] == 0
    assert 0 < found[first.name] < 0.01
    worse = probe.of_each(draft.graph, {first.name: first.values * np.float32(1.5)}, WORK)
    assert worse[first.name] > found[first.name]


def test_what_there_is_no_time_for_is_not_told(subject):
    draft = subject.original
    weight = weights_of(parse(draft.graph))[0]
    late = Work(within=0.001)
    while not late.stopped:
        pass
    assert Probe(subject, draft, WORK).of_each(draft.graph, {weight.name: weight.values}, late) == {}
