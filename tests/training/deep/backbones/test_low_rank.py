"""Adapters begin as nothing, learn few numbers, and are in the weights in the end."""

from __future__ import annotations

import copy

import pytest

from lepton.core import UsageError

torch = pytest.importorskip("torch")
from lepton.training.deep.backbones.low_rank import RANK, add_low_rank, merge_low_rank  # noqa: E402


def test_adapters() -> None:
    torch.manual_seed(0)
    body = torch.nn.Sequential(
        torch.nn.Linear(32, 64), torch.nn.Tanh(), torch.nn.Linear(64, 16), torch.nn.Linear(16, 3)
    )
    before, rows = copy.deepcopy(body), torch.randn(5, 32)
    assert add_low_rank(body) == 2  # the last has fewer than 16 rows
    assert torch.equal(body(rows), before(rows))
    learning = [each for each in body.parameters() if each.requires_grad]
    assert sum(each.numel() for each in learning) == RANK * (32 + 64) + RANK * (64 + 16)
    optimizer = torch.optim.SGD(learning, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        body(rows).square().mean().backward()
        optimizer.step()
    learned = body(rows)
    assert not torch.allclose(learned, before(rows))
    merge_low_rank(body)
    torch.testing.assert_close(body(rows), learned)
    assert body.state_dict().keys() == before.state_dict().keys()
    change = body[0].weight - before[0].weight
    assert int(torch.linalg.matrix_rank(change.detach(), rtol=1e-4)) <= RANK
    assert torch.equal(body[3].weight, before[3].weight)


def test_embeddings_and_convolutions_have_none() -> None:
    with pytest.raises(UsageError, match="without layers of matrices"):
        add_low_rank(torch.nn.Sequential(torch.nn.Embedding(40, 40), torch.nn.Conv2d(20, 20, 3)))
