from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lepton.training.nets.net import LeptonNetModule, lepton_net_body
from lepton.training.nets.spec import NetSpec

SHAPES = [("image", (12, 10, 3)), ("spectrogram", (12, 9)), ("series", (16, 3))]


def _module(kind="image", shape=(8, 8, 1), **options):
    torch.manual_seed(0)
    return LeptonNetModule(NetSpec.of(kind, shape, 3, width=0.25, **options))


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_every_kind_gives_logits_and_learns(kind, shape):
    module = _module(kind, shape, exits=True, recurrent=False)
    rows = torch.randn(4, *shape)
    loss, logits = module.training_loss(rows, torch.tensor([0, 1, 2, 0]), functional.cross_entropy)
    loss.backward()
    assert logits.shape == (4, 3)
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_the_counted_multiply_adds_are_those_that_are_done():
    module = _module(shape=(12, 12, 3), exits=True).eval()
    done = 0

    def count(outputs, kernel, groups):
        nonlocal done
        done += outputs[0].numel() * kernel[0].numel()

    conv2d, linear = functional.conv2d, functional.linear
    functional_conv = lambda x, w, *rest: _noted(conv2d(x, w, *rest), w, count)  # noqa: E731
    functional_linear = lambda x, w, b: _noted(linear(x, w, b), w, count)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("lepton.training.nets.layers", fromlist=["x"])._CONVOLUTIONS, 2, functional_conv)
        patch.setattr(functional, "linear", functional_linear)
        module.all_logits(torch.zeros(1, 12, 12, 3))
    assert module.multiply_adds()[-1] == done


def _noted(outputs, weight, count):
    count(outputs, weight, 1)
    return outputs


def test_standardising_takes_the_means_of_each_channel_and_leaves_missing_values_out():
    body = lepton_net_body("series", input_shape=(5, 2), width=0.25)
    rows = np.random.default_rng(0).normal([10, -3], [4, 0.5], (200, 5, 2))
    rows[0, 0, 0] = np.nan
    body.standardise(rows)
    prepared = body.prepare(torch.tensor(rows))
    assert prepared.mean((0, 2)).abs().max() < 1e-3
    assert (prepared.std((0, 2)) - 1).abs().max() < 1e-2
    assert prepared[0, 0, 0] == 0


def test_a_constant_channel_does_not_divide_by_zero():
    body = lepton_net_body("image", input_shape=(4, 4, 1), width=0.25)
    body.standardise(np.full((3, 4, 4, 1), 7, dtype=np.uint8))
    assert torch.isfinite(body(torch.full((2, 4, 4, 1), 7))).all()


def test_rows_leave_at_the_first_exit_that_is_sure():
    module = _module(exits=True).eval()
    rows = torch.rand(30, 8, 8, 1) * 255
    with torch.no_grad():
        sure = torch.softmax(module.all_logits(rows)[0].double(), 1).amax(1)
        module.thresholds.copy_(torch.tensor([float(sure.median()), 2.0], dtype=torch.float64))
        answers, left = module.routed(rows)
        for head, logits in enumerate(module.all_logits(rows)):
            assert torch.allclose(answers[left == head].float(), logits[left == head], atol=1e-5)
    assert torch.equal(left == 0, sure >= sure.median())
    assert set(left.tolist()) == {0, 2}
    assert torch.equal(module(rows), answers.float())


def test_widths_learn_together_and_come_apart():
    module = _module(exits=True, widths=(1.0, 0.75, 0.5))
    rows = torch.rand(6, 8, 8, 1) * 255
    loss, logits = module.training_loss(rows, torch.tensor([0, 1, 2, 0, 1, 2]), functional.cross_entropy)
    loss.backward()
    module.eval()
    assert logits.shape == (6, 3)
    for number in range(3):
        alone = module.at_width(number).eval()
        assert alone.spec.widths == (1.0,)
        assert torch.equal(alone(rows), module(rows, number))
        assert alone.multiply_adds() == module.multiply_adds(number)


def test_losses_of_rows_are_kept_apart_where_they_are_weighed():
    module = _module(exits=True)
    rows, y = torch.rand(4, 8, 8, 1), torch.tensor([0, 1, 2, 0])
    loss, _ = module.training_loss(rows, y, lambda o, t: functional.cross_entropy(o, t, reduction="none"))
    assert loss.shape == (4,)
