from __future__ import annotations

import numpy as np
import pytest

from lepton.optimization.lean.damage import session_of, with_outputs
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.integers import LEVELS, layers_of
from lepton.optimization.lean.palettes import fit_palette, second_moments
from lepton.optimization.lean.weights import Weight
from tests.optimization.lean.networks import WORK, pictures, subject_of, written


def _weight(shape=(24, 96), axis=0, seed=0):
    values = np.random.default_rng(seed).standard_t(5, size=shape).astype(np.float32)
    return Weight("w", values, 1, axis, ())


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("whole", [False, True])
def test_more_values_come_closer_and_nothing_stays_nothing(axis, whole):
    weight = _weight(axis=axis)
    weight.values[3] = 0
    errors = []
    for bits in (2, 3, 4):
        palette = fit_palette(weight, bits, whole=whole)
        assert len(palette.values) == 2**bits
        assert 0 in palette.values
        assert (palette.restored(weight)[3] == 0).all()
        assert len(palette.scales) == weight.values.shape[axis]
        errors.append(((palette.restored(weight) - weight.values) ** 2).mean() / weight.values.var())
        if whole:
            assert (palette.values == np.rint(palette.values)).all()
            assert np.abs(palette.values).max() <= LEVELS
    assert errors[0] < 0.2
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.015


@pytest.mark.parametrize("values", [0.0, 3.0])
def test_weights_of_one_value_are_kept_exactly(values):
    weight = Weight("w", np.full((8, 8), values, np.float32), 1, 0, ())
    assert fit_palette(weight, 2).restored(weight) == pytest.approx(weight.values)


def test_rounding_that_makes_up_for_itself_changes_what_the_layer_gives_less():
    weight = _weight()
    random = np.random.default_rng(1)
    inputs = (random.normal(size=(400, 12)) @ random.normal(size=(12, 96)) + 0.3).astype(np.float32)
    moments = (inputs.T @ inputs).astype(np.float64)[None]

    def lost(palette):
        return ((inputs @ (palette.restored(weight) - weight.values).T) ** 2).mean()

    assert lost(fit_palette(weight, 3, moments)) < 0.3 * lost(fit_palette(weight, 3))


@pytest.mark.parametrize("name", ["residual", "depthwise", "attention"])
def test_moments_are_those_of_what_channels_are_multiplied_with(tmp_path, name):
    graph = subject_of(written(tmp_path, name)).original.graph
    model = parse(graph)
    layers = layers_of(model)
    nodes = {node.output[0]: node for node in model.graph.node}
    x = pictures(20, 4)[0]
    found = second_moments(graph, layers, nodes, {"image": x}, WORK)
    for layer in layers:
        # What the layer gives, squared and summed, is the weight between the moments.
        bare = parse(graph)
        node = next(each for each in bare.graph.node if each.output[0] == layer.output)
        if layer.bias:
            del node.input[2]
        given = session_of(with_outputs(bare.SerializeToString(), [layer.output]), 1).run(None, {"image": x})[0]
        rows = np.moveaxis(layer.weight.values, layer.weight.axis, 0)
        rows = rows.reshape(len(rows), -1).astype(np.float64)
        moments = found[layer.weight.name]
        parts = np.split(rows, len(moments)) if len(moments) > 1 else [rows]
        wanted = np.concatenate(
            [np.einsum("ck,kl,cl->c", part, m, part) for part, m in zip(parts, moments, strict=True)]
        )
        axes = (0, *range(2, given.ndim)) if layer.operator == "Conv" else tuple(range(given.ndim - 1))
        assert (given.astype(np.float64) ** 2).sum(axis=axes) == pytest.approx(wanted, rel=1e-3)
