"""Teaching again: from the truth or without it, the same every time, and within its time."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lepton.core import Interrupted, Resources, Work  # noqa: E402
from lepton.optimization.lean.nets.module import NetModule, frontier  # noqa: E402
from lepton.optimization.lean.nets.recover import lessons_of, recover, taught  # noqa: E402
from lepton.optimization.lean.network import read_network  # noqa: E402
from tests.optimization.lean.networks import WORK, subject_of, written  # noqa: E402


def network_of(subject):
    return read_network(subject.original.graph, subject.original.manifest)


def right(network, rows):
    """Share of the rows whose class the scores of a network find."""
    with torch.no_grad():
        scores = NetModule(network).eval()(*map(torch.from_numpy, frontier(network, rows.tensors)))
    return float(np.mean(scores.numpy().argmax(1) == rows.answers.y))


def test_a_network_learns_the_truth(tmp_path):
    subject = subject_of(written(tmp_path, "residual"), learn=160)
    network = network_of(subject)
    lessons = lessons_of(network, subject, WORK)
    assert lessons.channels == 1
    assert right(network, subject.choose) < 0.7
    assert right(taught(network, lessons, WORK, passes=6), subject.choose) > 0.85


def test_without_labels_it_learns_what_the_original_answers(tmp_path):
    subject = subject_of(written(tmp_path, "mlp"), labelled=False, learn=160)
    network = network_of(subject)
    lessons = lessons_of(network, subject, WORK)
    assert lessons.truth is None
    other = network_of(subject_of(written(tmp_path, "mlp", seed=5)))
    before = right(other, subject.choose)
    assert right(taught(other, lessons, WORK, passes=10), subject.choose) > before + 0.2


def test_numbers_are_learned(tmp_path):
    subject = subject_of(written(tmp_path, "mlp", task="regression"), measure="rmse")
    network = network_of(subject)
    assert network.answer == "numbers"
    lessons = lessons_of(network, subject, WORK)
    module = NetModule(network)
    with torch.no_grad():
        before = float(lessons.loss(module(*lessons.inputs), torch.arange(len(lessons))))
    assert recover(module, lessons, WORK, passes=5) < before


def test_the_same_seed_teaches_the_same(tmp_path):
    subject = subject_of(written(tmp_path, "convolutional"))
    network = network_of(subject)
    lessons = lessons_of(network, subject, WORK)
    one, other, third = (
        taught(network, lessons, Work(seed=seed, resources=Resources(cpus=1)), passes=0.3).graph for seed in (1, 1, 2)
    )
    assert one == other != third


def test_a_time_that_is_over_interrupts(tmp_path):
    subject = subject_of(written(tmp_path, "mlp"))
    network = network_of(subject)
    lessons = lessons_of(network, subject, WORK)
    with pytest.raises(Interrupted):
        taught(network, lessons, Work(1e-6, resources=Resources(cpus=1)))
