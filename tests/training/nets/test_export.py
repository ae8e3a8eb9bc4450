from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lepton.bundle import open_model
from lepton.bundle.tensor_records import TensorRecord
from lepton.core import TrainingError
from lepton.training.nets.export import inline, module_writer
from lepton.training.nets.writing import write_net


class Words(nn.Module):  # type: ignore[misc]
    """Two inputs, an open length, two outputs."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.linear = nn.Linear(4, 3)

    def forward(self, tokens, mask):
        words = self.embedding(tokens) * mask.unsqueeze(2)
        mean = words.sum(1) / mask.sum(1, keepdim=True)
        return self.linear(mean), mean


def test_a_module_of_torch_becomes_a_bundle_that_answers_the_same(tmp_path):
    torch.manual_seed(0)
    module = Words()
    examples = {"tokens": torch.ones(2, 5, dtype=torch.int64), "mask": torch.ones(2, 5)}
    sizes = {"tokens": {0: "N", 1: "L"}, "mask": {0: "N", 1: "L"}}
    tensors = [TensorRecord("tokens", "int64", (None, None)), TensorRecord("mask", "float", (None, None))]
    net = module_writer(module, examples, dynamic=sizes, outputs=2)
    path = tmp_path / "words.lepton"
    write_net(path, name="words", net=net, task="multiclass", labels=["a", "b", "c"], tensors=tensors, embedding=4)
    rows = {"tokens": np.array([[1, 2, 3, 8], [4, 0, 0, 0], [5, 6, 7, 0]]), "mask": np.ones((3, 4), np.float32)}
    rows["mask"][1, 1:] = 0
    found = open_model(path).run(rows)
    logits, mean = module(torch.from_numpy(rows["tokens"]), torch.from_numpy(rows["mask"]))
    np.testing.assert_allclose(found["probabilities"], torch.softmax(logits, 1).detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(found["embedding"], mean.detach().numpy(), atol=1e-6)


def test_flow_by_values_is_refused():
    from onnx import helper

    from lepton.bundle.build import GraphBuilder

    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "inner", [], [])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    model = helper.make_model(helper.make_graph([node], "outer", [], []))
    with pytest.raises(TrainingError, match="If"):
        inline(GraphBuilder(), model, {"c": "c"})
