"""Changed sounds are other sounds of the same form, drawn from the generator alone."""

from __future__ import annotations

import torch

from lepton.training.deep.augment import augment_sounds


def test_sounds_change_and_keep_their_form() -> None:
    rows = -torch.rand(6, 40, 30)
    before = rows.clone()
    labels = torch.arange(6)
    first, same = augment_sounds(rows, labels, torch.Generator().manual_seed(1))
    again, _ = augment_sounds(rows, labels, torch.Generator().manual_seed(1))
    other, _ = augment_sounds(rows, labels, torch.Generator().manual_seed(2))
    assert torch.equal(rows, before)
    assert torch.equal(same, labels)
    assert first.shape == rows.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.min()) >= -1
    assert float(first.max()) <= 0


def test_silence_stays_near_silence() -> None:
    rows = torch.full((8, 40, 30), -1.0)
    changed, _ = augment_sounds(rows, None, torch.Generator().manual_seed(0))
    assert float(changed.mean()) < -0.6


def test_another_microphone_tilts_what_sounds_and_leaves_silence() -> None:
    rows = torch.full((64, 40, 30), -1.0)
    rows[:, 5:35, 5:25] = -0.3
    changed, _ = augment_sounds(rows, None, torch.Generator().manual_seed(0))
    low, high = changed[:, 10, 10:20].mean(1), changed[:, 30, 10:20].mean(1)
    assert float((low - high).std()) > 0.1
    assert float(changed[:, :, 0].mean()) < -0.8
