from __future__ import annotations

import torch

from lepton.training.nets.augment import LightAugment

PICTURES = torch.zeros(16, 20, 20, 3)
PICTURES[:, 8:12, 8:12] = 200.0


def _changed(seed=0, **options):
    return LightAugment(**options)(PICTURES, None, torch.Generator().manual_seed(seed))[0]


def test_pictures_keep_their_shape_and_scale_and_the_same_seed_gives_the_same():
    changed = _changed()
    assert changed.shape == PICTURES.shape
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert torch.equal(changed, _changed())
    assert not torch.equal(changed, _changed(1))


def test_nothing_is_changed_by_nothing():
    same = _changed(turn=0.0, scale=0.0, shear=0.0, shift=0.0, contrast=0.0)
    assert torch.allclose(same, PICTURES, atol=1e-2)


def test_what_is_shifted_moves_no_further_than_it_may():
    moved = _changed(turn=0.0, scale=0.0, shear=0.0, shift=0.1, contrast=0.0)
    places = (moved[..., 0] > 100).nonzero()[:, 1:]
    assert places.min() >= 5  # 8 - 0.1 of 20, and the rounding of half a pixel
    assert places.max() <= 14
    assert places.min() < 8 or places.max() > 11


def test_the_edge_is_repeated_outside():
    bright = torch.full((8, 10, 10, 1), 90.0)
    turned = LightAugment(contrast=0.0)(bright, None, torch.Generator().manual_seed(0))[0]
    assert torch.allclose(turned, bright, atol=1e-3)
