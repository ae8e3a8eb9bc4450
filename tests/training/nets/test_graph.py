from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from lepton.bundle.build import GraphBuilder
from lepton.training.nets.graph import write_logits
from lepton.training.nets.net import LeptonNetModule
from lepton.training.nets.spec import NetSpec

CASES = [
    ("image", (24, 22, 3), False),
    ("spectrogram", (12, 9), False),
    ("series", (20, 3), False),
    ("series", (None, 2), True),
]


def _written(kind, shape, *, recurrent, exits, rows):
    torch.manual_seed(1)
    module = LeptonNetModule(NetSpec.of(kind, shape, 4, width=0.25, exits=exits, recurrent=recurrent)).eval()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    if exits:
        with torch.no_grad():
            module.temperatures.copy_(torch.tensor([0.5, 0.7, 0.9]))
            for number, logits in enumerate(module.all_logits(rows)[:-1]):
                sure = torch.softmax(logits.double() / module.temperatures[number], 1).amax(1).sort().values
                module.thresholds[number] = (sure[len(sure) // 2] + sure[len(sure) // 2 - 1]) / 2
    builder = GraphBuilder()
    value = builder.input("rows", "float", ["N", *(size or f"open_{axis}" for axis, size in enumerate(shape))])
    builder.output("logits", write_logits(builder, module, value), "double", ["N", 4])
    return module, onnxruntime.InferenceSession(builder.finish())


@pytest.mark.parametrize("exits", [False, True])
@pytest.mark.parametrize(("kind", "shape", "recurrent"), CASES)
def test_the_graph_answers_as_the_module_row_by_row_and_without_rows(kind, shape, recurrent, exits):
    rows = torch.randn(24, *(size or 15 for size in shape), generator=torch.Generator().manual_seed(2))
    module, session = _written(kind, shape, recurrent=recurrent, exits=exits, rows=rows)
    with torch.no_grad():
        wanted, left = module.routed(rows)
    found = session.run(None, {"rows": rows.numpy()})[0]
    assert np.abs(found - wanted.numpy()).max() < 1e-4
    assert len(set(left.tolist())) == (3 if exits else 1) or kind != "image"
    alone = [session.run(None, {"rows": rows[i : i + 1].numpy()})[0] for i in range(len(rows))]
    assert np.abs(np.concatenate(alone) - found).max() < 1e-6
    assert session.run(None, {"rows": rows[:0].numpy()})[0].shape == (0, 4)


def test_spectrograms_may_be_of_any_length():
    rows = torch.randn(3, 12, 15)
    module, session = _written("spectrogram", (12, None), recurrent=False, exits=False, rows=rows)
    for length in (15, 7):
        found = session.run(None, {"rows": rows[:, :, :length].numpy()})[0]
        assert np.abs(found - module(rows[:, :, :length]).detach().numpy()).max() < 1e-4


def test_missing_values_of_series_are_means():
    rows = torch.randn(3, 20, 3)
    rows[1, 4, 2] = float("nan")
    module, session = _written("series", (20, 3), recurrent=False, exits=False, rows=rows)
    found = session.run(None, {"rows": rows.numpy()})[0]
    assert np.isfinite(found).all()
    assert np.abs(found - module(rows).detach().numpy()).max() < 1e-4
