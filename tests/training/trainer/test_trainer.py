"""The trainer's face: what it takes, what it gives, and that it says the same twice."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import lepton
from lepton.core import DataError, Interrupted, ProgressRecord, UsageError, Work
from lepton.training.trainer import EarlyStopping, Recipe, Trainer
from tests.training.trainer.conftest import hash_of, make_net, make_rows

X, Y = make_rows()
LEARN: dict[str, Any] = {"batch_size": 16, "epochs": 2}


def learned(x: Any = X, y: Any = Y, *, seed: int = 0, net: Any = None, **options: Any) -> Trainer:
    trainer = Trainer(net or make_net(), seed=seed).compile("adam", "categorical_crossentropy", ["accuracy"])
    trainer.fit(x, y, **{**LEARN, **options})
    return trainer


def test_it_learns_and_tells_it_as_keras_does(trainer: Trainer):
    assert lepton.Trainer is Trainer
    history = trainer.fit(X, Y, batch_size=8, epochs=25, validation_data=(X, Y))
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.epoch == list(range(25))
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    loss, accuracy = trainer.evaluate(X, Y)
    assert (loss, accuracy) == (history.history["val_loss"][-1], history.history["val_accuracy"][-1])
    assert accuracy > 0.85
    assert accuracy == pytest.approx((trainer.predict(X).argmax(1) == Y).mean())
    assert trainer.history is history


def test_the_same_seed_gives_the_same_weights_and_touches_no_global_generator():
    before = torch.random.get_rng_state(), random.getstate()
    recipe = Recipe(average=0.9, mixup=0.2)
    first, again, other = (hash_of(learned(seed=seed, recipe=recipe)) for seed in (0, 0, 1))
    assert first == again != other
    after = torch.random.get_rng_state(), random.getstate()
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]


def test_what_was_drawn_before_does_not_matter():
    torch.manual_seed(5)
    first = hash_of(learned())
    torch.rand(3)
    assert hash_of(learned()) == first


def test_a_second_fit_draws_anew():
    one = learned()
    order = hash_of(one)
    one.fit(X, Y, **LEARN)
    both = learned(epochs=4)
    assert hash_of(one) not in {order, hash_of(both)}


@pytest.mark.parametrize(
    "y",
    [np.eye(3)[Y], Y.astype("float64"), Y[:, None], Y.tolist(), torch.from_numpy(Y), pl.Series(Y), Y.astype("uint8")],
    ids=["one-hot", "float", "column", "list", "tensor", "polars", "uint8"],
)
def test_labels_of_every_form_are_the_same(y: Any):
    assert hash_of(learned(y=y)) == hash_of(learned())


@pytest.mark.parametrize(
    "x",
    [X.astype("float64"), torch.from_numpy(X), pl.DataFrame(X), np.asfortranarray(X), X.astype(">f4"), X[::-1][::-1]],
    ids=["float64", "tensor", "polars", "fortran", "big-endian", "reversed"],
)
def test_rows_of_every_form_are_the_same(x: Any):
    assert hash_of(learned(x)) == hash_of(learned())


def test_read_only_rows_are_taken_and_left():
    x = X.copy()
    x.flags.writeable = False
    assert hash_of(learned(x)) == hash_of(learned())
    assert np.array_equal(x, X)


class Rows(torch.utils.data.Dataset):  # type: ignore[misc]
    """A data set with an index."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        return X[place], Y[place]


def test_data_sets_loaders_and_generators():
    arrays = hash_of(learned())
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    assert hash_of(learned(tensors, None)) == arrays
    assert hash_of(learned(Rows(), None)) == arrays
    ordered = hash_of(learned(shuffle=False, batch_size=20, epochs=3))
    loader = torch.utils.data.DataLoader(Rows(), batch_size=20)  # one row is left over: Keras and torch would fail

    def batches() -> Any:
        for begin, end in ((0, 20), (20, 40), (40, 61)):
            yield X[begin:end], Y[begin:end]

    for stream in (batches, list(batches()).__iter__):
        assert hash_of(learned(stream, None, epochs=3)) == ordered
    endless = iter([batch for _ in range(3) for batch in batches()])
    assert hash_of(learned(endless, None, epochs=3, steps_per_epoch=3)) == ordered
    whole = torch.utils.data.DataLoader(Rows(), batch_size=61)
    trainer = learned(whole, None)
    assert trainer.evaluate(loader) == pytest.approx(trainer.evaluate(X, Y))
    assert trainer.predict(Rows()).shape == (61, 3)
    shuffled = torch.utils.data.DataLoader(Rows(), batch_size=12, shuffle=True, drop_last=True)
    assert hash_of(learned(shuffled, None)) == hash_of(learned(shuffled, None))
    with pytest.raises(UsageError, match="used up after one pass"):
        learned(iter(list(batches())), None)
    with pytest.raises(UsageError, match="y or sample_weight beside"):
        learned(Rows(), Y)
    with pytest.raises(DataError, match="no row"):
        learned(lambda: iter([]), None)


class TwoInputs(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()

    def forward(self, left: Any, right: Any) -> Any:
        return self.net(torch.cat([left, right], 1))


def test_several_inputs_by_place_and_by_name():
    left, right = X[:, :2], X[:, 2:]
    one = learned((left, right), net=TwoInputs())
    two = learned({"right": right, "left": left}, net=TwoInputs())
    assert hash_of(one) == hash_of(two)
    assert one.predict((left, right)).shape == (61, 3)
    with pytest.raises(DataError, match="60, 61 rows"):
        learned((left, right[:60]), net=TwoInputs())


class OwnLoss(torch.nn.Module):  # type: ignore[misc]
    """Learns from two exits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = make_net(), make_net(1)

    def forward(self, x: Any) -> Any:
        return self.second(x)

    def training_loss(self, x: Any, y: Any, objective: Any) -> tuple[Any, Any]:
        last = self.second(x)
        return objective(last, y) + 0.5 * objective(self.first(x), y), last


def test_a_module_may_work_out_its_own_loss():
    trainer = learned(net=OwnLoss(), sample_weight=np.ones(61), epochs=1)
    assert hash_of(trainer) == hash_of(learned(net=OwnLoss(), epochs=1))
    before, after = OwnLoss().state_dict(), trainer.module.state_dict()
    assert not torch.equal(before["first.0.weight"], after["first.0.weight"])


def test_weights_of_rows_and_classes():
    zero = np.where(Y == 0, 0.0, 1.0)
    by_rows = learned(sample_weight=zero)
    by_class = learned(class_weight={0: 0.0})
    assert hash_of(by_rows) == hash_of(by_class) != hash_of(learned())
    assert by_rows.predict(X).argmax(1).tolist().count(0) < learned().predict(X).argmax(1).tolist().count(0) + 1
    weighted, _ = by_rows.evaluate(X, Y, sample_weight=zero)
    assert weighted == pytest.approx(by_rows.evaluate(X[Y != 0], Y[Y != 0])[0])
    with pytest.raises(UsageError, match="names the label 7"):
        learned(class_weight={7: 1.0})
    with pytest.raises(DataError, match="in place 3 is -1"):
        learned(sample_weight=np.where(np.arange(61) == 3, -1.0, 1.0))
    with pytest.raises(DataError, match="sample_weight has 60"):
        learned(sample_weight=np.ones(60))


def test_accumulated_batches_are_one_batch():
    plain = Trainer(torch.nn.Linear(4, 3)).compile("sgd", "crossentropy", learning_rate=0.1)
    parts = Trainer(torch.nn.Linear(4, 3)).compile("sgd", "crossentropy", learning_rate=0.1)
    parts.load_state(plain.state())
    plain.fit(X[:60], Y[:60], batch_size=60, shuffle=False)
    parts.fit(X[:60], Y[:60], batch_size=20, accumulate=5, shuffle=False)
    for name, array in plain.state().items():
        np.testing.assert_allclose(parts.state()[name], array, rtol=1e-5, atol=1e-6)


def test_clipped_gradients_make_short_steps():
    start = make_net().state_dict()["0.weight"]
    short = learned(clip=1e-6, epochs=1)
    long = Trainer(make_net()).compile("sgd", "crossentropy", learning_rate=0.1)
    tiny = Trainer(make_net()).compile("sgd", "crossentropy", learning_rate=0.1)
    long.fit(X, Y, **LEARN)
    tiny.fit(X, Y, clip=1e-6, **LEARN)
    assert np.abs(tiny.state()["0.weight"] - start.numpy()).max() < 1e-5
    assert np.abs(long.state()["0.weight"] - start.numpy()).max() > 1e-3
    assert len(short.history) == 1


def test_steps_by_hand_and_gradients_that_are_averaged_at_one_point():
    one, two = (Trainer(make_net()).compile("sgd", "crossentropy", ["accuracy"]) for _ in range(2))
    seen: list[int] = []

    def synchronize(parameters: Any) -> None:
        seen.append(sum(parameter.grad is not None for parameter in parameters))

    two.synchronize = synchronize
    logs = [trainer.train_step((X, Y)) for trainer in (one, two) for _ in range(2)]
    assert logs[:2] == logs[2:]
    assert logs[1]["loss"] != logs[0]["loss"]
    assert set(logs[0]) == {"loss", "accuracy"}
    assert seen == [6, 6]
    assert hash_of(one) == hash_of(two)
    two.fit(X, Y, batch_size=61)
    assert len(seen) == 3


def test_state_is_named_arrays_in_and_out(tmp_path: Path):
    trainer = learned()
    other = Trainer(make_net(3)).compile("adam", "crossentropy")
    other.load_state(trainer.state())
    assert hash_of(other) == hash_of(trainer)
    trainer.save_weights(tmp_path / "w.safetensors")
    third = Trainer(make_net(4)).compile("adam", "crossentropy")
    third.load_weights(tmp_path / "w.safetensors")
    assert hash_of(third) == hash_of(trainer)
    state = trainer.state()
    state["0.weight"][:] = np.nan
    with pytest.raises(UsageError, match=r"NaN or infinity in '0.weight'"):
        other.load_state(state)
    assert hash_of(other) == hash_of(trainer)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(UsageError, match="cannot be read as safetensors"):
        third.load_weights(tmp_path / "bad.safetensors")


def test_validation_split_holds_the_last_rows_out():
    half = learned(validation_split=0.5)
    assert hash_of(half) == hash_of(learned(X[:31], Y[:31]))
    assert half.history.history["val_loss"][-1] == half.evaluate(X[31:], Y[31:])[0]
    with pytest.raises(DataError, match="leaves none to validate on"):
        learned(validation_split=0.001)
    with pytest.raises(UsageError, match="give one of them"):
        learned(validation_split=0.5, validation_data=(X, Y))


def test_work_may_stop_it_and_is_told():
    told: list[ProgressRecord] = []
    work = Work(within="0.3s", reporter=told.append)
    trainer = Trainer(torch.nn.Linear(4, 3)).compile("adam", "crossentropy")
    history = trainer.fit(X, Y, batch_size=1, epochs=10_000, work=work)
    assert "the time of 0.3 s is over" in history.stopped
    assert told
    assert told[-1].total == 610_000
    assert told[-1].unit == "steps"
    assert told[-1].note.startswith("epoch ")
    assert told[-1].remaining is not None
    work.cancel.set()
    with pytest.raises(Interrupted):
        trainer.fit(X, Y, work=work)
    with pytest.raises(Interrupted):
        trainer.predict(X, work=work)


def test_progress_is_shown_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    learned(verbose=0)
    assert capsys.readouterr() == ("", "")
    learned(verbose=1)
    assert "epoch 2/2" in capsys.readouterr().err
    learned(verbose=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2")
    assert "val_accuracy" in lines[1]
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    Trainer(make_net()).summary(X)
    assert "[N, 8]" in stream.getvalue()
    assert "83 parameters" in stream.getvalue()


def test_a_module_is_tried_in_its_own_modes():
    net = make_net()
    net[1].eval()
    trainer = Trainer(net).compile("adam", "crossentropy")
    trainer.predict(X)
    assert [part.training for part in net] == [True, False, True, True, True]


def test_lazy_layers_are_made_by_the_first_rows():
    net = torch.nn.Sequential(torch.nn.LazyLinear(5), torch.nn.ReLU(), torch.nn.LazyLinear(3))
    history = Trainer(net).compile("adam", "crossentropy").fit(X, Y)
    assert len(history) == 1


def test_numbers_are_learned_whatever_the_shape():
    y = X @ np.array([1.0, 2, -1, 0.5], dtype="float32")
    net = torch.nn.Sequential(torch.nn.Linear(4, 1))
    trainer = Trainer(net).compile("adam", "mse", ["mae", "rmse"], learning_rate=0.1)
    history = trainer.fit(X, y, batch_size=61, epochs=60)
    loss, mae, rmse = trainer.evaluate(X, y)
    errors = trainer.predict(X)[:, 0] - y
    assert loss == pytest.approx((errors**2).mean(), rel=1e-4)
    assert mae == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert rmse == pytest.approx(loss**0.5, rel=1e-4)
    assert loss < history.history["loss"][0] / 3


def test_early_stopping_goes_back_to_the_best_weights():
    trainer = Trainer(make_net()).compile("sgd", "crossentropy", ["accuracy"], learning_rate=3.0)
    stopping = EarlyStopping("val_loss", patience=2)
    history = trainer.fit(X, Y, epochs=40, validation_data=(X, Y), callbacks=stopping)
    best = min(history.history["val_loss"])
    assert len(history) < 40
    assert "not better for 2 epoch(s)" in history.stopped
    assert history.history["val_loss"][stopping.best_epoch] == best == trainer.evaluate(X, Y)[0]


def test_a_saved_module_answers_without_torch(tmp_path: Path):
    trainer = learned(epochs=3)
    trainer.save(tmp_path / "a.lepton", labels=["left", "middle", "right"])
    model = lepton.load(tmp_path / "a.lepton")
    scores = torch.from_numpy(trainer.predict(X)).softmax(1).numpy()
    np.testing.assert_allclose(model.predict_proba(X), scores, atol=1e-5)
    assert set(model.predict(X)) <= {"left", "middle", "right"}
    with pytest.raises(lepton.LeptonError, match="has not seen a row"):
        Trainer(make_net()).compile("adam", "crossentropy").save(tmp_path / "b.lepton")
    numbers = Trainer(torch.nn.Linear(4, 1)).compile("adam", "mse")
    numbers.evaluate(X, X[:, 0])
    with pytest.raises(lepton.LeptonError, match="labels for a module that was trained with mse"):
        numbers.save(tmp_path / "b.lepton", labels=["a", "b"])
    assert not (tmp_path / "b.lepton").exists()
