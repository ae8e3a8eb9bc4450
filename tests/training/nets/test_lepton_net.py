from __future__ import annotations

import numpy as np
import pytest
import torch

from lepton.bundle import open_model, read_bundle
from lepton.core import BudgetError, BundleError, LeptonError, TrainingError, UsageError
from lepton.training.nets.lepton_net import LeptonNet
from lepton.training.nets.spec import NetSpec
from tests.training.nets.conftest import pictures


def _net(**options):
    return LeptonNet((8, 8, 1), 3, **{"width": 0.25, **options})


def test_it_learns_and_early_exits_lose_no_more_than_they_may(trained):
    x, y = pictures(300, seed=5)
    loss, accuracy = trained.evaluate(x, y)
    assert accuracy > 0.9
    assert loss < 0.5
    counts, share = trained.exits_taken(x)
    assert counts.sum() == 300
    assert counts[-1] < 300
    assert share < 1
    assert accuracy == pytest.approx((trained.predict(x).argmax(axis=1) == y).mean())


def test_a_bundle_answers_as_the_net_one_row_or_many(trained, saved):
    model = open_model(saved)
    x, _ = pictures(40, seed=6)
    found = model.outputs(x)
    wanted = trained.predict(x)
    np.testing.assert_allclose(found["probabilities"], wanted, atol=1e-5)
    assert found["prediction"].tolist() == [("left", "right", "below")[n] for n in wanted.argmax(axis=1)]
    alone = np.concatenate([model.outputs(x[n : n + 1])["probabilities"] for n in range(len(x))])
    np.testing.assert_allclose(alone, found["probabilities"], atol=1e-7)
    assert model.task.name == "multiclass"
    assert {"kind", "spec.json", "weights.safetensors"} == {
        name.removeprefix("training/") for name in read_bundle(saved).names if name.startswith("training/")
    }


def test_a_net_comes_back_and_goes_on(trained, saved):
    x, y = pictures(64, seed=7)
    again = LeptonNet.load(saved)
    np.testing.assert_array_equal(again.predict(x), trained.predict(x))
    assert again.labels == trained.labels
    again.fit(x, y, epochs=1, verbose=0)
    assert not np.array_equal(again.predict(x), trained.predict(x))


def test_the_same_seed_gives_the_same_model(tmp_path):
    x, y = pictures(32)
    ids = []
    for seed in (1, 1, 2):
        net = _net(seed=seed)
        net.fit(x, y, epochs=1, batch_size=16, verbose=0)
        ids.append(net.save(tmp_path / "net.lepton"))
    assert ids[0] == ids[1] != ids[2]


def test_recipes_of_all_kinds_and_one_hot_targets():
    x, y = pictures(32)
    net = _net().compile("sgd", "categorical_crossentropy", ["accuracy"], learning_rate=0.1)
    history = net.fit(x, np.eye(3)[y], recipe=None, epochs=2, batch_size=16, validation_data=(x, y), verbose=0)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert "textbook" in net.described()
    net.fit(x.astype(np.float32) / 255, y, epochs=1, verbose=0)
    assert "one-cycle" in net.described()
    assert "turned" in net.described()


def test_numbers_are_predicted_too(tmp_path):
    x, y = pictures(64)
    net = LeptonNet((8, 8, 1), width=0.25)
    net.fit(x, y.astype(np.float32), epochs=1, verbose=0)
    assert net.predict(x).shape == (64,)
    net.save(tmp_path / "numbers.lepton")
    np.testing.assert_allclose(open_model(tmp_path / "numbers.lepton").predict(x), net.predict(x), atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "options"), [((16, 3), {"recurrent": True}), ((10, None), {"kind": "spectrogram"}), ((None, 2), {})]
)
def test_series_and_spectrograms(shape, options, tmp_path):
    rows = np.random.default_rng(0).normal(size=(24, *(size or 12 for size in shape)))
    net = LeptonNet(shape, 2, width=0.25, **options)
    net.fit(rows, np.arange(24) % 2, epochs=1, batch_size=8, verbose=0)
    net.save(tmp_path / "rows.lepton")
    model = open_model(tmp_path / "rows.lepton")
    name = model.manifest.tensors[0].name
    rows = rows.astype(np.float32 if name == "spectrogram" else np.float64)
    np.testing.assert_allclose(model.run({name: rows})["probabilities"], net.predict(rows), atol=1e-5)
    assert "multiply-adds" in net.described()


def test_a_family_of_widths_comes_from_one_training(tmp_path):
    x, y = pictures(64)
    net = _net(width=0.5, widths=(1.0, 0.5))
    net.fit(x, y, epochs=1, batch_size=16, verbose=0)
    narrow = net.at_width(0.5)
    assert narrow.num_parameters < net.num_parameters
    assert narrow.module.multiply_adds()[-1] < net.module.multiply_adds()[-1]
    narrow.save(tmp_path / "narrow.lepton")
    np.testing.assert_allclose(
        open_model(tmp_path / "narrow.lepton").outputs(x)["probabilities"], narrow.predict(x), atol=1e-5
    )
    assert net.for_latency("10s", x) is net
    with pytest.raises(BudgetError, match=r"width 0\.5"):
        net.for_latency("1us", x)
    with pytest.raises(UsageError, match=r"1\.0, 0\.5"):
        net.at_width(0.75)


def test_a_data_set_of_torch_is_learned_from():
    x, y = pictures(32)
    rows = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    net = _net()
    history = net.fit(rows, epochs=1, batch_size=16, verbose=0)
    assert len(history.history["loss"]) == 1
    assert net.module.body.mean != 0


def test_alike_rows_have_near_embeddings(trained):
    x, y = pictures(120, seed=8)
    vectors = trained.embed(x)
    assert vectors.shape == (120, trained.module.body.features)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -1)
    assert (y[near.argmax(axis=1)] == y).mean() > 0.8


def test_the_summary_tells_stages_costs_and_recipe(trained, capsys):
    trained.summary()
    told = capsys.readouterr().out
    assert "stage 3" in told
    assert f"{trained.num_parameters:,} parameters" in told
    assert "5.00%" in told
    assert "one-cycle" in told


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: LeptonNet((8, 8, 1), 1), "num_classes=1"),
        (lambda: LeptonNet((8, 8, 1), True), "num_classes=True"),
        (lambda: LeptonNet((8, 8, 1), 3, labels=["a", "b"]), "2 labels"),
        (lambda: LeptonNet((8, 8, 1), exits=0.01), "predicts a number"),
        (lambda: LeptonNet((8,), 3), "height, width, channels"),
        (lambda: _net().fit(*pictures(50)[::-1]), "rows"),
        (lambda: _net().fit(pictures(50)[0], [0, 1]), "50 rows and 2 targets"),
        (lambda: _net().fit(pictures(9)[0], [9] * 9, verbose=0), "9"),
        (lambda: _net(exits=0.01).fit(*pictures(50), verbose=0), "at least 200"),
        (lambda: _net().fit(iter([]), verbose=0), "one by one"),
        (lambda: _net().compile("adam", "nonsense"), "nonsense"),
    ],
)
def test_what_cannot_be_is_one_message(call, told):
    with pytest.raises(LeptonError, match=told):
        call()


def test_no_rows_leave_a_net_that_can_still_learn():
    net = _net()
    with pytest.raises(LeptonError, match="no row"):
        net.fit(np.zeros((0, *net.spec.input_shape), np.uint8), np.zeros(0, int), verbose=0)
    assert np.isfinite(net.module.body.mean.numpy()).all()


def test_a_net_that_has_not_learned_is_not_saved(tmp_path):
    with pytest.raises(TrainingError, match="fit"):
        _net().save(tmp_path / "none.lepton")


def test_a_bundle_of_another_model_is_no_net(tmp_path):
    from tests.training.nets.test_writing import _write

    _write(tmp_path / "other.lepton", "multiclass", ["a", "b", "c"])
    with pytest.raises(BundleError, match="no LeptonNet"):
        LeptonNet.load(tmp_path / "other.lepton")


def test_weights_that_do_not_fit_the_spec_are_refused(trained, tmp_path, monkeypatch):
    other = NetSpec.of("image", (8, 8, 1), 3, width=0.5, exits=True)
    real = NetSpec.to_dict
    monkeypatch.setattr(NetSpec, "to_dict", lambda spec: real(other))
    trained.save(tmp_path / "odd.lepton")
    monkeypatch.undo()
    with pytest.raises(BundleError, match="weights"):
        LeptonNet.load(tmp_path / "odd.lepton")
