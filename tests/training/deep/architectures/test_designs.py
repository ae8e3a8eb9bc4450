"""Designs that are made of designs can be built, and mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from lepton.training.deep.architectures.designs import changed, first_designs, key_of, least_design, told
from lepton.training.nets.net import LeptonNetModule
from lepton.training.nets.spec import NetSpec

FAMILIES = (
    NetSpec.of("image", (9, 12, 3), 3),
    NetSpec.of("image", (64, 40, 1), 2),
    NetSpec.of("spectrogram", (24, 30), 2),
    NetSpec.of("series", (17, 2), 1),
)


@given(st.sampled_from(FAMILIES), st.integers(0, 10_000))
def test_every_design_on_a_long_way_can_be_built_and_answers(family: NetSpec, seed: int) -> None:
    random = np.random.default_rng(seed)
    spec = first_designs(family)[0]
    for _ in range(8):
        found = changed(spec, random, may_exit=family.outputs > 1)
        assert found is not None
        assert found != spec
        assert (found.kind, found.input_shape, found.outputs) == (family.kind, family.input_shape, family.outputs)
        assert all(8 <= stage.channels <= 512 and stage.channels % 8 == 0 for stage in found.stages)
        assert all(stage.kernel % 2 == 1 and stage.blocks <= 6 for stage in found.stages)
        spec = found
    module = LeptonNetModule(spec).eval()
    with torch.inference_mode():
        answers = module(torch.zeros(2, *family.input_shape))
    assert answers.shape == (2, family.outputs)
    assert NetSpec.from_dict(spec.to_dict()) == spec


def test_changes_reach_every_part_of_a_design() -> None:
    random = np.random.default_rng(0)
    start = first_designs(FAMILIES[3])[0]
    found = [changed(start, random, may_exit=True) for _ in range(300)]
    for part in ("channels", "blocks", "kernel", "expansion", "stride", "layer"):
        values = {tuple(getattr(stage, part) for stage in spec.stages) for spec in found if spec is not None}
        assert len(values) > 1, part
    assert {spec.exits for spec in found if spec is not None} == {False, True}
    assert {len(spec.stages) for spec in found if spec is not None} >= {2, 3, 4}
    assert {spec.halvings for spec in found if spec is not None} >= {0, 1}


def test_numbers_get_no_exits() -> None:
    random = np.random.default_rng(0)
    spec = first_designs(FAMILIES[0])[0]
    assert not any(found.exits for _ in range(100) if (found := changed(spec, random, may_exit=False)) is not None)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.kind} {family.input_shape}")
def test_a_search_begins_small_and_nothing_is_smaller_than_the_least(family: NetSpec) -> None:
    firsts = first_designs(family)
    sizes = [sum(each.numel() for each in LeptonNetModule(spec).parameters()) for spec in firsts]
    assert sizes[0] < max(sizes)
    assert any(stage.layer == "recurrent" for spec in firsts for stage in spec.stages) == (family.kind == "series")
    least = LeptonNetModule(least_design(family))
    assert sum(each.numel() for each in least.parameters()) < min(sizes)
    assert least.multiply_adds()[-1] < min(LeptonNetModule(spec).multiply_adds()[-1] for spec in firsts)


def test_tiny_rows_have_designs_too() -> None:
    family = NetSpec.of("image", (2, 3, 1), 2)
    assert first_designs(family) == (least_design(family),)
    assert changed(least_design(family), np.random.default_rng(0), may_exit=True) is not None


def test_a_design_is_told_and_known_by_its_parts() -> None:
    spec = NetSpec.of("series", (20, 2), 2, width=0.25, recurrent=True, exits=True)
    assert told(spec) == "stem 1/1; 8x2 k3 e1 > 16x2 k3 e2 - 24x1 gru; exits"
    assert key_of(spec) == key_of(NetSpec.from_dict(spec.to_dict()))
    assert key_of(spec) != key_of(NetSpec.of("series", (20, 2), 2, width=0.25, recurrent=True))
