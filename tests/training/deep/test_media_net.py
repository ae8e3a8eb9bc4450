"""What a network of pictures or series gives while it is judged."""

from __future__ import annotations

import numpy as np

from lepton.core import Resources, Work
from lepton.training.deep.augment import augment_sounds
from lepton.training.deep.media_net import MediaLearner
from lepton.training.nets.augment import LightAugment


def learner(shape: tuple[int, ...], kind: str | None = None) -> MediaLearner:
    values = np.random.default_rng(0).normal(size=(24, *shape)).astype(np.float32)
    return MediaLearner(values, np.arange(24) % 2, 2, None, Work(resources=Resources(cpus=1)), kind)


def test_a_temperature_divides_the_scores_once() -> None:
    found = learner((9, 3), "series")
    rows = np.arange(24)
    net = found.fit(rows, 1, "once", found.work)
    before = found.raw(net, rows)
    net.module.temperatures[-1] = 2.0
    np.testing.assert_allclose(found.raw(net, rows), before / 2, rtol=1e-6)


def test_only_what_is_known_is_changed_while_it_is_learned() -> None:
    assert isinstance(learner((8, 8, 1)).augment, LightAugment)
    assert learner((8, 9)).augment is augment_sounds
    assert learner((8, 9), "spectrogram").augment is None


def test_another_network_learns_the_same_rows() -> None:
    first = learner((9, 3), "series")
    spec = first.spec.of("series", (9, 3), 2, width=0.25)
    other = first.of(spec)
    assert (other.spec, other.values is first.values) == (spec, True)
    assert first.spec != spec
