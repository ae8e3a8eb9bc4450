from __future__ import annotations

import json

import pytest

from lepton.core import UsageError
from lepton.training.nets.spec import KINDS, NetSpec, StageSpec, round_channels


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_comes_back_from_json(kind):
    shape = {"image": (28, 28, 1), "spectrogram": (40, 30), "series": (None, 6)}[kind]
    spec = NetSpec.of(kind, shape, 10, width=0.5, depth=2, exits=True, widths=(1.0, 0.5))
    assert NetSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_width_and_depth_multiply():
    spec = NetSpec.of("image", (28, 28, 1), 10)
    wide = NetSpec.of("image", (28, 28, 1), 10, width=2, depth=2)
    assert [stage.channels for stage in wide.stages] == [2 * stage.channels for stage in spec.stages]
    assert [stage.blocks for stage in wide.stages] == [2 * stage.blocks for stage in spec.stages]


@pytest.mark.parametrize(("side", "halvings"), [(8, 0), (20, 0), (28, 1), (32, 1), (64, 2), (224, 4)])
def test_the_stem_brings_pictures_of_any_size_to_one_size(side, halvings):
    assert NetSpec.of("image", (side, side * 2, 3), 10).halvings == halvings


@pytest.mark.parametrize(("bands", "halvings"), [(8, 0), (16, 0), (40, 2), (64, 2)])
def test_the_stem_brings_spectrograms_to_fewer_places(bands, halvings):
    assert NetSpec.of("spectrogram", (bands, 100), 10).halvings == halvings


def test_channels_are_multiples_of_eight():
    assert [round_channels(c) for c in (0.1, 8, 11.9, 12, 100)] == [8, 8, 8, 16, 104]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "video"}, "video"),
        ({"input_shape": (28, 28)}, "height, width, channels"),
        ({"input_shape": (28, 28, 0)}, "height, width, channels"),
        ({"input_shape": (28, 28, None)}, "height, width, channels"),
        ({"outputs": 0}, "0 outputs"),
        ({"kind": "spectrogram", "input_shape": (40, None), "exits": True}, "sizes that are known"),
        ({"stages": ()}, "no stages"),
        ({"stages": (StageSpec(8, layer="magic"),)}, "magic"),
        ({"stages": (StageSpec(8, layer="recurrent"),)}, "series"),
        ({"widths": (0.5, 1.0)}, "begin with 1.0"),
        ({"widths": (1.0, 0.0)}, "begin with 1.0"),
    ],
)
def test_a_net_that_cannot_be_built_is_refused(change, told):
    raw = NetSpec.of("image", (28, 28, 1), 10).to_dict()
    raw["stages"] = tuple(StageSpec(**stage) for stage in raw["stages"])
    with pytest.raises(UsageError, match=told):
        NetSpec(**{**raw, **change})


@pytest.mark.parametrize("raw", [{}, {"kind": "image"}, {**NetSpec.of("series", (9, 2), 2).to_dict(), "more": 1}])
def test_a_damaged_spec_is_refused(raw):
    with pytest.raises(UsageError, match="damaged"):
        NetSpec.from_dict(raw)


@pytest.mark.parametrize("width", [0, -1, 1000, float("nan")])
def test_widths_beyond_sense_are_refused(width):
    with pytest.raises(UsageError, match="width"):
        NetSpec.of("image", (28, 28, 1), 10, width=width)
